//! When the next round is due although nothing changed. There is no other timer.

use crate::preflight::{self, Summary};
use crate::snapshot::Snapshot;
use crate::target::Target;
use api::conditions::{ConditionReason, ConditionStatus, ConditionType, find};
use api::objects::{ClusterVersionShadowStatus, Preflight};
use jiff::{SignedDuration, Timestamp};

/// How often an upgrade that runs is looked at, in seconds.
pub const RUNNING_INTERVAL_S: i64 = 1;
/// How often an input that is not known is asked for again, in seconds.
pub const UNKNOWN_INTERVAL_S: i64 = 5;
/// How often unwatched inputs are listed again while a check is not Passed, in seconds.
pub const PREFLIGHT_INTERVAL_S: i64 = 30;
/// How often drift of an installed component is looked for while idle, in seconds.
pub const DRIFT_INTERVAL_S: i64 = 600;

/// When a cluster that could not be reached is asked again: the less often the longer it is gone.
pub(super) fn of_unreachable(snapshot: &Snapshot) -> Option<Timestamp> {
    let gone_s = unreachable_since(&snapshot.status())
        .map_or(0, |since| snapshot.now.duration_since(since).as_secs());
    after(snapshot, gone_s.clamp(UNKNOWN_INTERVAL_S, PREFLIGHT_INTERVAL_S))
}

/// Since when a status says that its cluster cannot be reached while nothing is under way on it.
pub(crate) fn unreachable_since(status: &ClusterVersionShadowStatus) -> Option<Timestamp> {
    let reconciling = find(&status.conditions, ConditionType::Reconciling)?;
    let is_true = reconciling.status == ConditionStatus::True.as_str();
    (is_true && reconciling.reason == ConditionReason::Retrying.as_str())
        .then_some(reconciling.last_transition_time.0)
}

/// A moment some seconds after the snapshot.
pub(super) fn after(snapshot: &Snapshot, seconds: i64) -> Option<Timestamp> {
    snapshot.now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// The earlier of two moments, where there are any.
pub(crate) fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

/// When a preflight that is not Passed runs again, or a passed one may change by time alone.
pub(super) fn of_preflight(
    snapshot: &Snapshot,
    target: &Target,
    preflight: &Preflight,
) -> Option<Timestamp> {
    if preflight::summary(preflight) == Summary::Passed {
        return preflight::expiry(snapshot, target).filter(|at| *at > snapshot.now);
    }
    let retrying = preflight.checks.iter().filter(|c| c.state == api::CheckState::Retry);
    let newest = retrying.filter_map(|c| c.last_transition_time.as_ref()).map(|t| t.0).max();
    let interval = newest.map_or(PREFLIGHT_INTERVAL_S, |since| {
        // Waiting as long as it already lasted doubles the interval each time, without a memory.
        snapshot.now.duration_since(since).as_secs().clamp(2, PREFLIGHT_INTERVAL_S)
    });
    after(snapshot, interval)
}
