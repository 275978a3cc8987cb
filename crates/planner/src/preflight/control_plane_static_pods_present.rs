//! ControlPlaneStaticPodsPresent: each node that carries the control plane (label
//! `node-role.kubernetes.io/control-plane`) has its static Pods in kube-system, each Ready: etcd
//! unless it is external, kube-apiserver, kube-controller-manager, kube-scheduler; and there is
//! such a node. Not asked of Imported clusters, whose control plane may be hidden.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use api::names::{IMPORTED, STATIC_PODS};

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let snapshot = inputs.snapshot;
    let cluster = snapshot.cluster_object.or_empty(&None)?;
    if cluster.as_ref().is_some_and(|c| c.kind == IMPORTED) {
        return Ok(Verdict::passed_with(
            CheckReason::AsExpected,
            "not asked of an imported cluster",
        ));
    }
    let external_etcd = cluster.as_ref().is_some_and(|c| c.external_etcd);
    let (no_nodes, no_pods) = (Vec::new(), Vec::new());
    let nodes = snapshot.nodes.or_empty(&no_nodes)?;
    let pods = snapshot.static_pods.or_empty(&no_pods)?;
    let expected = || STATIC_PODS.iter().skip(usize::from(external_etcd));
    let mut missing = Vec::new();
    let mut control_planes = 0_usize;
    for node in nodes.iter().filter(|n| n.control_plane) {
        control_planes += 1;
        for component in expected() {
            match pods.iter().find(|p| p.node == node.name && p.component == *component) {
                Some(pod) if pod.ready => {}
                Some(_) => missing.push(format!("{component} on {} is not ready", node.name)),
                None => missing.push(format!("{component} on {} is missing", node.name)),
            }
        }
    }
    if control_planes == 0 {
        missing.push("no node carries the control plane".to_owned());
    }
    if missing.is_empty() {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::StaticPodsMissing,
        api::text::names(&missing),
        "look: kubectl -n kube-system get pods -l tier=control-plane -o wide",
    ))
}
