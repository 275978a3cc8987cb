//! The four conditions, by the situation: one row of the design's table each. Decides nothing
//! else: what it says is in the plan, the outcomes and the status already.

mod idle;
mod running;
mod waiting;

use crate::moment::moment;
use crate::plan::{Plan, Situation};
use crate::preflight::{self, Summary};
use crate::snapshot::Snapshot;
use crate::status::progress::known_remedy;
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

    /// Stalled, with what to do by the table of reasons.
    fn stalled(snapshot: &Snapshot, reason: StalledReason, message: &str) -> Self {
        Self::stalled_with(reason, message, &reason.remedy_for(&snapshot.cluster))
    }

    /// As [`Row::stalled`], with a remedy of its own.
    fn stalled_with(reason: StalledReason, message: &str, remedy: &str) -> Self {
        Self(True, reason.as_str().to_owned(), api::remedy::message(message, remedy))
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
    let now = moment(snapshot);
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
        // It is none of ours, so that nobody need know here whether it answers.
        Situation::NotUpgradable(why) => idle::rows(
            round,
            Row::new(False, R::NotUpgradable, why),
            Row::new(True, R::NotUpgradable, why),
            None,
        ),
        Situation::Idle | Situation::Adopt(_) => idle::rows(
            round,
            offered_preflight(round),
            reached(round.next),
            round.snapshot.unreachable(),
        ),
        Situation::Complete => Rows {
            preflight: Row::new(Unknown, R::NoTarget, nothing_newer(round.next)),
            ready: reached(round.next),
            reconciling: Row::new(False, R::Idle, ""),
            stalled: Row::not_stalled(),
            wake_at: None,
        },
        Situation::Waiting { .. } => waiting::rows(round),
        Situation::Begin(_) | Situation::Running => running::rows(round),
    }
}

/// No version can be judged; why the highest that is published is not offered.
fn nothing_newer(next: &ClusterVersionShadowStatus) -> String {
    let said = "nothing newer is offered";
    let why = next.not_offered.first().map(|other| match &other.message {
        message if message.starts_with(&other.version) => format!("; {message}"),
        message => format!("; {}: {message}", other.version),
    });
    format!("{said}{}", why.unwrap_or_default())
}

fn reached(next: &ClusterVersionShadowStatus) -> Row {
    let current = next.current.as_ref().map_or("", |c| c.version.as_str());
    Row::new(True, R::Completed, format!("the cluster is at {current}"))
}

fn not_installed(round: &Round<'_>) -> Rows {
    let (preflight, ready) = match &round.plan.obstacle {
        Some((_, error)) => {
            let message = format!("what is installed is not known yet: {error}");
            let row = || Row::new(Unknown, R::Retrying, &message);
            (row(), row())
        }
        None => {
            let message = "nothing is installed yet; ask for a version to install it";
            (offered_preflight(round), Row::new(False, R::NotInstalled, message))
        }
    };
    idle::rows(round, preflight, ready, round.snapshot.unreachable())
}

/// PreflightReady while nothing is asked for: that of the highest version offered.
fn offered_preflight(round: &Round<'_>) -> Row {
    match &round.plan.preflight {
        None => {
            let message = format!("{}{}", nothing_newer(round.next), problems(round));
            Row::new(Unknown, R::NoTarget, message)
        }
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
    // Settings that cannot be read need no correction.
    let is_read = round.snapshot.cvo_config.value().is_some();
    let remedy = if is_read { api::config::EDIT_SETTINGS } else { "" };
    api::config::settings_note(&problems, remedy)
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
    plan.refusal.as_ref().map_or_else(String::new, |r| api::remedy::refused(r))
}

/// What the installed release could not be given: a customisation that does not apply. One that is
/// known not to is said in the same words whether or not this round tried it again, or an idle
/// cluster would be written to whenever drift is looked for.
fn upkeep_note(round: &Round<'_>) -> String {
    let known = failed_patch(round);
    let blocked = round.outcomes.iter().find_map(|o| match &o.result {
        StepResult::Blocked { reason: StalledReason::ResourcePatchFailed, .. }
            if known.is_some() =>
        {
            None
        }
        StepResult::Blocked { reason, message, remedy } => {
            let own = round.snapshot.on_cluster(remedy);
            let remedy = known_remedy(*reason, &own, round.snapshot);
            Some(api::remedy::message(&format!("{}: {message}", o.subject), &remedy))
        }
        StepResult::Done | StepResult::Waiting(_) => None,
    });
    blocked.or(known).unwrap_or_default()
}

/// The customisations that were tried and do not apply: nothing tries them again before something
/// changes, and it is said until then.
fn failed_patch(round: &Round<'_>) -> Option<String> {
    let patches = round.snapshot.resource_patches.value()?.iter().filter(|p| !p.deleting);
    let failed: Vec<_> = patches.filter_map(|p| Some((p, p.failure.as_ref()?))).collect();
    let (patch, why) = failed.first()?;
    let component = patch.release.rsplit('/').next().unwrap_or_default();
    let names: Vec<&str> = failed.iter().map(|(patch, _)| patch.name.as_str()).collect();
    let more = match names.get(1..) {
        None | Some([]) => String::new(),
        Some(more) => format!("; nor do: {}", api::text::names(more)),
    };
    let why = format!("{why}{more}");
    let note = api::objects::failed_patch_note(component, &patch.name, &why);
    let remedy = round.snapshot.on_cluster(&api::objects::failed_patch_remedy(&names));
    Some(api::remedy::message(&note, &remedy))
}
