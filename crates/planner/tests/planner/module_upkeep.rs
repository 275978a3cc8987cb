//! What is done for plugins that are at rest.

use crate::modules::{config, edit, find_info, info, installed, ready, settle, world};
use api::objects::AppReleasePhase;
use jiff::{SignedDuration, Timestamp};
use planner::modules::{self, World};
use planner::snapshot::Observed;
use serde_json::json;

const PLUGINS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// The plugins that are looked at, and how soon the next round is due.
fn looked_at(world: &World) -> (Vec<String>, i64) {
    let plans = modules::plan(world);
    let looks = plans.iter().flat_map(|plan| &plan.looks).map(|step| step.subject().to_owned());
    let due = modules::due(world, &plans).unwrap();
    (looks.collect(), due.duration_since(world.now).as_secs())
}

/// Whoever rotates a pull secret and gets it wrong reads it in the ModuleInfo.
#[test]
fn what_cannot_be_looked_at_is_said() {
    let mut world = world(vec![config("a", "1.0.0", json!({}))], vec![info("a", "1.0.0")]);
    settle(&mut world);
    let said = "the pull secret cpaas-system/pull is missing";
    installed(&mut world).get_mut("a").unwrap().status.message = said.to_owned();
    assert!(settle(&mut world).is_empty(), "nothing is to be done about it");
    assert_eq!(ready(&find_info(&world, "a").status), format!("True Running a: {said}"));
    installed(&mut world).get_mut("a").unwrap().status.message.clear();
    settle(&mut world);
    assert_eq!(ready(&find_info(&world, "a").status), "True Running ");
}

#[test]
fn edits_of_plugins_are_looked_for_in_turn() {
    let configs = PLUGINS.map(|name| config(name, "1.0.0", json!({})));
    let mut world = world(configs.to_vec(), PLUGINS.map(|name| info(name, "1.0.0")).to_vec());
    settle(&mut world);
    // The first turn begins 90 s after every full ten minutes.
    let begin: Timestamp = "2026-11-26T20:11:30Z".parse().unwrap();
    let at = |after_s, of: &World| {
        let now = begin.checked_add(SignedDuration::from_secs(after_s)).unwrap();
        looked_at(&World { now, ..of.clone() })
    };
    let all = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(at(-1, &world), (all(&[]), 1));
    assert_eq!(at(0, &world), (all(&PLUGINS[..4]), 300));
    assert_eq!(at(9, &world), (all(&PLUGINS[..4]), 291), "the round may come a little late");
    assert_eq!(at(10, &world), (all(&[]), 290));
    assert_eq!(at(300, &world), (all(&PLUGINS[4..]), 300));
    assert_eq!(at(600, &world), (all(&PLUGINS[..4]), 300));

    // What is not at rest is worked on, not looked at.
    installed(&mut world).get_mut("b").unwrap().status.phase = AppReleasePhase::Failed;
    edit(&mut world, "c").spec.config.insert("replicas".into(), json!(2));
    assert_eq!(at(0, &world).0, all(&["a", "d", "e"]));

    // What asks for something that is refused stays as it is, and is looked at.
    edit(&mut world, "d").spec.version = "9.9.9".to_owned();
    assert_eq!(at(0, &world).0, all(&["a", "d", "e"]));
}

#[test]
fn a_refused_removal_leaves_no_change_half_said() {
    for (applied, phase) in [("1.0.0", "Running"), ("0.9.0", "Upgrading")] {
        let mut world = world(vec![config("a", "1.0.0", json!({}))], vec![info("a", "1.0.0")]);
        settle(&mut world);
        // A change of it was on its way when it was deleted.
        let own = edit(&mut world, "a");
        own.status.phase = "Upgrading".to_owned();
        own.deleting = true;
        let name = own.name.clone();
        let there = vec!["ConfigMap default/keep".to_owned()];
        world.standing.insert(name, Observed::Value(there));
        installed(&mut world).get_mut("a").unwrap().status.version = applied.to_owned();
        settle(&mut world);
        assert_eq!(find_info(&world, "a").status.phase, phase, "{applied} was applied last");
    }
}
