//! Bugs that were found in the execution of a step, each by its own name: one component on the
//! cluster in memory, with a chart of the test where those of the releases do not do.

use crate::faults::Faults;
use crate::invariants::app_release;
use crate::platform::{PATCH, object, patch_spec};
use crate::releases::{Shelf, Templates, image, release};
use crate::store::Store;
use crate::world::World;
use api::StalledReason;
use api::names::{GLOBAL, NAMESPACE, PULL_SECRET, RESOURCE_PATCH_FINALIZER};
use api::objects::{ObjectRef, ResourcePatch, object_ref};
use cluster::execute::{ContentError, Contents, Executor, Kinds};
use planner::plan::ApplyStep;
use planner::{Step, StepResult};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Attempts until a step must have come to its end.
const ATTEMPTS: usize = 20;

/// A release with one component, whatever is asked of it.
struct Chart(Value);

impl Contents for Chart {
    async fn content(&self, _: &str, _: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        Ok(Arc::new(self.0.to_string().into_bytes()))
    }
}

/// Makes attempts at a step until it is done or stopped for good.
fn execute<C: Contents>(world: &World, contents: &C, step: &Step) -> StepResult {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for _ in 0..ATTEMPTS {
        let now = world.now();
        let server = &world.server;
        let home = server;
        let (renderer, cluster, kinds) = (&Templates, GLOBAL, Kinds::default());
        let executor = Executor { home, server, renderer, contents, cluster, now, kinds };
        let result = runtime.block_on(executor.execute(step)).result;
        if !matches!(result, StepResult::Waiting(_)) {
            return result;
        }
        world.server.outside(Store::tick);
    }
    world.panic(&format!("{step:?} does not end"));
}

/// The application of a component of the installed release, or of one of its own.
fn step(component: Value) -> ApplyStep {
    let release = release("4.2.1");
    ApplyStep {
        component: serde_json::from_value(component).unwrap(),
        image: image("4.2.1"),
        images: release.images.clone(),
        predecessors: release.predecessors.clone(),
        release: release.version.to_string(),
        module_info: String::new(),
    }
}

/// The application of a component that only the test has.
fn own() -> Step {
    Step::Apply(Box::new(step(json!({
        "name": "own",
        "version": "1.0.0",
        "chart": "charts/own-1.0.0.tgz",
        "namespace": "kube-system",
    }))))
}

fn coredns() -> ApplyStep {
    let release = release("4.2.1");
    let (_, component) = release.components().find(|(_, c)| c.name == "coredns").unwrap();
    step(json!(component))
}

/// How often something was sent.
fn sent(world: &World, what: &str) -> usize {
    world.server.lock().log.iter().filter(|line| line.ends_with(what)).count()
}

fn autoscaler(store: &mut Store, name: &str) {
    store.serve("autoscaling/v2", "HorizontalPodAutoscaler", true);
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
    let body = json!({
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": name, "namespace": "kube-system" },
        "spec": { "scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 9 },
    });
    store.create(&body, "kubectl").unwrap();
}

fn scale(store: &mut Store, deployment: &ObjectRef, count: i64) {
    let set = |value: &mut Value| {
        value["spec"]["replicas"] = json!(count);
        Ok(())
    };
    store.update(deployment, false, "kube-controller-manager", set).unwrap();
}

/// A Deployment with something that differs from one chart to the next.
fn deployment(replicas: i64, image: &str) -> Value {
    let pod = json!({
        "metadata": { "labels": { "app": "own" } },
        "spec": { "containers": [{ "name": "own", "image": image }] },
    });
    json!([{
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "own" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": { "app": "own" } },
            "template": pod,
        },
    }])
}

#[test]
fn a_deleted_patch_without_a_finalizer_gives_back_what_its_user_edited_as_well() {
    let mut world = World::installed(Faults::default(), "a patch that nothing holds");
    let coredns = object("Deployment", "kube-system", "coredns");
    let patch = object_ref::<ResourcePatch>("", "mine");
    let image = |world: &World| {
        let live = world.get(&coredns).unwrap();
        live["spec"]["template"]["spec"]["containers"][0]["image"].clone()
    };
    let before = image(&world);
    world.server.outside(|store| {
        let edit = |value: &mut Value| {
            value["spec"]["template"]["spec"]["containers"][0]["image"] = json!("mine:1");
        };
        store.edit(&coredns, edit).unwrap();
        let path = "/spec/template/spec/containers/0/image";
        let body = json!({
            "apiVersion": patch.api_version,
            "kind": patch.kind,
            "metadata": { "name": "mine" },
            "spec": patch_spec(path, json!("mine:1")),
        });
        store.create(&body, "kubectl").unwrap();
    });
    world.settle();
    let live = world.get(&patch).unwrap();
    assert_eq!(live["status"]["phase"], "Active");
    assert_eq!(live["metadata"]["finalizers"], json!([RESOURCE_PATCH_FINALIZER]));
    world.server.outside(|store| store.delete(&live, "kubectl").unwrap());
    world.settle();
    assert!(world.get(&patch).is_none(), "it is let go");
    assert_eq!(image(&world), before);
}

#[test]
fn an_autoscaler_that_never_scaled_does_not_cost_the_replicas() {
    let world = World::installed(Faults::default(), "an autoscaler");
    let own_deployment = object("Deployment", "kube-system", "own");
    let replicas = |world: &World| world.get(&own_deployment).unwrap()["spec"]["replicas"].clone();
    let apply = |image: &str| {
        assert_eq!(execute(&world, &Chart(deployment(2, image)), &own()), StepResult::Done);
    };
    apply("own:1");
    world.server.outside(|store| autoscaler(store, "own"));
    // The count is ours alone: left out, it would fall back to one.
    apply("own:2");
    assert_eq!(replicas(&world), 2);
    world.server.outside(|store| scale(store, &own_deployment, 5));
    apply("own:3");
    assert_eq!(replicas(&world), 5);
    world.server.outside(|store| scale(store, &own_deployment, 4));
    while world.server.outside(Store::tick) {}
    let before = world.changing();
    apply("own:3");
    assert_eq!((replicas(&world), world.changing()), (json!(4), before), "nothing is sent");
}

#[test]
fn replicas_that_helm_set_stay_under_an_autoscaler() {
    let world = World::installed(Faults::default(), "an autoscaler after helm");
    let own_deployment = object("Deployment", "kube-system", "own");
    world.server.outside(|store| {
        let mut body = deployment(3, "own:0")[0].clone();
        body["metadata"]["namespace"] = json!("kube-system");
        store.create(&body, "helm").unwrap();
        autoscaler(store, "own");
    });
    assert_eq!(execute(&world, &Chart(deployment(2, "own:1")), &own()), StepResult::Done);
    assert_eq!(world.get(&own_deployment).unwrap()["spec"]["replicas"], 3);
}

#[test]
fn what_helm_set_and_the_release_drops_goes() {
    let world = World::installed(Faults::default(), "after helm");
    let settings = object("ConfigMap", "kube-system", "own");
    world.server.outside(|store| {
        let metadata = json!({
            "name": "own",
            "namespace": "kube-system",
            "labels": { "app.kubernetes.io/managed-by": "Helm" },
        });
        let data = json!({ "same": "1", "other": "0", "old": "x" });
        let body =
            json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
        store.create(&body, "helm").unwrap();
        store.edit(&settings, |value| value["data"]["mine"] = json!("y")).unwrap();
    });
    let chart = Chart(json!([{
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": "own" },
        "data": { "same": "1", "other": "1" },
    }]));
    assert_eq!(execute(&world, &chart, &own()), StepResult::Done);
    let live = world.get(&settings).unwrap();
    assert_eq!(live["data"], json!({ "same": "1", "other": "1", "mine": "y" }));
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    assert!(managers.iter().all(|m| m["manager"] != "helm"), "{managers:?}");
    assert_eq!(live["metadata"]["labels"].get("app.kubernetes.io/managed-by"), None);
    let before = world.changing();
    assert_eq!(execute(&world, &chart, &own()), StepResult::Done);
    assert_eq!(world.changing(), before, "nothing is taken over a second time");
}

#[test]
fn a_hook_of_both_points_runs_at_each() {
    let world = World::installed(Faults::default(), "a hook of both points");
    let points = "pre-install,post-install,pre-upgrade,post-upgrade";
    let pod = json!({ "spec": { "containers": [{ "name": "check", "image": "check:1" }] } });
    let chart = Chart(json!([
        {
            "apiVersion": "batch/v1",
            "kind": "Job",
            "metadata": { "name": "check", "annotations": { "helm.sh/hook": points } },
            "spec": { "template": pod },
        },
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own" }, "data": {} },
    ]));
    assert_eq!(execute(&world, &chart, &own()), StepResult::Done);
    assert_eq!(sent(&world, "create Job kube-system/check"), 2);
    let done = app_release(&world.store(), "own").unwrap().hooks_done;
    let expected = ["After/Job/kube-system/check", "Before/Job/kube-system/check"];
    assert_eq!(done.iter().collect::<Vec<_>>(), expected);
    assert_eq!(execute(&world, &chart, &own()), StepResult::Done);
    assert_eq!(sent(&world, "create Job kube-system/check"), 2, "no point has it again");
}

/// Users and the platform delete Jobs that ended, also while their component is not ready yet.
#[test]
fn a_hook_whose_job_is_gone_does_not_run_again() {
    let mut world = World::installed(Faults::default(), "the Job of a hook is gone");
    world.server.outside(|store| store.wish(Some("4.3.0")));
    let job = object("Job", NAMESPACE, "portal-migrate");
    let is_recorded = |world: &World| {
        let portal = app_release(&world.store(), "portal").unwrap_or_default();
        portal.hooks_release == image("4.3.0")
            && portal
                .hooks_done
                .iter()
                .any(|hook| hook.ends_with("Job/cpaas-system/portal-migrate"))
    };
    let rounds = (0..100).find(|_| {
        world.round();
        world.pass(1);
        is_recorded(&world)
    });
    assert!(rounds.is_some(), "what the hook did is recorded");
    assert_ne!(world.status().current.unwrap().version, "4.3.0", "in the middle of the upgrade");
    world.server.outside(|store| {
        let live = store.get(&job).unwrap().unwrap();
        store.delete(&live, "a user").unwrap();
    });
    world.settle();
    assert_eq!(world.status().current.unwrap().version, "4.3.0");
    assert!(world.get(&job).is_none(), "it ran again");
}

#[test]
fn a_missing_right_for_hooks_or_deletion_is_named_before_anything_is_written() {
    for (denied, component) in [
        ("create Job", "portal"),
        ("delete Job", "portal"),
        // What the release no longer has: the endpoints of coredns, and all of dashboard.
        ("delete ConfigMap", "coredns"),
        ("delete Deployment", "dashboard"),
    ] {
        let mut world = World::installed(Faults::default(), &format!("no right to {denied}"));
        world.server.lock().denied.insert(denied.to_owned());
        world.server.outside(|store| store.wish(Some("4.3.0")));
        world.settle();
        let status = world.status();
        let mut operations = status.stages.iter().flat_map(|s| &s.operations);
        let of_component = operations.rfind(|o| o.name == component).unwrap();
        let said = of_component.message.clone();
        assert!(said.contains(denied), "{denied}: {said}");
        let log = world.server.lock().log.clone();
        // Its AppRelease says what holds it up; of the component itself nothing is written.
        let of_component = |line: &&String| !line.contains("AppRelease");
        let sent =
            |what: &str| log.iter().filter(of_component).filter(|line| line.contains(what)).count();
        let written = match component {
            "coredns" => sent("apply ConfigMap kube-system/coredns"),
            "portal" => sent("cpaas-system/portal") + sent("apply ConfigMap cpaas-system/banner"),
            _ => sent("delete Deployment") + sent("delete ConfigMap cpaas-system/banner"),
        };
        assert_eq!(written, 0, "{denied}");
        world.server.lock().denied.clear();
        world.settle();
        assert_eq!(world.status().current.unwrap().version, "4.3.0", "{denied}");
    }
}

#[test]
fn a_rotated_pull_secret_reaches_installed_namespaces() {
    let mut world = World::installed(Faults::default(), "a rotated pull secret");
    let rotated = json!({ ".dockerconfigjson": "cm90YXRlZA==" });
    world.server.outside(|store| {
        let secret = object("Secret", NAMESPACE, "pull");
        store.edit(&secret, |value| value["data"] = rotated.clone()).unwrap();
    });
    let look = Step::ReportDrift(Box::new(coredns()));
    assert_eq!(world.execute(&look).result, StepResult::Done);
    let copy = world.get(&object("Secret", "kube-system", PULL_SECRET)).unwrap();
    assert_eq!(copy["data"], rotated);
    let before = world.changing();
    assert_eq!(world.execute(&look).result, StepResult::Done);
    assert_eq!(world.changing(), before, "it is not sent again");
}

#[test]
fn an_edit_of_another_is_reported_and_left_alone() {
    let mut world = World::installed(Faults::default(), "an edit of an installed component");
    let corefile = object("ConfigMap", "kube-system", "coredns");
    let before = world.get(&corefile).unwrap()["data"]["Corefile"].clone();
    let set = |world: &World, value: Value| {
        world.server.outside(|store| {
            store.edit(&corefile, |found| found["data"]["Corefile"] = value.clone()).unwrap();
        });
    };
    let look = Step::ReportDrift(Box::new(coredns()));
    let drift = |world: &World| app_release(&world.store(), "coredns").unwrap().drift;
    assert_eq!(world.execute(&look).result, StepResult::Done);
    assert_eq!(drift(&world), Vec::<String>::new());
    set(&world, json!("forward . mine"));
    assert_eq!(world.execute(&look).result, StepResult::Done);
    let told = drift(&world);
    let names =
        |field: &String| field.contains("kube-system/coredns") && field.contains("Corefile");
    assert!(told.len() == 1 && told.iter().all(names), "{told:?}");
    assert_eq!(world.get(&corefile).unwrap()["data"]["Corefile"], json!("forward . mine"));
    set(&world, before);
    assert_eq!(world.execute(&look).result, StepResult::Done);
    assert_eq!(drift(&world), Vec::<String>::new(), "it was taken back");
}

#[test]
fn a_dropped_component_loses_what_the_release_lists() {
    let claim = object("PersistentVolumeClaim", NAMESPACE, "boards");
    for (listed, stays) in [("boards", false), ("others", true)] {
        let world = World::installed(Faults::default(), &format!("the release lists {listed}"));
        let allowed = BTreeSet::from([format!("PersistentVolumeClaim/{NAMESPACE}/{listed}")]);
        let step = Step::Remove { name: "dashboard".to_owned(), allowed };
        assert_eq!(execute(&world, &Shelf, &step), StepResult::Done);
        assert_eq!(world.get(&claim).is_some(), stays);
    }
}

#[test]
fn a_customisation_outlives_a_takeover_from_helm() {
    let mut world = World::installed(Faults::default(), "customised before helm left");
    let coredns = object("Deployment", "kube-system", "coredns");
    world.server.outside(|store| {
        // Helm was run by hand.
        let set = |value: &mut Value| {
            value["spec"]["paused"] = json!(false);
            Ok(())
        };
        store.update(&coredns, false, "helm", set).unwrap();
        store.wish(Some("4.3.0"));
    });
    world.settle();
    let live = world.get(&coredns).unwrap();
    assert_eq!((&live["spec"]["replicas"], live["spec"].get("paused")), (&json!(3), None));
    let patch = world.get(&object_ref::<ResourcePatch>("", PATCH)).unwrap();
    assert_eq!(patch["status"]["phase"], "Active");
}

#[test]
fn a_hook_object_that_somebody_else_owns_is_not_overwritten() {
    let settings = object("ConfigMap", "kube-system", "settings");
    let metadata = json!({
        "name": "settings",
        "annotations": {
            "helm.sh/hook": "pre-install,pre-upgrade",
            "helm.sh/hook-delete-policy": "before-hook-creation",
        },
    });
    let chart = Chart(json!([
        {
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": metadata, "data": { "mode": "release" },
        },
        { "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "own" }, "data": {} },
    ]));
    for (owner, is_taken) in [("kubectl", false), ("helm", true)] {
        let world = World::installed(Faults::default(), &format!("a hook object of {owner}"));
        world.server.outside(|store| {
            let body = json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": "settings", "namespace": "kube-system" },
                "data": { "mode": "mine" },
            });
            store.create(&body, owner).unwrap();
        });
        let result = execute(&world, &chart, &own());
        let mode = world.get(&settings).unwrap()["data"]["mode"].clone();
        if is_taken {
            assert_eq!((result, mode), (StepResult::Done, json!("release")), "{owner}");
            continue;
        }
        let StepResult::Blocked { reason, message, .. } = result else {
            panic!("{owner}: {result:?}");
        };
        assert_eq!((reason, mode), (StalledReason::FieldConflict, json!("mine")), "{message}");
        assert!(message.contains("kubectl") && message.contains("settings"), "{message}");
        assert!(world.get(&object("ConfigMap", "kube-system", "own")).is_none());
    }
}
