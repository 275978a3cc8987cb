//! What the product does where nothing is in its way, or only what the test says.

use crate::faults::Faults;
use crate::invariants::{app_release, app_releases};
use crate::platform::{AGNOSTIC, object};
use crate::releases::image;
use crate::world::World;
use api::HistoryState;
use api::conditions::{ConditionType, is_true};
use api::objects::AppReleasePhase;

#[test]
fn an_undisturbed_upgrade_completes() {
    let mut world = World::installed(Faults::default(), "undisturbed");
    assert!(world.status().available_updates.iter().any(|u| u.version == "4.3.0"));
    let notes = world.get(&object("ConfigMap", "cpaas-system", AGNOSTIC));
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
    let containers = coredns["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "the old container is gone");
    assert_eq!(containers[0]["image"], "10.0.0.10:11443/coredns:1.14.6");
    let settings = world.get(&object("ConfigMap", "cpaas-system", "settings")).unwrap();
    assert_eq!(settings["data"], serde_json::json!({ "line": "4.3.0" }));
    for (kind, name) in
        [("Deployment", "dashboard"), ("ConfigMap", "portal-legacy"), ("Job", "portal-migrate")]
    {
        assert!(world.get(&object(kind, "cpaas-system", name)).is_none(), "{kind} {name}");
    }
    let boards = object("PersistentVolumeClaim", "cpaas-system", "boards");
    assert!(world.get(&boards).is_some(), "a claim is never deleted");
    assert_eq!(world.get(&object("ConfigMap", "cpaas-system", AGNOSTIC)), notes);
    let base = world.get(&api::objects::object_ref::<api::objects::ProductBase>("", "base"));
    assert_eq!(base.unwrap()["status"]["version"], "4.3.0");
    assert!(world.server.lock().watch.customised > 0, "the watch looked at the customisation");
}
