//! ClusterModuleStable: ClusterModule.status.base is Completed and Healthy (or shows our own
//! upgrade, on the way out of it).

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use api::objects::{DeployStatus, HistoryState, RunningStatus};

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
    let status = snapshot.status();
    let way_out = status.history.first().is_some_and(|last| {
        last.state == HistoryState::Partial
            && last.version == module.spec_version
            && inputs.target.release.value().is_some_and(|r| {
                r.upgrade_from.partial.iter().any(|v| v.to_string() == last.version)
            })
    });
    if way_out && module.deploy_status == DeployStatus::Upgrading {
        return Ok(Verdict::passed());
    }
    if module.deploy_status == DeployStatus::Completed
        && module.running_status == RunningStatus::Healthy
    {
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
