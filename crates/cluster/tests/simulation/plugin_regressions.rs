//! Bugs that were found in the life of plugins, each by its own name.

use crate::faults::Faults;
use crate::platform::object;
use crate::plugin_life::{in_force, of, runs};
use crate::plugin_upgrade::installed;
use crate::plugins::{LOGS, LOGS_PATCH, PAGES, info_ref};
use crate::store::Store;
use crate::world::World;
use api::HistoryState;
use api::names::{GLOBAL, PLUGIN_NAMESPACE};
use planner::Step;
use serde_json::json;

/// What was said of the one that went is not said of the one that comes.
#[test]
fn a_plugin_that_is_asked_for_again_as_it_goes_begins_anew() {
    let mut higher = installed(Faults::default(), "before it goes");
    higher.server.outside(|store| store.ask(PAGES, "1.1.0"));
    higher.settle();
    let higher = higher.long_after().remove(GLOBAL).unwrap();
    let again = |store: &mut Store| {
        if store.get(&info_ref(PAGES)).unwrap().is_none() {
            store.ask(PAGES, "1.0.0");
        }
    };
    for request in 1..300 {
        let mut faults = Faults::default();
        faults.edit(request, Box::new(again));
        let name = format!("asked for again before request {request}");
        let mut world = World::of(higher.clone(), faults, &name);
        world.server.outside(|store| store.remove_plugin(PAGES));
        world.settle();
        world.server.outside(again);
        world.settle();
        runs(&world, PAGES, "1.0.0");
    }
}

/// A round about the cluster that saw the cluster before a plugin was there speaks late.
#[test]
fn a_customisation_in_force_is_not_said_to_wait_by_a_round_that_saw_no_release() {
    let mut world = installed(Faults::default(), "a report that comes late");
    let message = "the release cpaas-system/logs is not installed on this cluster".to_owned();
    world.execute(&Step::ReportPatch { name: LOGS_PATCH.to_owned(), message });
    world.settle();
    in_force(&world, LOGS_PATCH);
}

/// What is asked for next and refused says nothing about what is installed.
#[test]
fn a_customisation_comes_into_force_while_an_upgrade_of_its_plugin_is_refused() {
    let mut world = installed(Faults::default(), "customised while an upgrade is refused");
    world.server.outside(|store| store.ask(LOGS, "9.9.9"));
    world.settle();
    world.server.outside(|store| store.customise_logs("trace"));
    world.settle();
    in_force(&world, LOGS_PATCH);
    world.server.outside(|store| store.uncustomise_plugin(LOGS_PATCH));
    world.settle();
    let logs = world.get(&object("ConfigMap", PLUGIN_NAMESPACE, LOGS)).unwrap();
    assert_eq!(
        (&logs["data"]["level"], &logs["data"]["version"]),
        (&json!("info"), &json!("1.0.0"))
    );
    let info = world.get(&info_ref(LOGS)).unwrap();
    assert_eq!(info["status"]["conditions"][0]["reason"], "Blocked");
}

/// Its user was faster than the upgrade of the cluster, with a version that was pushed meanwhile.
#[test]
fn a_plugin_that_is_ahead_of_the_upgrade_does_not_hold_it_up() {
    let mut world = installed(Faults::default(), "a plugin that is ahead");
    world.server.outside(|store| store.wish(Some("4.3.0")));
    let begun = |world: &World| {
        let first = world.status().history.first().cloned().unwrap_or_default();
        (first.version, first.state) == ("4.3.0".to_owned(), HistoryState::Partial)
    };
    for _ in 0..20 {
        if !begun(&world) {
            world.round();
            world.pass(1);
        }
    }
    assert!(begun(&world));
    world.server.outside(Store::push_later);
    world.round();
    world.server.outside(|store| store.ask(LOGS, "2.1.0"));
    world.settle();
    runs(&world, LOGS, "2.1.0");
    let last = world.status().history.first().cloned().unwrap_or_default();
    if (last.version.as_str(), last.state) != ("4.3.0", HistoryState::Completed) {
        world.panic("the upgrade did not complete");
    }
    assert!(!of(&world, LOGS).is_empty());
}
