//! ClusterRunning: the Cluster object is Running and the cluster's API server answers.

use super::{Found, Inputs, Verdict};
use crate::snapshot::Observed;
use api::checks::CheckReason;
use api::names::RUNNING;

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
            format!("look: kubectl get clusters.platform.tkestack.io {name} -o yaml"),
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
