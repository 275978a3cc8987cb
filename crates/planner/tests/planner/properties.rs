//! What holds for any input: the same world gives the same answer, an unchanged world an unchanged
//! status, no message has a second line, and nothing grows beyond its limit.

use crate::world::{World, image};
use api::conditions::ConditionType;
use api::objects::{HistoryEntry, HistoryState, Phase};
use api::{ClusterVersionShadowStatus, StalledReason};
use planner::{Observed, Outcome, Plan, Snapshot, StepResult};
use proptest::prelude::*;

/// Edits of the world that a user, a cluster or a network makes.
const EDITS: &[&str] = &[
    "{}",
    "{cvsh: {desiredUpdate: {version: 4.3.0}}}",
    "{cvsh: {desiredUpdate: {version: 4.3.1}}}",
    "{cvsh: {desiredUpdate: {version: 4.1.0}}}",
    "{cvsh: {desiredUpdate: {version: 4.3.0, image: image 4.2.1}}}",
    "{cvsh: {desiredUpdate: null}}",
    "{criUpgradePods: {Value: [a/cri-upgrade-1]}}",
    "{criUpgradePods: {Value: []}}",
    "{nodes: {Unknown: no route}}",
    "{nodes: {Value: [{name: node-1, runtime: 'containerd://2', controlPlane: true}]}}",
    "{manifests: {Unknown: no route}}",
    "{manifests: {Value: [{name: v4.3.0, version: 4.3.0, image: image 4.3.0, ready: Ready, release: release 4.3.0}, {name: v4.3.1, version: 4.3.1, image: image 4.3.1, ready: Ready, release: release 4.3.1}]}}",
    "{resourcePatches: {Value: [{name: rp, release: kube-system/coredns, digest: d}]}}",
    "{resourcePatches: {Value: [{name: rp, release: kube-system/coredns, deleting: true}]}}",
    "{resourcePatches: {Unknown: forbidden}}",
    "{cvoConfig: {Value: 'disabled: [CRIUpgradePodsAbsent, Nothing]'}}",
    "{cvoConfig: {Value: 'disabled: ['}}",
    "{cvoConfig: {Unknown: forbidden}}",
    "{clusterModule: {Unknown: no route}}",
    "{productBase: {Unknown: no route}}",
    "{clusterModule: {Value: {specVersion: 4.2.1, baseVersion: 4.2.1, deployStatus: Completed, runningStatus: Healthy}}}",
    "{productBase: {Value: {specVersion: 4.2.1, statusVersion: 4.2.1, globalId: g-1}}}",
];

fn result(choice: u8) -> StepResult {
    match choice % 4 {
        0 => StepResult::Waiting("1 of 2 replicas".into()),
        1 => StepResult::Blocked {
            reason: StalledReason::ALL[usize::from(choice) % StalledReason::ALL.len()],
            message: "the cause".into(),
            remedy: String::new(),
        },
        _ => StepResult::Done,
    }
}

fn outcomes(plan: &Plan, choice: u8) -> Vec<Outcome> {
    let of =
        |s: &planner::Step| Outcome { subject: s.subject().to_owned(), result: result(choice) };
    plan.steps.iter().map(of).collect()
}

fn with_status(snapshot: &Snapshot, status: &ClusterVersionShadowStatus) -> Snapshot {
    let mut next = snapshot.clone();
    next.cvsh.get_or_insert_default().status = status.clone();
    next
}

fn texts(status: &ClusterVersionShadowStatus) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for c in &status.conditions {
        all.extend([c.reason.clone(), c.message.clone()]);
    }
    for c in status.preflight.iter().flat_map(|p| &p.checks) {
        all.extend([c.message.clone(), c.remedy.clone()]);
    }
    for stage in &status.stages {
        all.push(stage.message.clone());
        for o in &stage.operations {
            all.push(o.message.clone());
            all.extend(o.blocker.as_ref().map(|b| b.message.clone()));
        }
    }
    all.extend(status.not_offered.iter().map(|n| n.message.clone()));
    all
}

fn check_limits(status: &ClusterVersionShadowStatus) {
    let types: Vec<&str> = status.conditions.iter().map(|c| c.type_.as_str()).collect();
    let wanted: Vec<&str> = ConditionType::ALL.iter().map(|t| t.as_str()).collect();
    assert_eq!(types, wanted, "all four conditions, in order");
    for text in texts(status) {
        assert!(text.len() <= 1024, "{} bytes", text.len());
        assert!(!text.contains(['\n', '\t', '\r', '\u{1b}', '\u{202e}']), "{text:?}");
    }
    assert!(status.history.len() <= 100);
    assert!(serde_json::to_vec(status).unwrap().len() <= 256 * 1024);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 96,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// A story of edits and outcomes; after each round the world is looked at once more.
    #[test]
    fn any_story_is_told_the_same_way_twice(
        story in prop::collection::vec((0..EDITS.len(), any::<u8>(), 0_i64..700), 1..25),
    ) {
        let mut world = World::new();
        for (edit, choice, seconds) in story {
            world = world.edited(EDITS[edit]);
            world.pass(seconds);
            let before = world.status();
            let plan = planner::plan(&world.snapshot);
            let again = planner::plan(&world.snapshot);
            prop_assert_eq!(format!("{:?}", &plan), format!("{:?}", &again), "deterministic");
            prop_assert!(plan.wake_at.is_none_or(|at| at >= world.snapshot.now));
            let outcomes = outcomes(&plan, choice);
            let (status, wake) = planner::status(&before, &world.snapshot, &plan, &outcomes);
            prop_assert!(wake.is_none_or(|at| at >= world.snapshot.now));
            check_limits(&status);
            // lastTransitionTime moves with the status and with nothing else.
            for new in &status.conditions {
                let Some(old) = before.conditions.iter().find(|c| c.type_ == new.type_) else {
                    continue;
                };
                if old.status == new.status {
                    prop_assert_eq!(&old.last_transition_time, &new.last_transition_time);
                } else {
                    prop_assert_eq!(&new.last_transition_time, &api::time(world.snapshot.now));
                }
            }
            // At most one new entry a round, and none is ever rewritten but to be ended.
            prop_assert!(status.history.len() <= before.history.len() + 1);
            for old in before.history.iter().filter(|h| h.completion_time.is_some()) {
                prop_assert!(status.history.contains(old));
            }
            // A situation that writes the same status on an unchanged world writes it always.
            let settled = with_status(&world.snapshot, &status);
            let plan_of_settled = planner::plan(&settled);
            if plan_of_settled.situation == plan.situation && plan_of_settled.steps == plan.steps {
                let (second, _) =
                    planner::status(&status, &settled, &plan_of_settled, &outcomes);
                let shown = with_status(&settled, &second);
                let third = planner::status(&second, &shown, &plan_of_settled, &outcomes).0;
                prop_assert_eq!(&second, &third, "idempotent for an unchanged world");
            }
            let results = choice;
            world.round(|_| result(results));
        }
    }

    #[test]
    fn hostile_text_stays_on_one_line(text in "(?s).{0,600}", tail in "[\n\t\r\u{1b}\u{202e}a]{0,40}") {
        let hostile = format!("{text}{tail}");
        let mut world = World::new();
        world.snapshot.cri_upgrade_pods = Observed::Value(vec![hostile.clone(); 30]);
        world.snapshot.nodes = Observed::Unknown(hostile.clone());
        world.snapshot.cvo_config = Observed::Value(Some(hostile.clone()));
        world.snapshot.cvo_config_editor = Some(hostile.clone());
        world.snapshot.admin_gates = Observed::Value([(hostile.clone(), hostile.clone())].into());
        world.snapshot.license = Observed::Value(Some(hostile.clone()));
        for wish in [hostile.as_str(), "4.3.0"] {
            let mut world = world.clone();
            world.wish(Some(wish));
            world.done_round();
            check_limits(&world.status());
        }
        let mut world = World::new().ask("4.3.0");
        for _ in 0..3 {
            world.done_round();
        }
        for reason in [StalledReason::HookFailed, StalledReason::ImagePullFailed] {
            world.round(|_| StepResult::Blocked {
                reason,
                message: hostile.clone(),
                remedy: String::new(),
            });
            check_limits(&world.status());
        }
        world.round(|_| StepResult::Waiting(hostile.clone()));
        check_limits(&world.status());
    }
}

/// The registry never answered.
const UNRESOLVED: &str = "{manifests: {Value: [{name: v4.3.0, version: 4.3.0, \
    ready: {Waiting: {why: 'RegistryUnavailable: no route to host'}}}]}}";
/// Whether something is installed cannot be read.
const NOT_KNOWN: &str = "{cvsh: {status: {current: null, desired: null, history: null}}, \
    productBase: {Unknown: cannot get productbases}}";

#[test]
fn an_unchanged_world_writes_nothing() {
    let worlds = [
        World::new(),
        World::new().edited("{criUpgradePods: {Value: [a/b]}}").ask("4.3.0"),
        World::new().edited("{criUpgradePods: {Unknown: x}}").ask("4.3.0"),
        World::new().ask("4.1.0"),
        World::new().edited("{manifests: {Value: []}}"),
        World::new().edited("{manifests: {Unknown: x}}"),
        World::new().edited("{manifests: {Unknown: x}}").ask("4.3.0"),
        // A version whose image was never resolved.
        World::new().edited(UNRESOLVED).ask("4.3.0"),
        World::new().edited(NOT_KNOWN).ask("4.3.0"),
    ];
    for mut world in worlds {
        world.done_round();
        let first = world.status();
        world.pass(5);
        world.done_round();
        let mut second = world.status();
        second.revision = first.revision;
        assert_eq!(first, second);
    }
}

#[test]
fn two_hundred_and_fifty_six_hostile_operations_fit_into_a_status() {
    let mut world = World::new().ask("4.3.0");
    for _ in 0..3 {
        world.done_round();
    }
    let mut status = world.status();
    let operation = status.stages[0].operations[0].clone();
    status.stages[0].operations = (0..256)
        .map(|n| api::objects::Operation { name: format!("component-{n}"), ..operation.clone() })
        .collect();
    let blocker = api::objects::Blocker {
        reason: StalledReason::ReleaseUnavailable,
        remedy: "é".repeat(250),
        message: "é".repeat(500),
        since: api::time(world.snapshot.now),
    };
    for o in &mut status.stages[0].operations {
        o.phase = Phase::Running;
        o.message = "é".repeat(500);
        o.blocker = Some(blocker.clone());
    }
    status.history = (0..150)
        .map(|n| HistoryEntry {
            version: format!("4.{}.{n}", n % 7),
            image: image("4.3.0"),
            state: HistoryState::Completed,
            started_time: Some(api::time(world.snapshot.now)),
            completion_time: Some(api::time(world.snapshot.now)),
        })
        .collect();
    let partial = world.status().history[0].clone();
    status.history.insert(0, partial);
    world.record(status);
    world.snapshot.desired_release = Observed::Unknown("é".repeat(600));
    let plan = planner::plan(&world.snapshot);
    let (status, _) = planner::status(&world.status(), &world.snapshot, &plan, &[]);
    assert_eq!(status.stages[0].operations.len(), 256, "no operation is lost");
    assert!(serde_json::to_vec(&status).unwrap().len() <= 256 * 1024);
}

#[test]
fn many_releases_are_counted_not_listed() {
    let mut world = World::new();
    let Observed::Value(all) = &mut world.snapshot.manifests else { panic!() };
    let one = all[1].clone();
    *all = (0..400_u32)
        .map(|n| {
            let mut next = one.clone();
            next.version = format!("4.{}.{}", 3 + n / 100, n % 100).parse().unwrap();
            if n % 2 == 0 {
                next.ready = planner::snapshot::ManifestReady::Failed { why: "x".repeat(3000) };
            }
            next
        })
        .collect();
    world.done_round();
    let status = world.status();
    assert_eq!((status.available_updates.len(), status.not_offered.len()), (100, 20));
    assert!(status.not_offered[19].message.ends_with("and 180 lower versions are not offered"));
    check_limits(&status);
}

#[test]
fn a_history_of_a_thousand_upgrades_stays_within_its_limit() {
    let mut world = World::new();
    let status = &mut world.snapshot.cvsh.as_mut().unwrap().status;
    let entry = |n: u32| HistoryEntry {
        version: format!("4.{}.{}", n / 300, n % 300),
        state: if n.is_multiple_of(3) { HistoryState::Partial } else { HistoryState::Completed },
        completion_time: Some(api::time("2026-01-01T00:00:00Z".parse().unwrap())),
        ..HistoryEntry::default()
    };
    status.history.extend((0..1000).rev().map(entry));
    world.wish(Some("4.3.0"));
    world.done_round();
    let history = world.status().history;
    assert_eq!(history.len(), 100);
    assert_eq!((history[0].version.as_str(), history[0].state), ("4.3.0", HistoryState::Partial));
    assert_eq!(history[99].version, "4.0.0", "the first stays");
}
