//! What ClusterModule shows of a cluster at rest: the components of the installed release, and
//! whether an upgrade is open. What it shows while an upgrade runs, the first and the last step of
//! that upgrade write.

use super::{Plan, Situation, Step};
use crate::preflight::{self, Summary};
use crate::snapshot::{ModuleShown, Snapshot};
use crate::stages::Installed;
use api::objects::DeployStatus;
use std::collections::BTreeSet;

/// The step that brings ClusterModule up to date; None where it is, or nobody knows what to show.
pub(super) fn step(snapshot: &Snapshot, plan: &Plan) -> Option<Step> {
    let module = snapshot.cluster_module.value()?.as_ref()?;
    if module.deploy_status == DeployStatus::Upgrading {
        // An upgrade whose record was lost: whoever takes it up again says how it goes on.
        return None;
    }
    let before = module.shown.as_ref()?;
    let shown = shown(snapshot, plan, before)?;
    (shown != *before).then_some(Step::ShowModule { shown })
}

fn shown(snapshot: &Snapshot, plan: &Plan, before: &ModuleShown) -> Option<ModuleShown> {
    let (upgradable, why) = match &plan.situation {
        Situation::Waiting { held_by: Some(why) } => (false, why.clone()),
        Situation::Idle | Situation::Waiting { held_by: None } => open(plan)?,
        // One that was imported is kept elsewhere.
        Situation::NotUpgradable(_)
        | Situation::NotInstalled
        | Situation::Adopt(_)
        | Situation::Begin(_)
        | Situation::Running
        | Situation::Complete => return None,
    };
    // What cannot be read now was read before.
    let installed = snapshot.app_releases.value();
    let app_releases = installed.map_or_else(|| before.app_releases.clone(), of_base);
    Some(ModuleShown { upgradable, unable_upgrade_reason: api::text::message(&why), app_releases })
}

/// The Core components of the installed release.
pub(super) fn of_base(installed: &Installed) -> BTreeSet<String> {
    let of_base = installed.iter().filter(|(_, facts)| facts.is_of_release());
    of_base.map(|(name, _)| name.clone()).collect()
}

/// Whether a version is offered that may be asked for, else why not.
fn open(plan: &Plan) -> Option<(bool, String)> {
    if plan.offers.as_ref()?.available.is_empty() {
        return Some((false, String::new()));
    }
    let preflight = plan.preflight.as_ref()?;
    let version = &preflight.version;
    Some(match preflight::summary(preflight) {
        Summary::Passed => (true, String::new()),
        Summary::Failed(names) => {
            (false, format!("checks of {version} have failed: {}", api::text::names(&names)))
        }
        Summary::Retrying(names) => {
            (false, format!("no answer yet for checks of {version}: {}", api::text::names(&names)))
        }
    })
}
