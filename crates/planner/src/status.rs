//! What is said of a round: the next status from the previous one, the snapshot, the plan and what
//! its steps came to. The only place where a ClusterVersionShadow status is made.

mod conditions;
mod progress;

use crate::api_time;
use crate::plan::{Plan, Situation};
use crate::snapshot::Snapshot;
use api::StalledReason;
use api::history;
use api::objects::{ClusterVersionShadowStatus, HistoryEntry, HistoryState, Stage, VersionImage};
use jiff::Timestamp;

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// [`crate::Step::subject`] of the step.
    pub subject: String,
    /// How it went.
    pub result: StepResult,
}

/// How a step went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepResult {
    /// The cluster shows what the step wants.
    Done,
    /// Under way; what it waits for.
    Waiting(String),
    /// It cannot go on by itself, or not for long.
    Blocked {
        /// The reason that Stalled will have.
        reason: StalledReason,
        /// What exactly.
        message: String,
    },
}

/// The status after a round, and when the next round is due for its sake.
#[must_use]
pub fn status(
    previous: &ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
) -> (ClusterVersionShadowStatus, Option<Timestamp>) {
    let mut next = previous.clone();
    next.observed_generation = snapshot.cvsh.as_ref().and_then(|c| c.generation);
    if let Some(offers) = &plan.offers {
        next.available_updates.clone_from(&offers.available);
        next.not_offered.clone_from(&offers.not_offered);
    }
    match &plan.situation {
        Situation::NotInstalled => next.desired = None,
        Situation::NotUpgradable(_) => {}
        Situation::Adopt(found) => adopt(&mut next, snapshot, found),
        Situation::Idle => next.desired.clone_from(&next.current),
        Situation::Waiting { .. } => next.desired = target(plan),
        Situation::Begin(stages) => begin(&mut next, snapshot, plan, stages),
        Situation::Running => progress::update(&mut next, snapshot, plan, outcomes),
        Situation::Complete => complete(&mut next, snapshot),
    }
    if let Some(preflight) = &plan.preflight {
        next.preflight = Some(preflight.clone());
    }
    let wake_at = conditions::update(&mut next, snapshot, plan, outcomes);
    (next, earliest(plan.wake_at, wake_at))
}

/// The earlier of two moments, where there are any.
fn earliest(a: Option<Timestamp>, b: Option<Timestamp>) -> Option<Timestamp> {
    [a, b].into_iter().flatten().min()
}

fn target(plan: &Plan) -> Option<VersionImage> {
    plan.target
        .as_ref()
        .map(|t| VersionImage { version: t.version.to_string(), image: t.image.clone() })
}

/// The platform was installed by something else: its version counts as completed only if the
/// cluster says so.
fn adopt(next: &mut ClusterVersionShadowStatus, snapshot: &Snapshot, found: &VersionImage) {
    use api::objects::DeployStatus;
    let module = snapshot.cluster_module.value().and_then(Option::as_ref);
    let completed = module.is_none_or(|m| m.deploy_status == DeployStatus::Completed);
    next.current = Some(found.clone());
    next.desired = Some(found.clone());
    next.history.push(HistoryEntry {
        version: found.version.clone(),
        image: found.image.clone(),
        state: if completed { HistoryState::Completed } else { HistoryState::Partial },
        started_time: None,
        completion_time: None,
    });
}

/// An upgrade begins: one history entry for the request, everything pending.
fn begin(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    stages: &[Stage],
) {
    let now = api_time(snapshot.now);
    if let Some(left) = next.history.first_mut().filter(|h| h.state == HistoryState::Partial)
        && left.completion_time.is_none()
    {
        left.completion_time = Some(now.clone());
    }
    let desired = target(plan).unwrap_or_default();
    next.history.insert(
        0,
        HistoryEntry {
            version: desired.version.clone(),
            image: desired.image.clone(),
            state: HistoryState::Partial,
            started_time: Some(now),
            completion_time: None,
        },
    );
    history::prune(&mut next.history);
    next.desired = Some(desired);
    next.stages = stages.to_vec();
}

fn complete(next: &mut ClusterVersionShadowStatus, snapshot: &Snapshot) {
    let now = api_time(snapshot.now);
    progress::finish_all(&mut next.stages, &now);
    if let Some(entry) = next.history.first_mut() {
        entry.state = HistoryState::Completed;
        entry.completion_time = Some(now);
    }
    next.current.clone_from(&next.desired);
}
