//! ClusterRunning: the Cluster object (platform.tkestack.io/v1) of the cluster is in phase Running
//! and the cluster's API server answers. One that does not answer is asked again.

use super::{Found, Inputs, Verdict};
use crate::snapshot::Observed;
use api::checks::CheckReason;
use api::names::{CLUSTERS, RUNNING};

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let name = &inputs.snapshot.cluster;
    let phase = match inputs.snapshot.cluster_object.or_empty(&None)? {
        Some(cluster) => cluster.phase.as_str(),
        None => "absent",
    };
    if phase != RUNNING {
        return Ok(Verdict::failed(
            CheckReason::ClusterNotRunning,
            format!(
                "Cluster {name} is {}, not {RUNNING}",
                if phase.is_empty() { "without a phase" } else { phase }
            ),
            format!("look: kubectl get {CLUSTERS} {name} -o yaml"),
        ));
    }
    match inputs.snapshot.kubernetes.get(name) {
        Some(Observed::Value(_)) => Ok(Verdict::passed()),
        Some(Observed::Unknown(error)) => Err(error.clone()),
        Some(Observed::KindAbsent | Observed::NotRead) | None => {
            Err("its API server was not asked".to_owned())
        }
    }
}
