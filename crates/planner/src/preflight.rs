//! Preflight: whether a cluster may move to a target, and what stands in the way.
//!
//! Every check is a pure predicate in a file of its own; one failing check never stops the others,
//! and what is not known is Retry, never Passed.

mod admin_ack_required;
mod cluster_module_stable;
mod cluster_running;
mod cluster_version_upgradeable;
mod control_plane_static_pods_present;
mod cri_upgrade_pods_absent;
mod custom_etcd_backup_cron_jobs_absent;
mod docker_runtime_unsupported;
mod kubernetes_version_supported;
mod module_info_stable;
mod platform_license;
mod resource_patch_upgradeable;
mod version_upgrade_path;

pub use cri_upgrade_pods_absent::is_left_over;
pub use platform_license::expiry;

use crate::moment::moment;
use crate::snapshot::{Observed, Snapshot};
use crate::target::Target;
use api::checks::CheckReason;
use api::config::PreflightConfig;
use api::objects::{Check, Preflight};
use api::{CheckName, CheckState, Digest, Policy};
use std::collections::BTreeMap;

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Passed, Retry or Failed.
    pub state: CheckState,
    /// Why, in one word.
    pub reason: CheckReason,
    /// Why, in a sentence.
    pub message: String,
    /// The command that clears it.
    pub remedy: String,
}

impl Verdict {
    /// Nothing stands in the way.
    #[must_use]
    pub fn passed() -> Self {
        Self::passed_with(CheckReason::AsExpected, "")
    }

    /// Passed, with something to say.
    #[must_use]
    pub fn passed_with(reason: CheckReason, message: &str) -> Self {
        Self {
            state: CheckState::Passed,
            reason,
            message: message.to_owned(),
            remedy: String::new(),
        }
    }

    /// A person must act.
    #[must_use]
    pub fn failed(reason: CheckReason, message: String, remedy: impl Into<String>) -> Self {
        Self { state: CheckState::Failed, reason, message, remedy: remedy.into() }
    }

    /// The answer cannot be known now.
    #[must_use]
    pub fn retry(reason: CheckReason, message: impl Into<String>) -> Self {
        Self { state: CheckState::Retry, reason, message: message.into(), remedy: String::new() }
    }
}

/// What a check looks at.
pub struct Inputs<'a> {
    /// What was seen.
    pub snapshot: &'a Snapshot,
    /// The version in question.
    pub target: &'a Target,
    /// The administrators' settings.
    pub config: &'a PreflightConfig,
}

/// The outcome of a predicate; the error says which input is not known.
type Found = Result<Verdict, String>;

/// The commands that delete objects, each given as `namespace/name`: one for each namespace.
fn delete_all(kind: &str, objects: &[String]) -> String {
    api::remedy::for_all(objects, |objects| {
        let mut by_namespace: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (namespace, name) in objects.iter().filter_map(|object| object.split_once('/')) {
            by_namespace.entry(namespace).or_default().push(name);
        }
        let commands = by_namespace.into_iter().map(|(namespace, names)| {
            format!("kubectl -n {namespace} delete {kind} {}", names.join(" "))
        });
        commands.collect::<Vec<_>>().join(" && ")
    })
}

/// One row of the table of checks.
pub struct CheckEntry {
    /// The check.
    pub name: CheckName,
    predicate: fn(&Inputs<'_>) -> Found,
}

/// Every check in the order in which it is shown.
pub const CHECKS: [CheckEntry; 13] = [
    entry(CheckName::ResourcePatchUpgradeable, resource_patch_upgradeable::check),
    entry(CheckName::ClusterVersionUpgradeable, cluster_version_upgradeable::check),
    entry(CheckName::AdminAckRequired, admin_ack_required::check),
    entry(CheckName::VersionUpgradePath, version_upgrade_path::check),
    entry(CheckName::KubernetesVersionSupported, kubernetes_version_supported::check),
    entry(CheckName::DockerRuntimeUnsupported, docker_runtime_unsupported::check),
    entry(CheckName::ClusterRunning, cluster_running::check),
    entry(CheckName::ClusterModuleStable, cluster_module_stable::check),
    entry(CheckName::ControlPlaneStaticPodsPresent, control_plane_static_pods_present::check),
    entry(CheckName::CustomEtcdBackupCronJobsAbsent, custom_etcd_backup_cron_jobs_absent::check),
    entry(CheckName::CRIUpgradePodsAbsent, cri_upgrade_pods_absent::check),
    entry(CheckName::ModuleInfoStable, module_info_stable::check),
    entry(CheckName::PlatformLicense, platform_license::check),
];

const fn entry(name: CheckName, predicate: fn(&Inputs<'_>) -> Found) -> CheckEntry {
    CheckEntry { name, predicate }
}

/// Whether results of an earlier run may stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// A check of policy OncePassed that passed for this digest is not asked again.
    Routine,
    /// Every check is asked: the upgrade begins with this run.
    Decisive,
}

/// Runs the checks for a target.
#[must_use]
pub fn run(
    snapshot: &Snapshot,
    target: &Target,
    previous: Option<&Preflight>,
    run: Run,
) -> Preflight {
    let config = config_of(snapshot);
    let inputs = Inputs { snapshot, target, config: &config };
    let same_target =
        previous.filter(|p| p.version == target.version.to_string() && p.image == target.image);
    let now = moment(snapshot);
    let mut checks = Vec::with_capacity(CHECKS.len());
    for entry in &CHECKS {
        let before =
            same_target.and_then(|p| p.checks.iter().find(|c| c.name == entry.name.as_str()));
        let verdict = verdict_of(entry, &inputs, before, run);
        let since = before
            .filter(|b| b.state == verdict.state)
            .and_then(|b| b.last_transition_time.clone())
            .unwrap_or_else(|| now.clone());
        checks.push(Check {
            name: entry.name.as_str().to_owned(),
            policy: entry.name.policy(),
            state: verdict.state,
            reason: verdict.reason,
            message: api::text::message(&verdict.message),
            remedy: api::text::message(&remedy(entry.name, &verdict, snapshot)),
            last_transition_time: Some(since),
        });
    }
    let signature = target.signature.clone();
    let unchanged = same_target.is_some_and(|p| p.checks == checks && p.signature == signature);
    let observed_at =
        if unchanged { previous.and_then(|p| p.observed_at.clone()) } else { Some(now) };
    Preflight {
        version: target.version.to_string(),
        image: target.image.clone(),
        observed_at,
        signature,
        checks,
    }
}

fn verdict_of(
    entry: &CheckEntry,
    inputs: &Inputs<'_>,
    before: Option<&Check>,
    run: Run,
) -> Verdict {
    if inputs.config.disabled.contains(&entry.name) {
        return disabled(inputs);
    }
    let ended = entry.name == CheckName::PlatformLicense
        && expiry(inputs.snapshot, inputs.target).is_none_or(|at| at <= inputs.snapshot.now);
    let stands = |c: &&Check| {
        run == Run::Routine
            && c.policy == Policy::OncePassed
            && c.state == CheckState::Passed
            // What passed for no digest passed for nothing.
            && !inputs.target.image.is_empty()
            && !ended
    };
    if let Some(check) = before.filter(stands) {
        return Verdict {
            state: check.state,
            reason: check.reason,
            message: check.message.clone(),
            remedy: check.remedy.clone(),
        };
    }
    let verdict = (entry.predicate)(inputs)
        .unwrap_or_else(|error| Verdict::retry(CheckReason::InputUnknown, error));
    match (verdict.state, config_unknown(inputs.snapshot)) {
        // It may be switched off: whether a person must act is not known.
        (CheckState::Failed, Some(error)) => Verdict::retry(
            CheckReason::InputUnknown,
            format!("{}: {error}; else: {}", api::names::CVO_CONFIG, verdict.message),
        ),
        _ => verdict,
    }
}

/// The checks that look at objects of the cluster itself.
const OF_THE_CLUSTER: [CheckName; 5] = [
    CheckName::ResourcePatchUpgradeable,
    CheckName::DockerRuntimeUnsupported,
    CheckName::ControlPlaneStaticPodsPresent,
    CheckName::CustomEtcdBackupCronJobsAbsent,
    CheckName::CRIUpgradePodsAbsent,
];

/// What clears a check, and where it is typed. What stands from an earlier run says it already.
fn remedy(name: CheckName, verdict: &Verdict, snapshot: &Snapshot) -> String {
    if OF_THE_CLUSTER.contains(&name) {
        return snapshot.on_cluster(&verdict.remedy);
    }
    verdict.remedy.clone()
}

fn disabled(inputs: &Inputs<'_>) -> Verdict {
    let who = inputs.snapshot.cvo_config_editor.as_ref();
    let by = who.map_or_else(String::new, |who| format!(", last edited by {who}"));
    let problems = match inputs.config.problems.as_slice() {
        [] => String::new(),
        problems => format!("; there: {}", api::text::names(problems)),
    };
    Verdict {
        state: CheckState::Disabled,
        reason: CheckReason::DisabledInCvoConfig,
        message: format!(
            "switched off in {}/{}{by}{problems}",
            api::names::NAMESPACE,
            api::names::CVO_CONFIG
        ),
        remedy: String::new(),
    }
}

/// Why the administrators' settings are not known; None where they are.
fn config_unknown(snapshot: &Snapshot) -> Option<String> {
    snapshot.cvo_config.or_empty(&None).err()
}

/// The administrators' settings; what cannot be read disables nothing and is reported.
#[must_use]
pub fn config_of(snapshot: &Snapshot) -> PreflightConfig {
    match &snapshot.cvo_config {
        Observed::Value(Some(text)) => PreflightConfig::parse(text),
        Observed::Value(None) | Observed::KindAbsent | Observed::NotRead => {
            PreflightConfig::default()
        }
        Observed::Unknown(error) => PreflightConfig {
            problems: vec![format!("not readable, nothing is disabled: {error}")],
            ..PreflightConfig::default()
        },
    }
}

/// The preflight of the release in a package; None where there is no package. It says what the
/// ClusterVersionShadow says once that version is offered or requested: what passed once for this
/// very release stands, and while it is under way, all that was said when it began.
#[must_use]
pub fn of_package(snapshot: &Snapshot) -> Option<Preflight> {
    let target = Target::of_package(snapshot)?;
    let status = snapshot.status();
    let same = |p: &&Preflight| {
        p.version == target.version.to_string()
            && Digest::of_image(&p.image) == Digest::of_image(&target.image)
    };
    let before = status.preflight.as_ref().filter(same).cloned();
    if let Some(frozen) = before.as_ref().filter(|_| crate::request::in_flight(&status).is_some()) {
        return Some(frozen.clone());
    }
    let before = before.map(|p| Preflight { image: target.image.clone(), ..p });
    let found = run(snapshot, &target, before.as_ref(), Run::Routine);
    Some(Preflight { observed_at: Some(moment(snapshot)), ..found })
}

/// Whether the cluster is at the very release that the package holds and on its way to no other:
/// there is nothing to be checked.
#[must_use]
pub fn has_package(snapshot: &Snapshot) -> bool {
    let status = snapshot.status();
    let Some(package) = Target::of_package(snapshot) else { return false };
    let is_same = |current: &api::VersionImage| {
        current.version == package.version.to_string()
            && current.digest().is_some_and(|d| Digest::of_image(&package.image) == Some(d))
    };
    status.current.as_ref().is_some_and(is_same) && crate::request::in_flight(&status).is_none()
}

/// What a whole preflight says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Summary {
    /// Every check passed or is disabled.
    Passed,
    /// These checks failed.
    Failed(Vec<String>),
    /// None failed; these could not be answered.
    Retrying(Vec<String>),
}

/// Sums up a preflight.
#[must_use]
pub fn summary(preflight: &Preflight) -> Summary {
    let of = |state: CheckState| -> Vec<String> {
        preflight.checks.iter().filter(|c| c.state == state).map(|c| c.name.clone()).collect()
    };
    let (failed, retrying) = (of(CheckState::Failed), of(CheckState::Retry));
    match (failed.is_empty(), retrying.is_empty()) {
        (false, _) => Summary::Failed(failed),
        (true, false) => Summary::Retrying(retrying),
        (true, true) => Summary::Passed,
    }
}
