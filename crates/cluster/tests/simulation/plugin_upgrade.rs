//! Plugins beside an upgrade of their cluster: it moves the Aligned one and never touches the
//! Agnostic one, whatever goes wrong on the way and whatever users do meanwhile.

use crate::faults::{Edit, Fault, Faults};
use crate::platform::object;
use crate::plugin_life::{LIFE, all_gone, in_force, of, offered, remove_all, runs};
use crate::plugins::{LOGS, LOGS_PATCH, PAGES, PAGES_PATCH};
use crate::prng::Prng;
use crate::schedules::{every_schedule, seeds, side_by_side};
use crate::store::Store;
use crate::world::World;
use crate::world::ends::plain;
use api::HistoryState;
use api::names::{GLOBAL, NAMESPACE};
use std::sync::OnceLock;

/// Schedules of a usual run, and all of them.
const SCHEDULES: u64 = 25;
const ALL_SCHEDULES: u64 = 4_000;

/// A cluster at 4.2.1 with both plugins installed and customised, to which 4.3.0 is offered.
pub(crate) fn installed(faults: Faults, name: &str) -> World {
    static INSTALLED: OnceLock<Store> = OnceLock::new();
    let store = INSTALLED.get_or_init(|| {
        let mut world = offered(Faults::default(), "before an upgrade with plugins");
        world.server.outside(LIFE[0]);
        world.settle();
        world.long_after().remove(GLOBAL).expect("there is global")
    });
    World::of(store.clone(), faults, name)
}

/// An upgrade of the cluster with both plugins on it.
fn upgrade(faults: Faults, name: &str) -> World {
    let mut world = installed(faults, name);
    world.server.lock().watch(GLOBAL).never_stalls = true;
    let before = of(&world, PAGES);
    world.server.outside(|store| store.wish(Some("4.3.0")));
    world.settle();
    completed(&world);
    if of(&world, PAGES) != before {
        world.panic("I7: the Agnostic plugin is not as it was");
    }
    world
}

/// The cluster is at 4.3.0, and the plugin that moves with it.
fn completed(world: &World) {
    let last = world.status().history.first().cloned().unwrap_or_default();
    if (last.version.as_str(), last.state) != ("4.3.0", HistoryState::Completed) {
        world.panic("the upgrade did not complete");
    }
    runs(world, LOGS, "2.0.0");
}

#[test]
fn an_upgrade_moves_its_aligned_plugin_whatever_goes_wrong() {
    let undisturbed = upgrade(Faults::default(), "an undisturbed upgrade with plugins");
    runs(&undisturbed, PAGES, "1.0.0");
    [PAGES_PATCH, LOGS_PATCH].iter().for_each(|patch| in_force(&undisturbed, patch));
    let expected = plain(&undisturbed.store());
    let kills: Vec<(u64, Fault)> = (1..=undisturbed.changing())
        .flat_map(|request| [(request, Fault::DeadBefore), (request, Fault::DeadAfter)])
        .collect();
    side_by_side(&kills, |(request, fault)| {
        let name = format!("an upgrade with plugins, {fault:?} {request}");
        let world = upgrade(Faults::at(*request, *fault), &name);
        world.ends_alike(&plain(&world.store()), &expected);
    });
    let seeds = seeds(SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of an upgrade with plugins", &seeds, |seed| {
        let name = format!("an upgrade with plugins, SIMULATION_SEED={seed}");
        let world = upgrade(Faults::random(seed), &name);
        world.ends_alike(&plain(&world.store()), &expected);
    });
}

/// What the user of a plugin may do.
fn edit(prng: &mut Prng) -> Edit {
    let number = i64::try_from(prng.below(5)).unwrap() + 1;
    match prng.below(10) {
        0 => Box::new(|store| store.ask(PAGES, "1.0.0")),
        1 => Box::new(|store| store.ask(PAGES, "1.1.0")),
        2 => Box::new(|store| store.ask(PAGES, "1.2.0")),
        3 => Box::new(|store| store.ask(PAGES, "9.9.9")),
        4 | 5 => Box::new(|store| store.remove_plugin(PAGES)),
        6 | 7 => Box::new(move |store| store.customise_pages(number)),
        8 => Box::new(|store| store.uncustomise_plugin(PAGES_PATCH)),
        _ => Box::new(move |store| store.configure_plugin(PAGES, &format!("mine-{number}"))),
    }
}

#[test]
fn users_of_plugins_lose_nothing_at_any_moment() {
    let seeds = seeds(2 * SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of plugins and their users", &seeds, |seed| {
        let mut prng = Prng::new(seed ^ 0x91A6);
        let mut faults = Faults::of_everything(seed);
        for _ in 0..2 + prng.below(8) {
            faults.edit(1 + prng.below(900), edit(&mut prng));
        }
        let is_upgrade = prng.below(2) == 0;
        let mut world = installed(faults, &format!("users of plugins, SIMULATION_SEED={seed}"));
        if is_upgrade {
            world.server.outside(|store| store.wish(Some("4.3.0")));
        }
        world.settle_with_edits();
        world.server.outside(|store| {
            store.ask(PAGES, "1.2.0");
            store.configure_plugin(PAGES, "mine");
        });
        world.settle();
        world.server.outside(|store| store.customise_pages(4));
        world.settle();
        runs(&world, PAGES, "1.2.0");
        let pages = world.get(&object("ConfigMap", NAMESPACE, PAGES)).unwrap();
        if pages["data"]["setting"] != "mine" {
            world.panic("the setting of the user is lost");
        }
        in_force(&world, PAGES_PATCH);
        if is_upgrade {
            completed(&world);
        }
        world.server.outside(remove_all);
        world.settle();
        all_gone(&world);
    });
}
