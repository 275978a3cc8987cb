//! What the product does where nothing is in its way, or only what the test says.

use crate::faults::Faults;
use crate::invariants::{app_release, app_releases};
use crate::platform::{AGNOSTIC, PATCH, object};
use crate::releases::image;
use crate::store::Store;
use crate::world::World;
use api::HistoryState;
use api::conditions::{ConditionType, find, is_true};
use api::names::GLOBAL;
use api::objects::{AppReleasePhase, ResourcePatch, object_ref};
use serde_json::{Value, json};

#[test]
fn an_undisturbed_upgrade_completes() {
    let mut world = World::installed(Faults::default(), "undisturbed");
    assert!(world.status().available_updates.iter().any(|u| u.version == "4.3.0"));
    let notes = world.get(&object("ConfigMap", "cpaas-system", AGNOSTIC));
    let applied = last_apply_time(&world);
    world.server.outside(|store| store.wish(Some("4.3.0")));
    world.settle();
    let status = world.status();
    let current = status.current.clone().unwrap();
    assert_eq!((current.version.as_str(), current.image), ("4.3.0", image("4.3.0")), "{status:#?}");
    assert!(is_true(&status.conditions, ConditionType::Ready), "{:#?}", status.conditions);
    assert!(!is_true(&status.conditions, ConditionType::Stalled));
    let history: Vec<_> = status.history.iter().map(|h| (h.version.as_str(), h.state)).collect();
    assert_eq!(history, [("4.3.0", HistoryState::Completed), ("4.2.1", HistoryState::Completed)]);
    let store = world.store();
    let names: Vec<String> = app_releases(&store).into_keys().collect();
    assert_eq!(names, ["base", "coredns", "exporter", "notes", "portal"]);
    for name in ["base", "coredns", "exporter", "portal"] {
        let release = app_release(&store, name).unwrap();
        assert_eq!(release.phase, AppReleasePhase::Ready, "{name}");
        assert_eq!(release.release_image, image("4.3.0"), "{name}");
        assert!(release.obsolete.is_empty(), "{name}: {:?}", release.obsolete);
    }
    let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
    assert_eq!(coredns["spec"]["replicas"], 3, "the customisation stays");
    assert!(last_apply_time(&world) > applied, "it was replayed on another release");
    let containers = coredns["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "the old container is gone");
    assert_eq!(containers[0]["image"], "10.0.0.10:11443/coredns:1.14.6");
    let settings = world.get(&object("ConfigMap", "cpaas-system", "settings")).unwrap();
    assert_eq!(settings["data"], serde_json::json!({ "line": "4.3.0" }));
    for (kind, name) in [("Deployment", "dashboard"), ("ConfigMap", "portal-legacy")] {
        assert!(world.get(&object(kind, "cpaas-system", name)).is_none(), "{kind} {name}");
    }
    let hook = world.get(&object("Job", "cpaas-system", "portal-migrate")).unwrap();
    assert_eq!(hook["spec"]["ttlSecondsAfterFinished"], 3600, "the platform deletes it later");
    let boards = object("PersistentVolumeClaim", "cpaas-system", "boards");
    assert!(world.get(&boards).is_some(), "a claim is never deleted");
    assert_eq!(world.get(&object("ConfigMap", "cpaas-system", AGNOSTIC)), notes);
    let base = world.get(&api::objects::object_ref::<api::objects::ProductBase>("", "base"));
    assert_eq!(base.unwrap()["status"]["version"], "4.3.0");
    assert!(
        world.server.lock().watch(GLOBAL).customised > 0,
        "the watch looked at the customisation"
    );
}

/// When the customisation was applied last.
fn last_apply_time(world: &World) -> api::Time {
    let patch = world.get(&object_ref::<ResourcePatch>("", PATCH)).unwrap();
    serde_json::from_value(patch["status"]["lastApplyTime"].clone()).unwrap()
}

/// Stalled, with its reason and message; empty where it is not.
fn stalled(world: &World) -> (String, String) {
    let status = world.status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    if !is_true(&status.conditions, ConditionType::Stalled) {
        return (String::new(), String::new());
    }
    (stalled.reason.clone(), stalled.message.clone())
}

/// The last entry of the history: its version and state.
fn last(world: &World) -> (String, HistoryState) {
    let status = world.status();
    let entry = status.history.first().cloned().unwrap_or_default();
    (entry.version, entry.state)
}

/// How often something was sent.
fn sent(world: &World, what: &str) -> usize {
    world.server.lock().log.iter().filter(|line| line.ends_with(what)).count()
}

fn upgrade(name: &str, before: impl FnOnce(&mut Store)) -> World {
    let mut world = World::installed(Faults::default(), name);
    world.server.outside(|store| {
        before(store);
        store.wish(Some("4.3.0"));
    });
    world.settle();
    world
}

const DONE: HistoryState = HistoryState::Completed;

#[test]
fn a_failed_hook_stalls_and_runs_again_when_deleted() {
    let mut world = upgrade("failed hook", |store| {
        store.failing_jobs.insert("portal-migrate".to_owned());
    });
    let (reason, message) = stalled(&world);
    assert_eq!(reason, "HookFailed", "{message}");
    assert!(message.contains("delete job portal-migrate"), "{message}");
    let portal = object("Deployment", "cpaas-system", "portal");
    let image = "/spec/template/spec/containers/0/image";
    let before = world.get(&portal).unwrap();
    assert!(before.pointer(image).unwrap().as_str().unwrap().ends_with("portal:1.0.0"));
    assert_eq!(sent(&world, "create Job cpaas-system/portal-migrate"), 1);
    world.server.outside(|store| {
        store.failing_jobs.clear();
        let job = store.get(&object("Job", "cpaas-system", "portal-migrate")).unwrap().unwrap();
        store.delete(&job, "kubectl").unwrap();
    });
    world.settle();
    assert_eq!(stalled(&world).0, "");
    assert_eq!(last(&world), ("4.3.0".to_owned(), DONE));
    assert_eq!(sent(&world, "create Job cpaas-system/portal-migrate"), 2);
    assert_eq!(sent(&world, "create Job cpaas-system/portal-warm"), 1);
}

#[test]
fn a_foreign_field_stalls_with_its_owner() {
    let corefile = object("ConfigMap", "kube-system", "coredns");
    for way_out in ["give up", "customise"] {
        let mut world = upgrade(&format!("foreign field, {way_out}"), |store| {
            let set = |value: &mut Value| value["data"]["Corefile"] = json!("forward . mine");
            store.edit(&corefile, set).unwrap();
        });
        let (reason, message) = stalled(&world);
        assert_eq!(reason, "FieldConflict", "{message}");
        let wanted = "\"kubectl\", the release sets it to \"";
        for part in [".data.Corefile", wanted, "ConfigMap kube-system/coredns"] {
            assert!(message.contains(part), "{message}");
        }
        // Nothing of the component is written; its sibling ends its work.
        let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
        assert_eq!(coredns["spec"]["template"]["spec"]["containers"].as_array().unwrap().len(), 2);
        assert_eq!(app_release(&world.store(), "exporter").unwrap().phase, AppReleasePhase::Ready);
        world.server.outside(|store| match way_out {
            "give up" => store.give_up(&corefile, "kubectl"),
            _ => {
                let target = json!({
                    "apiVersion": "v1",
                    "kind": "ConfigMap",
                    "name": "coredns",
                    "namespace": "kube-system",
                });
                let operation =
                    json!({ "op": "replace", "path": "/data/Corefile", "value": "forward . mine" });
                let spec = json!({
                    "release": "kube-system/coredns",
                    "target": target,
                    "jsonPatch": [operation],
                });
                store.add_patch("corefile", spec);
            }
        });
        world.settle();
        assert_eq!(last(&world), ("4.3.0".to_owned(), DONE), "{way_out}");
        let expected = if way_out == "give up" { "forward . b" } else { "forward . mine" };
        assert_eq!(world.get(&corefile).unwrap()["data"]["Corefile"], expected);
    }
}

#[test]
fn a_moved_object_is_never_deleted() {
    let moved = [
        (object("ConfigMap", "kube-system", "endpoints"), "coredns", "exporter"),
        (object("ConfigMap", "cpaas-system", "banner"), "dashboard", "portal"),
    ];
    let before = World::installed(Faults::default(), "before");
    let world = upgrade("moved objects", |_| {});
    let owner = |value: &Value| value["metadata"]["labels"][api::names::OWNER_LABEL].clone();
    for (object, from, to) in moved {
        let (old, new) = (before.get(&object).unwrap(), world.get(&object).unwrap());
        assert_eq!(old["metadata"]["uid"], new["metadata"]["uid"], "{object} was deleted");
        assert_eq!((owner(&old), owner(&new)), (json!(from), json!(to)), "{object}");
        assert_eq!(sent(&world, &format!("delete {object}")), 0);
        assert!(app_release(&world.store(), to).unwrap().inventory.contains(&object));
    }
    let inventory = app_release(&world.store(), "coredns").unwrap().inventory;
    assert!(!inventory.iter().any(|o| o.name == "endpoints"), "{inventory:?}");
}

#[test]
fn unchanged_objects_are_not_sent() {
    let mut world = upgrade("unchanged", |_| {});
    assert_eq!(last(&world), ("4.3.0".to_owned(), DONE));
    let release = crate::releases::release("4.3.0");
    let before = world.changing();
    for (_, component) in release.components().filter(|(_, c)| c.name != AGNOSTIC) {
        let step = planner::Step::Apply(Box::new(planner::plan::ApplyStep {
            component: component.clone(),
            release: release.version.to_string(),
            image: image("4.3.0"),
            images: release.images.clone(),
            predecessors: release.predecessors.clone(),
            module_info: String::new(),
        }));
        let outcome = world.execute(&step);
        assert_eq!(outcome.result, planner::StepResult::Done, "{}", component.name);
        let log = world.server.lock().log.clone();
        assert_eq!(world.changing(), before, "{}: {:?}", component.name, log.last());
    }
}

#[test]
fn a_changed_patch_is_applied_at_the_installed_version() {
    let mut world = World::installed(Faults::default(), "changed patch");
    let coredns = object("Deployment", "kube-system", "coredns");
    let patch = object_ref::<ResourcePatch>("", PATCH);
    world.server.outside(|store| store.customise(5, ""));
    world.settle();
    assert_eq!(world.get(&coredns).unwrap()["spec"]["replicas"], 5);
    let status = world.get(&patch).unwrap()["status"].clone();
    assert_eq!((&status["phase"], &status["observedGeneration"]), (&json!("Active"), &json!(2)));
    world.server.outside(Store::uncustomise);
    world.settle();
    assert_eq!(world.get(&coredns).unwrap()["spec"]["replicas"], 2);
    assert!(world.get(&patch).is_none(), "it is let go");
    let release = app_release(&world.store(), "coredns").unwrap();
    assert_eq!((release.version.as_str(), release.release.as_str()), ("1.14.5", "4.2.1"));
    assert_eq!(release.release_image, image("4.2.1"));
    let status = world.status();
    assert_eq!(status.current.unwrap().version, "4.2.1");
    assert_eq!(status.history.len(), 1);
}

#[test]
fn a_patch_that_is_changed_while_it_is_applied_is_not_called_active() {
    for request in 1..200 {
        let mut world = World::installed(Faults::default(), &format!("edited before {request}"));
        world.server.outside(|store| store.customise(5, ""));
        world.server.lock().faults.edit(request, Box::new(|store| store.customise(6, "")));
        // The watch of the simulation holds what is Active against what is in force.
        world.settle();
        let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
        assert_eq!(coredns["spec"]["replicas"], 6, "edited before request {request}");
        let patch = world.get(&object_ref::<ResourcePatch>("", PATCH)).unwrap();
        assert_eq!(patch["status"]["observedGeneration"], patch["metadata"]["generation"]);
    }
}

#[test]
fn a_change_that_is_taken_back_while_it_is_applied_is_not_in_force() {
    for request in 1..200 {
        let mut world = World::installed(Faults::default(), &format!("taken back at {request}"));
        world.server.outside(|store| store.customise(5, "4.3.0"));
        world.server.lock().faults.edit(request, Box::new(|store| store.customise(3, "4.3.0")));
        world.settle();
        let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
        assert_eq!(coredns["spec"]["replicas"], 3, "taken back at request {request}");
        let release = app_release(&world.store(), "coredns").unwrap();
        assert_eq!(release.phase, AppReleasePhase::Ready, "taken back at request {request}");
    }
}

#[test]
fn a_deleted_patch_gives_back_what_its_user_edited_as_well() {
    let mut world = World::installed(Faults::default(), "edited, then customised");
    let coredns = object("Deployment", "kube-system", "coredns");
    world.server.outside(|store| {
        store.edit(&coredns, |value| value["spec"]["replicas"] = json!(5)).unwrap();
        store.customise(5, "");
    });
    world.settle();
    assert_eq!(world.get(&coredns).unwrap()["spec"]["replicas"], 5);
    world.server.outside(Store::uncustomise);
    world.settle();
    assert!(world.get(&object_ref::<ResourcePatch>("", PATCH)).is_none(), "it is let go");
    assert_eq!(world.get(&coredns).unwrap()["spec"]["replicas"], 2);
}

#[test]
fn a_patch_that_does_not_apply_writes_nothing() {
    let path = "/spec/template/spec/containers/1/image";
    let spec = crate::platform::patch_spec(path, json!("mine/sidecar:2"));
    let mut world = World::installed(Faults::default(), "patch that does not apply");
    world.server.outside(|store| store.add_patch("sidecar", spec));
    world.settle();
    let patch = object_ref::<ResourcePatch>("", "sidecar");
    assert_eq!(world.get(&patch).unwrap()["status"]["phase"], "Active");
    let objects = [
        object("Deployment", "kube-system", "coredns"),
        object("ConfigMap", "kube-system", "coredns"),
        object("ClusterRole", "", "coredns"),
    ];
    let before = objects.clone().map(|o| world.get(&o));
    world.server.outside(|store| store.wish(Some("4.3.0")));
    world.settle();
    let (reason, message) = stalled(&world);
    assert_eq!(reason, "ResourcePatchFailed", "{message}");
    let status = world.get(&patch).unwrap()["status"].clone();
    assert_eq!(status["phase"], "Failed");
    let said = status["message"].as_str().unwrap();
    assert!(said.starts_with(&format!("replace {path}")), "{said}");
    assert_eq!(objects.map(|o| world.get(&o)), before, "nothing of it is written");
    world.server.outside(|store| {
        let live = store.get(&patch).unwrap().unwrap();
        store.delete(&live, "kubectl").unwrap();
    });
    world.settle();
    assert_eq!(last(&world), ("4.3.0".to_owned(), DONE));
    assert!(world.get(&patch).is_none(), "it is let go");
    let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
    assert_eq!(coredns["spec"]["replicas"], 3, "the other customisation stays");
}

#[test]
fn the_way_out_goes_on_from_what_is_there() {
    let mut world = upgrade("way out", |store| {
        store.failing_jobs.insert("portal-migrate".to_owned());
    });
    assert_eq!(stalled(&world).0, "HookFailed");
    let exporter = object("DaemonSet", "monitoring", "exporter");
    let before = world.get(&exporter).unwrap();
    world.server.outside(|store| {
        store.failing_jobs.clear();
        store.publish("4.3.1");
        store.customise(3, "4.3.1");
        store.wish(Some("4.3.1"));
    });
    world.settle();
    let status = world.status();
    let history: Vec<_> = status.history.iter().map(|h| (h.version.as_str(), h.state)).collect();
    let expected =
        [("4.3.1", DONE), ("4.3.0", HistoryState::Partial), ("4.2.1", HistoryState::Completed)];
    assert_eq!(history, expected, "{:?}", stalled(&world));
    assert!(status.history[1].completion_time.is_some(), "the entry that was left has an end");
    assert_eq!(status.current.unwrap().image, image("4.3.1"));
    let store = world.store();
    for name in ["base", "coredns", "exporter", "portal"] {
        assert_eq!(app_release(&store, name).unwrap().release_image, image("4.3.1"), "{name}");
    }
    assert!(app_release(&store, "dashboard").is_none());
    let after = world.get(&exporter).unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(after["metadata"]["generation"], before["metadata"]["generation"], "it was there");
    assert_eq!(
        world.get(&object("Deployment", "kube-system", "coredns")).unwrap()["spec"]["replicas"],
        3
    );
    assert_eq!(sent(&world, "create Job cpaas-system/portal-migrate"), 2, "one for each release");
}
