//! Which time a round writes down. Clocks of leaders differ; what a status tells must not: nothing
//! ends before it began, and nothing turns before it turned last.

use crate::api_time;
use crate::snapshot::Snapshot;
use api::objects::{Blocker, ClusterVersionShadowStatus};
use api::{StalledReason, Time};

/// Now, or the latest time that the status tells already, where an earlier leader's clock was
/// ahead. Everything that a round writes down follows what is written: one rule is enough.
pub(crate) fn moment(snapshot: &Snapshot) -> Time {
    let now = api_time(snapshot.now);
    let told = snapshot.cvsh.as_ref().and_then(|cvsh| latest(&cvsh.status));
    told.map_or(now.clone(), |told| told.max(now))
}

/// The latest time in a status.
fn latest(status: &ClusterVersionShadowStatus) -> Option<Time> {
    let conditions = status.conditions.iter().map(|c| &c.last_transition_time);
    let entries = status.history.iter().flat_map(|h| [&h.started_time, &h.completion_time]);
    let stages = status.stages.iter().flat_map(|s| [&s.started_time, &s.completion_time]);
    let operations = status.stages.iter().flat_map(|s| &s.operations);
    let blockers = operations.clone().filter_map(|o| Some(&o.blocker.as_ref()?.since));
    let operations =
        operations.flat_map(|o| [&o.started_time, &o.resumed_time, &o.completion_time]);
    let preflight = status.preflight.iter();
    let checks = preflight.clone().flat_map(|p| &p.checks).map(|c| &c.last_transition_time);
    let optional = entries.chain(stages).chain(operations).chain(checks);
    let optional = optional.chain(preflight.map(|p| &p.observed_at)).flatten();
    conditions.chain(blockers).chain(optional).max().cloned()
}

/// How many seconds passed since a time of the status. Where it lies ahead of this leader's clock,
/// that is what was written down after it.
pub(crate) fn passed_s(since: &Time, snapshot: &Snapshot) -> i64 {
    moment(snapshot).0.duration_since(since.0).as_secs()
}

/// Whether a blocker lasted long enough that a person must act.
pub(crate) fn lasted(blocker: &Blocker, snapshot: &Snapshot) -> bool {
    let now = api_time(snapshot.now);
    let lasts_s = if blocker.since > now {
        passed_s(&blocker.since, snapshot)
    } else {
        now.0.duration_since(blocker.since.0).as_secs()
    };
    lasts_s >= blocker.reason.threshold_s()
}

/// Since when something blocks: a blocker keeps its beginning as long as its reason stays. A
/// beginning that lies ahead of this leader's clock counts from now on by this clock, or its
/// threshold would come as much later as the clocks differ.
pub(crate) fn since(before: Option<&Blocker>, reason: StalledReason, snapshot: &Snapshot) -> Time {
    let now = api_time(snapshot.now);
    match before.filter(|b| b.reason == reason) {
        Some(before) if lasted(before, snapshot) => before.since.clone(),
        Some(before) => before.since.clone().min(now),
        None => now,
    }
}
