//! The stages of an upgrade: which operations there are, and how far each of them is.

use crate::snapshot::{AppReleaseFacts, Snapshot};
use api::component_version::order;
use api::objects::{Action, AppReleasePhase, Lifecycle, Operation, Phase, Stage};
use api::release::{
    Component, PLUGINS_PRIORITY, PLUGINS_STAGE, REMOVAL_PRIORITY, REMOVAL_STAGE, Release,
};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

pub mod obstacles;
pub mod plugins;

/// What is installed, by name of the AppRelease.
pub type Installed = BTreeMap<String, AppReleaseFacts>;

/// The stages of moving this cluster to a release, nothing begun.
#[must_use]
pub fn build(snapshot: &Snapshot, release: &Release, installed: &Installed) -> Vec<Stage> {
    let mut stages: Vec<Stage> = release
        .stages
        .iter()
        .map(|stage| Stage {
            name: stage.name.clone(),
            priority: stage.priority,
            operations: stage
                .components
                .iter()
                .filter(|c| is_moved(snapshot, c) && !stays_ahead(c, installed))
                .map(|c| operation(c, installed.get(&c.name)))
                .collect(),
            ..Stage::default()
        })
        .filter(|stage| !stage.operations.is_empty())
        .collect();
    let plugins = plugins::operations(snapshot, &release.version);
    if !plugins.is_empty() {
        stages.push(Stage {
            name: PLUGINS_STAGE.to_owned(),
            priority: PLUGINS_PRIORITY,
            operations: plugins,
            ..Stage::default()
        });
    }
    let removals: Vec<Operation> = dropped(snapshot, release, installed)
        .map(|(name, facts)| Operation {
            name: name.clone(),
            action: Action::Remove,
            current_version: facts.status.version.clone(),
            ..Operation::default()
        })
        .collect();
    if !removals.is_empty() {
        stages.push(Stage {
            name: REMOVAL_STAGE.to_owned(),
            priority: REMOVAL_PRIORITY,
            operations: removals,
            ..Stage::default()
        });
    }
    stages.sort_by_key(|stage| stage.priority);
    stages
}

/// An upgrade moves Core and Aligned components that belong on this cluster, never Agnostic ones.
#[must_use]
pub fn is_moved(snapshot: &Snapshot, component: &Component) -> bool {
    component.lifecycle != Lifecycle::Agnostic && component.clusters.concerns(snapshot.is_global)
}

/// An Aligned component may be upgraded alone; where it is ahead of the release, it stays.
#[must_use]
pub fn stays_ahead(component: &Component, installed: &Installed) -> bool {
    component.lifecycle == Lifecycle::Aligned
        && installed.get(&component.name).is_some_and(|facts| {
            versions_of(facts).any(|v| order(v, &component.version) == Some(Ordering::Greater))
        })
}

/// The versions that a component has or was told to have: objects of the second may be there
/// although only the first was ever healthy.
fn versions_of(facts: &AppReleaseFacts) -> impl Iterator<Item = &str> {
    [facts.status.version.as_str(), facts.spec.version.as_str()]
        .into_iter()
        .filter(|version| !version.is_empty())
}

fn operation(component: &Component, installed: Option<&AppReleaseFacts>) -> Operation {
    let current = installed.map(|f| f.status.version.clone()).unwrap_or_default();
    let action = match current.as_str() {
        "" => Action::Install,
        version if version == component.version => Action::Keep,
        _ => Action::Upgrade,
    };
    Operation {
        name: component.name.clone(),
        action,
        current_version: current,
        target_version: component.version.clone(),
        ..Operation::default()
    }
}

/// Core components that were installed from a release of ours and that the release no longer has
/// for this cluster. What something else installed is never removed.
pub fn dropped<'a>(
    snapshot: &Snapshot,
    release: &Release,
    installed: &'a Installed,
) -> impl Iterator<Item = (&'a String, &'a AppReleaseFacts)> {
    let kept: BTreeSet<String> = release
        .components()
        .filter(|(_, c)| c.clusters.concerns(snapshot.is_global))
        .map(|(_, c)| c.name.clone())
        .collect();
    installed.iter().filter(move |(name, facts)| facts.is_of_release() && !kept.contains(*name))
}

/// Whether a component is installed from exactly this product image and healthy.
#[must_use]
pub fn is_installed(component: &Component, image: &str, installed: &Installed) -> bool {
    installed.get(&component.name).is_some_and(|facts| {
        facts.status.phase == AppReleasePhase::Ready
            && facts.status.release_image == image
            && facts.status.version == component.version
    })
}

/// Whether an operation is done, as the cluster shows it. What an upgrade does not move is done.
#[must_use]
pub fn is_finished(
    snapshot: &Snapshot,
    operation: &Operation,
    release: &Release,
    image: &str,
    installed: &Installed,
) -> bool {
    if !operation.module_info.is_empty() {
        return plugins::is_finished(snapshot, operation);
    }
    match operation.action {
        Action::Remove => !installed.contains_key(&operation.name),
        Action::Install | Action::Upgrade | Action::Keep => {
            release.components().find(|(_, c)| c.name == operation.name).is_some_and(|(_, c)| {
                !is_moved(snapshot, c)
                    || stays_ahead(c, installed)
                    || is_installed(c, image, installed)
            })
        }
    }
}

/// The first component that the release would move to a lower version, said in a sentence.
/// Versions that cannot be compared are refused as well.
#[must_use]
pub fn lower_component(
    snapshot: &Snapshot,
    release: &Release,
    installed: &Installed,
) -> Option<String> {
    let moved = release
        .components()
        .map(|(_, component)| component)
        .filter(|c| is_moved(snapshot, c) && !stays_ahead(c, installed));
    moved.filter_map(|c| Some((c, installed.get(&c.name)?))).find_map(|(component, facts)| {
        let to = &component.version;
        versions_of(facts).find_map(|from| match order(to, from) {
            Some(Ordering::Less) => {
                Some(format!("{} would move from {from} down to {to}", component.name))
            }
            Some(Ordering::Equal | Ordering::Greater) => None,
            None => Some(format!("{}: {from} and {to} cannot be compared", component.name)),
        })
    })
}

/// The stages that run now: those of the lowest priority that is not finished.
pub fn running_group(stages: &[Stage]) -> impl Iterator<Item = &Stage> {
    let priority = stages.iter().filter(|s| s.phase != Phase::Finished).map(|s| s.priority).min();
    stages.iter().filter(move |s| Some(s.priority) == priority && s.phase != Phase::Finished)
}
