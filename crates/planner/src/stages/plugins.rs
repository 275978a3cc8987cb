//! The plugins that an upgrade of their cluster moves: Aligned and Core ones, never an Agnostic
//! one.

use crate::modules::{Detour, detour, is_for};
use crate::snapshot::{ModuleConfigFacts, ModuleInfoFacts, Snapshot};
use api::Version;
use api::component_version::order;
use api::names::RUNNING;
use api::objects::{Action, Lifecycle, Operation};
use std::cmp::Ordering;

/// Where an upgrade of the cluster brings a plugin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Move<'a> {
    /// It is meant for the target as it is.
    Stays,
    /// To this published version.
    To(&'a ModuleConfigFacts),
    /// No published version is meant for the target.
    Missing,
    /// One is, and the way to it is not open.
    NoWay(&'a ModuleConfigFacts, Detour<'a>),
}

/// The plugins of the cluster that move with it, and where to.
#[must_use]
pub fn moves<'a>(
    infos: &'a [ModuleInfoFacts],
    configs: &'a [ModuleConfigFacts],
    target: &Version,
) -> Vec<(&'a ModuleInfoFacts, Move<'a>)> {
    let target = target.to_string();
    let moved = infos.iter().filter(|info| lifecycle(info, configs) != Lifecycle::Agnostic);
    moved.map(|info| (info, of(info, configs, &target))).collect()
}

/// The lifecycle as its published version says it, else as the ModuleInfo does.
fn lifecycle(info: &ModuleInfoFacts, configs: &[ModuleConfigFacts]) -> Lifecycle {
    let published = configs.iter().find(|c| c.module == info.module && c.version == info.version);
    let said = published.and_then(|config| config.lifecycle).or(info.lifecycle);
    said.unwrap_or(Lifecycle::Agnostic)
}

fn of<'a>(info: &ModuleInfoFacts, configs: &'a [ModuleConfigFacts], target: &str) -> Move<'a> {
    let of_module = || configs.iter().filter(|c| c.module == info.module);
    // One that names no version of the platform says nothing of this one.
    let meant: Vec<&ModuleConfigFacts> = of_module()
        .filter(|c| {
            !c.target_cluster_versions.is_empty() && is_for(&c.target_cluster_versions, target)
        })
        .collect();
    if meant.iter().any(|config| config.version == info.version) {
        return Move::Stays;
    }
    let is_above = |config: &&&ModuleConfigFacts| {
        info.version.is_empty() || order(&config.version, &info.version) == Some(Ordering::Greater)
    };
    let above: Vec<&ModuleConfigFacts> = meant.iter().filter(is_above).copied().collect();
    let way = |config: &'a ModuleConfigFacts| {
        let all = of_module().map(ModuleConfigFacts::published);
        let installed = Some(&info.version).filter(|version| !version.is_empty())?;
        detour(all, installed, config.published())
    };
    let by_version = |a: &&&'a ModuleConfigFacts, b: &&&'a ModuleConfigFacts| {
        order(&a.version, &b.version).unwrap_or(Ordering::Equal)
    };
    let open = above.iter().filter(|config| way(config).is_none()).max_by(by_version);
    match (open, above.iter().max_by(by_version)) {
        (Some(config), _) => Move::To(config),
        (None, Some(config)) => way(config).map_or(Move::Missing, |way| Move::NoWay(config, way)),
        (None, None) => Move::Missing,
    }
}

/// The operations of the plugins of the cluster; none while it is not known which there are.
pub(super) fn operations(snapshot: &Snapshot, target: &Version) -> Vec<Operation> {
    let infos = snapshot.module_infos.value().map_or(&[][..], Vec::as_slice);
    let configs = snapshot.module_configs.value().map_or(&[][..], Vec::as_slice);
    let operation = |(info, to): (&ModuleInfoFacts, Move<'_>)| match to {
        Move::To(config) => Some(Operation {
            name: info.module.clone(),
            module_info: info.name.clone(),
            action: if info.version.is_empty() { Action::Install } else { Action::Upgrade },
            current_version: info.version.clone(),
            target_version: config.version.clone(),
            ..Operation::default()
        }),
        Move::Stays | Move::Missing | Move::NoWay(..) => None,
    };
    moves(infos, configs, target).into_iter().filter_map(operation).collect()
}

/// Whether a plugin is where the upgrade brings it, or was brought further meanwhile, as its
/// ModuleInfo says; one that was removed meanwhile is. What is not known is not.
pub(super) fn is_finished(snapshot: &Snapshot, operation: &Operation) -> bool {
    snapshot.module_infos.value().is_some_and(|infos| {
        infos.iter().find(|info| info.name == operation.module_info).is_none_or(|info| {
            let is_there = matches!(
                order(&info.version, &operation.target_version),
                Some(Ordering::Equal | Ordering::Greater)
            );
            info.is_observed && info.phase == RUNNING && is_there
        })
    })
}
