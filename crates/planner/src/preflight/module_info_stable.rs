//! ModuleInfoStable: every ModuleInfo of the cluster (label `cpaas.io/cluster-name`) is in phase
//! Running and, for Aligned and Core ones (label `cpaas.io/lifecycle-type`), there is a
//! ModuleConfig of its module, not lower than what is installed, whose `targetClusterVersions` hold
//! the target or its minor line. The one to which the upgrade moves it can be installed
//! (`readyForDeploy`), and where it has an `upgradeRiskLevel`, that is accepted.

use super::{Found, Inputs, Verdict};
use crate::snapshot::ModuleInfoFacts;
use crate::stages::plugins::{self, Move};
use api::checks::CheckReason;
use api::names::RUNNING;

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
    if infos.is_empty() {
        return Ok(Verdict::passed());
    }
    let configs = inputs.snapshot.module_configs.or_empty(&no_configs)?;
    Ok(packages(inputs, &plugins::moves(infos, configs, &inputs.target.version)))
}

/// Whether the packages of what moves with the cluster are there.
fn packages(inputs: &Inputs<'_>, moves: &[(&ModuleInfoFacts, Move<'_>)]) -> Verdict {
    let missing: Vec<String> = moves
        .iter()
        .filter(|(_, to)| *to == Move::Missing)
        .map(|(info, _)| info.module.clone())
        .collect();
    if !missing.is_empty() {
        return Verdict::failed(
            CheckReason::AlignedPackageMissing,
            format!("no package for {} of: {}", inputs.target.version, api::text::names(&missing)),
            "push their packages for the target first: violet push <package>.tgz --target-catalog-source platform",
        );
    }
    for (info, to) in moves {
        let Move::To(config) = to else { continue };
        if let Some(why) = &config.not_ready {
            return Verdict::failed(
                CheckReason::AlignedPackageMissing,
                format!("{} {} cannot be installed: {why}", config.module, config.version),
                "push its package again: violet push <package>.tgz --target-catalog-source platform",
            );
        }
        if !config.risk.is_empty() && info.accepted_risk != config.version {
            return Verdict::failed(
                CheckReason::PluginRiskNotAccepted,
                format!(
                    "{} moves to {} with the risk {}",
                    info.module, config.version, config.risk
                ),
                crate::modules::accept(&info.name, &config.version),
            );
        }
    }
    Verdict::passed()
}
