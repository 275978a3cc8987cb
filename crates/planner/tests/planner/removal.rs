//! What leaves the cluster with an upgrade.

use crate::world::World;
use planner::snapshot::ResourcePatchFacts;
use planner::{Observed, Step, StepResult};
use std::collections::BTreeSet;

#[test]
fn the_removal_of_a_component_knows_what_the_release_lists() {
    let listed = "PersistentVolumeClaim/cpaas-system/boards".to_owned();
    let mut world = World::new().ask("4.3.0");
    for _ in 0..20 {
        if let Observed::Value(release) = &mut world.snapshot.desired_release {
            // A component that is gone stands nowhere in the release.
            release.stages[0].components[0].prune.insert(listed.clone());
        }
        let round = world.round(|step| match step {
            Step::Remove { .. } => StepResult::Waiting("looked at".into()),
            _ => StepResult::Done,
        });
        let removal = round.plan.steps.iter().find_map(|step| match step {
            Step::Remove { name, allowed } => Some((name.clone(), allowed.clone())),
            _ => None,
        });
        if let Some(removal) = removal {
            assert_eq!(removal, ("dashboard".to_owned(), BTreeSet::from([listed])));
            return;
        }
        world.pass(1);
    }
    panic!("nothing is removed: {:#?}", world.status());
}

/// Its finalizer is the only thing that remembers that what it set must be taken back.
#[test]
fn a_customisation_in_force_stays_while_another_one_of_its_release_does_not_apply() {
    let patch = |name: &str| ResourcePatchFacts {
        name: name.to_owned(),
        release: "kube-system/coredns".to_owned(),
        digest: format!("sha256:{name}"),
        ..Default::default()
    };
    for (applied, failure, goes) in [
        (true, Some("replace /x: invalid path"), false),
        (false, Some("replace /x: invalid path"), true),
        (true, None, true),
    ] {
        let mut world = World::new();
        let other = ResourcePatchFacts { failure: failure.map(str::to_owned), ..patch("other") };
        let leaving = ResourcePatchFacts { deleting: true, applied, ..patch("leaving") };
        world.snapshot.resource_patches = Observed::Value(vec![leaving, other]);
        world.patches_are_recorded();
        let plan = planner::plan(&world.snapshot);
        let is_let_go =
            |step: &Step| matches!(step, Step::ReleasePatch { name } if name == "leaving");
        assert_eq!(plan.steps.iter().any(is_let_go), goes, "{applied} {failure:?}");
    }
}
