//! What plugins of one cluster need of each other.

use super::blocks::Reason;
use super::circle::{OTHERS, circle};
use super::world::{ConfigFacts, InfoFacts, World};
use api::VersionRange;
use api::component_version::parse;
use api::names::RUNNING;
use api::objects::Dependency;
use api::remedy::message;

/// What a plugin needs and the cluster does not have, and what of the cluster needs another version
/// of it.
pub(super) fn unmet(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Vec<Reason> {
    if let Some(cycle) = cycle(world, config) {
        let cause = format!("its dependencies form a cycle: {}", cycle.join(" -> "));
        return vec![Reason::from(message(&cause, OTHERS))];
    }
    let needs = config.spec.dependencies.iter();
    let mut found: Vec<Reason> =
        needs.filter_map(|needed| missing(world, info, config, needed)).collect();
    let moves_together = world.is_moved_by_upgrade(info);
    found.extend(dependents(world, info, moves_together).filter_map(|(other, theirs)| {
        let needs = needs_of(theirs, &info.module)?;
        (!matches(needs, &config.spec.version)).then(|| {
            let cause = format!("{} {} {}", other.module, theirs.spec.version, needed(needs));
            Reason::from(message(&cause, &format!("upgrade or remove {} first", other.module)))
        })
    }));
    found
}

/// The plugins of the cluster that need this one, with their installed version; where all of them
/// move with the cluster, with the version to which they do.
pub(super) fn dependents<'a>(
    world: &'a World,
    info: &'a InfoFacts,
    moves_together: bool,
) -> impl Iterator<Item = (&'a InfoFacts, &'a ConfigFacts)> {
    let others = world.infos.iter().filter(|other| other.name != info.name && other.held);
    others.filter_map(move |other| {
        let target = world.moved_to(other).filter(|_| moves_together);
        let config = world.config(&other.module, target.unwrap_or(other.installed_version()))?;
        needs_of(config, &info.module).map(|_| (other, config))
    })
}

fn needs_of<'a>(config: &'a ConfigFacts, module: &str) -> Option<&'a Dependency> {
    config.spec.dependencies.iter().find(|needed| needed.module_name == module)
}

fn missing(
    world: &World,
    info: &InfoFacts,
    config: &ConfigFacts,
    wanted: &Dependency,
) -> Option<Reason> {
    let name = &wanted.module_name;
    let found = world.info_of(name).filter(|info| !info.deleting);
    let state = match found {
        None => format!("which is not installed on {}", world.cluster),
        Some(info) if info.status.phase != RUNNING => {
            let phase = &info.status.phase;
            format!("which is {}", if phase.is_empty() { "not begun" } else { phase })
        }
        Some(info) if !matches(wanted, &info.status.version) => {
            format!("and {} is installed", info.status.version)
        }
        Some(_) => return None,
    };
    let cause = format!("{} {} {}, {state}", config.module, config.spec.version, needed(wanted));
    let remedy = match found {
        Some(info) => format!("look: kubectl get moduleinfo {} -o yaml", info.name),
        None => format!("install {name} on {} first", world.cluster),
    };
    let comes = found.is_some_and(|other| {
        world.is_moved_by_upgrade(info)
            && world.moved_to(other).is_some_and(|target| matches(wanted, target))
    });
    match comes {
        true => Some(Reason { text: cause, passes: true }),
        false => Some(Reason::from(message(&cause, &remedy))),
    }
}

/// What a plugin needs, in words.
pub(crate) fn needed(wanted: &Dependency) -> String {
    let ranges = wanted.versions_match.join(" or ");
    format!("needs {} {ranges}", wanted.module_name).trim_end().to_owned()
}

/// Whether one of the ranges holds; what is no range holds for nothing.
pub(crate) fn matches(wanted: &Dependency, version: &str) -> bool {
    let Some(version) = parse(version) else { return wanted.versions_match.is_empty() };
    let holds = |range: &String| range.parse::<VersionRange>().is_ok_and(|r| r.contains(&version));
    wanted.versions_match.is_empty() || wanted.versions_match.iter().any(holds)
}

/// The plugins by which one needs itself; None: it does not.
fn cycle(world: &World, config: &ConfigFacts) -> Option<Vec<String>> {
    let needs = |config: &ConfigFacts| -> Vec<String> {
        config.spec.dependencies.iter().map(|needed| needed.module_name.clone()).collect()
    };
    circle(&config.module, &|module| match module == config.module {
        true => needs(config),
        false => next(world, module).map(needs).unwrap_or_default(),
    })
}

/// The version of a plugin that the cluster has or asks for, else any of the catalogue.
fn next<'a>(world: &'a World, module: &'a str) -> Option<&'a ConfigFacts> {
    let asked = world.info_of(module).and_then(|info| world.config(module, &info.spec.version));
    asked.or_else(|| world.versions_of(module).next())
}
