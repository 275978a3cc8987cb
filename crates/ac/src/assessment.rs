//! What the status of a cluster amounts to: one state, from which version to which, and what a
//! script is told. Reads the ClusterVersionShadow and nothing else; judges nothing that the
//! operator has not judged.
//!
//! Must not know how it is shown, nor read a clock.

mod attention;
mod verdict;

pub use attention::{Attention, Kind};

use crate::shadow::Shadow;
use api::conditions::{ConditionReason, ConditionStatus, find, is_true};
use api::{
    CheckState, ClusterVersionShadowStatus, ConditionType, HistoryEntry, HistoryState, Phase,
    Preflight, StalledReason, Time,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// Where a cluster stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum State {
    /// The operator has written no status.
    NoResult,
    /// Nothing of the platform is installed.
    NotInstalled,
    /// The desired version is reached.
    AtTarget,
    /// This product does not upgrade the cluster.
    NotUpgradable,
    /// A version is asked for and the operator has not answered yet.
    Requested,
    /// The request waits for its preflight.
    WaitingForPreflight,
    /// Stages run.
    Upgrading,
    /// The request waits for a person to clear its preflight.
    Blocked,
    /// The request cannot be taken.
    Refused,
    /// The stages wait for a person.
    Stalled,
    /// Nothing is under way on it, and the operator cannot reach it; it is asked again.
    Unreachable,
    /// In a state of a newer operator, which this version does not know.
    Unknown,
}

impl State {
    /// What `--exit-code` answers: 0 at target, 3 running or asked again, 4 a person must act, 5 no
    /// result yet or one that this version does not know.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::AtTarget | Self::NotUpgradable => 0,
            Self::Requested | Self::WaitingForPreflight | Self::Upgrading | Self::Unreachable => 3,
            Self::Blocked | Self::Refused | Self::Stalled => 4,
            Self::NoResult | Self::NotInstalled | Self::Unknown => 5,
        }
    }

    /// How bad it is among many clusters, the worst first: whoever must act, what is not known,
    /// what runs, what is at its target.
    #[must_use]
    pub const fn rank(self) -> u8 {
        match self {
            Self::Stalled => 0,
            Self::Blocked => 1,
            Self::Refused => 2,
            Self::Unreachable => 3,
            Self::NoResult => 4,
            Self::Unknown => 5,
            Self::NotInstalled => 6,
            Self::WaitingForPreflight => 7,
            Self::Requested => 8,
            Self::Upgrading => 9,
            Self::AtTarget => 10,
            Self::NotUpgradable => 11,
        }
    }

    /// As users read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoResult => "no result yet",
            Self::NotInstalled => "not installed",
            Self::AtTarget => "at target",
            Self::NotUpgradable => "not upgradable",
            Self::Requested => "requested",
            Self::WaitingForPreflight => "waits for preflight",
            Self::Upgrading => "upgrading",
            Self::Blocked => "BLOCKED",
            Self::Refused => "REFUSED",
            Self::Stalled => "STALLED",
            Self::Unreachable => "unreachable",
            Self::Unknown => "unknown to this ac",
        }
    }
}

/// How many checks have which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Tally {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
    /// Not known yet.
    pub retry: usize,
    /// Switched off.
    pub disabled: usize,
    /// All of them.
    pub total: usize,
}

impl Tally {
    /// Counts the checks of a preflight.
    #[must_use]
    pub fn of(preflight: &Preflight) -> Self {
        let count = |state| preflight.checks.iter().filter(|check| check.state == state).count();
        Self {
            passed: count(CheckState::Passed),
            failed: count(CheckState::Failed),
            retry: count(CheckState::Retry),
            disabled: count(CheckState::Disabled),
            total: preflight.checks.len(),
        }
    }
}

/// What the status of one cluster amounts to.
#[derive(Debug, Clone)]
pub struct Assessment {
    /// The cluster.
    pub cluster: String,
    /// Where it stands.
    pub state: State,
    /// The last completed version.
    pub current: Option<String>,
    /// The version that it moves to, or that is offered.
    pub target: Option<String>,
    /// The version that spec asks for.
    pub requested: Option<String>,
    /// Whether the operator has not looked at the newest spec yet.
    pub unobserved: bool,
    /// What it was made from.
    pub status: ClusterVersionShadowStatus,
    /// What the operator says that this version does not know: it is newer.
    pub unknown: Vec<String>,
}

impl Assessment {
    /// Assesses a cluster.
    #[must_use]
    pub fn of(shadow: &Shadow) -> Self {
        let (shadow, unknown) = (&shadow.object, shadow.unknown.iter().cloned().collect());
        let status = shadow.status.clone().unwrap_or_default();
        let version = |held: &Option<api::VersionImage>| held.as_ref().map(|v| v.version.clone());
        let (current, desired) = (version(&status.current), version(&status.desired));
        let wish = shadow.spec.desired_update.as_ref().map(|wish| wish.version.clone());
        let requested = wish.filter(|version| !version.is_empty());
        let unobserved = shadow.metadata.generation > status.observed_generation;
        let state = state_of(&status, &requested, unobserved);
        let moving = desired.filter(|desired| Some(desired) != current.as_ref());
        let offered = status.available_updates.first().map(|offer| offer.version.clone());
        let target = match state {
            State::Requested | State::Refused => requested.clone(),
            _ if moving.is_some() => moving,
            State::Blocked | State::WaitingForPreflight => requested.clone().or(offered),
            _ => offered,
        };
        let cluster = shadow.metadata.name.clone().unwrap_or_default();
        Self { cluster, state, current, target, requested, unobserved, status, unknown }
    }

    /// A condition of the cluster.
    #[must_use]
    pub fn condition(&self, kind: ConditionType) -> Option<&Condition> {
        find(&self.status.conditions, kind)
    }

    /// Whether stages run or wait.
    #[must_use]
    pub fn in_flight(&self) -> bool {
        let reconciling = self.condition(ConditionType::Reconciling);
        is_true(&self.status.conditions, ConditionType::Reconciling)
            && reconciling.is_some_and(|it| it.reason == ConditionReason::Upgrading.as_str())
    }

    /// The preflight of the target; `None` is "no result yet", never a pass.
    #[must_use]
    pub fn preflight(&self) -> Option<&Preflight> {
        let of_target = |preflight: &&Preflight| Some(&preflight.version) == self.target.as_ref();
        self.status.preflight.as_ref().filter(of_target).filter(|found| !found.checks.is_empty())
    }

    /// The upgrade under way.
    #[must_use]
    pub fn under_way(&self) -> Option<&HistoryEntry> {
        self.status.history.first().filter(|newest| newest.state == HistoryState::Partial)
    }

    /// The last completed upgrade.
    #[must_use]
    pub fn completed(&self) -> Option<&HistoryEntry> {
        self.status.history.first().filter(|newest| {
            newest.state == HistoryState::Completed
                && Some(&newest.version) == self.current.as_ref()
        })
    }

    /// Number of the stage under way, counted from one, and of all stages.
    #[must_use]
    pub fn stage(&self) -> Option<(usize, usize)> {
        let all = self.status.stages.len();
        let open = self.status.stages.iter().position(|stage| stage.phase != Phase::Finished);
        (all > 0).then(|| (open.map_or(all, |at| at + 1), all))
    }

    /// Since when it is stalled, and why.
    #[must_use]
    pub fn stalled(&self) -> Option<(&Time, &str)> {
        let stalled = self.condition(ConditionType::Stalled)?;
        let holds = stalled.status == ConditionStatus::True.as_str();
        holds.then_some((&stalled.last_transition_time, stalled.reason.as_str()))
    }

    /// The condition by which nothing is under way and the cluster cannot be reached.
    #[must_use]
    pub fn unreachable(&self) -> Option<&Condition> {
        self.condition(ConditionType::Reconciling).filter(|reconciling| {
            reconciling.status == ConditionStatus::True.as_str()
                && reconciling.reason == ConditionReason::Retrying.as_str()
        })
    }

    /// The command that shows the status, as this program is called.
    #[must_use]
    pub fn status_command(&self, program: &str) -> String {
        format!("{program} adm upgrade status --cluster={}", self.cluster)
    }
}

fn state_of(
    status: &ClusterVersionShadowStatus,
    requested: &Option<String>,
    unobserved: bool,
) -> State {
    let has = |kind: ConditionType, reason: ConditionReason| {
        find(&status.conditions, kind).is_some_and(|found| found.reason == reason.as_str())
    };
    let holds = |kind: ConditionType| is_true(&status.conditions, kind);
    let version = |held: &Option<api::VersionImage>| held.as_ref().map(|v| v.version.clone());
    let known = [version(&status.current), version(&status.desired)];
    if holds(ConditionType::Stalled) {
        let reason = find(&status.conditions, ConditionType::Stalled)
            .and_then(|stalled| StalledReason::parse(&stalled.reason));
        return match reason {
            Some(StalledReason::RequestRefused) => State::Refused,
            Some(StalledReason::PreflightFailed | StalledReason::PreflightUnknown) => {
                State::Blocked
            }
            _ => State::Stalled,
        };
    }
    if has(ConditionType::Reconciling, ConditionReason::Upgrading) {
        return State::Upgrading;
    }
    let open = requested.is_some() && !known.contains(requested);
    if open && unobserved {
        return State::Requested;
    }
    if status.conditions.is_empty() {
        return State::NoResult;
    }
    if has(ConditionType::Reconciling, ConditionReason::WaitingForPreflight)
        || has(ConditionType::Ready, ConditionReason::UpgradeRequested)
    {
        return State::WaitingForPreflight;
    }
    if has(ConditionType::Reconciling, ConditionReason::Retrying) {
        return State::Unreachable;
    }
    if holds(ConditionType::Reconciling) {
        return State::Upgrading;
    }
    if has(ConditionType::Ready, ConditionReason::NotUpgradable) {
        return State::NotUpgradable;
    }
    // Seen, and neither taken nor refused: the operator could not judge it yet.
    if open {
        return State::Requested;
    }
    if has(ConditionType::Ready, ConditionReason::NotInstalled) {
        return State::NotInstalled;
    }
    let ready = find(&status.conditions, ConditionType::Ready);
    match ready.map(|ready| ConditionReason::parse(&ready.reason)) {
        Some(Some(ConditionReason::Completed)) => State::AtTarget,
        Some(None) => State::Unknown,
        _ if holds(ConditionType::Ready) => State::AtTarget,
        _ => State::NoResult,
    }
}
