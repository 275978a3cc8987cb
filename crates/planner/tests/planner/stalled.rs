//! Every reason for which an upgrade is Stalled: silent before its threshold, said after it with
//! what to do, gone with its cause.

use crate::world::World;
use api::conditions::{ConditionType, find, is_true};
use api::{Phase, StalledReason};
use planner::{Step, StepResult};

fn blocked(step: &Step, name: &str, reason: StalledReason) -> StepResult {
    if step.subject() == name {
        StepResult::Blocked {
            reason,
            message: "the words of the cause".into(),
            remedy: String::new(),
        }
    } else {
        StepResult::Done
    }
}

/// An upgrade whose first component is about to be applied.
fn running() -> World {
    let mut world = World::new().ask("4.3.0");
    for _ in 0..3 {
        world.done_round();
    }
    world
}

#[test]
fn each_reason_shows_after_its_threshold_and_ends_with_its_cause() {
    for reason in StalledReason::ALL.iter().copied() {
        let mut world = running();
        let threshold = reason.threshold_s();
        let round = world.round(|step| blocked(step, "base", reason));
        let stalled = is_true(&world.status().conditions, ConditionType::Stalled);
        assert_eq!(stalled, threshold == 0, "{reason} at once");
        if threshold > 0 {
            assert!(
                round.wake_at.is_some_and(|at| at > world.snapshot.now),
                "{reason} has a timer"
            );
            world.pass(threshold - 1);
            world.round(|step| blocked(step, "base", reason));
            assert!(!is_true(&world.status().conditions, ConditionType::Stalled), "{reason} early");
            world.pass(1);
            world.round(|step| blocked(step, "base", reason));
        }
        let status = world.status();
        let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
        assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", reason.as_str()));
        assert!(
            stalled.message.starts_with("base: the words of the cause; "),
            "{}",
            stalled.message
        );
        assert!(stalled.message.ends_with(&reason.remedy_for("global")), "{}", stalled.message);
        assert_eq!(status.stages[0].operations[0].phase, Phase::Failed);
        world.round(|_| StepResult::Waiting("1 of 2 replicas".into()));
        assert!(!is_true(&world.status().conditions, ConditionType::Stalled), "{reason} ended");
        assert_eq!(world.status().stages[0].operations[0].phase, Phase::Running);
    }
}

#[test]
fn another_reason_begins_its_own_time() {
    let mut world = running();
    world.round(|step| blocked(step, "base", StalledReason::ImagePullFailed));
    world.pass(19);
    world.round(|step| blocked(step, "base", StalledReason::ContainerFailing));
    world.pass(19);
    world.round(|step| blocked(step, "base", StalledReason::ContainerFailing));
    assert!(!is_true(&world.status().conditions, ConditionType::Stalled));
    world.pass(41);
    world.round(|step| blocked(step, "base", StalledReason::ContainerFailing));
    assert!(is_true(&world.status().conditions, ConditionType::Stalled));
}

#[test]
fn the_command_names_the_cluster_that_is_stalled() {
    let message = StalledReason::PreflightFailed.remedy_for("workload-a");
    assert!(message.contains("--cluster=workload-a"), "{message}");
    let message = StalledReason::RequestRefused.remedy_for("workload-a");
    assert!(message.contains("patch cvsh workload-a"), "{message}");
}

/// Where what a person does about a reason is typed, for a workload cluster.
const fn begins_with(reason: StalledReason) -> &'static str {
    match reason {
        // What acts on objects of the cluster itself.
        StalledReason::Forbidden
        | StalledReason::HookFailed
        | StalledReason::FieldConflict
        | StalledReason::ResourcePatchFailed
        | StalledReason::TimedOut
        | StalledReason::ContainerFailing => "on cluster workload-a: ",
        // What is typed at global, as everything that says nothing else.
        StalledReason::PreflightFailed
        | StalledReason::PreflightUnknown
        | StalledReason::RequestRefused
        | StalledReason::ImagePullFailed
        | StalledReason::PluginFailed
        | StalledReason::ReleaseUnavailable
        | StalledReason::ReleaseInvalid
        | StalledReason::ClusterUnreachable => "",
        // No command: the message tells.
        StalledReason::RenderFailed | StalledReason::ObjectRejected => "read the message",
    }
}

#[test]
fn every_reason_of_a_workload_cluster_names_where_its_command_is_typed() {
    for reason in StalledReason::ALL.iter().copied() {
        let (remedy, begins) = (reason.remedy_for("workload-a"), begins_with(reason));
        assert!(remedy.starts_with(begins), "{reason}: {remedy}");
        assert_eq!(
            remedy.starts_with("on cluster "),
            begins.starts_with("on cluster "),
            "{remedy}"
        );
        // Typed at global it meets objects there: only those that are kept of this cluster.
        let acts = remedy.contains("kubectl") && !begins.starts_with("on cluster ");
        let of_it = ["cvsh workload-a", "cluster-name=workload-a"];
        assert!(!acts || of_it.iter().any(|it| remedy.contains(it)), "{reason}: {remedy}");
        let of_global = ["--cluster=global", "cvsh global", "on cluster global", "name=global"];
        for of_global in of_global {
            assert!(!remedy.contains(of_global), "{reason}: {remedy}");
        }
        assert!(!reason.remedy_for("global").contains("on cluster "), "{reason}");
    }
}

#[test]
fn a_long_cause_does_not_push_out_what_to_do() {
    let mut world = running();
    let reason = StalledReason::ObjectRejected;
    world.round(|_| StepResult::Blocked {
        reason,
        message: "x".repeat(5000),
        remedy: String::new(),
    });
    let status = world.status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    assert!(
        stalled.message.len() <= 1024 && stalled.message.ends_with(&reason.remedy_for("global"))
    );
}
