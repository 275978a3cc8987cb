//! Preflight of a release in a package says what the ClusterVersionShadow says of that release.

use crate::world::{World, image, release};
use api::CheckState;
use api::objects::{Check, Preflight};
use planner::preflight::of_package;
use planner::snapshot::PackageFacts;

/// What passed once is not asked again.
const ONCE: &str = "DockerRuntimeUnsupported";
/// What always runs.
const ALWAYS: &str = "ControlPlaneStaticPodsPresent";
/// What neither of them would pass.
const WORSE: &str = "{nodes: {Value: [{name: node-1, runtime: 'docker://24.0.7', controlPlane: true}]}, \
    staticPods: {Value: []}}";

fn in_hand(world: &World) -> Preflight {
    let mut snapshot = world.snapshot.clone();
    snapshot.package = Some(PackageFacts {
        // The registry may go by another name for whoever holds the package.
        image: image("4.3.0").replace("registry.test", "localhost"),
        signature: None,
        release: release("4.3.0"),
    });
    of_package(&snapshot).unwrap()
}

fn state(checks: &[Check], name: &str) -> CheckState {
    checks.iter().find(|check| check.name == name).unwrap().state
}

#[test]
fn what_passed_once_for_the_same_release_stands() {
    let mut world = World::new();
    world.done_round();
    let mut world = world.edited(WORSE);
    world.done_round();
    let shown = world.status().preflight.unwrap();
    assert_eq!(state(&shown.checks, ONCE), CheckState::Passed);
    assert_eq!(state(&shown.checks, ALWAYS), CheckState::Failed);
    assert_eq!(in_hand(&world).checks, shown.checks);
}

#[test]
fn what_passed_for_another_release_counts_for_nothing() {
    let mut world = World::new();
    world.done_round();
    let mut world = world.edited(WORSE);
    let mut status = world.status();
    status.preflight.as_mut().unwrap().image = image("4.2.1");
    world.record(status);
    assert_eq!(state(&in_hand(&world).checks, ONCE), CheckState::Failed);
}

#[test]
fn while_it_is_under_way_nothing_is_asked_any_more() {
    let mut world = World::new().ask("4.3.0");
    world.done_round();
    assert_eq!(world.status().history[0].state, api::HistoryState::Partial);
    let world = world.edited(WORSE);
    let shown = world.status().preflight.unwrap();
    assert_eq!(state(&shown.checks, ALWAYS), CheckState::Passed);
    assert_eq!(in_hand(&world).checks, shown.checks);
}
