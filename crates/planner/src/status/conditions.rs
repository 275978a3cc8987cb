//! The four conditions, by the situation: one row of the design's table each.

use super::progress::lasted;
use crate::api_time;
use crate::plan::{Plan, Situation, Step};
use crate::preflight::{self, Summary};
use crate::snapshot::Snapshot;
use crate::status::{Outcome, StepResult, earliest};
use api::conditions::ConditionReason as R;
use api::conditions::ConditionStatus::{False, True, Unknown};
use api::conditions::{ConditionStatus, ConditionType, set};
use api::objects::{Blocker, ClusterVersionShadowStatus, Preflight};
use api::{StalledReason, Time};
use jiff::{SignedDuration, Timestamp};

/// One condition before it is written: status, reason, message.
struct Row(ConditionStatus, String, String);

impl Row {
    fn new(status: ConditionStatus, reason: R, message: impl Into<String>) -> Self {
        Self(status, reason.as_str().to_owned(), message.into())
    }

    fn stalled(reason: StalledReason, message: &str) -> Self {
        Self(True, reason.as_str().to_owned(), format!("{message}; {}", reason.remedy()))
    }

    fn not_stalled() -> Self {
        Self::new(False, R::NotStalled, "")
    }
}

/// The conditions in their order, and when time alone changes them.
struct Rows {
    preflight: Row,
    ready: Row,
    reconciling: Row,
    stalled: Row,
    wake_at: Option<Timestamp>,
}

/// Writes the conditions; gives the moment at which time alone will change them.
pub(super) fn update(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
) -> Option<Timestamp> {
    let now = api_time(snapshot.now);
    let rows = rows(next, snapshot, plan, outcomes, &now);
    let generation = next.observed_generation;
    for (kind, Row(status, reason, message)) in [
        (ConditionType::PreflightReady, rows.preflight),
        (ConditionType::Ready, rows.ready),
        (ConditionType::Reconciling, rows.reconciling),
        (ConditionType::Stalled, rows.stalled),
    ] {
        set(&mut next.conditions, kind, status, &reason, &message, &now, generation);
    }
    rows.wake_at
}

fn rows(
    next: &ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
    now: &Time,
) -> Rows {
    let current = next.current.as_ref().map_or("", |c| c.version.as_str());
    let idle = |preflight, ready| Rows {
        preflight,
        ready,
        reconciling: Row::new(False, R::Idle, refusal_note(plan)),
        stalled: idle_stalled(plan),
        wake_at: None,
    };
    match &plan.situation {
        Situation::NotInstalled => idle(
            offered_preflight(plan),
            Row::new(
                False,
                R::NotInstalled,
                "nothing is installed yet; ask for a version to install it",
            ),
        ),
        Situation::NotUpgradable(why) => {
            idle(Row::new(False, R::NotUpgradable, why), Row::new(True, R::NotUpgradable, why))
        }
        Situation::Idle | Situation::Adopt(_) => idle(
            offered_preflight(plan),
            Row::new(True, R::Completed, format!("the cluster is at {current}")),
        ),
        Situation::Complete => Rows {
            preflight: Row::new(Unknown, R::NoTarget, "nothing newer is offered"),
            ready: Row::new(True, R::Completed, format!("the cluster is at {current}")),
            reconciling: Row::new(False, R::Idle, ""),
            stalled: Row::not_stalled(),
            wake_at: None,
        },
        Situation::Waiting { held_by } => waiting(next, plan, held_by.as_deref(), now),
        Situation::Begin(_) | Situation::Running => running(next, snapshot, plan, outcomes, now),
    }
}

/// PreflightReady while nothing is asked for: that of the highest version offered.
fn offered_preflight(plan: &Plan) -> Row {
    match &plan.preflight {
        None => Row::new(Unknown, R::NoTarget, "nothing newer is offered"),
        Some(preflight) => preflight_row(preflight),
    }
}

fn preflight_row(preflight: &Preflight) -> Row {
    let version = &preflight.version;
    match preflight::summary(preflight) {
        Summary::Passed => Row::new(True, R::Passed, passed_message(preflight)),
        Summary::Failed(names) => {
            Row::new(False, R::ChecksFailed, format!("{version}: {}", api::text::names(&names)))
        }
        Summary::Retrying(names) => Row::new(
            Unknown,
            R::Retrying,
            format!("{version}: no answer yet for {}", api::text::names(&names)),
        ),
    }
}

/// What is switched off is visible in the condition as well.
fn passed_message(preflight: &Preflight) -> String {
    let of = |state| preflight.checks.iter().filter(move |c| c.state == state);
    let passed = of(api::CheckState::Passed).count();
    let disabled: Vec<&str> = of(api::CheckState::Disabled).map(|c| c.name.as_str()).collect();
    let all = preflight.checks.len();
    if disabled.is_empty() {
        return format!("{}: {passed} of {all} checks passed", preflight.version);
    }
    format!(
        "{}: {passed} of {all} checks passed, switched off in {}: {}",
        preflight.version,
        api::names::CVO_CONFIG,
        api::text::names(&disabled)
    )
}

fn refusal_note(plan: &Plan) -> String {
    plan.refusal.as_ref().map_or_else(String::new, |r| format!("request refused: {r}"))
}

fn idle_stalled(plan: &Plan) -> Row {
    match &plan.refusal {
        Some(refusal) => Row::stalled(StalledReason::RequestRefused, refusal),
        None => Row::not_stalled(),
    }
}

fn waiting(
    next: &ClusterVersionShadowStatus,
    plan: &Plan,
    held_by: Option<&str>,
    now: &Time,
) -> Rows {
    let version = next.desired.as_ref().map_or("", |d| d.version.as_str());
    let empty = Preflight::default();
    let preflight = next.preflight.as_ref().unwrap_or(&empty);
    let summary = preflight::summary(preflight);
    let ready = Row::new(False, R::UpgradeRequested, format!("{version} was asked for"));
    let first = |state| {
        let check = preflight.checks.iter().find(|c| c.state == state);
        check.map_or_else(String::new, |c| format!("{}: {}", c.name, c.message))
    };
    match (&summary, held_by) {
        (Summary::Failed(names), _) => Rows {
            preflight: preflight_row(preflight),
            ready,
            reconciling: Row::new(
                False,
                R::WaitingForPreflight,
                format!("{version} waits for its preflight; nothing was changed"),
            ),
            stalled: Row::stalled(
                StalledReason::PreflightFailed,
                &format!(
                    "{} of {} checks failed; {}",
                    names.len(),
                    preflight.checks.len(),
                    first(api::CheckState::Failed)
                ),
            ),
            wake_at: plan.wake_at,
        },
        (Summary::Retrying(_), _) => {
            retrying(next, plan, preflight, ready, &first(api::CheckState::Retry), now)
        }
        (Summary::Passed, held_by) => Rows {
            preflight: preflight_row(preflight),
            ready,
            reconciling: Row::new(
                False,
                R::WaitingForPreflight,
                format!("{version} waits; nothing was changed"),
            ),
            stalled: Row::stalled(
                StalledReason::PreflightFailed,
                &format!(
                    "{version} is held by a rule that no setting disables: {}",
                    held_by.unwrap_or("its inputs are not known")
                ),
            ),
            wake_at: plan.wake_at,
        },
    }
}

fn retrying(
    next: &ClusterVersionShadowStatus,
    plan: &Plan,
    preflight: &Preflight,
    ready: Row,
    first: &str,
    now: &Time,
) -> Rows {
    let states = preflight.checks.iter().filter(|c| c.state == api::CheckState::Retry);
    let since =
        states.filter_map(|c| c.last_transition_time.as_ref()).map(|t| t.0).min().unwrap_or(now.0);
    let limit_s = StalledReason::PreflightUnknown.threshold_s();
    let overdue = now.0.duration_since(since).as_secs() >= limit_s;
    let version = next.desired.as_ref().map_or("", |d| d.version.as_str());
    Rows {
        preflight: preflight_row(preflight),
        ready,
        reconciling: Row::new(
            True,
            R::WaitingForPreflight,
            format!("{version} waits for answers; {first}"),
        ),
        stalled: if overdue {
            Row::stalled(StalledReason::PreflightUnknown, first)
        } else {
            Row::not_stalled()
        },
        wake_at: earliest(
            plan.wake_at,
            since.checked_add(SignedDuration::from_secs(limit_s)).ok().filter(|at| *at > now.0),
        ),
    }
}

fn running(
    next: &ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
    now: &Time,
) -> Rows {
    let version = next.desired.as_ref().map_or("", |d| d.version.as_str());
    let from = next.current.as_ref().map_or("nothing", |c| c.version.as_str());
    let blockers: Vec<(&str, &Blocker)> = next
        .stages
        .iter()
        .flat_map(|s| &s.operations)
        .filter_map(|o| o.blocker.as_ref().map(|b| (o.name.as_str(), b)))
        .collect();
    let stalled = match blockers.iter().find(|(_, b)| lasted(b, now)) {
        Some((name, blocker)) => {
            Row::stalled(blocker.reason, &format!("{name}: {}", blocker.message))
        }
        None => cluster_step_blocked(plan, outcomes).unwrap_or_else(Row::not_stalled),
    };
    let due = blockers.iter().filter(|(_, b)| !lasted(b, now)).filter_map(|(_, b)| {
        b.since.0.checked_add(SignedDuration::from_secs(b.reason.threshold_s())).ok()
    });
    let note = refusal_note(plan);
    let waits = waits_for(next, plan, outcomes);
    let message = if note.is_empty() { waits } else { format!("{waits}; {note}") };
    // The preflight is frozen while the upgrade runs: what it said when it began stands.
    let frozen = next.preflight.as_ref().filter(|p| p.version == version);
    Rows {
        preflight: match frozen {
            Some(preflight) => Row::new(True, R::Passed, passed_message(preflight)),
            None => Row::new(True, R::Passed, version),
        },
        ready: Row::new(False, R::Upgrading, format!("moving from {from} to {version}")),
        reconciling: Row::new(True, R::Upgrading, message),
        stalled,
        wake_at: due.min().filter(|at| *at > snapshot.now),
    }
}

/// Steps about the cluster itself have no operation that could show what blocks them.
fn cluster_step_blocked(plan: &Plan, outcomes: &[Outcome]) -> Option<Row> {
    let about_cluster =
        plan.steps.iter().any(|s| !matches!(s, Step::Apply(_) | Step::Remove { .. }));
    outcomes.iter().filter(|_| about_cluster).find_map(|o| match &o.result {
        StepResult::Blocked { reason, message } if reason.threshold_s() == 0 => {
            Some(Row::stalled(*reason, message))
        }
        StepResult::Blocked { .. } | StepResult::Done | StepResult::Waiting(_) => None,
    })
}

fn waits_for(next: &ClusterVersionShadowStatus, plan: &Plan, outcomes: &[Outcome]) -> String {
    let done = next.stages.iter().filter(|s| s.phase == api::objects::Phase::Finished).count();
    let all = next.stages.len();
    let running = next.stages.iter().find(|s| !s.message.is_empty());
    if let Some(stage) = running {
        return format!("{done} of {all} stages finished; stage {}: {}", stage.name, stage.message);
    }
    let of_outcome = outcomes.iter().find_map(|o| match &o.result {
        StepResult::Waiting(message) | StepResult::Blocked { message, .. } => Some(message.clone()),
        StepResult::Done => None,
    });
    let what = of_outcome.or_else(|| {
        plan.steps.first().map(|step| match step {
            Step::BeginModule { .. } => "the cluster is marked as upgrading".to_owned(),
            Step::Apply(apply) => format!("{} is applied", apply.component.name),
            Step::Prune { name, .. } => format!("objects that {name} no longer has are deleted"),
            Step::Remove { name } => format!("{name} is removed"),
            Step::ReleasePatch { name } => format!("ResourcePatch {name} is let go"),
            Step::Finish { .. } => "the platform is marked as complete".to_owned(),
        })
    });
    let what = what.unwrap_or_else(|| "the first stage begins".to_owned());
    format!("{done} of {all} stages finished; {what}")
}
