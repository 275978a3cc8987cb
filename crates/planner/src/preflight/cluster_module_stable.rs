//! ClusterModuleStable: `ClusterModule.status.base` is Completed and Healthy, or shows an upgrade
//! of our own: one that the target is the way out of, or one to this very target whose record in
//! the ClusterVersionShadow was lost. Passes where nothing is installed yet.

use super::{Found, Inputs, Verdict};
use crate::offers::is_way_out;
use crate::snapshot::ClusterModuleFacts;
use api::checks::CheckReason;
use api::objects::{DeployStatus, RunningStatus};
use std::collections::BTreeMap;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let snapshot = inputs.snapshot;
    if snapshot.is_fresh_install()? {
        return Ok(Verdict::passed_with(CheckReason::FreshInstall, "nothing is installed yet"));
    }
    let name = &snapshot.cluster;
    let look = format!("look: kubectl get clustermodules {name} -o yaml");
    let Some(module) = snapshot.cluster_module.or_empty(&None)? else {
        return Ok(Verdict::failed(
            CheckReason::ModuleNotStable,
            format!("there is no ClusterModule {name}"),
            look,
        ));
    };
    let is_stable = module.deploy_status == DeployStatus::Completed
        && module.running_status == RunningStatus::Healthy;
    if is_stable || is_own_upgrade(inputs, module)? {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::ModuleNotStable,
        format!(
            "ClusterModule {name} is {:?} and {:?}, not Completed and Healthy",
            module.deploy_status, module.running_status
        ),
        look,
    ))
}

fn is_own_upgrade(inputs: &Inputs<'_>, module: &ClusterModuleFacts) -> Result<bool, String> {
    if module.deploy_status != DeployStatus::Upgrading {
        return Ok(false);
    }
    let status = inputs.snapshot.status();
    let release = inputs.target.release.or_unknown()?;
    let last = status.history.first();
    if last.is_some_and(|l| l.version == module.spec_version)
        && is_way_out(inputs.snapshot, release)
    {
        return Ok(true);
    }
    // Components that name the target's image are the trace of an upgrade whose record was lost.
    let none = BTreeMap::new();
    let installed = inputs.snapshot.app_releases.or_empty(&none)?;
    Ok(module.spec_version == inputs.target.version.to_string()
        && !inputs.target.image.is_empty()
        && installed.values().any(|r| r.spec.release_image == inputs.target.image))
}
