//! Decides whether what a ModuleConfig says makes sense by itself: names, versions, ranges, paths
//! and templates. Knows nothing of the charts and images beside it.

use std::collections::BTreeSet;

use api::names::is_label;
use api::plugin_values::{is_path, values};
use api::{ChartVersion, Descriptor, ImageRef, ModuleConfigSpec, Version, VersionRange};
use serde_json::Value;

use super::objects::Objects;

/// Most AppReleases of one plugin.
const RELEASE_LIMIT: usize = 64;
/// Most images, fields, dependencies or templates of one plugin.
const LIST_LIMIT: usize = 512;
/// Longest time that it may take to install it, in seconds: a week.
const TRANSIT_LIMIT_S: i64 = 7 * 24 * 3600;

/// Checks what is applied and shown before anything of it is.
pub(super) fn check(objects: &Objects) -> Result<(), String> {
    let config = &objects.config;
    check_known(&objects.module_config["spec"])?;
    check_version(&config.version)?;
    check_limits(config)?;
    check_names(config)?;
    check_releases(config)?;
    check_ranges(config)?;
    check_descriptors(&config.deploy_descriptors)?;
    check_templates(config)?;
    if !(0..=TRANSIT_LIMIT_S).contains(&config.transit_timeout) {
        return Err(format!("transitTimeout is not from 0 to {TRANSIT_LIMIT_S} seconds"));
    }
    match config
        .resources_block_remove
        .iter()
        .all(|r| !r.kind.is_empty() && !r.api_version.is_empty())
    {
        true => Ok(()),
        false => Err("an entry of resourcesBlockRemove lacks its apiVersion or kind".to_owned()),
    }
}

/// What would decide about an installation and has no rule here must not be passed over in silence.
fn check_known(spec: &Value) -> Result<(), String> {
    let has = |object: &Value, field: &str| match object.get(field) {
        None | Some(Value::Null) => false,
        Some(Value::String(text)) => !text.is_empty(),
        Some(Value::Array(all)) => !all.is_empty(),
        Some(Value::Object(all)) => !all.is_empty(),
        Some(Value::Bool(_) | Value::Number(_)) => true,
    };
    let entries = |list: &str| spec[list].as_array().map_or(&[][..], Vec::as_slice);
    let of_spec = ["crossClusterDependencies", "pluginDependencies"]
        .into_iter()
        .find(|field| has(spec, field))
        .map(str::to_owned);
    let of_entries = [("appReleases", "installCondition"), ("dependencies", "instanceName")]
        .into_iter()
        .find(|(list, field)| entries(list).iter().any(|entry| has(entry, field)))
        .map(|(list, field)| format!("{field} in {list}"));
    match of_spec.or(of_entries) {
        None => Ok(()),
        Some(field) => Err(format!("it has {field}, which is not supported")),
    }
}

/// A version is also a part of a name and a tag, so it is written with small letters.
fn check_version(version: &str) -> Result<(), String> {
    let shown = api::text::line(version, 64);
    let plain = version.strip_prefix('v').unwrap_or(version);
    plain.parse::<Version>().map_err(|_| format!("'{shown}' is not a version such as 1.2.0"))?;
    let small = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-');
    let ends = version.bytes().last().is_some_and(|b| b.is_ascii_alphanumeric());
    match ends && version.bytes().all(small) {
        true => Ok(()),
        false => Err(format!("'{shown}' cannot be a part of a name: a-z, 0-9, '.' and '-' only")),
    }
}

fn check_limits(config: &ModuleConfigSpec) -> Result<(), String> {
    let lists = [
        ("appReleases", config.app_releases.len(), RELEASE_LIMIT),
        ("images", config.images.len(), LIST_LIMIT),
        ("deployDescriptors", config.deploy_descriptors.len(), LIST_LIMIT),
        ("dependencies", config.dependencies.len(), LIST_LIMIT),
        ("upgradeBefore", config.upgrade_before.len(), LIST_LIMIT),
        ("targetClusterVersions", config.target_cluster_versions.len(), LIST_LIMIT),
        ("resourcesBlockRemove", config.resources_block_remove.len(), LIST_LIMIT),
    ];
    match lists.into_iter().find(|(_, found, limit)| found > limit) {
        None => Ok(()),
        Some((name, _, limit)) => Err(format!("it has more than {limit} {name}")),
    }
}

/// Every name under which something of it, or another plugin, is known on a cluster.
fn check_names(config: &ModuleConfigSpec) -> Result<(), String> {
    let affinity = config.affinity.iter().flat_map(|affinity| &affinity.plugin_anti_affinity);
    let releases = &config.app_releases;
    let named = releases
        .iter()
        .map(|release| ("an AppRelease", &release.name))
        .chain(releases.iter().map(|r| ("a namespace", &r.namespace)).filter(|n| !n.1.is_empty()))
        .chain(config.images.keys().map(|name| ("an image", name)))
        .chain(config.dependencies.iter().map(|d| ("a plugin", &d.module_name)))
        .chain(config.upgrade_before.iter().map(|m| ("a plugin", &m.module_name)))
        .chain(affinity.map(|name| ("a plugin", name)));
    for (what, name) in named {
        if !is_label(name) {
            return Err(format!("'{}' is no name of {what}", api::text::line(name, 64)));
        }
    }
    Ok(())
}

/// One chart is one component for whoever applies it, so an AppRelease has exactly one.
fn check_releases(config: &ModuleConfigSpec) -> Result<(), String> {
    let (mut names, mut charts) = (BTreeSet::new(), BTreeSet::new());
    if config.app_releases.is_empty() {
        return Err("it has no appReleases".to_owned());
    }
    for release in &config.app_releases {
        let name = &release.name;
        if !names.insert(name) {
            return Err(format!("AppRelease '{name}' stands twice"));
        }
        let [chart] = &release.chart_versions[..] else {
            let charts = release.chart_versions.len();
            return Err(format!("AppRelease '{name}' has {charts} charts instead of one"));
        };
        let ChartVersion { name: repository, release_name, version, digest: _ } = chart;
        let shown = api::text::line(repository, 128);
        let parsed = format!("x/{repository}").parse::<ImageRef>().ok();
        if parsed.is_none_or(|parsed| parsed.repository != *repository) {
            return Err(format!("'{shown}' is no repository of a chart"));
        }
        if release_name != name {
            let other = api::text::line(release_name, 64);
            return Err(format!("the chart of AppRelease '{name}' has releaseName '{other}'"));
        }
        check_version(version).map_err(|error| format!("chart {shown}: {error}"))?;
        if !charts.insert(repository) {
            return Err(format!("chart {shown} stands twice"));
        }
    }
    Ok(())
}

fn check_ranges(config: &ModuleConfigSpec) -> Result<(), String> {
    let range = |text: &String| text.parse::<VersionRange>().map(|_| ()).map_err(|e| e.to_string());
    config.dependencies.iter().flat_map(|d| &d.versions_match).try_for_each(range)?;
    if !config.supported_upgrade_versions.is_empty() {
        range(&config.supported_upgrade_versions)?;
    }
    let line = |text: &String| {
        let exact = text.parse::<Version>().is_ok();
        exact || format!("{text}.0").parse::<Version>().is_ok_and(|v| v.minor_line() == *text)
    };
    match config.target_cluster_versions.iter().find(|text| !line(text)) {
        None => Ok(()),
        Some(text) => Err(format!(
            "'{}' in targetClusterVersions is neither a line such as 4.3 nor a version",
            api::text::line(text, 64)
        )),
    }
}

fn check_descriptors(descriptors: &[Descriptor]) -> Result<(), String> {
    match descriptors.iter().find(|descriptor| !is_path(&descriptor.path)) {
        None => Ok(()),
        Some(descriptor) => Err(format!(
            "'{}' in deployDescriptors is no plain path such as ingress.host",
            api::text::line(&descriptor.path, 64)
        )),
    }
}

/// Each template belongs to a chart, and gives values with the defaults at least.
fn check_templates(config: &ModuleConfigSpec) -> Result<(), String> {
    let charts = config.charts();
    for (chart, template) in &config.values_templates {
        let shown = api::text::line(chart, 128);
        if !charts.contains(&chart.as_str()) {
            return Err(format!("valuesTemplates has '{shown}', which is none of its charts"));
        }
        values(template, &config.config)
            .map_err(|error| format!("valuesTemplates of {shown}: {error}"))?;
    }
    Ok(())
}
