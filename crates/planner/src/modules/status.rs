//! What is said of a ModuleInfo after a round, and when the next is due for its sake.

use super::{InfoFacts, ModulePlan, Situation, World, components, drift};
use crate::api_time;
use crate::plan::{
    ApplyStep, PREFLIGHT_INTERVAL_S, RUNNING_INTERVAL_S, Step, UNKNOWN_INTERVAL_S, earliest,
};
use crate::status::{Outcome, StepResult};
use api::StalledReason;
use api::conditions::ConditionStatus::{False, True, Unknown};
use api::conditions::{ConditionStatus, ConditionType, ModuleReason as R, set_named};
use api::objects::{
    AppReleasePhase, ChartVersion, ModuleAppRelease, ModuleInfoStatus, ModulePhase,
};
use api::release::DEFAULT_TIMEOUT_S;
use jiff::{SignedDuration, Timestamp};

/// When the next round is due if nothing changes before.
#[must_use]
pub fn due(world: &World, plans: &[ModulePlan]) -> Option<Timestamp> {
    let interval_s = |plan: &ModulePlan| match &plan.situation {
        Situation::Begin => Some(0),
        Situation::Moving | Situation::Removing | Situation::Waits(_) => Some(RUNNING_INTERVAL_S),
        Situation::Unknown(_) => Some(UNKNOWN_INTERVAL_S),
        // Objects for whose sake it must stay are not watched.
        Situation::RemovalPrevented(_) => Some(PREFLIGHT_INTERVAL_S),
        Situation::Blocked(_) | Situation::Settled(_) => None,
    };
    // What is installed is customised, whatever else is asked for.
    let interval_s = |plan: &ModulePlan| match plan.steps.is_empty() {
        false => Some(interval_s(plan).unwrap_or(RUNNING_INTERVAL_S).min(RUNNING_INTERVAL_S)),
        true => interval_s(plan),
    };
    let soonest = plans.iter().filter_map(interval_s).min();
    let soonest =
        soonest.and_then(|after_s| world.now.checked_add(SignedDuration::from_secs(after_s)).ok());
    earliest(soonest, drift::turn(world, plans).and_then(|turn| turn.next))
}

/// What the Ready condition says, and the phase.
struct Said {
    phase: ModulePhase,
    ready: ConditionStatus,
    reason: String,
    message: String,
}

impl Said {
    fn new(phase: ModulePhase, ready: ConditionStatus, reason: R, message: &str) -> Self {
        Self { phase, ready, reason: reason.as_str().to_owned(), message: message.to_owned() }
    }
}

/// The status of a ModuleInfo after a round.
#[must_use]
pub fn status(
    world: &World,
    info: &InfoFacts,
    plan: &ModulePlan,
    outcomes: &[Outcome],
) -> ModuleInfoStatus {
    let mut next = info.status.clone();
    next.observed_generation = info.generation;
    if let Some(available) = &plan.available {
        next.available_versions.clone_from(available);
    }
    next.block_reasons = match &plan.situation {
        Situation::Blocked(reasons) | Situation::RemovalPrevented(reasons) => {
            reasons.iter().map(|reason| api::text::message(reason)).collect()
        }
        Situation::Unknown(_)
        | Situation::Waits(_)
        | Situation::Begin
        | Situation::Moving
        | Situation::Settled(_)
        | Situation::Removing => Vec::new(),
    };
    next.remove_is_prevented = matches!(plan.situation, Situation::RemovalPrevented(_));
    if !plan.wanted.is_empty() {
        next.app_releases = plan.wanted.iter().map(|step| part(world, step, outcomes)).collect();
    }
    let said = said(world, info, plan, outcomes, &mut next);
    next.phase = said.phase.as_str().to_owned();
    let now = api_time(world.now);
    let (kind, generation) = (ConditionType::Ready.as_str(), info.generation);
    let conditions = &mut next.conditions;
    set_named(conditions, kind, said.ready, &said.reason, &said.message, &now, generation);
    next
}

fn said(
    world: &World,
    info: &InfoFacts,
    plan: &ModulePlan,
    outcomes: &[Outcome],
    next: &mut ModuleInfoStatus,
) -> Said {
    let before = ModulePhase::parse(&info.status.phase).unwrap_or(ModulePhase::Pending);
    let is_installed = !info.status.version.is_empty();
    match &plan.situation {
        Situation::Unknown(error) => Said::new(before, Unknown, R::Retrying, error),
        Situation::Blocked(reasons) => {
            held(is_installed, before, reasons.first().map_or("", String::as_str))
        }
        Situation::Waits(why) => held(is_installed, before, why),
        Situation::Begin => {
            next.transit_version.clone_from(&info.spec.version);
            next.transit_timestamp = Some(api_time(world.now));
            moving(info, "it begins")
        }
        Situation::Moving => under_way(world, info, plan, outcomes, next),
        Situation::Settled(note) => {
            next.transit_version.clear();
            next.transit_timestamp = None;
            Said::new(ModulePhase::Running, True, R::Running, note)
        }
        Situation::RemovalPrevented(reasons) => {
            let message = reasons.first().map_or("", String::as_str);
            let phase = if rests(world, plan) { ModulePhase::Running } else { before };
            let ready = if phase == ModulePhase::Running { True } else { False };
            Said::new(phase, ready, R::RemovalPrevented, message)
        }
        Situation::Removing => {
            let waits =
                outcomes.iter().find_map(|o| waits(o, &world.cluster).map(|(_, text)| text));
            let message = waits.unwrap_or_default();
            Said::new(ModulePhase::Deleting, False, R::Deleting, &message)
        }
    }
}

/// Whether all that is installed of a plugin is as it is to be: nothing that was begun is left half
/// done.
fn rests(world: &World, plan: &ModulePlan) -> bool {
    plan.steps.is_empty()
        && !plan.wanted.is_empty()
        && plan.wanted.iter().all(|step| components::is_there(world, step))
}

/// What is asked for is not begun: what is installed stays as it is.
fn held(is_installed: bool, before: ModulePhase, message: &str) -> Said {
    match (is_installed, before) {
        (false, _) => Said::new(ModulePhase::Pending, False, R::Blocked, message),
        (true, ModulePhase::Running) => Said::new(ModulePhase::Running, True, R::Blocked, message),
        (true, before) => Said::new(before, False, R::Blocked, message),
    }
}

fn moving(info: &InfoFacts, message: &str) -> Said {
    match info.status.version.as_str() {
        "" => Said::new(ModulePhase::Installing, False, R::Installing, message),
        _ => Said::new(ModulePhase::Upgrading, False, R::Upgrading, message),
    }
}

/// The steps of this round decide how far it is.
fn under_way(
    world: &World,
    info: &InfoFacts,
    plan: &ModulePlan,
    outcomes: &[Outcome],
    next: &mut ModuleInfoStatus,
) -> Said {
    let open: Vec<&Outcome> = plan
        .steps
        .iter()
        .filter_map(|step| outcomes.iter().find(|o| o.subject == step.subject()))
        .filter(|outcome| outcome.result != StepResult::Done)
        .collect();
    let applied = plan.steps.iter().all(|s| !matches!(s, Step::HoldModule { .. }));
    if open.is_empty() && applied && outcomes.len() >= plan.steps.len() {
        // What is obsolete goes in the rounds that follow.
        next.version.clone_from(&info.spec.version);
    }
    let began = next.transit_timestamp.get_or_insert_with(|| api_time(world.now));
    let passed_s = world.now.duration_since(began.0).as_secs();
    let limit_s = plan.wanted.iter().map(|step| step.component.timeout_seconds).max();
    let limit_s = i64::from(limit_s.unwrap_or(DEFAULT_TIMEOUT_S));
    let Some((outcome, (blocked, text))) =
        open.iter().find_map(|o| Some((o, waits(o, &world.cluster)?)))
    else {
        return moving(info, "");
    };
    let message = format!("{}: {text}", outcome.subject);
    if let Some(reason) = blocked.filter(|reason| passed_s >= reason.threshold_s()) {
        let reason = reason.as_str().to_owned();
        return Said { phase: ModulePhase::Failed, ready: False, reason, message };
    }
    if passed_s >= limit_s {
        let message = format!("not healthy after {limit_s} s: {message}");
        return Said::new(ModulePhase::Failed, False, R::TimedOut, &message);
    }
    moving(info, &message)
}

/// What a step waits for, and why it cannot go on by itself.
fn waits(outcome: &Outcome, cluster: &str) -> Option<(Option<StalledReason>, String)> {
    match &outcome.result {
        StepResult::Done => None,
        StepResult::Waiting(message) => Some((None, message.clone())),
        StepResult::Blocked { reason, message, remedy } => {
            let remedy =
                if remedy.is_empty() { remedy_of(*reason, cluster) } else { remedy.clone() };
            Some((Some(*reason), api::remedy::message(message, &remedy)))
        }
    }
}

/// What a person does about it: what a release brings to a component, a push brings to a plugin.
fn remedy_of(reason: StalledReason, cluster: &str) -> String {
    match reason {
        StalledReason::Forbidden if cluster == api::names::GLOBAL => {
            "push its package again, which grants the rights: violet push PACKAGE.tgz".to_owned()
        }
        StalledReason::ImagePullFailed
        | StalledReason::ReleaseUnavailable
        | StalledReason::ReleaseInvalid => {
            "push its package again: violet push PACKAGE.tgz".to_owned()
        }
        reason => reason.remedy_for(cluster),
    }
}

fn part(world: &World, step: &ApplyStep, outcomes: &[Outcome]) -> ModuleAppRelease {
    let component = &step.component;
    let facts = world.app_releases.value().and_then(|all| all.get(&component.name));
    let outcome = outcomes.iter().find(|o| o.subject == component.name);
    let is_done = outcome.is_some_and(|o| o.result == StepResult::Done);
    let phase = facts.map(|facts| facts.status.phase);
    let is_ready = is_done || outcome.is_none() && phase == Some(AppReleasePhase::Ready);
    let (name, digest) = step.image.rsplit_once('@').unwrap_or((step.image.as_str(), ""));
    let name = name.split_once('/').map_or(name, |(_, repository)| repository);
    ModuleAppRelease {
        name: component.name.clone(),
        namespace: component.namespace.clone(),
        chart_versions: vec![ChartVersion {
            name: name.to_owned(),
            release_name: component.name.clone(),
            version: component.version.clone(),
            digest: digest.to_owned(),
        }],
        synced: is_ready || matches!(phase, Some(AppReleasePhase::Deploying)),
        ready: is_ready,
        failed: !is_ready && phase == Some(AppReleasePhase::Failed),
        message: outcome
            .and_then(|o| waits(o, &world.cluster))
            .map(|(_, text)| text)
            .unwrap_or_default(),
    }
}
