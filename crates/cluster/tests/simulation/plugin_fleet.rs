//! A plugin on a workload cluster: it is driven from global, where it is asked for, and ends as on
//! an undisturbed platform whatever goes wrong at either.

use crate::faults::Faults;
use crate::fleet::{self, NAME};
use crate::invariants::app_release;
use crate::platform::object;
use crate::plugin_life::of_store;
use crate::plugins::PAGES;
use crate::prng::Prng;
use crate::schedules::{every_schedule, seeds};
use crate::server::Clusters;
use crate::store::Store;
use crate::world::World;
use crate::world::ends::plain;
use api::names::NAMESPACE;
use api::objects::AppReleasePhase;
use std::sync::OnceLock;

/// Schedules of a usual run, and all of them.
const SCHEDULES: u64 = 15;
const ALL_SCHEDULES: u64 = 1_000;

/// Both clusters at 4.2.1, with plugins to choose from.
fn offered() -> Clusters {
    static OFFERED: OnceLock<Clusters> = OnceLock::new();
    let offer = || {
        let (faults, order) = (Faults::default(), Prng::new(4));
        let mut world = World::of_all(fleet::installed(), faults, order, "plugins for a fleet");
        world.server.outside(Store::push_plugins);
        world.settle();
        world.long_after()
    };
    OFFERED.get_or_init(offer).clone()
}

/// A customised plugin is installed and upgraded on the workload cluster, and removed; how the
/// cluster is before and after that.
fn live(faults: Faults, order: Prng, name: &str) -> [Vec<String>; 2] {
    let mut world = World::of_all(offered(), faults, order, name);
    world.server.of(NAME, NAME).outside(|store| store.customise_pages(3));
    for version in ["1.0.0", "1.1.0"] {
        world.server.outside(|store| store.ask_on(NAME, PAGES, version));
        world.settle();
        let store = world.store_of(NAME);
        let release = app_release(&store, PAGES).unwrap_or_default();
        if (release.phase, release.version.as_str()) != (AppReleasePhase::Ready, version) {
            world.panic(&format!("it is {:?} at {}", release.phase, release.version));
        }
        let pages = store.get(&object("Deployment", NAMESPACE, PAGES)).unwrap().unwrap();
        if pages["spec"]["replicas"] != 3 {
            world.panic("the customisation is not in force");
        }
    }
    let there = plain(&world.store_of(NAME));
    world.server.outside(|store| store.remove_plugin_of(NAME, PAGES));
    world.settle();
    let left = of_store(&world.store_of(NAME), PAGES);
    if !left.is_empty() || !of_store(&world.store(), PAGES).is_empty() {
        world.panic(&format!("it is removed, and there is {left:?}"));
    }
    [there, plain(&world.store_of(NAME))]
}

#[test]
fn a_plugin_lives_on_a_workload_cluster_whatever_goes_wrong() {
    let expected = live(Faults::default(), Prng::new(5), "an undisturbed plugin of a fleet");
    let seeds = seeds(SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of a plugin on a workload cluster", &seeds, |seed| {
        let name = format!("a plugin of a fleet, SIMULATION_SEED={seed}");
        let found = live(Faults::random(seed), Prng::new(seed ^ 0xF1EE8), &name);
        assert!(found == expected, "{name} ends otherwise");
    });
}
