//! ClusterVersionUpgradeable: the last upgrade is complete (or the target is the way out of it, or
//! nothing is installed yet), the target is not lower, its ProductManifest is Ready, the running
//! operator is new enough; for a workload cluster every global cluster has reached the target.

use super::{Found, Inputs, Verdict};
use crate::snapshot::ManifestReady;
use crate::target::Origin;
use api::HistoryState;
use api::checks::CheckReason;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let (snapshot, target) = (inputs.snapshot, inputs.target);
    if let Origin::ProductManifest(ready) = &target.origin {
        match ready {
            ManifestReady::Ready => {}
            ManifestReady::Waiting { why } => {
                return Ok(Verdict::retry(CheckReason::ManifestNotReady, why.clone()));
            }
            ManifestReady::Failed { why } => {
                let name = api::names::product_manifest(&target.version);
                return Ok(Verdict::failed(
                    CheckReason::ManifestFailed,
                    format!("ProductManifest {name} is not Ready: {why}"),
                    format!(
                        "look: kubectl get productmanifests {name} -o yaml; then send the release again: bash upgrade.sh"
                    ),
                ));
            }
        }
    }
    let release = target.release.or_unknown()?;
    if let Some(cvo) = snapshot.cvo_version.as_ref().filter(|cvo| **cvo < release.min_cvo) {
        return Ok(Verdict::failed(
            CheckReason::CVOOutdated,
            format!(
                "the cluster version operator is {cvo}; {} needs {} or later",
                target.version, release.min_cvo
            ),
            "from the package of the target: bash upgrade.sh --skip-sync-image",
        ));
    }
    if snapshot.is_fresh_install()? {
        return Ok(Verdict::passed_with(CheckReason::FreshInstall, "nothing is installed yet"));
    }
    if let Some(current) = snapshot.current().filter(|current| target.version < *current) {
        return Ok(Verdict::failed(
            CheckReason::Downgrade,
            format!("{} is lower than the current version {current}", target.version),
            "ask for a version that is not lower: ac adm upgrade --cluster=global --to-latest",
        ));
    }
    if let Some(last) = snapshot.status().history.first()
        && last.state != HistoryState::Completed
        && !release.upgrade_from.partial.iter().any(|v| v.to_string() == last.version)
    {
        return Ok(Verdict::failed(
            CheckReason::UpgradeIncomplete,
            format!("the upgrade to {} did not complete", last.version),
            format!(
                "end it first: ac adm upgrade --cluster={} --to={}",
                snapshot.cluster, last.version
            ),
        ));
    }
    global_first(inputs)
}

fn global_first(inputs: &Inputs<'_>) -> Found {
    if inputs.snapshot.is_global {
        return Ok(Verdict::passed());
    }
    let none = Vec::new();
    let reached = inputs.snapshot.reached_by_global.or_empty(&none)?;
    if reached.contains(&inputs.target.version) {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::GlobalNotReached,
        format!("not every global cluster has completed {}", inputs.target.version),
        "upgrade global first: ac adm upgrade --cluster=global --to-latest",
    ))
}
