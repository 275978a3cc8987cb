//! The stages of an upgrade: which operations there are, and how far each of them is.

use crate::snapshot::{AppReleaseFacts, Snapshot};
use api::objects::{Action, AppReleasePhase, Lifecycle, Operation, Phase, Stage};
use api::release::{Component, REMOVAL_PRIORITY, REMOVAL_STAGE, Release};
use std::collections::{BTreeMap, BTreeSet};

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
                .filter(|c| is_moved(snapshot, c))
                .map(|c| operation(c, installed.get(&c.name)))
                .collect(),
            ..Stage::default()
        })
        .filter(|stage| !stage.operations.is_empty())
        .collect();
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

/// Core components that are installed and that the release no longer has.
pub fn dropped<'a>(
    snapshot: &Snapshot,
    release: &Release,
    installed: &'a Installed,
) -> impl Iterator<Item = (&'a String, &'a AppReleaseFacts)> {
    let kept: BTreeSet<String> = release
        .components()
        .filter(|(_, c)| is_moved(snapshot, c))
        .map(|(_, c)| c.name.clone())
        .collect();
    installed.iter().filter(move |(name, facts)| {
        facts.spec.lifecycle == Lifecycle::Core && !kept.contains(*name)
    })
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

/// Whether an operation is done, as the cluster shows it.
#[must_use]
pub fn is_finished(
    operation: &Operation,
    release: &Release,
    image: &str,
    installed: &Installed,
) -> bool {
    match operation.action {
        Action::Remove => !installed.contains_key(&operation.name),
        Action::Install | Action::Upgrade | Action::Keep => release
            .components()
            .find(|(_, c)| c.name == operation.name)
            .is_some_and(|(_, c)| is_installed(c, image, installed)),
    }
}

/// The first component that the release would move to a lower version, said in a sentence.
#[must_use]
pub fn lower_component(
    snapshot: &Snapshot,
    release: &Release,
    installed: &Installed,
) -> Option<String> {
    release.components().filter(|(_, c)| is_moved(snapshot, c)).find_map(|(_, component)| {
        let current = &installed.get(&component.name)?.status.version;
        let (from, to): (api::Version, api::Version) =
            (current.parse().ok()?, component.version.parse().ok()?);
        (to < from).then(|| format!("{} would move from {from} down to {to}", component.name))
    })
}

/// The stages that run now: those of the lowest priority that is not finished.
pub fn running_group(stages: &[Stage]) -> impl Iterator<Item = &Stage> {
    let priority = stages.iter().filter(|s| s.phase != Phase::Finished).map(|s| s.priority).min();
    stages.iter().filter(move |s| Some(s.priority) == priority && s.phase != Phase::Finished)
}
