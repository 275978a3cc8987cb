//! What a plugin comes to on a cluster: its AppReleases with their charts and values.

use super::world::{ConfigFacts, InfoFacts, World};
use crate::plan::ApplyStep;
use crate::snapshot::AppReleaseFacts;
use api::names::PLUGIN_NAMESPACE;
use api::objects::{ChartVersion, PluginRelease};
use api::plugin_values;
use api::release::{ClusterSelection, Component, DEFAULT_TIMEOUT_S};
use serde_json::{Map, Value};
use std::collections::BTreeSet;

/// The AppReleases of a version of a plugin with the settings of a ModuleInfo.
///
/// # Errors
/// Says what is wrong with the settings, each in a sentence.
pub(super) fn components(
    world: &World,
    info: &InfoFacts,
    config: &ConfigFacts,
) -> Result<Vec<ApplyStep>, Vec<String>> {
    let settings = plugin_values::effective(&config.spec.config, &info.spec.config);
    let problems = plugin_values::check(&config.spec.deploy_descriptors, &settings);
    if !problems.is_empty() {
        return Err(problems);
    }
    // What is meant for the charts of another version waits for that version.
    let charts = world.versions_of(&info.module).flat_map(|version| version.spec.charts());
    let odd = plugin_values::without_chart(&info.spec.values_override, &charts.collect());
    if !odd.is_empty() {
        return Err(odd);
    }
    let registry = world.registry.value().map_or("", String::as_str);
    let of = |release| component(registry, info, config, &settings, release);
    config.spec.app_releases.iter().map(of).collect::<Result<_, _>>().map_err(|why| vec![why])
}

/// What is to be known of settings that come to nothing.
pub(super) fn unused(info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let unused = plugin_values::unused(&config.spec, &info.spec.config);
    let unused: Vec<String> = unused.iter().map(|name| api::text::line(name, 128)).collect();
    (!unused.is_empty()).then(|| {
        let version = &config.spec.version;
        let cause = format!("{version} takes up no setting {}", api::text::names(&unused));
        api::remedy::message(&cause, &format!("kubectl edit moduleinfo {}", info.name))
    })
}

/// The AppReleases of a plugin, each as it says itself; none where the catalogue no longer has the
/// version of one, for then nobody knows its images.
pub(super) fn installed(world: &World, info: &InfoFacts) -> Vec<ApplyStep> {
    let of = |(name, facts): (&String, &AppReleaseFacts)| {
        let spec = &facts.spec;
        let config = world.config(&info.module, &spec.version)?;
        Some(ApplyStep {
            component: Component {
                name: name.clone(),
                version: spec.version.clone(),
                lifecycle: spec.lifecycle,
                clusters: ClusterSelection::All,
                chart: Some(spec.path.clone()),
                manifests: None,
                namespace: spec.destination.namespace.clone(),
                values: spec.values.clone(),
                timeout_seconds: u32::try_from(spec.timeout).unwrap_or(DEFAULT_TIMEOUT_S),
                prune: BTreeSet::new(),
            },
            release: spec.release.clone(),
            image: spec.release_image.clone(),
            images: config.spec.images.clone(),
            predecessors: BTreeSet::new(),
            module_info: info.name.clone(),
        })
    };
    world.parts_of(info).map(of).collect::<Option<_>>().unwrap_or_default()
}

/// Whether what an AppRelease says is what was installed last.
pub(super) fn is_there(world: &World, step: &ApplyStep) -> bool {
    let facts = world.app_releases.value().and_then(|all| all.get(&step.component.name));
    facts.is_some_and(|AppReleaseFacts { status, .. }| {
        (&status.version, &status.release_image) == (&step.component.version, &step.image)
    })
}

fn component(
    registry: &str,
    info: &InfoFacts,
    config: &ConfigFacts,
    settings: &Map<String, Value>,
    release: &PluginRelease,
) -> Result<ApplyStep, String> {
    let [chart] = release.chart_versions.as_slice() else {
        let charts = release.chart_versions.len();
        return Err(format!("AppRelease {} has {charts} charts instead of one", release.name));
    };
    let values = values(config, info, settings, chart)?;
    let (spec, lifecycle) = (&config.spec, config.lifecycle.0);
    let timeout = u32::try_from(spec.transit_timeout).ok().filter(|seconds| *seconds > 0);
    Ok(ApplyStep {
        component: Component {
            name: release.name.clone(),
            version: spec.version.clone(),
            lifecycle,
            clusters: ClusterSelection::All,
            chart: Some(format!("{}-{}.tgz", chart.name, chart.version)),
            manifests: None,
            namespace: match release.namespace.as_str() {
                "" => PLUGIN_NAMESPACE.to_owned(),
                namespace => namespace.to_owned(),
            },
            values,
            timeout_seconds: timeout.unwrap_or(DEFAULT_TIMEOUT_S),
            prune: BTreeSet::new(),
        },
        release: spec.version.clone(),
        image: format!("{registry}/{}@{}", chart.name, chart.digest),
        images: spec.images.clone(),
        predecessors: BTreeSet::new(),
        module_info: info.name.clone(),
    })
}

/// The values of a chart: by its template from the settings, and what is laid over them.
fn values(
    config: &ConfigFacts,
    info: &InfoFacts,
    settings: &Map<String, Value>,
    chart: &ChartVersion,
) -> Result<Map<String, Value>, String> {
    let values = match config.spec.values_templates.get(&chart.name) {
        None => Map::new(),
        Some(template) => match plugin_values::values(template, settings)? {
            Value::Object(values) => values,
            Value::Null => Map::new(),
            _ => return Err(format!("the values of chart {} are no map", chart.name)),
        },
    };
    match info.spec.values_override.get(&chart.name) {
        None => Ok(values),
        Some(Value::Object(over)) => Ok(plugin_values::effective(&values, over)),
        Some(_) => Err(format!("spec.valuesOverride of chart {} is no map", chart.name)),
    }
}
