//! The steps of an upgrade that runs, and of customisations that change while nothing runs.

use super::{
    Plan, RUNNING_INTERVAL_S, Situation, Step, after, apply_step, is_removal, module_begun,
    module_finished,
};
use crate::snapshot::Snapshot;
use crate::stages::{self, Installed};
use api::StalledReason;
use api::objects::Stage;
use api::release::Release;
use std::collections::BTreeMap;

/// Plans a round of an upgrade that runs.
pub(super) fn plan(snapshot: &Snapshot, base: Plan) -> Plan {
    let plan = Plan {
        situation: Situation::Running,
        wake_at: after(snapshot, RUNNING_INTERVAL_S),
        ..base
    };
    let obstacle = |reason, message: String| Some((reason, message));
    let release = match snapshot.desired_release.or_unknown() {
        Ok(release) => release,
        Err(error) => {
            return Plan { obstacle: obstacle(StalledReason::ReleaseUnavailable, error), ..plan };
        }
    };
    let empty = Installed::new();
    let installed = match snapshot.app_releases.or_empty(&empty) {
        Ok(installed) => installed,
        Err(error) => {
            return Plan { obstacle: obstacle(StalledReason::ClusterUnreachable, error), ..plan };
        }
    };
    if let Some(lower) = stages::lower_component(snapshot, release, installed) {
        let message = format!("no component moves to a lower version: {lower}");
        return Plan { obstacle: obstacle(StalledReason::ReleaseInvalid, message), ..plan };
    }
    let steps = steps(snapshot, release, installed);
    if steps.is_empty() {
        return Plan { situation: Situation::Complete, wake_at: Some(snapshot.now), ..plan };
    }
    Plan { steps, ..plan }
}

fn steps(snapshot: &Snapshot, release: &Release, installed: &Installed) -> Vec<Step> {
    let status = snapshot.status();
    let image = status.desired.as_ref().map_or("", |d| d.image.as_str());
    let version = &release.version;
    let unfinished = |stage: &&Stage| {
        stage.operations.iter().any(|o| !stages::is_finished(o, release, image, installed))
    };
    let priority = status.stages.iter().filter(unfinished).map(|s| s.priority).min();
    let Some(priority) = priority else {
        return closing_steps(snapshot, release, installed);
    };
    if !module_begun(snapshot, &version.to_string()) {
        return vec![Step::BeginModule { version: version.clone() }];
    }
    let mut steps = Vec::new();
    let operations =
        status.stages.iter().filter(|s| s.priority == priority).flat_map(|s| &s.operations);
    for operation in operations.filter(|o| !stages::is_finished(o, release, image, installed)) {
        if is_removal(operation.action) {
            steps.push(Step::Remove { name: operation.name.clone() });
        } else if let Some((_, component)) =
            release.components().find(|(_, c)| c.name == operation.name)
        {
            steps.push(apply_step(component, release, image));
        }
    }
    steps
}

/// Every operation is done: what is obsolete goes, then the platform says so.
fn closing_steps(snapshot: &Snapshot, release: &Release, installed: &Installed) -> Vec<Step> {
    let prune: Vec<Step> = installed
        .iter()
        .filter(|(_, facts)| !facts.status.obsolete.is_empty())
        .map(|(name, _)| Step::Prune {
            name: name.clone(),
            allowed: release
                .components()
                .find(|(_, c)| c.name == *name)
                .map(|(_, c)| c.prune.clone())
                .unwrap_or_default(),
        })
        .collect();
    if !prune.is_empty() {
        return prune;
    }
    if module_finished(snapshot, &release.version.to_string()) {
        return Vec::new();
    }
    vec![Step::Finish {
        version: release.version.clone(),
        license_keys: release.license_keys.clone(),
    }]
}

/// Customisations that changed: their releases are applied again at the version they have, and
/// those that are being deleted are let go afterwards.
pub(super) fn patch_steps(snapshot: &Snapshot) -> Vec<Step> {
    let (Some(installed), Some(patches)) =
        (snapshot.app_releases.value(), snapshot.resource_patches.value())
    else {
        return Vec::new();
    };
    let mut in_force: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for patch in patches.iter().filter(|p| !p.deleting) {
        in_force
            .entry(patch.release.clone())
            .or_default()
            .push(format!("{}={}", patch.name, patch.digest));
    }
    let mut steps = Vec::new();
    let mut pending = Vec::new();
    let release = snapshot.desired_release.value();
    let status = snapshot.status();
    let image = status.current.as_ref().map_or("", |c| c.image.as_str());
    for (name, facts) in installed {
        let key = format!("{}/{name}", facts.spec.destination.namespace);
        let expected = crate::apply::patches_digest(in_force.get(&key).map_or(&[], Vec::as_slice));
        if facts.status.patches_digest == expected {
            continue;
        }
        pending.push(key);
        let component = release.and_then(|r| r.components().find(|(_, c)| c.name == *name));
        if let (Some(release), Some((_, component))) = (release, component)
            && facts.status.release_image == image
        {
            steps.push(apply_step(component, release, image));
        }
    }
    let let_go = patches.iter().filter(|p| p.deleting && !pending.contains(&p.release));
    steps.extend(let_go.map(|p| Step::ReleasePatch { name: p.name.clone() }));
    steps
}
