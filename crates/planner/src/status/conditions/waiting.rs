//! The rows of a version that is asked for and whose preflight, or a rule that no setting
//! disables, holds it.

use super::{Round, Row, Rows, preflight_row, upkeep_note};
use crate::api_time;
use crate::moment::passed_s;
use crate::plan::earliest;
use crate::preflight::{self, Summary};
use api::conditions::ConditionReason as R;
use api::conditions::ConditionStatus::{False, True};
use api::conditions::{ConditionStatus, ConditionType, find};
use api::objects::{Check, Preflight};
use api::{CheckState, StalledReason};
use jiff::{SignedDuration, Timestamp};

pub(super) fn rows(round: &Round<'_>) -> Rows {
    let version = round.next.desired.as_ref().map_or("", |d| d.version.as_str());
    let empty = Preflight::default();
    let preflight = round.next.preflight.as_ref().unwrap_or(&empty);
    let ready = Row::new(False, R::UpgradeRequested, format!("{version} was asked for"));
    let first = |state| preflight.checks.iter().find(|c| c.state == state);
    let reason = round.plan.obstacle.as_ref().map(|(reason, _)| *reason);
    let held = round.plan.obstacle.as_ref().map_or("its inputs are not known", |(_, why)| why);
    match (preflight::summary(preflight), reason) {
        (Summary::Failed(names), _) => failed(
            round,
            ready,
            stalled_by_checks(round, preflight, names.len(), first(CheckState::Failed)),
        ),
        (Summary::Retrying(_), _) => {
            let retried = preflight.checks.iter().filter(|c| c.state == CheckState::Retry);
            let since = retried.filter_map(|c| c.last_transition_time.as_ref()).map(|t| t.0).min();
            let why = first(CheckState::Retry).map_or_else(String::new, said);
            retrying(round, ready, &why, since)
        }
        (Summary::Passed, Some(StalledReason::PreflightFailed)) => {
            let message = format!("{version} is held by a rule that no setting disables: {held}");
            failed(
                round,
                ready,
                Row::stalled(round.snapshot, StalledReason::PreflightFailed, &message),
            )
        }
        (Summary::Passed, _) => retrying(round, ready, held, waits_since(round)),
    }
}

fn said(check: &Check) -> String {
    format!("{}: {}", check.name, check.message)
}

/// A person must act; nothing was changed.
fn failed(round: &Round<'_>, ready: Row, stalled: Row) -> Rows {
    let version = round.next.desired.as_ref().map_or("", |d| d.version.as_str());
    let mut message = format!("{version} waits for its preflight; nothing was changed");
    let note = upkeep_note(round);
    if !note.is_empty() {
        message = format!("{message}; {note}");
    }
    Rows {
        preflight: shown_preflight(round),
        ready,
        reconciling: Row::new(False, R::WaitingForPreflight, message),
        stalled,
        wake_at: None,
    }
}

fn shown_preflight(round: &Round<'_>) -> Row {
    let empty = Preflight::default();
    preflight_row(round, round.next.preflight.as_ref().unwrap_or(&empty))
}

/// The first failed check with its own command; where several failed, also where to see them all.
fn stalled_by_checks(
    round: &Round<'_>,
    preflight: &Preflight,
    failed: usize,
    first: Option<&Check>,
) -> Row {
    let reason = StalledReason::PreflightFailed;
    let message = format!(
        "{failed} of {} checks failed; {}",
        preflight.checks.len(),
        first.map_or_else(String::new, said)
    );
    let all = reason.remedy_for(&round.snapshot.cluster);
    let own = match first.map_or("", |c| c.remedy.as_str()) {
        "" => all.clone(),
        own if failed == 1 => own.to_owned(),
        own => format!("{own}; {all}"),
    };
    // One that is too long to be shown whole stands in the check, and this is how to see it.
    let remedy = if api::remedy::fits(&own) { own } else { all };
    Row::stalled_with(reason, &message, &remedy)
}

/// Since when the upgrade waits for answers, by the condition that says so.
fn waits_since(round: &Round<'_>) -> Option<Timestamp> {
    let reconciling = find(&round.next.conditions, ConditionType::Reconciling)?;
    (reconciling.status == ConditionStatus::True.as_str()
        && reconciling.reason == R::WaitingForPreflight.as_str())
    .then_some(reconciling.last_transition_time.0)
}

/// Something is not known; it is asked for again by itself.
fn retrying(round: &Round<'_>, ready: Row, why: &str, since: Option<Timestamp>) -> Rows {
    let now = api_time(round.snapshot.now).0;
    let since = since.unwrap_or(now);
    let limit_s = StalledReason::PreflightUnknown.threshold_s();
    let overdue = passed_s(&api_time(since), round.snapshot) >= limit_s;
    let version = round.next.desired.as_ref().map_or("", |d| d.version.as_str());
    let due = since.checked_add(SignedDuration::from_secs(limit_s)).ok();
    Rows {
        preflight: shown_preflight(round),
        ready,
        reconciling: Row::new(
            True,
            R::WaitingForPreflight,
            format!("{version} waits for answers; {why}"),
        ),
        stalled: if overdue {
            Row::stalled(round.snapshot, StalledReason::PreflightUnknown, why)
        } else {
            Row::not_stalled()
        },
        wake_at: earliest(round.plan.wake_at, due.filter(|at| *at > now)),
    }
}
