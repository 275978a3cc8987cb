//! What is done for an installed release while nothing moves: customisations that changed are
//! brought into force, those that are being deleted are let go, and drift is looked for. No step
//! of this file changes a version.

use super::step::{Step, apply_step};
use super::turn::Turn;
use super::wake::{self, PREFLIGHT_INTERVAL_S, RUNNING_INTERVAL_S};
use crate::snapshot::{AppReleaseFacts, ResourcePatchFacts, Snapshot};
use crate::stages::Installed;
use api::objects::{AppReleasePhase, VersionImage};
use api::release::{Component, Release};
use jiff::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// Steps for the installed release, and when the next are due.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    pub(super) steps: Vec<Step>,
    pub(super) wake_at: Option<Timestamp>,
}

/// The release whose parts are installed, with its image, where it can be told.
struct InForce<'a> {
    release: &'a Release,
    image: String,
}

/// What is to be done for the installed release; nothing where an input is not known.
pub(super) fn upkeep(snapshot: &Snapshot) -> Upkeep {
    let (Some(installed), Ok(patches)) =
        (snapshot.app_releases.value(), snapshot.resource_patches.or_empty(&Vec::new()).cloned())
    else {
        return Upkeep::default();
    };
    let status = snapshot.status();
    let in_force = status.current.as_ref().and_then(|c| in_force(snapshot, c));
    let mut upkeep = Upkeep::default();
    let mut applied_again = BTreeSet::new();
    for (name, facts) in unsettled(installed, &patches) {
        let Some((release, component)) = in_force.as_ref().and_then(|f| of(f, name, facts)) else {
            continue;
        };
        upkeep.steps.push(Step::Apply(apply_step(component, release, &facts.status.release_image)));
        applied_again.insert(name.clone());
        // One that does not apply is tried again now and then, or when something changes.
        let failed = facts.status.phase == AppReleasePhase::Failed;
        let interval = if failed { PREFLIGHT_INTERVAL_S } else { RUNNING_INTERVAL_S };
        upkeep.wake_at = wake::earliest(upkeep.wake_at, wake::after(snapshot, interval));
    }
    upkeep.steps.extend(let_go(installed, &patches));
    upkeep.steps.extend(not_in_force(installed, &patches, &applied_again));
    if let Some(in_force) = &in_force {
        look_for_drift(snapshot, in_force, &applied_again, &mut upkeep);
    }
    upkeep
}

/// Customisations that are being deleted and are no longer in force are let go. While another one
/// of its release does not apply nothing is taken back: what was applied is still in force.
pub(super) fn let_go(installed: &Installed, patches: &[ResourcePatchFacts]) -> Vec<Step> {
    let pending: BTreeSet<String> =
        unsettled(installed, patches).map(|(name, facts)| key(name, facts)).collect();
    let refused: BTreeSet<&String> =
        patches.iter().filter(|p| !p.deleting && p.failure.is_some()).map(|p| &p.release).collect();
    let is_gone = |p: &&ResourcePatchFacts| {
        let in_force = p.applied && refused.contains(&p.release);
        p.deleting && !pending.contains(&p.release) && !in_force
    };
    patches.iter().filter(is_gone).map(|p| Step::ReleasePatch { name: p.name.clone() }).collect()
}

/// The name by which customisations call a release.
fn key(name: &str, facts: &AppReleaseFacts) -> String {
    format!("{}/{name}", facts.spec.destination.namespace)
}

/// What is to be applied again: where customisations changed, and where that did not come to its
/// end. Who takes a change back meanwhile finds the old ones recorded and the new ones in force.
fn unsettled<'a>(
    installed: &'a Installed,
    patches: &[ResourcePatchFacts],
) -> impl Iterator<Item = (&'a String, &'a AppReleaseFacts)> {
    let changed: BTreeSet<&String> = changed(installed, patches).map(|(name, _)| name).collect();
    let half_done = |name: &String, facts: &AppReleaseFacts| {
        // Of one whose customisations do not apply nothing was written.
        let release = key(name, facts);
        let refused = patches.iter().any(|p| p.release == release && p.failure.is_some());
        facts.status.phase != AppReleasePhase::Ready && !refused
    };
    let all = installed.iter();
    all.filter(|(name, facts)| changed.contains(name) || half_done(name, facts))
        .collect::<Vec<_>>()
        .into_iter()
}

/// What is installed and has other customisations in force than it should have.
fn changed<'a>(
    installed: &'a Installed,
    patches: &[ResourcePatchFacts],
) -> impl Iterator<Item = (&'a String, &'a AppReleaseFacts)> {
    let mut wanted: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for patch in patches.iter().filter(|p| !p.deleting) {
        let entry = format!("{}={}", patch.name, patch.digest);
        wanted.entry(&patch.release).or_default().push(entry);
    }
    let differs = |(name, facts): &(&String, &AppReleaseFacts)| {
        let entries = wanted.get(key(name, facts).as_str()).map_or(&[][..], Vec::as_slice);
        facts.status.patches_digest != crate::apply::patches_digest(entries)
    };
    installed.iter().filter(differs).collect::<Vec<_>>().into_iter()
}

/// Customisations of releases that are not installed, or that cannot be applied again now.
fn not_in_force(
    installed: &Installed,
    patches: &[ResourcePatchFacts],
    applied_again: &BTreeSet<String>,
) -> Vec<Step> {
    let keys: BTreeSet<String> = installed.iter().map(|(name, f)| key(name, f)).collect();
    // Those of a plugin are brought into force with it.
    let held: BTreeSet<String> = changed(installed, patches)
        .filter(|(_, facts)| facts.spec.module_info.is_empty())
        .filter(|(name, _)| !applied_again.contains(*name))
        .map(|(name, facts)| key(name, facts))
        .collect();
    let report = |patch: &ResourcePatchFacts| {
        let message = if !keys.contains(&patch.release) && !patch.deleting {
            format!("the release {} is not installed on this cluster", patch.release)
        } else if held.contains(&patch.release) {
            format!("{} cannot be applied again: its installed release is not known", patch.release)
        } else {
            return None;
        };
        Some(Step::ReportPatch { name: patch.name.clone(), message: api::text::message(&message) })
    };
    patches.iter().filter_map(report).collect()
}

/// The release of the current version: that of `desired` where the two are the same, else that of
/// a ProductManifest with the very image.
fn in_force<'a>(snapshot: &'a Snapshot, current: &VersionImage) -> Option<InForce<'a>> {
    let image = Some(&current.image).filter(|image| !image.is_empty())?;
    let is_desired = snapshot.status().desired.is_some_and(|d| d.image == *image);
    let of_desired = snapshot.desired_release.value().filter(|_| is_desired);
    let published = snapshot.manifests.value().map_or(&[][..], Vec::as_slice);
    let of_manifest = || {
        published.iter().find(|m| m.image.as_ref() == Some(image)).and_then(|m| m.release.value())
    };
    let release = of_desired.or_else(of_manifest)?;
    (release.version.to_string() == current.version)
        .then(|| InForce { release, image: image.clone() })
}

/// The component as it is installed; None where it comes from another release or has another
/// version: bringing it there is an upgrade's work.
fn of<'a>(
    in_force: &InForce<'a>,
    name: &str,
    facts: &AppReleaseFacts,
) -> Option<(&'a Release, &'a Component)> {
    let (_, component) = in_force.release.components().find(|(_, c)| c.name == name)?;
    (facts.status.release_image == in_force.image && facts.status.version == component.version)
        .then_some((in_force.release, component))
}

/// Edits of others are looked for in turn.
fn look_for_drift(
    snapshot: &Snapshot,
    in_force: &InForce<'_>,
    applied_again: &BTreeSet<String>,
    upkeep: &mut Upkeep,
) {
    let installed = snapshot.app_releases.value().into_iter().flatten();
    let ready: Vec<&Component> = installed
        .filter(|(name, facts)| {
            facts.status.phase == AppReleasePhase::Ready && !applied_again.contains(*name)
        })
        .filter_map(|(name, facts)| of(in_force, name, facts).map(|(_, component)| component))
        .collect();
    let Some(turn) = Turn::at(snapshot.now, ready.len()) else { return };
    for component in ready.get(turn.open).unwrap_or_default() {
        let step = apply_step(component, in_force.release, &in_force.image);
        upkeep.steps.push(Step::ReportDrift(step));
    }
    upkeep.wake_at = wake::earliest(upkeep.wake_at, turn.next);
}
