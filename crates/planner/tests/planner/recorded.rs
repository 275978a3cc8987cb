//! Whole statuses as the planner writes them, kept as snapshots: whatever shows a status is tested
//! with these, so that it never learns words that are not written.

use crate::scenarios::world_after;
use api::{ClusterVersionShadow, ClusterVersionShadowSpec};

/// Name of a record, and the scenario with the entry of its list of rounds after which it is taken.
const RECORDS: &[(&str, &str, usize)] = &[
    ("running_blocker", "image_pull", 2),
    ("stalled_image_pull", "image_pull", 3),
    ("stalled_hook", "hook_failed", 2),
    ("stalled_patch", "patch_fails_in_flight", 2),
    ("patch_failed_idle", "customisations", 1),
    ("requested_blocked", "requested_check_failed", 2),
    ("held_by_rule", "held_by_a_rule", 1),
    ("refused_lower", "refused", 1),
    ("refused_unpublished", "refused", 2),
    ("refused_left_over_image", "refused", 4),
    ("idle_unreachable", "idle_unreachable", 2),
    ("idle_stalled_unreachable", "idle_unreachable", 5),
    ("refused_in_flight", "refused_in_flight", 3),
];

#[test]
fn recorded() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for (name, scenario, entries) in RECORDS {
            let world = world_after(scenario, *entries);
            let facts = world.snapshot.cvsh.clone().unwrap();
            let desired_update = facts.desired_update;
            let spec = ClusterVersionShadowSpec { desired_update };
            let mut shadow = ClusterVersionShadow::new(&world.snapshot.cluster, spec);
            shadow.metadata.namespace = Some(api::names::NAMESPACE.to_owned());
            shadow.metadata.generation = facts.status.observed_generation;
            shadow.status = Some(facts.status);
            insta::assert_snapshot!(*name, serde_saphyr::to_string(&shadow).unwrap());
        }
    });
}
