//! ModuleInfoStable: every ModuleInfo of the cluster (label `cpaas.io/cluster-name`) is in phase
//! Running and, for Aligned and Core ones (label `cpaas.io/lifecycle-type`), there is a
//! ModuleConfig of its module, not lower than what is installed, whose `targetClusterVersions` hold
//! the target or its minor line. The one to which the upgrade moves it can be installed
//! (`readyForDeploy`), may be upgraded to from the installed one, and where it has an
//! `upgradeRiskLevel`, that is accepted; the labels of the cluster and the other plugins are what
//! its `affinity` asks for, its form and its charts take the settings of the ModuleInfo, and what
//! stands in its `upgradeBefore` has no newer version or moves as well. No two that move wait for
//! each other, and once all have moved, each has the plugins that it needs.

use super::{Found, Inputs, Verdict};
use crate::modules::detour_words;
use crate::snapshot::ModuleInfoFacts;
use crate::stages::obstacles::Moving;
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
    let moves = plugins::moves(infos, configs, &inputs.target.version);
    if let Some(verdict) = packages(inputs, &moves) {
        return Ok(verdict);
    }
    let cluster = &inputs.snapshot.cluster;
    let moving = Moving { cluster, infos, configs, moves: &moves };
    let labels = || {
        let found = inputs.snapshot.cluster_object.or_empty(&None)?;
        Ok(found.as_ref().map(|cluster| cluster.labels.clone()).unwrap_or_default())
    };
    Ok(moving.obstacle(labels)?.map_or_else(Verdict::passed, |(cause, remedy)| {
        Verdict::failed(CheckReason::PluginCannotMove, cause, remedy)
    }))
}

/// Whether the packages of what moves with the cluster are there.
fn packages(inputs: &Inputs<'_>, moves: &[(&ModuleInfoFacts, Move<'_>)]) -> Option<Verdict> {
    let missing: Vec<String> = moves
        .iter()
        .filter(|(_, to)| *to == Move::Missing)
        .map(|(info, _)| info.module.clone())
        .collect();
    if !missing.is_empty() {
        return Some(Verdict::failed(
            CheckReason::AlignedPackageMissing,
            format!("no package for {} of: {}", inputs.target.version, api::text::names(&missing)),
            "push their packages for the target first: violet push PACKAGE.tgz",
        ));
    }
    for (info, to) in moves {
        let config = match to {
            Move::To(config) => config,
            Move::NoWay(config, detour) => {
                let (cause, remedy) =
                    detour_words(*detour, &info.name, &info.version, &config.version);
                let cause = format!("{}: {cause}", info.module);
                return Some(Verdict::failed(CheckReason::PluginCannotMove, cause, remedy));
            }
            Move::Stays | Move::Missing => continue,
        };
        if let Some(why) = &config.not_ready {
            return Some(Verdict::failed(
                CheckReason::AlignedPackageMissing,
                format!("{} {} cannot be installed: {why}", config.module, config.version),
                "push its package again: violet push PACKAGE.tgz",
            ));
        }
        if !config.risk.is_empty() && info.accepted_risk != config.version {
            return Some(Verdict::failed(
                CheckReason::PluginRiskNotAccepted,
                format!(
                    "{} moves to {} with the risk {}",
                    info.module, config.version, config.risk
                ),
                crate::modules::accept(&info.name, &config.version),
            ));
        }
    }
    None
}
