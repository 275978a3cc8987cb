//! Each check: what passes it, what fails it and with which reason, how it is when it is disabled,
//! and every input whose absence makes it Retry. One table, one place.

use crate::world::{World, release};
use api::checks::CheckReason as R;
use api::{CheckName, CheckState};
use planner::Target;
use planner::preflight::{self, CHECKS, Run};

/// A change of the world and the reason that the check has then.
type Case = (&'static str, R);

struct Row {
    check: CheckName,
    passes: &'static [Case],
    fails: &'static [Case],
    /// Worlds in which an input is not known.
    retries: &'static [&'static str],
}

const FRESH: &str = "{cvsh: {status: {current: null, desired: null, history: null}}, \
     productBase: {Value: {globalId: g-1}}, appReleases: {Value: {}}, clusterModule: {Value: null}}";
const PATCH: &str =
    "{resourcePatches: {Value: [{name: rp-a, release: kube-system/coredns, digest: d}]}}";
const WORKLOAD: &str = "{cluster: workload-a, isGlobal: false, reachedByGlobal: {Value: [4.3.0]}}";

const ROWS: &[Row] = &[
    Row {
        check: CheckName::ResourcePatchUpgradeable,
        passes: &[
            ("{}", R::AsExpected),
            (
                "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, \
                 annotations: {config.cpaas.io/exempt-for-ver: 4.3.0}}]}}",
                R::Exempted,
            ),
            (
                "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, \
                 annotations: {x/y: 4.3.0}}]}, cvoConfig: {Value: 'exemptAnnotation: x/y'}}",
                R::Exempted,
            ),
            ("{resourcePatches: {Value: [{name: a, release: logs/logs}]}}", R::AsExpected),
            ("{resourcePatches: {Value: [{name: a, release: cpaas-system/notes}]}}", R::AsExpected),
            (
                "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, deleting: true}]}}",
                R::AsExpected,
            ),
            ("{resourcePatches: KindAbsent}", R::AsExpected),
        ],
        fails: &[
            (PATCH, R::UnexemptResourcePatches),
            (
                "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, \
                 annotations: {config.cpaas.io/exempt-for-ver: '4.3'}}]}}",
                R::UnexemptResourcePatches,
            ),
            // The target drops the component: its customisation goes with it.
            (
                "{resourcePatches: {Value: [{name: a, release: cpaas-system/dashboard}]}}",
                R::UnexemptResourcePatches,
            ),
        ],
        retries: &[
            "{resourcePatches: {Unknown: x}}",
            "{resourcePatches: {Value: [{name: a, release: kube-system/coredns}]}, appReleases: {Unknown: x}}",
            "{resourcePatches: {Value: [{name: a, release: kube-system/coredns, \
             annotations: {config.cpaas.io/exempt-for-ver: 4.3.0}}]}, cvoConfig: {Unknown: x}}",
        ],
    },
    Row {
        check: CheckName::ClusterVersionUpgradeable,
        passes: &[("{}", R::AsExpected), (FRESH, R::FreshInstall), (WORKLOAD, R::AsExpected)],
        fails: &[
            ("{cvsh: {status: {current: {version: 4.3.1}}}}", R::Downgrade),
            (
                "{appReleases: {Value: {coredns: {spec: {version: 1.14.6}, status: {version: 1.15.0}}}}}",
                R::Downgrade,
            ),
            (
                "{cvsh: {status: {history: [{version: 4.2.5, state: Partial}]}}}",
                R::UpgradeIncomplete,
            ),
            ("{cvoVersion: 4.2.1}", R::CVOOutdated),
            ("{cluster: workload-a, isGlobal: false}", R::GlobalNotReached),
        ],
        retries: &[
            "{cvoVersion: null}",
            "{appReleases: {Unknown: x}}",
            "{cvsh: {status: {current: null}}, productBase: {Unknown: x}}",
            "{cluster: workload-a, isGlobal: false, reachedByGlobal: {Unknown: x}}",
        ],
    },
    Row {
        check: CheckName::AdminAckRequired,
        passes: &[
            ("{}", R::NoGates),
            ("{adminGates: {Value: {ack-4.4-x: text}}}", R::NoGates),
            ("{adminGates: {Value: {ack-4.4-x: ''}}}", R::NoGates),
            (
                "{adminGates: {Value: {ack-4.3-x: text}}, adminAcks: {Value: {ack-4.3-x: 'true'}}}",
                R::AsExpected,
            ),
        ],
        fails: &[
            ("{adminGates: {Value: {ack-4.3-x: text}}}", R::AckMissing),
            (
                "{adminGates: {Value: {ack-4.3-x: text}}, adminAcks: {Value: {ack-4.3-x: 'True'}}}",
                R::AckMissing,
            ),
            ("{adminGates: {Value: {ack-4.3-x: ' '}}}", R::GateInvalid),
            ("{adminGates: {Value: {ack-4.3: text}}}", R::GateInvalid),
        ],
        retries: &[
            "{adminGates: {Unknown: x}}",
            "{adminGates: {Value: {ack-4.3-x: text}}, adminAcks: {Unknown: x}}",
        ],
    },
    Row {
        check: CheckName::VersionUpgradePath,
        passes: &[
            ("{}", R::AsExpected),
            (FRESH, R::FreshInstall),
            ("{cvsh: {status: {current: {version: 4.3.0}}}}", R::AsExpected),
        ],
        fails: &[("{cvsh: {status: {current: {version: 3.18.0}}}}", R::NotInUpgradePath)],
        retries: &[
            "{cvsh: {status: {current: null}}, productBase: {Unknown: x}}",
            "{cvsh: {status: {current: {version: unreadable}}}}",
        ],
    },
    Row {
        check: CheckName::KubernetesVersionSupported,
        passes: &[
            ("{}", R::AsExpected),
            ("{kubernetes: {workload-a: {Value: 1.34.2-eks-abc}}}", R::AsExpected),
            (
                "{cluster: workload-a, isGlobal: false, kubernetes: {global: {Value: v1.20.0}}}",
                R::AsExpected,
            ),
        ],
        fails: &[
            ("{kubernetes: {global: {Value: v1.30.9}}}", R::VersionOutOfRange),
            ("{kubernetes: {imported: {Value: v1.35.0}}}", R::VersionOutOfRange),
            (
                "{cluster: workload-a, isGlobal: false, kubernetes: {workload-a: {Value: v1.30.9}}}",
                R::VersionOutOfRange,
            ),
        ],
        retries: &[
            "{kubernetes: {global: {Unknown: x}}}",
            "{kubernetes: {workload-a: {Unknown: x}}}",
            "{kubernetes: {workload-a: {Value: strange}}}",
            "{kubernetes: {global: null}}",
        ],
    },
    Row {
        check: CheckName::DockerRuntimeUnsupported,
        passes: &[("{}", R::AsExpected)],
        fails: &[(
            "{nodes: {Value: [{name: node-9, runtime: 'docker://20.10.1'}]}}",
            R::DockerFound,
        )],
        retries: &["{nodes: {Unknown: x}}", "{nodes: {Value: [{name: node-9}]}}"],
    },
    Row {
        check: CheckName::ClusterRunning,
        passes: &[("{}", R::AsExpected)],
        fails: &[
            ("{clusterObject: {Value: {kind: Baremetal, phase: Failed}}}", R::ClusterNotRunning),
            ("{clusterObject: {Value: null}}", R::ClusterNotRunning),
            ("{clusterObject: KindAbsent}", R::ClusterNotRunning),
        ],
        retries: &["{clusterObject: {Unknown: x}}", "{kubernetes: {global: {Unknown: x}}}"],
    },
    Row {
        check: CheckName::ClusterModuleStable,
        passes: &[("{}", R::AsExpected), (FRESH, R::FreshInstall)],
        fails: &[
            (
                "{clusterModule: {Value: {deployStatus: Completed, runningStatus: Abnormal}}}",
                R::ModuleNotStable,
            ),
            (
                "{clusterModule: {Value: {deployStatus: Upgrading, runningStatus: Healthy}}}",
                R::ModuleNotStable,
            ),
            ("{clusterModule: {Value: null}}", R::ModuleNotStable),
        ],
        retries: &["{clusterModule: {Unknown: x}}"],
    },
    Row {
        check: CheckName::ControlPlaneStaticPodsPresent,
        passes: &[
            ("{}", R::AsExpected),
            (
                "{clusterObject: {Value: {kind: Imported, phase: Running}}, staticPods: {Value: []}}",
                R::AsExpected,
            ),
            (
                "{clusterObject: {Value: {kind: Baremetal, phase: Running, externalEtcd: true}}, \
                 staticPods: {Value: [{node: node-1, component: kube-apiserver, ready: true}, \
                 {node: node-1, component: kube-controller-manager, ready: true}, \
                 {node: node-1, component: kube-scheduler, ready: true}]}}",
                R::AsExpected,
            ),
        ],
        fails: &[
            ("{staticPods: {Value: []}}", R::StaticPodsMissing),
            ("{nodes: {Value: [{name: node-9, runtime: c}]}}", R::StaticPodsMissing),
            (
                "{staticPods: {Value: [{node: node-1, component: etcd, ready: false}, \
                 {node: node-1, component: kube-apiserver, ready: true}, \
                 {node: node-1, component: kube-controller-manager, ready: true}, \
                 {node: node-1, component: kube-scheduler, ready: true}]}}",
                R::StaticPodsMissing,
            ),
        ],
        retries: &[
            "{nodes: {Unknown: x}}",
            "{staticPods: {Unknown: x}}",
            "{clusterObject: {Unknown: x}}",
        ],
    },
    Row {
        check: CheckName::CustomEtcdBackupCronJobsAbsent,
        passes: &[
            ("{}", R::AsExpected),
            (
                "{cronJobs: {Value: [{name: a/b, commands: [etcdctl, snapshot], ofPlatform: true}]}}",
                R::AsExpected,
            ),
            (
                "{cronJobs: {Value: [{name: a/b, commands: [etcdctl, get], mounts: [/var/log, etcd-notes]}]}}",
                R::AsExpected,
            ),
            (
                "{cronJobs: {Value: [{name: a/b, mounts: [/etc/kubernetes/pki/etcd-notes]}]}}",
                R::AsExpected,
            ),
        ],
        fails: &[
            (
                "{cronJobs: {Value: [{name: a/b, commands: [etcdctl snapshot save]}]}}",
                R::CustomBackupFound,
            ),
            ("{cronJobs: {Value: [{name: a/b, commands: [etcdutl]}]}}", R::CustomBackupFound),
            (
                "{cronJobs: {Value: [{name: a/b, mounts: [/etc/kubernetes/pki/etcd/]}]}}",
                R::CustomBackupFound,
            ),
            (
                "{cronJobs: {Value: [{name: a/b, mounts: [/etc/kubernetes/pki]}]}}",
                R::CustomBackupFound,
            ),
            ("{cronJobs: {Value: [{name: a/b, mounts: [etcd-client-tls]}]}}", R::CustomBackupFound),
        ],
        retries: &["{cronJobs: {Unknown: x}}"],
    },
    Row {
        check: CheckName::CRIUpgradePodsAbsent,
        passes: &[("{}", R::AsExpected)],
        fails: &[("{criUpgradePods: {Value: [a/cri-upgrade-1]}}", R::UpgradePodsFound)],
        retries: &["{criUpgradePods: {Unknown: x}}"],
    },
    Row {
        check: CheckName::ModuleInfoStable,
        passes: &[
            ("{}", R::AsExpected),
            (
                "{moduleInfos: {Value: [{name: m, module: logs, phase: Running, lifecycle: Aligned}]}, \
                 moduleConfigs: {Value: [{module: logs, targetClusterVersions: ['4.3']}]}}",
                R::AsExpected,
            ),
            ("{moduleInfos: KindAbsent}", R::AsExpected),
        ],
        fails: &[
            (
                "{moduleInfos: {Value: [{name: m, module: logs, phase: Installing}]}}",
                R::ModuleInfoNotRunning,
            ),
            ("{moduleInfos: {Value: [{name: m, module: logs}]}}", R::ModuleInfoNotRunning),
            (
                "{moduleInfos: {Value: [{name: m, module: logs, phase: Running, lifecycle: Aligned}]}, \
                 moduleConfigs: {Value: [{module: logs, targetClusterVersions: ['4.2']}]}}",
                R::AlignedPackageMissing,
            ),
        ],
        retries: &[
            "{moduleInfos: {Unknown: x}}",
            "{moduleInfos: {Value: [{name: m, module: logs, phase: Running, lifecycle: Aligned}]}, moduleConfigs: {Unknown: x}}",
        ],
    },
    Row {
        check: CheckName::PlatformLicense,
        passes: &[("{}", R::AsExpected), ("{releaseKeys: {Value: null}}", R::AsExpected)],
        fails: &[
            ("{license: {Value: null}}", R::LicenseMissing),
            ("{license: {Value: '{}'}}", R::LicenseInvalid),
            ("{releaseKeys: {Value: [b3RoZXI=]}}", R::LicenseInvalid),
            ("{license: {Value: license g-2 2027-01-01T00:00:00Z}}", R::LicenseForeign),
            ("{license: {Value: license g-1 2026-11-22T20:00:00Z}}", R::LicenseExpired),
            ("{releaseKeys: {Value: []}}", R::LicenseKeysMissing),
        ],
        retries: &[
            "{license: {Unknown: x}}",
            "{releaseKeys: {Unknown: x}}",
            "{productBase: {Unknown: x}}",
            "{productBase: {Value: {statusVersion: 4.2.1}}}",
        ],
    },
];

fn target(world: &World) -> Target {
    let manifests = world.snapshot.manifests.value().unwrap();
    Target::of_manifest(manifests.iter().find(|m| m.name == "v4.3.0").unwrap())
}

fn check(world: &World, name: CheckName) -> api::Check {
    let all = preflight::run(&world.snapshot, &target(world), None, Run::Decisive);
    all.checks.into_iter().find(|c| c.name == name.as_str()).unwrap()
}

#[test]
fn every_check_passes_fails_and_retries_as_its_page_says() {
    let names: Vec<CheckName> = ROWS.iter().map(|r| r.check).collect();
    assert_eq!(names, CheckName::ALL, "every check has a row, in order");
    for row in ROWS {
        for (edit, reason) in row.passes {
            let found = check(&World::new().edited(edit), row.check);
            assert_eq!(
                (found.state, found.reason),
                (CheckState::Passed, *reason),
                "{} {edit}",
                row.check
            );
            assert!(found.remedy.is_empty());
        }
        for (edit, reason) in row.fails {
            let found = check(&World::new().edited(edit), row.check);
            assert_eq!(
                (found.state, found.reason),
                (CheckState::Failed, *reason),
                "{} {edit}",
                row.check
            );
            assert!(!found.remedy.is_empty() && !found.message.is_empty(), "{} {edit}", row.check);
        }
        for edit in row.retries {
            let found = check(&World::new().edited(edit), row.check);
            assert_eq!(
                (found.state, found.reason),
                (CheckState::Retry, R::InputUnknown),
                "{} {edit}: {}",
                row.check,
                found.message
            );
        }
    }
}

#[test]
fn a_disabled_check_is_shown_with_who_and_never_stops_the_others() {
    for name in CheckName::ALL {
        let mut world = World::new().edited("{cvoConfigEditor: kubectl-edit}");
        world.snapshot.cvo_config = planner::Observed::Value(Some(format!("disabled: [{name}]")));
        let all = preflight::run(&world.snapshot, &target(&world), None, Run::Decisive);
        let disabled: Vec<_> =
            all.checks.iter().filter(|c| c.state == CheckState::Disabled).collect();
        assert_eq!(disabled.len(), 1, "{name}");
        assert_eq!(disabled[0].name, name.as_str());
        assert_eq!(disabled[0].reason, R::DisabledInCvoConfig);
        assert!(disabled[0].message.contains("kubectl-edit"));
        assert_eq!(all.checks.len(), CHECKS.len());
        assert_eq!(preflight::summary(&all), preflight::Summary::Passed);
    }
}

#[test]
fn what_passed_once_is_not_asked_again_until_the_upgrade_begins() {
    let world = World::new();
    let first = preflight::run(&world.snapshot, &target(&world), None, Run::Routine);
    let broken = World::new().edited(
        "{nodes: {Value: [{name: node-9, runtime: 'docker://1', controlPlane: true}]}, criUpgradePods: {Value: [a/b]}}",
    );
    let state = |preflight: &api::Preflight, name: CheckName| {
        preflight.checks.iter().find(|c| c.name == name.as_str()).unwrap().state
    };
    let routine = preflight::run(&broken.snapshot, &target(&broken), Some(&first), Run::Routine);
    assert_eq!(state(&routine, CheckName::DockerRuntimeUnsupported), CheckState::Passed);
    assert_eq!(state(&routine, CheckName::CRIUpgradePodsAbsent), CheckState::Failed);
    let decisive = preflight::run(&broken.snapshot, &target(&broken), Some(&first), Run::Decisive);
    assert_eq!(state(&decisive, CheckName::DockerRuntimeUnsupported), CheckState::Failed);
    // Another digest is another release: nothing stands.
    let mut other = target(&broken);
    other.image = crate::world::image("4.3.1");
    let again = preflight::run(&broken.snapshot, &other, Some(&first), Run::Routine);
    assert_eq!(state(&again, CheckName::DockerRuntimeUnsupported), CheckState::Failed);
}

#[test]
fn the_time_of_a_preflight_moves_only_with_its_result() {
    let mut world = World::new();
    let first = preflight::run(&world.snapshot, &target(&world), None, Run::Routine);
    world.pass(60);
    let same = preflight::run(&world.snapshot, &target(&world), Some(&first), Run::Decisive);
    assert_eq!(first, same);
    let world = world.edited("{criUpgradePods: {Value: [a/b]}}");
    let changed = preflight::run(&world.snapshot, &target(&world), Some(&first), Run::Routine);
    assert_ne!(first.observed_at, changed.observed_at);
}

#[test]
fn a_package_is_judged_as_the_published_release_will_be() {
    let cases = ["{}", PATCH, "{criUpgradePods: {Unknown: x}}", "{cvsh: null}", FRESH];
    for edit in cases {
        let mut world = World::new().edited(edit);
        let published = preflight::run(&world.snapshot, &target(&world), None, Run::Decisive);
        world.snapshot.manifests = planner::Observed::KindAbsent;
        world.snapshot.package = Some(planner::snapshot::PackageFacts {
            image: crate::world::image("4.3.0"),
            release: release("4.3.0"),
            signature: None,
        });
        let package = preflight::of_package(&world.snapshot).unwrap();
        assert_eq!(published, package, "{edit}");
    }
}

#[test]
fn a_package_of_another_digest_than_the_published_one_fails() {
    let mut world = World::new();
    world.snapshot.package = Some(planner::snapshot::PackageFacts {
        image: crate::world::image("other bytes"),
        release: release("4.3.0"),
        signature: None,
    });
    let package = preflight::of_package(&world.snapshot).unwrap();
    let failed: Vec<_> = package.checks.iter().filter(|c| c.state != CheckState::Passed).collect();
    assert_eq!(failed.len(), 1);
    assert_eq!(failed[0].reason, R::ManifestFailed);
}

/// What can be mended by waiting is Retry; what cannot is Failed, with the command that mends it.
#[test]
fn an_image_that_holds_other_bytes_fails_and_one_that_cannot_be_read_now_does_not() {
    for (is_invalid, state, reason) in
        [(true, CheckState::Failed, R::ManifestFailed), (false, CheckState::Retry, R::InputUnknown)]
    {
        let mut world = World::new();
        let planner::Observed::Value(all) = &mut world.snapshot.manifests else { unreachable!() };
        for manifest in all.iter_mut().filter(|m| m.version.to_string() == "4.3.0") {
            manifest.release = planner::Observed::Unknown("sha256:1 is sha256:2".to_owned());
            manifest.release_is_invalid = is_invalid;
        }
        let told = preflight::run(&world.snapshot, &target(&world), None, Run::Decisive);
        let name = api::CheckName::ClusterVersionUpgradeable.as_str();
        let check = told.checks.iter().find(|c| c.name == name).unwrap();
        assert_eq!((check.state, check.reason), (state, reason), "{check:?}");
        assert!(check.message.contains("sha256:1 is sha256:2"), "{check:?}");
        assert!(!is_invalid || check.remedy.contains("bash upgrade.sh"), "{check:?}");
        assert!(told.checks.iter().all(|c| is_invalid || c.state != CheckState::Failed));
    }
}

#[test]
fn a_gate_of_the_release_names_its_clusters_and_modules() {
    let gate = |clusters, when_module: Option<&str>| api::release::AdminGate {
        text: "Read this.".into(),
        clusters,
        when_module: when_module.map(str::to_owned),
    };
    use api::release::ClusterSelection::{All, Global, Workload};
    for (gate, state) in [
        (gate(All, None), CheckState::Failed),
        (gate(Global, None), CheckState::Failed),
        (gate(Workload, None), CheckState::Passed),
        (gate(All, Some("logs")), CheckState::Failed),
        (gate(All, Some("mesh")), CheckState::Passed),
    ] {
        // The release ships the same gate in the ConfigMap; what it says itself is more precise.
        let world = World::new().edited("{adminGates: {Value: {ack-4.3-x: Read this.}}}");
        let mut target = target(&world);
        let mut release = release("4.3.0");
        release.admin_gates.insert("ack-4.3-x".into(), gate.clone());
        target.release = planner::Observed::Value(release);
        let all = preflight::run(&world.snapshot, &target, None, Run::Decisive);
        let found = all.checks.iter().find(|c| c.name == "AdminAckRequired").unwrap();
        assert_eq!(found.state, state, "{gate:?}");
    }
}

/// Whether what a check looks at stands on the cluster itself, by what is read of it; all else is
/// kept on the global cluster.
const fn is_of_the_cluster(check: CheckName) -> bool {
    match check {
        CheckName::ResourcePatchUpgradeable
        | CheckName::DockerRuntimeUnsupported
        | CheckName::ControlPlaneStaticPodsPresent
        | CheckName::CustomEtcdBackupCronJobsAbsent
        | CheckName::CRIUpgradePodsAbsent => true,
        CheckName::ClusterVersionUpgradeable
        | CheckName::AdminAckRequired
        | CheckName::VersionUpgradePath
        | CheckName::KubernetesVersionSupported
        | CheckName::ClusterRunning
        | CheckName::ClusterModuleStable
        | CheckName::ModuleInfoStable
        | CheckName::PlatformLicense => false,
    }
}

#[test]
fn every_check_of_a_workload_cluster_names_where_its_command_is_typed() {
    for row in ROWS {
        let mut failed = 0;
        for (edit, _) in row.fails {
            let found = check(&World::new().edited(WORKLOAD).edited(edit), row.check);
            if found.state != CheckState::Failed {
                continue;
            }
            failed += 1;
            let says = found.remedy.starts_with("on cluster workload-a: ");
            assert_eq!(says, is_of_the_cluster(row.check), "{}: {}", row.check, found.remedy);
            let of_global = ["--cluster=global", "cvsh global"];
            let is_first = row.check == CheckName::ClusterVersionUpgradeable;
            let names_another = of_global.iter().any(|other| found.remedy.contains(other));
            assert!(is_first || !names_another, "{}: {}", row.check, found.remedy);
        }
        assert!(failed > 0, "{} fails on a workload cluster as well", row.check);
    }
}
