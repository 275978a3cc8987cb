//! Faults that were found once, each under a name that says what went wrong.

use crate::world::World;
use api::StalledReason;
use api::conditions::{ConditionType, find, is_true};
use api::objects::AppReleasePhase;
use planner::snapshot::AppReleaseFacts;
use planner::{Observed, Situation, Step, StepResult};
use std::collections::BTreeMap;

fn drift_steps(steps: &[Step]) -> Vec<String> {
    let drift = steps.iter().filter(|s| matches!(s, Step::ReportDrift(_)));
    drift.map(|s| s.subject().to_owned()).collect()
}

/// An idle cluster with so many components, of which the last round comes at most by a timer.
fn idle_with(components: usize) -> World {
    let mut world = World::new().edited("{manifests: {Value: []}}");
    let Observed::Value(release) = &mut world.snapshot.desired_release else { panic!() };
    let Observed::Value(installed) = &mut world.snapshot.app_releases else { panic!() };
    let template = release.stages[0].components[0].clone();
    let facts: AppReleaseFacts = installed[&template.name].clone();
    assert_eq!(facts.status.phase, AppReleasePhase::Ready);
    installed.clear();
    release.stages.truncate(1);
    release.stages[0].components.clear();
    for n in 0..components {
        let mut component = template.clone();
        component.name = format!("component-{n:03}");
        installed.insert(component.name.clone(), facts.clone());
        release.stages[0].components.push(component);
    }
    world
}

/// Rounds for so many seconds, each when the one before wants it and `late_s` later.
fn looks(world: &mut World, seconds: i64, late_s: i64) -> (usize, BTreeMap<String, usize>) {
    let until = world.snapshot.now.as_second() + seconds;
    let (mut rounds, mut seen) = (0, BTreeMap::new());
    while world.snapshot.now.as_second() < until {
        let release = world.snapshot.desired_release.clone();
        // Also where the look fails each time.
        let round = world.round(|_| StepResult::Blocked {
            reason: StalledReason::ReleaseUnavailable,
            message: "no route to host".into(),
            remedy: String::new(),
        });
        world.snapshot.desired_release = release;
        rounds += 1;
        for name in drift_steps(&round.plan.steps) {
            *seen.entry(name).or_default() += 1;
        }
        let wait = round.wake_at.unwrap().duration_since(world.snapshot.now).as_secs();
        assert!(wait >= 5, "the next round comes after {wait} s");
        world.pass(wait + late_s);
    }
    (rounds, seen)
}

#[test]
fn looking_for_drift_neither_runs_hot_nor_forgets_a_component() {
    for (components, late_s) in [(1, 0), (4, 2), (7, 0), (7, 4), (40, 3), (256, 1)] {
        let mut world = idle_with(components);
        let (rounds, seen) = looks(&mut world, 3600, late_s);
        assert_eq!(seen.len(), components, "every component is looked at");
        let most = 8 * components.div_ceil(4);
        assert!(rounds <= most, "{components}: {rounds} rounds in an hour");
        let times = seen.values().copied();
        assert!(times.clone().min() >= Some(5) && times.max() <= Some(8), "{seen:?}");
    }
}

#[test]
fn a_version_that_is_never_resolved_stalls_after_ten_minutes() {
    let unresolved = "{manifests: {Value: [{name: v4.3.0, version: 4.3.0, \
        ready: {Waiting: {why: 'RegistryUnavailable: no route to host'}}}]}}";
    let mut world = World::new().edited(unresolved).ask("4.3.0");
    let first = world.done_round();
    let due = first.wake_at.unwrap().duration_since(world.snapshot.now).as_secs();
    assert_eq!(due, 2);
    world.pass(60);
    let later = world.done_round();
    let due = later.wake_at.unwrap().duration_since(world.snapshot.now).as_secs();
    assert!(due > 2, "asked again less often: {due} s");
    world.pass(600);
    world.done_round();
    let status = world.status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "PreflightUnknown"));
    assert!(stalled.message.contains("no route to host"), "{}", stalled.message);
}

fn finishing(step: &Step) -> StepResult {
    match step {
        Step::Remove { .. } | Step::Prune { .. } => StepResult::Waiting("waits for x/old".into()),
        _ => StepResult::Done,
    }
}

fn stalled(world: &World) -> (bool, String, String) {
    let status = world.status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    (stalled.status == "True", stalled.reason.clone(), stalled.message.clone())
}

#[test]
fn a_removal_that_never_ends_stalls() {
    let mut world = World::new().ask("4.3.0");
    let mut waited = false;
    for _ in 0..20 {
        let round = world.round(finishing);
        waited |= round.plan.steps.iter().any(|s| matches!(s, Step::Remove { .. }));
        world.pass(1);
    }
    assert!(waited && !stalled(&world).0);
    world.pass(600);
    world.round(finishing);
    let (is_stalled, reason, message) = stalled(&world);
    assert!(is_stalled && reason == "TimedOut", "{reason}: {message}");
    assert!(message.starts_with("dashboard: not gone after 600 s: waits for x/old"), "{message}");
}

#[test]
fn pruning_that_never_ends_stalls() {
    let stuck = |step: &Step| match step {
        Step::Prune { .. } => StepResult::Waiting("waits for x/old".into()),
        _ => StepResult::Done,
    };
    let mut world = World::new().ask("4.3.0");
    let mut waited = false;
    for _ in 0..20 {
        let round = world.round(stuck);
        waited |= round.plan.steps.iter().any(|s| matches!(s, Step::Prune { .. }));
        world.pass(1);
    }
    assert!(waited && !stalled(&world).0);
    world.pass(600);
    world.round(stuck);
    let (is_stalled, reason, message) = stalled(&world);
    assert!(is_stalled && reason == "TimedOut", "{reason}: {message}");
    assert!(message.starts_with("not done after 600 s: waits for x/old"), "{message}");
    world.done_round();
    assert!(!stalled(&world).0, "it ends with its cause");
}

#[test]
fn what_was_held_up_by_a_cause_that_is_cleared_has_its_time_again() {
    let mut world = World::new().ask("4.3.0");
    for _ in 0..3 {
        world.done_round();
    }
    let waits = |_: &Step| StepResult::Waiting("1 of 2 replicas available".into());
    let misses = |_: &Step| StepResult::Blocked {
        reason: StalledReason::ImagePullFailed,
        message: "manifest unknown".into(),
        remedy: String::new(),
    };
    world.round(waits);
    for _ in 0..80 {
        world.round(misses);
        world.pass(10);
    }
    assert!(stalled(&world).0, "an image is missing for long");
    // It was sent: the rollout runs, and is late only after a time of its own.
    for _ in 0..59 {
        world.round(waits);
        let (is_stalled, reason, _) = stalled(&world);
        assert!(!is_stalled, "{reason} although its cause is gone");
        world.pass(10);
    }
    world.pass(30);
    world.round(waits);
    let (is_stalled, reason, _) = stalled(&world);
    assert!(is_stalled && reason == "TimedOut", "{reason}");
}

#[test]
fn a_crash_loop_after_the_time_is_over_does_not_flap() {
    let mut world = World::new().ask("4.3.0");
    for _ in 0..3 {
        world.done_round();
    }
    let waits = |_: &Step| StepResult::Waiting("1 of 2 replicas available".into());
    let fails = |_: &Step| StepResult::Blocked {
        reason: StalledReason::ContainerFailing,
        message: "CrashLoopBackOff".into(),
        remedy: String::new(),
    };
    world.round(waits);
    world.pass(601);
    for turn in 0..12 {
        world.round(if turn % 3 == 0 { waits as fn(&Step) -> StepResult } else { fails });
        let (is_stalled, reason, _) = stalled(&world);
        assert!(is_stalled && reason == "TimedOut", "turn {turn}: {is_stalled} {reason}");
        world.pass(10);
    }
    world.done_round();
    assert!(!is_true(&world.status().conditions, ConditionType::Stalled));
}

#[test]
fn a_misnamed_manifest_does_not_hide_the_good_one() {
    let manifests = "{manifests: {Value: [\
        {name: a, version: 4.3.0, ready: {Failed: {why: 'NameMismatch: is named v4.3.0'}}}, \
        {name: v4.3.0, version: 4.3.0, image: image 4.3.0, ready: Ready, release: release 4.3.0}]}}";
    let mut world = World::new().edited(manifests).ask("4.3.0");
    let round = world.done_round();
    assert!(matches!(round.plan.situation, Situation::Begin(_)), "{:?}", round.plan.situation);
    // Alone, it says what is wrong with it.
    let alone = "{manifests: {Value: [\
        {name: a, version: 4.3.0, ready: {Failed: {why: 'NameMismatch: is named v4.3.0'}}}]}}";
    let mut world = World::new().edited(alone).ask("4.3.0");
    world.done_round();
    assert!(stalled(&world).2.contains("NameMismatch"), "{}", stalled(&world).2);
}

#[test]
fn an_install_asked_for_while_the_platform_cannot_be_read_waits_and_stalls() {
    let not_known = "{cvsh: {status: {current: null, desired: null, history: null}}, \
        productBase: {Unknown: cannot get productbases}}";
    let mut world = World::new().edited(not_known).ask("4.3.0");
    world.done_round();
    let status = world.status();
    let reconciling = find(&status.conditions, ConditionType::Reconciling).unwrap();
    assert_eq!(
        (reconciling.status.as_str(), reconciling.reason.as_str()),
        ("True", "WaitingForPreflight"),
        "{}",
        reconciling.message
    );
    assert!(!stalled(&world).0);
    world.pass(600);
    world.done_round();
    let (is_stalled, reason, message) = stalled(&world);
    assert!(is_stalled && reason == "PreflightUnknown", "{reason}: {message}");
    assert!(message.contains("cannot get productbases"), "{message}");
}

#[test]
fn a_customisation_that_does_not_apply_is_said_while_it_does_not() {
    let mut world = World::new().edited(
        "{resourcePatches: {Value: [{name: dns, release: kube-system/coredns, digest: d, \
         failure: 'replace /spec/x: invalid path'}]}}",
    );
    let Observed::Value(all) = &mut world.snapshot.app_releases else { panic!() };
    let digest = planner::apply::patches_digest(&["dns=d".to_owned()]);
    all.get_mut("coredns").unwrap().status.patches_digest = digest;
    for _ in 0..3 {
        world.done_round();
        let status = world.status();
        let reconciling = find(&status.conditions, ConditionType::Reconciling).unwrap();
        let said = "coredns: ResourcePatch dns: replace /spec/x: invalid path; fix: ";
        assert!(reconciling.message.starts_with(said), "{}", reconciling.message);
        assert_eq!(reconciling.reason, "Idle");
        world.pass(5);
    }
}

#[test]
fn a_customisation_that_does_not_apply_is_said_alike_when_drift_is_looked_for() {
    let mut world = World::new().edited(
        "{resourcePatches: {Value: [{name: dns, release: kube-system/coredns, digest: d, \
         failure: 'replace /spec/x: invalid path'}]}}",
    );
    let Observed::Value(all) = &mut world.snapshot.app_releases else { panic!() };
    let digest = planner::apply::patches_digest(&["dns=d".to_owned()]);
    all.get_mut("coredns").unwrap().status.patches_digest = digest;
    let (mut said, mut looked) = (std::collections::BTreeSet::new(), 0);
    for _ in 0..300 {
        let round = world.round(|step| match step {
            Step::ReportDrift(_) => StepResult::Blocked {
                reason: StalledReason::ResourcePatchFailed,
                message: "ResourcePatch dns: replace /spec/x: invalid path".into(),
                remedy: "kubectl edit resourcepatches dns".into(),
            },
            _ => StepResult::Done,
        });
        looked += drift_steps(&round.plan.steps).len();
        let status = world.status();
        said.insert(find(&status.conditions, ConditionType::Reconciling).unwrap().message.clone());
        world.pass(5);
    }
    assert!(looked > 0 && said.len() == 1, "{looked} looks: {said:?}");
}

#[test]
fn a_command_that_is_too_long_is_not_shown_by_half() {
    let all = StalledReason::PreflightFailed.remedy_for("global");
    let patch = serde_json::json!({ "name": "x".repeat(253), "release": "kube-system/coredns" });
    let mut world = World::new().ask("4.3.0");
    world.edit(&serde_json::json!({ "resourcePatches": { "Value": [patch] } }));
    world.done_round();
    let status = world.status();
    let check = &status.preflight.as_ref().unwrap().checks[0];
    assert!(check.remedy.len() > 512, "{}", check.remedy.len());
    let (is_stalled, reason, message) = stalled(&world);
    assert!(is_stalled && reason == "PreflightFailed", "{reason}: {message}");
    assert!(message.ends_with(&all), "{message}");

    let mut world = World::new().ask("4.3.0");
    for _ in 0..3 {
        world.done_round();
    }
    world.round(|_| StepResult::Blocked {
        reason: StalledReason::HookFailed,
        message: "the Job failed".into(),
        remedy: "kubectl delete job ".repeat(40),
    });
    let all = StalledReason::HookFailed.remedy_for("global");
    assert!(stalled(&world).2.ends_with(&all), "{}", stalled(&world).2);
}

/// A round of a leader whose clock is so many seconds behind.
fn behind(world: &mut World, seconds: i64, outcome: impl Fn(&Step) -> StepResult) {
    world.pass(-seconds);
    world.round(outcome);
    world.pass(seconds);
}

/// Every pair of times of a status of which the second follows the first.
fn spans(status: &api::ClusterVersionShadowStatus) -> Vec<(String, api::Time, api::Time)> {
    let entries = status.history.iter().map(|h| (&h.version, &h.started_time, &h.completion_time));
    let stages = status.stages.iter().map(|s| (&s.name, &s.started_time, &s.completion_time));
    let operations = status.stages.iter().flat_map(|s| &s.operations);
    let operations = operations.map(|o| (&o.name, &o.started_time, &o.completion_time));
    let all = entries.chain(stages).chain(operations);
    all.filter_map(|(name, from, to)| Some((name.clone(), from.clone()?, to.clone()?))).collect()
}

#[test]
fn a_successor_whose_clock_is_behind_ends_nothing_before_it_began() {
    for turn in 1..20 {
        let mut world = World::new().ask("4.3.0");
        for _ in 0..turn {
            world.done_round();
            world.pass(1);
        }
        while world.status().current.is_none_or(|c| c.version != "4.3.0") {
            let before = world.status();
            behind(&mut world, 600, |_| StepResult::Done);
            world.pass(1);
            let status = world.status();
            for (name, from, to) in spans(&status) {
                assert!(from <= to, "after {turn} rounds {name} lasts from {from:?} to {to:?}");
            }
            for (old, new) in before.conditions.iter().zip(&status.conditions) {
                let (old_time, new_time) = (&old.last_transition_time, &new.last_transition_time);
                assert!(old_time <= new_time, "{turn}: {} turned at {new_time:?}", new.type_);
            }
        }
        assert!(spans(&world.status()).len() > 3);
    }
}

#[test]
fn a_preflight_of_a_successor_whose_clock_is_behind_is_not_older_than_the_last() {
    let mut world = World::new();
    world.done_round();
    let times = |world: &World| {
        let preflight = world.status().preflight.unwrap();
        let mut times = vec![preflight.observed_at.unwrap()];
        times.extend(preflight.checks.into_iter().map(|c| c.last_transition_time.unwrap()));
        times
    };
    let before = times(&world);
    world.edit(&serde_json::json!({ "license": { "Unknown": "no answer" } }));
    world.edit(&serde_json::json!({ "nodes": { "Unknown": "no answer" } }));
    behind(&mut world, 600, |_| StepResult::Done);
    let after = times(&world);
    assert!(before.iter().zip(&after).all(|(old, new)| old <= new), "{before:?} {after:?}");
    let checks = world.status().preflight.unwrap().checks;
    assert!(checks.iter().any(|c| c.state == api::CheckState::Retry), "{checks:?}");
}

#[test]
fn the_next_upgrade_of_a_leader_whose_clock_is_behind_begins_after_the_last_ended() {
    let mut world = World::new().ask("4.3.0");
    while world.status().current.is_none_or(|c| c.version != "4.3.0") {
        world.done_round();
        world.pass(1);
    }
    let mut left = World::new().ask("4.3.0");
    left.done_round();
    for mut world in [world, left] {
        let before = world.status().history[0].clone();
        let told = before.completion_time.or(before.started_time).unwrap();
        world.publish("4.3.1");
        world.wish(Some("4.3.1"));
        for _ in 0..3 {
            behind(&mut world, 600, |_| StepResult::Waiting("rolls out".into()));
        }
        let history = world.status().history;
        assert_eq!(history[0].version, "4.3.1", "{history:?}");
        assert!(history[0].started_time.as_ref() >= Some(&told), "{history:?}");
        assert!(history[0].started_time >= history[1].completion_time, "{history:?}");
        assert!(history[1].completion_time >= history[1].started_time, "{history:?}");
    }
}

/// An upgrade whose steps are stopped by a reason from now on; its first round of that is made.
fn stopped_by(reason: StalledReason) -> (World, impl Fn(&Step) -> StepResult + Copy) {
    let mut world = World::new().ask("4.3.0");
    let step = move |_: &Step| StepResult::Blocked {
        reason,
        message: "it keeps failing".into(),
        remedy: String::new(),
    };
    for _ in 0..2 {
        world.done_round();
    }
    for _ in 0..2 {
        world.round(step);
    }
    (world, step)
}

#[test]
fn a_threshold_of_a_successor_whose_clock_is_behind_comes_neither_late_nor_early() {
    for reason in [
        StalledReason::HookFailed,
        StalledReason::ImagePullFailed,
        StalledReason::ReleaseUnavailable,
        StalledReason::ClusterUnreachable,
    ] {
        let (mut world, step) = stopped_by(reason);
        let mut waited = 0;
        loop {
            behind(&mut world, 600, step);
            let (is_stalled, said, _) = stalled(&world);
            if is_stalled {
                assert_eq!(said, reason.as_str());
                break;
            }
            waited += 1;
            assert!(waited <= reason.threshold_s(), "{reason:?} after more than {waited} s");
            world.pass(1);
        }
        assert_eq!(waited, reason.threshold_s(), "{reason:?}");
    }
}

#[test]
fn a_successor_whose_clock_is_behind_does_not_take_back_that_it_stalled() {
    let (mut world, step) = stopped_by(StalledReason::ContainerFailing);
    world.pass(60);
    world.round(step);
    assert!(stalled(&world).0);
    behind(&mut world, 600, step);
    assert_eq!(stalled(&world).1, "ContainerFailing");
    // What takes too long by the clock of one leader does so by that of the next.
    let mut world = World::new().ask("4.3.0");
    for turn in 0..6 {
        world.round(|_| StepResult::Waiting("rolls out".into()));
        world.pass(if turn < 4 { 1 } else { 3600 });
    }
    assert_eq!(stalled(&world).1, "TimedOut");
    behind(&mut world, 3600, |_| StepResult::Waiting("rolls out".into()));
    assert_eq!(stalled(&world).1, "TimedOut");
}
