//! DockerRuntimeUnsupported: no node reports `docker://` as its container runtime
//! (`status.nodeInfo.containerRuntimeVersion`). A node that has not reported one is asked again.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let nodes = inputs.snapshot.nodes.or_empty(&none)?;
    let docker: Vec<String> = nodes
        .iter()
        .filter(|n| n.runtime.starts_with("docker://"))
        .map(|n| n.name.clone())
        .collect();
    let Some(first) = docker.first() else {
        let silent: Vec<&str> =
            nodes.iter().filter(|n| n.runtime.is_empty()).map(|n| n.name.as_str()).collect();
        return if silent.is_empty() {
            Ok(Verdict::passed())
        } else {
            Err(format!("no container runtime reported by: {}", api::text::names(&silent)))
        };
    };
    Ok(Verdict::failed(
        CheckReason::DockerFound,
        format!("nodes that run on Docker: {}", api::text::names(&docker)),
        format!("move them to containerd; see: kubectl get node {first} -o wide"),
    ))
}
