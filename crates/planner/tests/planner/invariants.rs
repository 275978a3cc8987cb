//! The invariants of ARCHITECTURE.md that the planner holds, each under its name.

use crate::world::{World, image, installed, release};
use api::objects::Lifecycle;
use api::{CheckName, CheckState};
use planner::preflight::{self, Run};
use planner::snapshot::AppReleaseFacts;
use planner::{Observed, Situation, Snapshot, Step, StepResult, Target};
use proptest::prelude::*;
use serde_json::{Value, json};

const ALL_DISABLED: &str = "{cvoConfig: {Value: 'disabled: [ResourcePatchUpgradeable, \
    ClusterVersionUpgradeable, AdminAckRequired, VersionUpgradePath, KubernetesVersionSupported, \
    DockerRuntimeUnsupported, ClusterRunning, ClusterModuleStable, ControlPlaneStaticPodsPresent, \
    CustomEtcdBackupCronJobsAbsent, CRIUpgradePodsAbsent, ModuleInfoStable, PlatformLicense]'}}";

/// Steps that bring a component to another version than it has.
fn moves(snapshot: &Snapshot, steps: &[Step]) -> Vec<String> {
    let none = std::collections::BTreeMap::new();
    let installed = snapshot.app_releases.value().unwrap_or(&none);
    let moved = steps.iter().filter(|step| match step {
        Step::Apply(step) => installed
            .get(&step.component.name)
            .is_none_or(|facts| facts.status.version != step.component.version),
        Step::Remove { .. }
        | Step::Prune { .. }
        | Step::Finish { .. }
        | Step::BeginModule { .. } => true,
        Step::MoveModule { .. } => true,
        Step::ReleasePatch { .. }
        | Step::ReportPatch { .. }
        | Step::ShowModule { .. }
        | Step::HoldModule { .. }
        | Step::ReleaseModule { .. }
        | Step::ReportDrift(_) => false,
    });
    moved.map(|step| format!("{step:?}")).collect()
}

/// What the status says of the preflight that the present upgrade rests on.
fn is_judged(snapshot: &Snapshot) -> bool {
    let status = snapshot.status();
    let desired = status.desired.unwrap_or_default();
    status.preflight.is_some_and(|p| {
        p.version == desired.version
            && p.image == desired.image
            && p.checks.len() == CheckName::ALL.len()
            && p.checks.iter().all(|c| matches!(c.state, CheckState::Passed | CheckState::Disabled))
    })
}

#[test]
fn i3_no_step_without_preflight() {
    // A whole upgrade: each step that changes a version rests on a passed preflight of its digest.
    let mut world = World::new().ask("4.3.0");
    let mut seen = 0;
    for _ in 0..20 {
        let before = world.snapshot.clone();
        let round = world.done_round();
        let moved = moves(&before, &round.plan.steps);
        seen += moved.len();
        assert!(moved.is_empty() || is_judged(&before), "{moved:?}");
    }
    assert!(seen >= 6, "the upgrade ran");

    // While a check is not Passed the upgrade does not begin.
    let holds = [
        "{criUpgradePods: {Value: [a/b]}}",
        "{criUpgradePods: {Unknown: x}}",
        "{adminGates: {Value: {ack-4.3-x: text}}}",
        "{license: {Value: null}}",
    ];
    for edit in holds {
        let mut world = World::new().edited(edit).ask("4.3.0");
        for _ in 0..5 {
            let before = world.snapshot.clone();
            let round = world.done_round();
            assert!(matches!(round.plan.situation, Situation::Waiting { .. }), "{edit}");
            assert!(moves(&before, &round.plan.steps).is_empty(), "{edit}");
        }
    }

    // Whatever the checks say but Passed or Disabled: nothing moves, also when the history already
    // says that the upgrade began.
    let mut world = World::new().ask("4.3.0");
    for _ in 0..4 {
        world.done_round();
    }
    let mut tampered: Vec<(&str, api::ClusterVersionShadowStatus)> = Vec::new();
    let status = world.status();
    let mut change = |what, edit: fn(&mut api::Preflight)| {
        let mut status = status.clone();
        edit(status.preflight.as_mut().unwrap());
        tampered.push((what, status));
    };
    change("another digest", |p| p.image = image("4.3.1"));
    change("another version", |p| p.version = "4.2.1".into());
    change("failed", |p| p.checks[0].state = CheckState::Failed);
    change("retry", |p| p.checks[0].state = CheckState::Retry);
    let mut none = status.clone();
    none.preflight = None;
    tampered.push(("none", none));
    for (what, status) in tampered {
        let mut world = world.clone();
        world.record(status);
        let plan = planner::plan(&world.snapshot);
        assert_eq!(moves(&world.snapshot, &plan.steps), Vec::<String>::new(), "{what}");
        assert!(plan.obstacle.is_some(), "{what}");
    }

    // The release that is read must be that of the judged digest.
    let mut other = world.clone();
    other.snapshot.desired_release = Observed::Value(release("4.3.1"));
    assert!(moves(&other.snapshot, &planner::plan(&other.snapshot).steps).is_empty());
}

#[test]
fn i4_workload_waits_for_global() {
    for config in ["{}", ALL_DISABLED] {
        let workload = "{cluster: workload-a, isGlobal: false}";
        for reached in ["{Value: []}", "{Value: [4.2.1, 4.3.1]}", "{Unknown: x}", "NotRead"] {
            let mut world = World::new().edited(workload).edited(config).ask("4.3.0");
            world
                .edit(&serde_saphyr::from_str(&format!("{{reachedByGlobal: {reached}}}")).unwrap());
            for _ in 0..5 {
                let before = world.snapshot.clone();
                let round = world.done_round();
                assert!(
                    matches!(round.plan.situation, Situation::Waiting { .. }),
                    "{config} {reached}: {:?}",
                    round.plan.situation
                );
                assert!(moves(&before, &round.plan.steps).is_empty());
            }
            let offers = world.status().available_updates;
            assert!(offers.is_empty(), "{reached}: {offers:?}");
        }
        // Reached, it begins; lost again (global was restored from a backup), it holds.
        let mut world = World::new().edited(workload).edited(config).ask("4.3.0");
        world.snapshot.reached_by_global = Observed::Value(vec!["4.3.0".parse().unwrap()]);
        world.done_round();
        world.snapshot.reached_by_global = Observed::Value(vec![]);
        for _ in 0..5 {
            let before = world.snapshot.clone();
            let round = world.done_round();
            assert!(moves(&before, &round.plan.steps).is_empty());
            assert!(round.plan.obstacle.is_some());
        }
    }
}

/// Every input of a Snapshot that may be unknown, by its name in the plain data, and the checks
/// that read it in a world where all of them have something to read.
const READERS: &[(&str, &[CheckName])] = &[
    ("productBase", &[CheckName::PlatformLicense]),
    ("clusterModule", &[CheckName::ClusterModuleStable]),
    ("manifests", &[]),
    ("desiredRelease", &[]),
    (
        "appReleases",
        &[
            CheckName::ResourcePatchUpgradeable,
            CheckName::ClusterVersionUpgradeable,
            CheckName::VersionUpgradePath,
            CheckName::ClusterModuleStable,
            CheckName::PlatformLicense,
        ],
    ),
    ("resourcePatches", &[CheckName::ResourcePatchUpgradeable]),
    ("cvoConfig", &[CheckName::ResourcePatchUpgradeable]),
    ("adminGates", &[CheckName::AdminAckRequired]),
    ("adminAcks", &[CheckName::AdminAckRequired]),
    ("nodes", &[CheckName::DockerRuntimeUnsupported, CheckName::ControlPlaneStaticPodsPresent]),
    ("clusterObject", &[CheckName::ClusterRunning, CheckName::ControlPlaneStaticPodsPresent]),
    ("staticPods", &[CheckName::ControlPlaneStaticPodsPresent]),
    ("cronJobs", &[CheckName::CustomEtcdBackupCronJobsAbsent]),
    ("criUpgradePods", &[CheckName::CRIUpgradePodsAbsent]),
    ("moduleInfos", &[CheckName::ModuleInfoStable]),
    ("moduleConfigs", &[CheckName::ModuleInfoStable]),
    ("license", &[CheckName::PlatformLicense]),
    ("releaseKeys", &[CheckName::PlatformLicense]),
    ("reachedByGlobal", &[CheckName::ClusterVersionUpgradeable]),
];

/// A workload cluster in which every check has something to read, and passes.
fn everything_to_read() -> World {
    let mut world = World::new().edited(
        "{cluster: workload-a, isGlobal: false, reachedByGlobal: {Value: [4.3.0]}, \
         resourcePatches: {Value: [{name: a, release: kube-system/coredns, \
         annotations: {config.cpaas.io/exempt-for-ver: 4.3.0}}]}, \
         adminGates: {Value: {ack-4.3-x: text}}, adminAcks: {Value: {ack-4.3-x: 'true'}}, \
         moduleInfos: {Value: [{name: m, module: logs, phase: Running, lifecycle: Aligned}]}, \
         moduleConfigs: {Value: [{module: logs, targetClusterVersions: ['4.3']}]}}",
    );
    world.snapshot.app_releases = Observed::Value(installed("4.2.1", false));
    world
}

fn run(snapshot: &Snapshot, target: &Target) -> api::Preflight {
    preflight::run(snapshot, target, None, Run::Decisive)
}

#[test]
fn i5_unknown_is_never_passed() {
    let world = everything_to_read();
    let target = Target::of_manifest(&world.snapshot.manifests.value().unwrap()[1]);
    let all = run(&world.snapshot, &target);
    assert!(all.checks.iter().all(|c| c.state == CheckState::Passed), "{:#?}", all.checks);

    let plain = serde_json::to_value(&world.snapshot).unwrap();
    let observed: Vec<&String> = plain
        .as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| value.get("Value").is_some() || *value == "NotRead")
        .map(|(key, _)| key)
        .collect();
    let listed: Vec<&str> = READERS.iter().map(|(input, _)| *input).collect();
    for input in &observed {
        assert!(listed.contains(&input.as_str()), "{input} is a new input: say who reads it");
    }
    assert_eq!(observed.len(), listed.len());

    for (input, readers) in READERS {
        for unknown in [json!({ "Unknown": "the API server does not answer" }), json!("NotRead")] {
            let mut plain = plain.clone();
            plain[*input] = unknown.clone();
            let snapshot: Snapshot = serde_json::from_value(plain).unwrap();
            let all = run(&snapshot, &target);
            for check in &all.checks {
                let reads = readers.iter().any(|r| r.as_str() == check.name);
                let state = if reads { CheckState::Retry } else { CheckState::Passed };
                assert_eq!(check.state, state, "{} without {input}", check.name);
            }
        }
    }

    // Each cluster's Kubernetes, the operator's own version, and the release itself.
    let mut snapshot = world.snapshot.clone();
    snapshot.kubernetes.insert("workload-a".into(), Observed::Unknown("x".into()));
    let all = run(&snapshot, &target);
    let retried = retries(&all);
    assert_eq!(retried, ["KubernetesVersionSupported", "ClusterRunning"]);
    let mut snapshot = world.snapshot.clone();
    snapshot.cvo_version = None;
    assert_eq!(retries(&run(&snapshot, &target)), ["ClusterVersionUpgradeable"]);
    let unread = Target { release: Observed::Unknown("x".into()), ..target };
    assert_eq!(
        retries(&run(&world.snapshot, &unread)),
        [
            "ResourcePatchUpgradeable",
            "ClusterVersionUpgradeable",
            "AdminAckRequired",
            "VersionUpgradePath",
            "KubernetesVersionSupported",
            "PlatformLicense"
        ]
    );
}

fn retries(preflight: &api::Preflight) -> Vec<&str> {
    let retried = preflight.checks.iter().filter(|c| c.state == CheckState::Retry);
    retried.map(|c| c.name.as_str()).collect()
}

#[test]
fn i5_an_upgrade_never_completes_on_unknown() {
    let mut world = World::new().ask("4.3.0");
    for _ in 0..30 {
        for input in ["clusterModule", "productBase", "appReleases", "desiredRelease"] {
            let mut plain: Value = serde_json::to_value(&world.snapshot).unwrap();
            plain[input] = json!({ "Unknown": "x" });
            let snapshot: Snapshot = serde_json::from_value(plain).unwrap();
            let situation = planner::plan(&snapshot).situation;
            assert!(situation != Situation::Complete, "without {input}");
        }
        if world.done_round().plan.situation == Situation::Complete {
            return;
        }
    }
    panic!("the upgrade did not complete");
}

#[test]
fn i7_only_an_upgrade_moves_core() {
    // Without a request nothing moves, whatever is offered, customised, edited or published.
    let edits = [
        "{}",
        ALL_DISABLED,
        "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, digest: d}]}}",
        "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, deleting: true}]}}",
        "{cvsh: {desiredUpdate: {version: 4.1.0}}}",
        "{cvsh: {desiredUpdate: {version: 4.2.1}}}",
        "{cvsh: {status: {current: null, desired: null, history: null}}}",
        // The record of an upgrade was lost: a component is ahead of what the cluster completed.
        "{appReleases: {Value: {coredns: {spec: {version: 1.14.6, releaseImage: image 4.3.0, \
         destination: {namespace: kube-system}}, status: {version: 1.14.6, releaseImage: image 4.3.0, \
         phase: Ready}}}}, \
         resourcePatches: {Value: [{name: a, release: kube-system/coredns, digest: d}]}}",
        // A wish that was just withdrawn: the release that was read is that of the newer version.
        "{cvsh: {status: {desired: {version: 4.3.0, image: image 4.3.0}}}, desiredRelease: release 4.3.0, \
         resourcePatches: {Value: [{name: a, release: kube-system/coredns, digest: d}]}}",
    ];
    for edit in edits {
        let mut world = World::new().edited(edit);
        world.publish("4.3.1");
        for _ in 0..5 {
            let before = world.snapshot.clone();
            let round = world.done_round();
            assert!(moves(&before, &round.plan.steps).is_empty(), "{edit}");
            world.pass(700);
        }
    }

    // An upgrade never touches an Agnostic component, of the release or installed.
    let mut world = World::new().ask("4.3.0");
    let mut notes = AppReleaseFacts::default();
    notes.spec.lifecycle = Lifecycle::Agnostic;
    notes.spec.release_image = image("4.2.1");
    notes.status.version = "2.0.0".into();
    let Observed::Value(all) = &mut world.snapshot.app_releases else { panic!() };
    all.insert("notes".into(), notes.clone());
    all.insert("of-a-user".into(), notes.clone());
    for _ in 0..20 {
        let round = world.done_round();
        assert!(round.plan.steps.iter().all(|s| !["notes", "of-a-user"].contains(&s.subject())));
    }
    assert_eq!(world.status().current.unwrap().version, "4.3.0");
    let all = world.snapshot.app_releases.value().unwrap();
    assert_eq!((&all["notes"], &all["of-a-user"]), (&notes, &notes));
    let operations = world.status().stages.into_iter().flat_map(|s| s.operations);
    assert!(operations.map(|o| o.name).all(|name| name != "notes" && name != "of-a-user"));
}

fn version() -> impl Strategy<Value = String> {
    (3_u64..6, 0_u64..4, 0_u64..3).prop_map(|(a, b, c)| format!("{a}.{b}.{c}"))
}

/// Versions of components are not always three numbers.
fn component_version() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => (0_u64..3, 0_u64..3, 0_u64..3).prop_map(|(a, b, c)| format!("{a}.{b}.{c}")),
        1 => (0_u64..3, 0_u64..3).prop_map(|(a, b)| format!("v{a}.{b}")),
        1 => Just("nightly".to_owned()),
    ]
}

fn parts(text: &str) -> Option<Vec<u64>> {
    let mut all: Vec<u64> =
        text.trim_start_matches('v').split('.').map(|p| p.parse().ok()).collect::<Option<_>>()?;
    all.resize(3, 0);
    Some(all)
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 256,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn i11_never_lower(
        current in version(),
        wish in version(),
        told in component_version(),
        healthy in component_version(),
        target in component_version(),
        disabled in any::<bool>(),
        is_global in any::<bool>(),
    ) {
        let mut world = World::new();
        if disabled {
            world = world.edited(ALL_DISABLED);
        }
        world.snapshot.is_global = is_global;
        let mut next = release("4.3.0");
        next.version = wish.parse().unwrap();
        next.upgrade_from.range = ">=0.0.0".parse().unwrap();
        // One component, so that its step is reached.
        next.stages.retain(|stage| stage.name == "network");
        for component in next.stages.iter_mut().flat_map(|s| &mut s.components) {
            component.version.clone_from(&target);
        }
        let status = &mut world.snapshot.cvsh.as_mut().unwrap().status;
        let installed = api::VersionImage { version: current.clone(), image: image(&current) };
        status.current = Some(installed);
        status.desired.clone_from(&status.current);
        status.history.clear();
        let Observed::Value(manifests) = &mut world.snapshot.manifests else { panic!() };
        manifests[1].version = next.version.clone();
        manifests[1].release = Observed::Value(next.clone());
        manifests.remove(0);
        let mut facts = AppReleaseFacts::default();
        facts.spec.version.clone_from(&told);
        facts.status.version.clone_from(&healthy);
        world.snapshot.app_releases = Observed::Value([("coredns".to_owned(), facts)].into());
        world.snapshot.reached_by_global = Observed::Value(vec![next.version.clone()]);
        world.wish(Some(&wish));
        for _ in 0..6 {
            let plan = planner::plan(&world.snapshot);
            for step in &plan.steps {
                let Step::Apply(step) = step else { continue };
                prop_assert!(parts(&wish) >= parts(&current), "{current} -> {wish}");
                if step.component.name == "coredns" {
                    for from in [&told, &healthy] {
                        let lower = match (parts(&step.component.version), parts(from)) {
                            (Some(to), Some(from)) => to < from,
                            _ => step.component.version != *from,
                        };
                        prop_assert!(!lower, "coredns {from} -> {}", step.component.version);
                    }
                }
            }
            let outcomes: Vec<planner::Outcome> = plan.steps.iter().map(|s| planner::Outcome {
                subject: s.subject().to_owned(),
                result: StepResult::Waiting("x".into()),
            }).collect();
            let (status, _) = planner::status(&world.status(), &world.snapshot, &plan, &outcomes);
            world.record(status);
            world.snapshot.desired_release = Observed::Value(next.clone());
            if plan.steps.iter().any(|s| matches!(s, Step::BeginModule { .. })) {
                world.snapshot.cluster_module = Observed::Value(Some(
                    planner::snapshot::ClusterModuleFacts {
                        spec_version: wish.clone(),
                        deploy_status: api::objects::DeployStatus::Upgrading,
                        ..Default::default()
                    },
                ));
            }
        }
    }
}
