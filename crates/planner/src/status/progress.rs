//! How far the stages and operations of an upgrade are.

use crate::api_time;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::stages::{self, Installed};
use crate::status::{Outcome, StepResult};
use api::objects::{Blocker, ClusterVersionShadowStatus, Operation, Phase, Stage};
use api::release::Release;
use api::{StalledReason, Time};

/// Brings the stages up to date with a round.
pub(super) fn update(
    next: &mut ClusterVersionShadowStatus,
    snapshot: &Snapshot,
    plan: &Plan,
    outcomes: &[Outcome],
) {
    let now = api_time(snapshot.now);
    let image = next.desired.as_ref().map(|d| d.image.clone()).unwrap_or_default();
    let empty = Installed::new();
    let installed = snapshot.app_releases.value().unwrap_or(&empty);
    let release = snapshot.desired_release.value();
    for operation in next.stages.iter_mut().flat_map(|s| &mut s.operations) {
        let is_step = plan.steps.iter().any(|s| is_step_of(s, operation));
        let outcome = outcomes.iter().find(|o| is_step && o.subject == operation.name);
        let outcome = outcome.map(|o| &o.result);
        let shown =
            release.is_some_and(|r| stages::is_finished(snapshot, operation, r, &image, installed));
        if plan.obstacle.is_none() {
            end_obstacle(operation, outcome);
        }
        if shown || outcome == Some(&StepResult::Done) {
            finish(operation, &now);
        } else if is_step || plan.begins.contains(&operation.name) {
            run(operation, outcome, release, &now);
        }
    }
    if let Some((reason, message)) = &plan.obstacle {
        hold(&mut next.stages, *reason, message, &now);
    }
    for stage in &mut next.stages {
        sum_up(stage, &now);
    }
}

/// Whether a step does what an operation is about.
fn is_step_of(step: &Step, operation: &Operation) -> bool {
    matches!(step, Step::Apply(_) | Step::Remove { .. }) && step.subject() == operation.name
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

fn run(
    operation: &mut Operation,
    outcome: Option<&StepResult>,
    release: Option<&Release>,
    now: &Time,
) {
    operation.completion_time = None;
    let started = operation.started_time.get_or_insert_with(|| now.clone()).clone();
    match outcome {
        Some(StepResult::Waiting(message)) => {
            operation.message = api::text::message(message);
            operation.blocker = timed_out(operation, release, &started, now);
        }
        Some(StepResult::Blocked { reason, message }) => {
            operation.message = api::text::message(message);
            operation.blocker = Some(blocker(operation.blocker.as_ref(), *reason, message, now));
        }
        Some(StepResult::Done) | None => {}
    }
    operation.phase = if operation.blocker.as_ref().is_some_and(|b| lasted(b, now)) {
        Phase::Failed
    } else {
        Phase::Running
    };
}

/// A component that is not healthy in its time is a blocker by itself.
fn timed_out(
    operation: &Operation,
    release: Option<&Release>,
    started: &Time,
    now: &Time,
) -> Option<Blocker> {
    let (_, component) = release?.components().find(|(_, c)| c.name == operation.name)?;
    let elapsed_s = now.0.duration_since(started.0).as_secs();
    (elapsed_s > i64::from(component.timeout_seconds)).then(|| {
        let message =
            format!("not healthy after {} s: {}", component.timeout_seconds, operation.message);
        blocker(operation.blocker.as_ref(), StalledReason::TimedOut, &message, now)
    })
}

/// A blocker keeps its beginning as long as its reason stays.
fn blocker(before: Option<&Blocker>, reason: StalledReason, message: &str, now: &Time) -> Blocker {
    let since =
        before.filter(|b| b.reason == reason).map_or_else(|| now.clone(), |b| b.since.clone());
    Blocker { reason, message: api::text::message(message), since }
}

/// Whether a blocker lasted long enough that a person must act.
pub(super) fn lasted(blocker: &Blocker, now: &Time) -> bool {
    now.0.duration_since(blocker.since.0).as_secs() >= blocker.reason.threshold_s()
}

/// Something stands in the way of everything that is to run now.
fn hold(stages: &mut [Stage], reason: StalledReason, message: &str, now: &Time) {
    let priority = stages.iter().filter(|s| s.phase != Phase::Finished).map(|s| s.priority).min();
    let held = stages.iter_mut().filter(|s| Some(s.priority) == priority);
    for operation in held.flat_map(|s| &mut s.operations).filter(|o| o.phase != Phase::Finished) {
        operation.message = api::text::message(message);
        operation.blocker = Some(blocker(operation.blocker.as_ref(), reason, message, now));
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
