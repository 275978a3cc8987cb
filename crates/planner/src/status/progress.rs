//! How far the stages and operations of an upgrade are.

use crate::moment::{lasted, moment, passed_s, since};
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::stages::{self, Installed};
use crate::status::{Outcome, StepResult};
use api::objects::{Action, Blocker, ClusterVersionShadowStatus, Operation, Phase, Stage};
use api::release::{DEFAULT_TIMEOUT_S, Release};
use api::{StalledReason, Time};

/// Brings the stages up to date with a round.
pub(super) fn update(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
) {
    let now = moment(snapshot);
    let image = next.desired.as_ref().map(|d| d.image.clone()).unwrap_or_default();
    let empty = Installed::new();
    let installed = snapshot.app_releases.value().unwrap_or(&empty);
    let release = snapshot.desired_release.value();
    for operation in next.stages.iter_mut().flat_map(|s| &mut s.operations) {
        let is_step = plan.steps.iter().any(|s| is_step_of(s, operation));
        let outcome = outcomes.iter().find(|o| is_step && o.subject == subject(operation));
        let outcome = outcome.map(|o| &o.result);
        let shown =
            release.is_some_and(|r| stages::is_finished(snapshot, operation, r, &image, installed));
        resume(operation, outcome, plan, snapshot);
        if plan.obstacle.is_none() {
            end_obstacle(operation, outcome);
        }
        if shown || outcome == Some(&StepResult::Done) {
            finish(operation, &now);
        } else if is_step || plan.begins.contains(&operation.name) {
            run(operation, outcome, snapshot, &now);
        }
    }
    if let Some((reason, message)) = &plan.obstacle {
        hold(&mut next.stages, *reason, message, snapshot);
    }
    for stage in &mut next.stages {
        sum_up(stage, &now);
    }
}

/// By what the outcome of an operation's step is told.
fn subject(operation: &Operation) -> &str {
    match operation.module_info.as_str() {
        "" => &operation.name,
        info => info,
    }
}

/// Whether a step does what an operation is about.
fn is_step_of(step: &Step, operation: &Operation) -> bool {
    match step {
        // A plugin may have the name of a component.
        Step::MoveModule { module_info, .. } => *module_info == operation.module_info,
        Step::Apply(_) | Step::Remove { .. } => {
            operation.module_info.is_empty() && step.subject() == operation.name
        }
        _ => false,
    }
}

/// Where a person cleared what had held an operation up for long, its time begins anew: it could
/// not run before. What a component does to itself, and being late, is no such cause.
fn resume(
    operation: &mut Operation,
    outcome: Option<&StepResult>,
    plan: &Plan,
    snapshot: &Snapshot,
) {
    let Some(before) = &operation.blocker else { return };
    let own = [StalledReason::TimedOut, StalledReason::ContainerFailing].contains(&before.reason);
    let met = match (outcome, &plan.obstacle) {
        (Some(StepResult::Blocked { reason, .. }), _) | (_, Some((reason, _))) => Some(*reason),
        // Not tried in this round: nothing is known of it.
        (None, None) => return,
        (Some(StepResult::Waiting(_) | StepResult::Done), None) => None,
    };
    if !own && met != Some(before.reason) && lasted(before, snapshot) {
        operation.resumed_time = Some(moment(snapshot));
    }
}

/// What stood in the way of the whole upgrade ends with its cause, unless the operation itself
/// still meets it.
fn end_obstacle(operation: &mut Operation, outcome: Option<&StepResult>) {
    let ended = operation.blocker.take_if(|blocker| {
        let of_upgrade = matches!(
            blocker.reason,
            StalledReason::ReleaseUnavailable
                | StalledReason::ReleaseInvalid
                | StalledReason::PreflightFailed
                | StalledReason::ClusterUnreachable
        );
        let met_again = matches!(
            outcome, Some(StepResult::Blocked { reason, .. }) if *reason == blocker.reason
        );
        of_upgrade && !met_again
    });
    if ended.is_some() {
        operation.message.clear();
    }
}

/// Marks everything as done.
pub(super) fn finish_all(stages: &mut [Stage], now: &Time) {
    for stage in stages {
        for operation in &mut stage.operations {
            finish(operation, now);
        }
        sum_up(stage, now);
    }
}

fn finish(operation: &mut Operation, now: &Time) {
    if operation.phase != Phase::Finished {
        operation.started_time.get_or_insert_with(|| now.clone());
        operation.completion_time = Some(now.clone());
    }
    operation.phase = Phase::Finished;
    operation.message.clear();
    operation.blocker = None;
}

fn run(operation: &mut Operation, outcome: Option<&StepResult>, snapshot: &Snapshot, now: &Time) {
    let release = snapshot.desired_release.value();
    operation.completion_time = None;
    let started = operation.started_time.get_or_insert_with(|| now.clone()).clone();
    let started = operation.resumed_time.clone().map_or(started.clone(), |at| at.max(started));
    match outcome {
        Some(StepResult::Waiting(message)) => {
            operation.message = api::text::message(message);
            let late = timed_out(operation, release, &started, snapshot);
            operation.blocker = late.map(|message| {
                let before = operation.blocker.as_ref();
                let reason = StalledReason::TimedOut;
                blocker(before, reason, &message, &reason.remedy_for(&snapshot.cluster), snapshot)
            });
        }
        Some(StepResult::Blocked { reason, message, remedy }) => {
            operation.message = api::text::message(message);
            let remedy = known_remedy(*reason, &snapshot.on_cluster(remedy), snapshot);
            let before = operation.blocker.as_ref();
            let met = blocker(before, *reason, message, &remedy, snapshot);
            // Once its time is over it stays so, however often what it meets changes.
            let late = timed_out(operation, release, &started, snapshot)
                .filter(|_| !lasted(&met, snapshot));
            operation.blocker = Some(match late {
                Some(message) => {
                    let reason = StalledReason::TimedOut;
                    let remedy = reason.remedy_for(&snapshot.cluster);
                    blocker(before, reason, &message, &remedy, snapshot)
                }
                None => met,
            });
        }
        Some(StepResult::Done) | None => {}
    }
    operation.phase = if operation.blocker.as_ref().is_some_and(|b| lasted(b, snapshot)) {
        Phase::Failed
    } else {
        Phase::Running
    };
}

/// What a step says of its remedy; where that is nothing, or too long to be shown whole, what the
/// table of reasons says.
pub(super) fn known_remedy(reason: StalledReason, own: &str, snapshot: &Snapshot) -> String {
    if own.is_empty() || !api::remedy::fits(own) {
        return reason.remedy_for(&snapshot.cluster);
    }
    own.to_owned()
}

/// A component that is not healthy, or not gone, in its time is a blocker by itself; what is said
/// of it. One that is removed stands in no release: it has the time of one that names none.
fn timed_out(
    operation: &Operation,
    release: Option<&Release>,
    started: &Time,
    snapshot: &Snapshot,
) -> Option<String> {
    let (limit_s, not_yet) = if operation.action == Action::Remove {
        (DEFAULT_TIMEOUT_S, "not gone")
    } else {
        let (_, component) = release?.components().find(|(_, c)| c.name == operation.name)?;
        (component.timeout_seconds, "not healthy")
    };
    (passed_s(started, snapshot) > i64::from(limit_s))
        .then(|| format!("{not_yet} after {limit_s} s: {}", operation.message))
}

/// What stands in the way of an operation, and since when.
fn blocker(
    before: Option<&Blocker>,
    reason: StalledReason,
    message: &str,
    remedy: &str,
    snapshot: &Snapshot,
) -> Blocker {
    let since = since(before, reason, snapshot);
    let (message, remedy) = (api::text::message(message), api::text::message(remedy));
    Blocker { reason, message, remedy, since }
}

/// Something stands in the way of everything that is to run now.
fn hold(stages: &mut [Stage], reason: StalledReason, message: &str, snapshot: &Snapshot) {
    let remedy = reason.remedy_for(&snapshot.cluster);
    let priority = stages.iter().filter(|s| s.phase != Phase::Finished).map(|s| s.priority).min();
    let held = stages.iter_mut().filter(|s| Some(s.priority) == priority);
    for operation in held.flat_map(|s| &mut s.operations).filter(|o| o.phase != Phase::Finished) {
        operation.message = api::text::message(message);
        operation.blocker =
            Some(blocker(operation.blocker.as_ref(), reason, message, &remedy, snapshot));
    }
}

/// A stage is as far as its operations are.
fn sum_up(stage: &mut Stage, now: &Time) {
    let all = |phase: Phase| stage.operations.iter().all(|o| o.phase == phase);
    let any = |phase: Phase| stage.operations.iter().any(|o| o.phase == phase);
    let phase = if all(Phase::Finished) {
        Phase::Finished
    } else if any(Phase::Running) {
        Phase::Running
    } else if any(Phase::Failed) {
        Phase::Failed
    } else if any(Phase::Finished) {
        Phase::Running
    } else {
        Phase::Pending
    };
    if phase != Phase::Pending {
        stage.started_time.get_or_insert_with(|| now.clone());
    }
    stage.completion_time = match phase {
        Phase::Finished => stage.completion_time.clone().or_else(|| Some(now.clone())),
        Phase::Pending | Phase::Running | Phase::Failed => None,
    };
    stage.message = stage
        .operations
        .iter()
        .find(|o| o.phase != Phase::Finished && !o.message.is_empty())
        .map(|o| api::text::message(&format!("{}: {}", o.name, o.message)))
        .unwrap_or_default();
    stage.phase = phase;
}
