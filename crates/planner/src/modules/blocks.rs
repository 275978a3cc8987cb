//! Why what a ModuleInfo asks for is not begun: one rule each, each with what to do.

use super::path::{Detour, detour};
use super::world::{ConfigFacts, InfoFacts, World, is_for};
use super::{circle, dependencies};
use api::Lifecycle;
use api::component_version::order;
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

/// Why something is not begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    pub(super) text: String,
    /// The upgrade of the cluster that is under way takes it away: nobody has to act.
    pub(super) passes: bool,
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self { text, passes: false }
    }
}

/// Why a version is not installed, or not upgraded to; none where it may be.
pub(super) fn all(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Vec<Reason> {
    let firm = [
        duplicate(world, info),
        never_lower(world, info),
        not_ready(config),
        core_alone(world, info, config),
        other_platform(world, info, config),
        affinity(world, config),
        other_plugins(world, info, config),
        foreign_release(world, info, config),
    ];
    let mut found: Vec<Reason> = firm.into_iter().flatten().map(Reason::from).collect();
    found.extend(dependencies::unmet(world, info, config));
    if info.is_upgrade() {
        found.extend(upgrade_path(world, info, config).map(Reason::from));
        found.extend(upgrade_before(world, info, config));
        found.extend(risk(info, config).map(Reason::from));
    }
    if found.iter().any(|reason| reason.passes)
        && let Some(names) = circle::waits(world, info)
    {
        let (cause, remedy) = circle::circle_words(&names);
        found.push(Reason::from(message(&cause, &remedy)));
    }
    found
}

fn duplicate(world: &World, info: &InfoFacts) -> Option<String> {
    let first = world.info_of(&info.module).filter(|first| first.name != info.name)?;
    let cause = format!("ModuleInfo {} already installs {} here", first.name, info.module);
    Some(message(&cause, &format!("kubectl delete moduleinfo {}", info.name)))
}

/// Neither what is installed nor what was begun ever moves to a lower version.
pub(super) fn never_lower(world: &World, info: &InfoFacts) -> Option<String> {
    let parts = world.parts_of(info);
    let at = parts.flat_map(|(_, facts)| [&facts.status.version, &facts.spec.version]);
    let at = at.chain([&info.status.version]).filter(|version| !version.is_empty());
    let version = &info.spec.version;
    let above = at
        .into_iter()
        .find(|at| !matches!(order(version, at), Some(Ordering::Greater | Ordering::Equal)))?;
    let remedy = ask_for(&info.name, above);
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
fn ask_for(info: &str, version: &str) -> String {
    let patch = format!("{{\"spec\":{{\"version\":\"{version}\"}}}}");
    format!("kubectl patch moduleinfo {info} --type merge -p '{patch}'")
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
    let is_meant = |config: &&ConfigFacts| {
        let targets = &config.spec.target_cluster_versions;
        versions.iter().any(|version| is_for(targets, version))
    };
    let by_version = |a: &&ConfigFacts, b: &&ConfigFacts| {
        order(&a.spec.version, &b.spec.version).unwrap_or(Ordering::Equal)
    };
    let meant = world.versions_of(&info.module).filter(is_meant).max_by(by_version);
    let remedy = meant.map_or_else(
        || upgrade_of(&world.cluster),
        |config| ask_for(&info.name, &config.spec.version),
    );
    Some(message(&cause, &remedy))
}

/// Whether the labels of the cluster are those that the plugin wants.
pub(super) fn affinity(world: &World, config: &ConfigFacts) -> Option<String> {
    let affinity = config.spec.affinity.as_ref()?;
    let none = BTreeMap::new();
    let labels = world.labels.value().and_then(Option::as_ref).unwrap_or(&none);
    let why = affinity.misfit(labels)?;
    let (cause, remedy) = misfit_words(&config.module, &world.cluster, &why);
    Some(message(&cause, &remedy))
}

/// What is said of a plugin that is not meant for a cluster, and what to do.
pub(crate) fn misfit_words(module: &str, cluster: &str, why: &str) -> (String, String) {
    let remedy = format!("look: kubectl get {} {cluster} --show-labels", api::names::CLUSTERS);
    (format!("{module} is not meant for cluster {cluster}: {why}"), remedy)
}

/// Plugins that must not be on one cluster, whichever of the two says so.
fn other_plugins(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let refuses = |config: &ConfigFacts, module: &str| {
        config.spec.affinity.as_ref().is_some_and(|affinity| affinity.excludes(module))
    };
    let others = before(world, info).filter(|other| other.module != info.module);
    let met = others.into_iter().find(|other| {
        let theirs = world.installed_config(other);
        refuses(config, &other.module) || theirs.is_some_and(|c| refuses(c, &info.module))
    })?;
    let (cause, remedy) = apart_words(&info.module, &met.module, &met.name);
    Some(message(&cause, &remedy))
}

/// What is said of two plugins that must not be on one cluster, and what to do.
pub(crate) fn apart_words(module: &str, other: &str, its_info: &str) -> (String, String) {
    let cause = format!("{module} and {other} must not be on one cluster");
    (cause, format!("remove one of them: kubectl delete moduleinfo {its_info}"))
}

/// What has its place on the cluster already: what is there, and what was asked for earlier.
fn before<'a>(world: &'a World, info: &'a InfoFacts) -> impl Iterator<Item = &'a InfoFacts> {
    let others = world.infos.iter().filter(|other| other.name != info.name);
    others.filter(|other| {
        other.held || !info.held && (other.created, &other.name) < (info.created, &info.name)
    })
}

/// An AppRelease of that name is part of something else, or is about to be.
fn foreign_release(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let claimed = before(world, info).find_map(|other| {
        let theirs = world.installed_config(other)?.spec.app_releases.iter();
        let names: Vec<&String> = theirs.map(|release| &release.name).collect();
        let own = config.spec.app_releases.iter().map(|release| &release.name);
        own.into_iter().find(|name| names.contains(name)).map(|name| (name, other))
    });
    if let Some((name, other)) = claimed.filter(|(_, other)| other.module != info.module) {
        let cause =
            format!("the AppRelease {name} of this plugin would be one of {}", other.module);
        let remedy = format!("remove one of them: kubectl delete moduleinfo {}", other.name);
        return Some(message(&cause, &remedy));
    }
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
    let cause = format!("the AppRelease {name} of this plugin would be one of {owner}");
    let remedy =
        format!("look on cluster {}: kubectl get apprelease {name} -A -o yaml", world.cluster);
    Some(message(&cause, &remedy))
}

fn upgrade_path(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    let all = world.versions_of(&info.module).map(ConfigFacts::published);
    let detour = detour(all, &info.status.version, config.published())?;
    let (cause, remedy) =
        detour_words(detour, &info.name, &info.status.version, &config.spec.version);
    Some(message(&cause, &remedy))
}

/// Why the way to a version is not open, and what to do.
pub(crate) fn detour_words(
    detour: Detour<'_>,
    info: &str,
    installed: &str,
    to: &str,
) -> (String, String) {
    match detour {
        Detour::From(range) => (
            format!("{to} is upgraded to from {range}, and {installed} is installed"),
            format!(
                "upgrade it to such a version first; which there are: kubectl get moduleinfo {info} -o jsonpath='{{.status.availableVersions}}'"
            ),
        ),
        Detour::Must(version) => {
            (format!("no upgrade to {to} may leave out {version}"), ask_for(info, version))
        }
    }
}

fn upgrade_before(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<Reason> {
    let others = config.spec.upgrade_before.iter();
    let mut others = others.filter_map(|other| world.info_of(&other.module_name));
    let passes = |text| Reason { text, passes: true };
    others.find_map(|other| {
        let newest = other.status.available_versions.first().map(|newest| newest.version.as_str());
        let moves = world.is_moved_by_upgrade(info) && world.moved_to(other).is_some();
        let (cause, remedy) = first_words(&other.module, &other.name, newest.unwrap_or_default());
        match (moves, newest) {
            (true, _) => Some(passes(cause)),
            (false, Some(_)) => Some(Reason::from(message(&cause, &remedy))),
            (false, None) => None,
        }
    })
}

/// What is said where another plugin is upgraded first, and what to do.
pub(crate) fn first_words(module: &str, info: &str, newest: &str) -> (String, String) {
    (format!("{module} is upgraded before it"), ask_for(info, newest))
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
    let about = if about.is_empty() { String::new() } else { format!(": {about}") };
    let cause = format!("the upgrade to {version} has the risk {level}{about}");
    Some(message(&cause, &accept(&info.name, version)))
}

/// The command by which a risk is accepted.
#[must_use]
pub fn accept(info: &str, version: &str) -> String {
    format!(
        "accept it: kubectl annotate moduleinfo {info} --overwrite {ACCEPTED_RISK_ANNOTATION}={version}"
    )
}
