//! What leaves the cluster with an upgrade.

use crate::world::World;
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
