//! The steps of an upgrade that runs. Only here, and only for the version and digest whose
//! preflight passed, are there steps that change a version.

use super::customisations;
use super::module_shown;
use super::rules::{self, Hold};
use super::step::{Step, apply_step};
use super::wake::{RUNNING_INTERVAL_S, UNKNOWN_INTERVAL_S, after};
use super::{Plan, Situation};
use crate::preflight::{self, Summary};
use crate::snapshot::{Observed, Snapshot};
use crate::stages::{self, Installed};
use api::StalledReason;
use api::objects::{Action, DeployStatus, Operation, Phase, Stage};
use api::release::Release;

/// Plans a round of an upgrade that runs.
pub(super) fn plan(snapshot: &Snapshot, base: Plan) -> Plan {
    let none = Installed::new();
    let (release, installed) = match inputs(snapshot, &none) {
        Ok(inputs) => inputs,
        Err(obstacle) => {
            return Plan {
                situation: Situation::Running,
                obstacle: Some(obstacle),
                wake_at: after(snapshot, UNKNOWN_INTERVAL_S),
                ..base
            };
        }
    };
    let work = work(snapshot, release, installed);
    if work.complete {
        return Plan { situation: Situation::Complete, wake_at: Some(snapshot.now), ..base };
    }
    let wake_at = if work.begins.is_empty() {
        after(snapshot, RUNNING_INTERVAL_S)
    } else {
        Some(snapshot.now)
    };
    let mut steps = work.steps;
    let patches = snapshot.resource_patches.value().map_or(&[][..], Vec::as_slice);
    for step in customisations::let_go(installed, patches) {
        // An outcome is told by its subject: a customisation with the name of a component waits.
        if !steps.iter().any(|other| other.subject() == step.subject()) {
            steps.push(step);
        }
    }
    Plan { situation: Situation::Running, begins: work.begins, steps, wake_at, ..base }
}

/// What the steps are made of, checked against the rules that hold whatever is disabled.
fn inputs<'a>(
    snapshot: &'a Snapshot,
    none: &'a Installed,
) -> Result<(&'a Release, &'a Installed), (StalledReason, String)> {
    let invalid = |hold: Hold| {
        let reason = match hold {
            Hold::Broken(_) => StalledReason::ReleaseInvalid,
            Hold::Unknown(_) => StalledReason::ClusterUnreachable,
        };
        (reason, hold.message().to_owned())
    };
    let status = snapshot.status();
    let desired = status.desired.unwrap_or_default();
    let judged = status.preflight.filter(|p| {
        p.version == desired.version
            && p.image == desired.image
            && preflight::summary(p) == Summary::Passed
    });
    if judged.is_none() {
        let message = format!(
            "no passed preflight of {} and its digest is recorded; nothing is changed",
            desired.version
        );
        return Err((StalledReason::PreflightFailed, message));
    }
    let unreadable = if snapshot.desired_release_is_invalid {
        StalledReason::ReleaseInvalid
    } else {
        StalledReason::ReleaseUnavailable
    };
    let release = snapshot.desired_release.or_unknown().map_err(|error| (unreadable, error))?;
    if release.version.to_string() != desired.version {
        let message = format!("its image holds the release {}", release.version);
        return Err((StalledReason::ReleaseInvalid, message));
    }
    let installed = snapshot
        .app_releases
        .or_empty(none)
        .map_err(|error| (StalledReason::ClusterUnreachable, error))?;
    if snapshot.current().is_some_and(|current| release.version < current) {
        let message = "it is lower than the current version".to_owned();
        return Err((StalledReason::ReleaseInvalid, message));
    }
    rules::components_never_lower(snapshot, release, installed).map_err(invalid)?;
    rules::global_first(snapshot, &release.version).map_err(|hold| match hold {
        Hold::Broken(message) => (StalledReason::PreflightFailed, message),
        Hold::Unknown(message) => (StalledReason::ClusterUnreachable, message),
    })?;
    Ok((release, installed))
}

/// What a round does, and which operations it begins.
#[derive(Default)]
struct Work {
    steps: Vec<Step>,
    begins: Vec<String>,
    complete: bool,
}

fn work(snapshot: &Snapshot, release: &Release, installed: &Installed) -> Work {
    let status = snapshot.status();
    let image = status.desired.as_ref().map_or("", |d| d.image.as_str());
    let open = |o: &&Operation| !stages::is_finished(snapshot, o, release, image, installed);
    let unfinished = |stage: &&Stage| stage.operations.iter().any(|o| open(&o));
    let priority = status.stages.iter().filter(unfinished).map(|s| s.priority).min();
    let Some(priority) = priority else {
        let steps = closing_steps(snapshot, release, image, installed);
        return Work { complete: steps.is_empty(), steps, ..Work::default() };
    };
    let version = &release.version;
    if !module_begun(snapshot, &version.to_string()) {
        let steps = vec![Step::BeginModule { version: version.clone() }];
        return Work { steps, ..Work::default() };
    }
    let group = status.stages.iter().filter(|s| s.priority == priority);
    let operations: Vec<&Operation> = group.flat_map(|s| &s.operations).filter(open).collect();
    // Intent first: what begins is written down before anything is done about it.
    let pending = operations.iter().filter(|o| o.phase == Phase::Pending);
    let begins: Vec<String> = pending.map(|o| o.name.clone()).collect();
    if !begins.is_empty() {
        return Work { begins, ..Work::default() };
    }
    let steps = operations.into_iter().filter_map(|operation| {
        if !operation.module_info.is_empty() {
            return Some(Step::MoveModule {
                name: operation.name.clone(),
                module_info: operation.module_info.clone(),
                version: operation.target_version.clone(),
            });
        }
        if operation.action == Action::Remove {
            // A component that is gone lists nothing: what it had is listed by those that stay.
            let allowed = release.components().flat_map(|(_, c)| c.prune.clone()).collect();
            return Some(Step::Remove { name: operation.name.clone(), allowed });
        }
        let (_, component) = release.components().find(|(_, c)| c.name == operation.name)?;
        stages::is_moved(snapshot, component)
            .then(|| Step::Apply(apply_step(component, release, image)))
    });
    Work { steps: steps.collect(), ..Work::default() }
}

/// Every operation is done: what is obsolete goes, then the platform says so.
fn closing_steps(
    snapshot: &Snapshot,
    release: &Release,
    image: &str,
    installed: &Installed,
) -> Vec<Step> {
    let prune: Vec<Step> = installed
        .iter()
        .filter(|(_, facts)| facts.spec.module_info.is_empty())
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
    if platform_finished(snapshot, release) {
        return Vec::new();
    }
    vec![Step::Finish {
        version: release.version.clone(),
        image: image.to_owned(),
        license_keys: release.license_keys.clone(),
        signing_keys: release.signing_keys.clone(),
        app_releases: module_shown::of_base(installed),
    }]
}

/// Whether ClusterModule shows the target as being installed.
fn module_begun(snapshot: &Snapshot, version: &str) -> bool {
    let module = snapshot.cluster_module.value().and_then(Option::as_ref);
    module.is_some_and(|m| m.spec_version == version && m.deploy_status == DeployStatus::Upgrading)
}

/// Whether the cluster and the platform show the target as complete; what is not known does not.
fn platform_finished(snapshot: &Snapshot, release: &Release) -> bool {
    let version = release.version.to_string();
    let module_done = snapshot.cluster_module.or_empty(&None).is_ok_and(|module| {
        module.as_ref().is_none_or(|m| {
            m.spec_version == version
                && m.base_version == version
                && m.deploy_status == DeployStatus::Completed
        })
    });
    if !snapshot.is_global {
        return module_done;
    }
    let base_done = snapshot.product_base.or_empty(&None).is_ok_and(|base| {
        base.as_ref().is_none_or(|b| b.spec_version == version && b.status_version == version)
    });
    // A round about a running upgrade need not read the keys; where they were read, they count.
    let keys_done = match &snapshot.release_keys {
        Observed::NotRead | Observed::KindAbsent => true,
        Observed::Unknown(_) => false,
        Observed::Value(keys) => keys.as_deref().unwrap_or_default() == release.license_keys,
    };
    module_done && base_done && keys_done
}
