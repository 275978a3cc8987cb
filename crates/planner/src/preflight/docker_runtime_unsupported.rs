//! DockerRuntimeUnsupported: no node reports `docker://` as its container runtime.

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
        return Ok(Verdict::passed());
    };
    Ok(Verdict::failed(
        CheckReason::DockerFound,
        format!("nodes that run on Docker: {}", api::text::names(&docker)),
        format!("move them to containerd; see: kubectl get node {first} -o wide"),
    ))
}
