//! The four conditions, by the situation: one row of the design's table each. Decides nothing
//! else: what it says is in the plan, the outcomes and the status already.

mod running;
mod waiting;

use crate::api_time;
use crate::plan::{Plan, Situation};
use crate::preflight::{self, Summary};
use crate::snapshot::Snapshot;
use crate::status::{Outcome, StepResult};
use api::StalledReason;
use api::conditions::ConditionReason as R;
use api::conditions::ConditionStatus::{False, True, Unknown};
use api::conditions::{ConditionStatus, ConditionType, set};
use api::objects::{ClusterVersionShadowStatus, Preflight};
use jiff::Timestamp;

/// One condition before it is written: status, reason, message.
struct Row(ConditionStatus, String, String);

impl Row {
    fn new(status: ConditionStatus, reason: R, message: impl Into<String>) -> Self {
        Self(status, reason.as_str().to_owned(), message.into())
    }

    /// Stalled, with what to do.
    fn stalled(snapshot: &Snapshot, reason: StalledReason, message: &str) -> Self {
        let remedy = reason.remedy_for(&snapshot.cluster);
        Self::stalled_with(reason, message, &remedy)
    }

    /// As [`Row::stalled`], with a remedy of its own; a long message never pushes it out.
    fn stalled_with(reason: StalledReason, message: &str, remedy: &str) -> Self {
        let room = api::text::MESSAGE_LIMIT.saturating_sub(remedy.len() + 8).max(256);
        let message = format!("{}; {remedy}", api::text::line(message, room));
        Self(True, reason.as_str().to_owned(), message)
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

/// What the rows are made of: the status as it will be, conditions aside, and the round.
struct Round<'a> {
    next: &'a ClusterVersionShadowStatus,
    snapshot: &'a Snapshot,
    plan: &'a Plan,
    outcomes: &'a [Outcome],
}

/// Writes the conditions; gives the moment at which time alone will change them.
pub(super) fn update(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
) -> Option<Timestamp> {
    let now = api_time(snapshot.now);
    let rows = rows(&Round { next, snapshot, plan, outcomes });
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

fn rows(round: &Round<'_>) -> Rows {
    match &round.plan.situation {
        Situation::NotInstalled => not_installed(round),
        Situation::NotUpgradable(why) => idle(
            round,
            Row::new(False, R::NotUpgradable, why),
            Row::new(True, R::NotUpgradable, why),
        ),
        Situation::Idle | Situation::Adopt(_) => {
            idle(round, offered_preflight(round), reached(round.next))
        }
        Situation::Complete => Rows {
            preflight: Row::new(Unknown, R::NoTarget, NOTHING_NEWER),
            ready: reached(round.next),
            reconciling: Row::new(False, R::Idle, ""),
            stalled: Row::not_stalled(),
            wake_at: None,
        },
        Situation::Waiting { .. } => waiting::rows(round),
        Situation::Begin(_) | Situation::Running => running::rows(round),
    }
}

const NOTHING_NEWER: &str = "nothing newer is offered";

fn reached(next: &ClusterVersionShadowStatus) -> Row {
    let current = next.current.as_ref().map_or("", |c| c.version.as_str());
    Row::new(True, R::Completed, format!("the cluster is at {current}"))
}

fn not_installed(round: &Round<'_>) -> Rows {
    match &round.plan.obstacle {
        Some((_, error)) => {
            let message = format!("what is installed is not known yet: {error}");
            idle(
                round,
                Row::new(Unknown, R::Retrying, &message),
                Row::new(Unknown, R::Retrying, &message),
            )
        }
        None => idle(
            round,
            offered_preflight(round),
            Row::new(
                False,
                R::NotInstalled,
                "nothing is installed yet; ask for a version to install it",
            ),
        ),
    }
}

fn idle(round: &Round<'_>, preflight: Row, ready: Row) -> Rows {
    let notes = [refusal_note(round.plan), upkeep_note(round.outcomes)];
    let message = notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ");
    Rows {
        preflight,
        ready,
        reconciling: Row::new(False, R::Idle, message),
        stalled: match &round.plan.refusal {
            Some(refusal) => Row::stalled(round.snapshot, StalledReason::RequestRefused, refusal),
            None => Row::not_stalled(),
        },
        wake_at: None,
    }
}

/// PreflightReady while nothing is asked for: that of the highest version offered.
fn offered_preflight(round: &Round<'_>) -> Row {
    match &round.plan.preflight {
        None => Row::new(Unknown, R::NoTarget, format!("{NOTHING_NEWER}{}", problems(round))),
        Some(preflight) => preflight_row(round, preflight),
    }
}

fn preflight_row(round: &Round<'_>, preflight: &Preflight) -> Row {
    let version = &preflight.version;
    let problems = problems(round);
    match preflight::summary(preflight) {
        Summary::Passed => {
            Row::new(True, R::Passed, format!("{}{problems}", passed_message(preflight)))
        }
        Summary::Failed(names) => Row::new(
            False,
            R::ChecksFailed,
            format!("{version}: {}{problems}", api::text::names(&names)),
        ),
        Summary::Retrying(names) => Row::new(
            Unknown,
            R::Retrying,
            format!("{version}: no answer yet for {}{problems}", api::text::names(&names)),
        ),
    }
}

/// What is wrong with the administrators' settings is said wherever they decide.
fn problems(round: &Round<'_>) -> String {
    let problems = preflight::config_of(round.snapshot).problems;
    if problems.is_empty() {
        return String::new();
    }
    format!("; {}: {}", api::names::CVO_CONFIG, api::text::names(&problems))
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

/// What the installed release could not be given: a customisation that does not apply.
fn upkeep_note(outcomes: &[Outcome]) -> String {
    let blocked = outcomes.iter().find_map(|o| match &o.result {
        StepResult::Blocked { message, .. } => Some(format!("{}: {message}", o.subject)),
        StepResult::Done | StepResult::Waiting(_) => None,
    });
    blocked.unwrap_or_default()
}
