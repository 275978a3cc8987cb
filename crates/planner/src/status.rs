//! What is said of a round: the next status from the previous one, the snapshot, the plan and what
//! its steps came to. The only place where a ClusterVersionShadow status is made.

mod conditions;
mod limits;
mod progress;

use crate::moment::moment;
use crate::plan::{Plan, Situation, earliest};
use crate::snapshot::Snapshot;
use api::history;
use api::objects::{ClusterVersionShadowStatus, HistoryEntry, HistoryState, Stage, VersionImage};
use api::{StalledReason, Version};
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
        /// What a person does about it, where more is known than the table of reasons says.
        remedy: String,
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
        // Where it is not known whether something is installed, nothing is forgotten.
        Situation::NotInstalled if plan.obstacle.is_some() => {}
        Situation::NotInstalled => next.desired = None,
        Situation::NotUpgradable(_) => {}
        Situation::Adopt(found) => adopt(&mut next, found),
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
    limits::keep(&mut next);
    (next, earliest(plan.wake_at, wake_at))
}

fn target(plan: &Plan) -> Option<VersionImage> {
    plan.target
        .as_ref()
        .map(|t| VersionImage { version: t.version.to_string(), image: t.image.clone() })
}

/// The platform was installed by something else: the version that it says counts as completed, as
/// it does for the preflight of a package. Whether the cluster is stable there is the business of
/// the check ClusterModuleStable.
fn adopt(next: &mut ClusterVersionShadowStatus, found: &VersionImage) {
    next.current = Some(found.clone());
    next.desired = Some(found.clone());
    next.history.insert(
        0,
        HistoryEntry {
            version: found.version.clone(),
            image: found.image.clone(),
            state: HistoryState::Completed,
            started_time: None,
            completion_time: None,
        },
    );
    history::prune(&mut next.history);
}

/// An upgrade begins: one history entry for the request, everything pending.
fn begin(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    stages: &[Stage],
) {
    let now = moment(snapshot);
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
    let now = moment(snapshot);
    progress::finish_all(&mut next.stages, &now);
    if let Some(entry) = next.history.first_mut() {
        entry.state = HistoryState::Completed;
        entry.completion_time = Some(now);
    }
    next.current.clone_from(&next.desired);
    // What was offered stands above the version that is current now.
    let Some(current) = snapshot.status().desired.and_then(|d| d.version.parse::<Version>().ok())
    else {
        return;
    };
    let above = |text: &str| text.parse::<Version>().is_ok_and(|version| version > current);
    next.available_updates.retain(|offer| above(&offer.version));
    next.not_offered.retain(|other| above(&other.version));
}
