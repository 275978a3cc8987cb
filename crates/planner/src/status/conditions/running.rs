//! The rows of an upgrade that runs: what it waits for, and whether a person must act.

use super::{Round, Row, Rows, passed_message, refusal_note};
use crate::moment::{lasted, moment, passed_s};
use crate::plan::{Situation, Step};
use crate::preflight::{self, Summary};
use crate::status::StepResult;
use api::conditions::ConditionReason as R;
use api::conditions::ConditionStatus::{False, True};
use api::objects::{Blocker, Phase};
use api::release::DEFAULT_TIMEOUT_S;
use api::{StalledReason, Time};
use jiff::{SignedDuration, Timestamp};

pub(super) fn rows(round: &Round<'_>) -> Rows {
    let version = round.next.desired.as_ref().map_or("", |d| d.version.as_str());
    let from = round.next.current.as_ref().map_or("nothing", |c| c.version.as_str());
    let blockers = blockers(round);
    let stalled = match blockers.iter().find(|(_, b)| lasted(b, round.snapshot)) {
        Some((name, blocker)) => {
            let message = if name.is_empty() {
                blocker.message.clone()
            } else {
                format!("{name}: {}", blocker.message)
            };
            Row::stalled_with(blocker.reason, &message, &blocker.remedy)
        }
        None => Row::not_stalled(),
    };
    let due = blockers.iter().filter(|(_, b)| !lasted(b, round.snapshot)).filter_map(|(_, b)| {
        b.since.0.checked_add(SignedDuration::from_secs(b.reason.threshold_s())).ok()
    });
    let note = refusal_note(round.plan);
    let waits = waits_for(round);
    let message = if note.is_empty() { waits } else { format!("{waits}; {note}") };
    Rows {
        preflight: frozen(round, version),
        ready: Row::new(False, R::Upgrading, format!("moving from {from} to {version}")),
        reconciling: Row::new(True, R::Upgrading, message),
        stalled,
        wake_at: due.min().filter(|at| *at > round.snapshot.now),
    }
}

/// The preflight is frozen while the upgrade runs: what it said when it began stands.
fn frozen(round: &Round<'_>, version: &str) -> Row {
    let passed = round
        .next
        .preflight
        .as_ref()
        .filter(|p| p.version == version && preflight::summary(p) == Summary::Passed);
    match passed {
        Some(preflight) => Row::new(True, R::Passed, passed_message(preflight)),
        None => {
            Row::new(False, R::ChecksFailed, format!("{version}: no passed preflight is recorded"))
        }
    }
}

/// What stands in the way, by component; an empty name is the cluster itself.
fn blockers(round: &Round<'_>) -> Vec<(String, Blocker)> {
    let operations = round.next.stages.iter().flat_map(|s| &s.operations);
    let mut blockers: Vec<(String, Blocker)> =
        operations.filter_map(|o| Some((o.name.clone(), o.blocker.clone()?))).collect();
    let obstacle = round.plan.obstacle.as_ref().filter(|_| blockers.is_empty());
    let of_cluster = obstacle.cloned().or_else(|| blocked_cluster_step(round));
    if let Some((reason, message)) = of_cluster {
        let remedy = reason.remedy_for(&round.snapshot.cluster);
        blockers.push((String::new(), Blocker { reason, message, remedy, since: since(round) }));
    }
    blockers
}

/// Steps about the cluster itself have no operation that could show what blocks them.
fn blocked_cluster_step(round: &Round<'_>) -> Option<(StalledReason, String)> {
    let about_cluster = |subject: &str| {
        let mut of_subject = round.plan.steps.iter().filter(|s| s.subject() == subject);
        of_subject.any(|s| {
            matches!(s, Step::BeginModule { .. } | Step::Prune { .. } | Step::Finish { .. })
        })
    };
    let of_cluster = || round.outcomes.iter().filter(|o| about_cluster(&o.subject));
    let blocked = of_cluster().find_map(|o| match &o.result {
        StepResult::Blocked { reason, message, .. } => Some((*reason, message.clone())),
        StepResult::Done | StepResult::Waiting(_) => None,
    });
    let is_late = passed_s(&since(round), round.snapshot) > i64::from(DEFAULT_TIMEOUT_S);
    let late = || {
        of_cluster().filter(|_| is_late).find_map(|o| match &o.result {
            StepResult::Waiting(what) => {
                let message = format!("not done after {DEFAULT_TIMEOUT_S} s: {what}");
                Some((StalledReason::TimedOut, message))
            }
            StepResult::Done | StepResult::Blocked { .. } => None,
        })
    };
    blocked.or_else(late)
}

/// Since when there was nothing but the cluster's own steps to do: what ended last, else the
/// beginning of the upgrade.
fn since(round: &Round<'_>) -> Time {
    let ended = round.next.stages.iter().filter_map(|s| s.completion_time.as_ref()).map(|t| t.0);
    let begun = round.next.history.first().and_then(|h| h.started_time.as_ref()).map(|t| t.0);
    let since: Option<Timestamp> = ended.chain(begun).max();
    since.map_or_else(|| moment(round.snapshot), crate::api_time)
}

fn waits_for(round: &Round<'_>) -> String {
    let stages = &round.next.stages;
    let done = stages.iter().filter(|s| s.phase == Phase::Finished).count();
    let what = stages
        .iter()
        .find(|s| !s.message.is_empty())
        .map(|stage| format!("stage {}: {}", stage.name, stage.message))
        .or_else(|| round.plan.obstacle.as_ref().map(|(_, message)| message.clone()))
        .or_else(|| of_outcomes(round))
        .or_else(|| round.plan.steps.first().map(done_by))
        .unwrap_or_else(|| match (&round.plan.situation, round.plan.begins.as_slice()) {
            (Situation::Running, [_, ..]) => {
                format!("begins with {}", api::text::names(&round.plan.begins))
            }
            _ => "the first stage begins".to_owned(),
        });
    format!("{done} of {} stages finished; {what}", stages.len())
}

fn of_outcomes(round: &Round<'_>) -> Option<String> {
    round.outcomes.iter().find_map(|o| match &o.result {
        StepResult::Waiting(message) | StepResult::Blocked { message, .. } => Some(message.clone()),
        StepResult::Done => None,
    })
}

fn done_by(step: &Step) -> String {
    match step {
        Step::BeginModule { .. } => "the cluster is marked as upgrading".to_owned(),
        Step::ShowModule { .. } => "the ClusterModule is brought up to date".to_owned(),
        Step::Apply(apply) => format!("{} is applied", apply.component.name),
        Step::Prune { name, .. } => format!("objects that {name} no longer has are deleted"),
        Step::Remove { name, .. } => format!("{name} is removed"),
        Step::ReleasePatch { name } => format!("ResourcePatch {name} is let go"),
        Step::ReportPatch { name, .. } => format!("ResourcePatch {name} is reported"),
        Step::ReportDrift(apply) => format!("edits of {} are looked for", apply.component.name),
        Step::HoldModule { name } => format!("ModuleInfo {name} is held"),
        Step::ReleaseModule { name } => format!("ModuleInfo {name} is let go"),
        Step::MoveModule { name, version, .. } => format!("plugin {name} moves to {version}"),
        Step::Finish { .. } => "the platform is marked as complete".to_owned(),
    }
}
