//! Why what a ModuleInfo asks for is not begun: one rule each, each with what to do.

use super::dependencies;
use super::world::{ConfigFacts, InfoFacts, World, is_for};
use api::Lifecycle;
use api::component_version::{order, parse};
use api::names::ACCEPTED_RISK_ANNOTATION;
use api::remedy::message;
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The published version that a ModuleInfo asks for.
///
/// # Errors
/// Says why there is none.
pub(super) fn config<'a>(world: &'a World, info: &InfoFacts) -> Result<&'a ConfigFacts, String> {
    let (module, version) = (&info.module, &info.spec.version);
    if module.is_empty() {
        let label = api::names::MODULE_NAME_LABEL;
        let remedy = format!("kubectl label moduleinfo {} {label}=PLUGIN", info.name);
        return Err(message(&format!("the label {label} does not name its plugin"), &remedy));
    }
    if let Some(config) = world.config(module, version) {
        return Ok(config);
    }
    let known: Vec<&str> = world.versions_of(module).map(|c| c.spec.version.as_str()).collect();
    let cause = if known.is_empty() {
        format!("the catalogue has no plugin {module}")
    } else {
        format!("the catalogue has {module} {}, and not {version}", api::text::names(&known))
    };
    Err(message(&cause, "push its package: violet push PACKAGE.tgz"))
}

/// Why a version is not installed, or not upgraded to; none where it may be.
pub(super) fn all(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Vec<String> {
    let mut found = Vec::new();
    found.extend(duplicate(world, info));
    found.extend(never_lower(world, info));
    found.extend(not_ready(config));
    found.extend(core_alone(world, info, config));
    found.extend(other_platform(world, info, config));
    found.extend(affinity(world, config));
    found.extend(other_plugins(world, info, config));
    found.extend(dependencies::unmet(world, info, config));
    found.extend(foreign_release(world, info, config));
    if info.is_upgrade() {
        found.extend(upgrade_path(world, info, config));
        found.extend(upgrade_before(world, config));
        found.extend(risk(info, config));
    }
    found
}

fn duplicate(world: &World, info: &InfoFacts) -> Option<String> {
    let first = world.info_of(&info.module).filter(|first| first.name != info.name)?;
    let cause = format!("ModuleInfo {} already installs {} here", first.name, info.module);
    Some(message(&cause, &format!("kubectl delete moduleinfo {}", info.name)))
}

/// Neither what is installed nor what was begun ever moves to a lower version.
fn never_lower(world: &World, info: &InfoFacts) -> Option<String> {
    let parts = world.parts_of(info);
    let at = parts.flat_map(|(_, facts)| [&facts.status.version, &facts.spec.version]);
    let at = at.chain([&info.status.version]).filter(|version| !version.is_empty());
    let version = &info.spec.version;
    let above = at
        .into_iter()
        .find(|at| !matches!(order(version, at), Some(Ordering::Greater | Ordering::Equal)))?;
    let remedy = ask_for(info, above);
    Some(message(&format!("{version} is lower than {above}, which is installed"), &remedy))
}

fn not_ready(config: &ConfigFacts) -> Option<String> {
    (!config.ready).then(|| match config.message.as_str() {
        "" => {
            format!("{} is not ready yet: its charts are looked for in the registry", config.name)
        }
        why => message(
            &format!("{} is not ready: {why}", config.name),
            "push its package again: violet push PACKAGE.tgz",
        ),
    })
}

/// Core plugins move with their cluster and in no other way.
fn core_alone(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let alone = config.lifecycle.0 == Lifecycle::Core
        && info.is_upgrade()
        && !world.is_moved_by_upgrade(info);
    alone.then(|| {
        let cause = format!("{} is a Core plugin and moves with its cluster only", info.module);
        message(&cause, &upgrade_of(&world.cluster))
    })
}

/// The command that asks for a version of an installed plugin.
fn ask_for(info: &InfoFacts, version: &str) -> String {
    let patch = format!("{{\"spec\":{{\"version\":\"{version}\"}}}}");
    format!("kubectl patch moduleinfo {} --type merge -p '{patch}'", info.name)
}

pub(super) fn upgrade_of(cluster: &str) -> String {
    format!("upgrade the cluster: ac adm upgrade --cluster={cluster} --to-latest")
}

fn other_platform(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let targets = &config.spec.target_cluster_versions;
    let versions = world.platform_versions(info);
    if targets.is_empty() || versions.iter().any(|version| is_for(targets, version)) {
        return None;
    }
    let at = versions
        .first()
        .map_or_else(|| "has no platform yet".to_owned(), |version| format!("is at {version}"));
    let cause = format!(
        "{} {} is for platform {}, and cluster {} {at}",
        info.module,
        config.spec.version,
        api::text::names(targets),
        world.cluster
    );
    Some(message(&cause, &upgrade_of(&world.cluster)))
}

/// Whether the labels of the cluster are those that the plugin wants.
pub(super) fn affinity(world: &World, config: &ConfigFacts) -> Option<String> {
    let affinity = config.spec.affinity.as_ref()?;
    let none = BTreeMap::new();
    let labels = world.labels.value().and_then(Option::as_ref).unwrap_or(&none);
    let why = affinity.misfit(labels)?;
    let (name, cluster) = (&config.module, &world.cluster);
    let remedy = format!("look: kubectl get {} {cluster} --show-labels", api::names::CLUSTERS);
    Some(message(&format!("{name} is not meant for cluster {cluster}: {why}"), &remedy))
}

/// Plugins that must not be on one cluster, whichever of the two says so.
fn other_plugins(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let refuses = |config: &ConfigFacts, module: &String| {
        let affinity = config.spec.affinity.as_ref();
        affinity.is_some_and(|a| a.plugin_anti_affinity.contains(module))
    };
    let others = world.infos.iter().filter(|other| other.module != info.module && other.held);
    let met = others.into_iter().find(|other| {
        let theirs = world.config(&other.module, &other.status.version);
        refuses(config, &other.module) || theirs.is_some_and(|c| refuses(c, &info.module))
    })?;
    let cause = format!("{} and {} must not be on one cluster", info.module, met.module);
    Some(message(&cause, &format!("remove one of them: kubectl delete moduleinfo {}", met.name)))
}

/// An AppRelease of that name is part of something else.
fn foreign_release(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let installed = world.app_releases.value()?;
    let releases = config.spec.app_releases.iter();
    let (name, owner) = releases.into_iter().find_map(|release| {
        let facts = installed.get(&release.name)?;
        let owner = &facts.spec.module_info;
        // What another controller installed for this plugin is taken over with it.
        let is_taken_over = info.is_upgrade() && facts.spec.release_image.is_empty();
        (owner != &info.name && !is_taken_over).then_some((&release.name, owner))
    })?;
    let owner = match owner.as_str() {
        "" => "the platform itself".to_owned(),
        other => format!("ModuleInfo {other}"),
    };
    Some(format!("the AppRelease {name} of this plugin would be one of {owner}"))
}

fn upgrade_path(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let (from, to) = (&info.status.version, &config.spec.version);
    let range = &config.spec.supported_upgrade_versions;
    let is_supported = range.is_empty()
        || range
            .parse::<api::VersionRange>()
            .is_ok_and(|range| parse(from).is_some_and(|from| range.contains(&from)));
    if !is_supported {
        return Some(format!("{to} is upgraded to from {range}, and {from} is installed"));
    }
    let must = world.versions_of(&info.module).find(|between| {
        between.spec.must_upgrade
            && order(&between.spec.version, from) == Some(Ordering::Greater)
            && order(&between.spec.version, to) == Some(Ordering::Less)
    })?;
    let version = &must.spec.version;
    let remedy = ask_for(info, version);
    Some(message(&format!("no upgrade to {to} may leave out {version}"), &remedy))
}

fn upgrade_before(world: &World, config: &ConfigFacts) -> Option<String> {
    let before = config.spec.upgrade_before.iter();
    let waits = before.into_iter().find_map(|other| {
        let info = world.info_of(&other.module_name)?;
        let newest = info.status.available_versions.first()?;
        Some((info, &newest.version))
    });
    let (info, version) = waits?;
    let remedy = ask_for(info, version);
    Some(message(&format!("{} is upgraded before it", info.module), &remedy))
}

/// What puts something at risk is shown and has to be accepted.
fn risk(info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let (level, version) = (&config.spec.upgrade_risk_level, &config.spec.version);
    if level.is_empty() || info.accepted_risk == *version {
        return None;
    }
    let about = match config.spec.upgrade_risk_description_en.as_str() {
        "" => config.spec.upgrade_risk_description.as_str(),
        english => english,
    };
    let cause = format!("the upgrade to {version} has the risk {level}: {about}");
    Some(message(&cause, &accept(&info.name, version)))
}

/// The command by which a risk is accepted.
#[must_use]
pub fn accept(info: &str, version: &str) -> String {
    format!(
        "accept it: kubectl annotate moduleinfo {info} --overwrite {ACCEPTED_RISK_ANNOTATION}={version}"
    )
}
