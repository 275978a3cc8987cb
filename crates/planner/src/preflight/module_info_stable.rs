//! ModuleInfoStable: every ModuleInfo of the cluster (label `cpaas.io/cluster-name`) is in phase
//! Running and, for Aligned ones (label `cpaas.io/lifecycle-type`), there is a ModuleConfig of its
//! module whose `targetClusterVersions` hold the target or its minor line.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use api::names::RUNNING;
use api::objects::Lifecycle;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let (no_infos, no_configs) = (Vec::new(), Vec::new());
    let infos = inputs.snapshot.module_infos.or_empty(&no_infos)?;
    let unstable: Vec<String> = infos
        .iter()
        .filter(|m| m.phase != RUNNING)
        .map(|m| {
            format!(
                "{} ({}) is {}",
                m.name,
                m.module,
                if m.phase.is_empty() { "without a phase" } else { &m.phase }
            )
        })
        .collect();
    if !unstable.is_empty() {
        return Ok(Verdict::failed(
            CheckReason::ModuleInfoNotRunning,
            api::text::names(&unstable),
            format!(
                "look: kubectl get moduleinfoes -l {}={}",
                api::names::CLUSTER_NAME_LABEL,
                inputs.snapshot.cluster
            ),
        ));
    }
    let aligned: Vec<_> =
        infos.iter().filter(|m| m.lifecycle == Some(Lifecycle::Aligned)).collect();
    if aligned.is_empty() {
        return Ok(Verdict::passed());
    }
    let configs = inputs.snapshot.module_configs.or_empty(&no_configs)?;
    let (version, line) = (inputs.target.version.to_string(), inputs.target.version.minor_line());
    let published = |module: &str| {
        configs.iter().any(|c| {
            c.module == module
                && c.target_cluster_versions.iter().any(|v| *v == version || *v == line)
        })
    };
    let missing: Vec<String> =
        aligned.iter().filter(|m| !published(&m.module)).map(|m| m.module.clone()).collect();
    if missing.is_empty() {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::AlignedPackageMissing,
        format!("no package for {version} of: {}", api::text::names(&missing)),
        "push their packages for the target first: violet push <package>.tgz --target-catalog-source platform",
    ))
}
