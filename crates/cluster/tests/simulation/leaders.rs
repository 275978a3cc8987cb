//! Two leaders at a time, as a Lease can have for a moment: what one wrote is never overwritten by
//! a round of the other that did not see it.

use crate::faults::Faults;
use crate::store::Store;
use crate::world::{End, World, start};
use api::names::{FIELD_MANAGER, GLOBAL, NAMESPACE};
use api::objects::{ClusterVersionShadow, object_ref};
use cluster::round::Written;
use cluster::server::PatchBody;
use serde_json::json;

/// The other leader writes its first status, if it still finds none.
fn first_status(store: &mut Store) {
    let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, GLOBAL);
    let Some(live) = store.get(&shadow).unwrap() else { return };
    if live["status"]["revision"].as_i64().unwrap_or(0) != 0 {
        return;
    }
    let time = store.now.to_string();
    let condition = |kind: &str| {
        json!({
            "type": kind,
            "status": "Unknown",
            "reason": "Other",
            "message": "",
            "lastTransitionTime": time,
        })
    };
    let all = api::conditions::ConditionType::ALL.iter().map(|t| condition(t.as_str()));
    let status = json!({ "revision": 1, "conditions": all.collect::<Vec<_>>() });
    let patch = PatchBody::Json(json!([{ "op": "add", "path": "/status", "value": status }]));
    store.patch(&shadow, true, &patch, FIELD_MANAGER).unwrap();
}

/// A user edits the object, not its status.
fn label(store: &mut Store) {
    let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, GLOBAL);
    store.edit(&shadow, |value| value["metadata"]["labels"] = json!({ "user": "was-here" })).ok();
}

/// A platform in whose first round something happens before a request.
fn fresh(request: u64, edit: fn(&mut Store)) -> World {
    let mut faults = Faults::default();
    faults.edit(request, Box::new(edit));
    World::of(Store::platform(start()), faults, &format!("first status, before request {request}"))
}

fn round(world: &mut World) -> Option<Written> {
    match world.round() {
        End::Ended(ended) => ended.written,
        End::Failed(error) => world.panic(&format!("the round failed: {error}")),
        End::Died => world.panic("nobody was to die"),
    }
}

#[test]
fn two_writers_of_a_first_status_never_overwrite_each_other() {
    let mut superseded = 0;
    for request in 1.. {
        let mut world = fresh(request, first_status);
        let written = round(&mut world);
        if world.server.lock().faults.edits_left() {
            break;
        }
        // The watch of the simulation holds every write against the revision before it.
        if written == Some(Written::Superseded) {
            superseded += 1;
            assert_eq!(world.status().revision, 1, "nothing of the later one is written");
            assert_eq!(round(&mut world), Some(Written::Yes));
            assert_eq!(world.status().revision, 2);
        }
    }
    assert!(superseded > 3, "{superseded} first writes met another one");
}

#[test]
fn an_edit_beside_the_first_status_does_not_hold_it_up() {
    for request in 1.. {
        let mut world = fresh(request, label);
        assert_eq!(round(&mut world), Some(Written::Yes));
        if world.server.lock().faults.edits_left() {
            assert!(request > 10, "{request} requests");
            break;
        }
        assert_eq!(world.status().revision, 1);
    }
}
