//! The life of plugins on a cluster that is idle: whatever goes wrong on the way, the end is that
//! of the undisturbed life.

use crate::faults::{Fault, Faults};
use crate::invariants::{all_of, app_release, typed};
use crate::platform::object;
use crate::plugins::{LOGS, LOGS_PATCH, PAGES, PAGES_PATCH, info_ref};
use crate::schedules::{every_schedule, seeds, side_by_side};
use crate::scope::owner;
use crate::store::Store;
use crate::world::World;
use crate::world::ends::plain;
use api::names::{GLOBAL, NAMESPACE, RUNNING};
use api::objects::{
    AppReleasePhase, ModuleInfo, ModuleInfoStatus, ModulePlugin, ResourcePatch, object_ref,
};
use serde_json::{Value, json};
use std::sync::OnceLock;

/// Schedules of a usual run, and all of them.
const SCHEDULES: u64 = 20;
const ALL_SCHEDULES: u64 = 4_000;

/// What a user asks for; the next once that is done.
pub(crate) const LIFE: [fn(&mut Store); 4] = [
    |store| {
        store.ask(PAGES, "1.0.0");
        store.ask(LOGS, "1.0.0");
        store.customise_pages(3);
        store.customise_logs("debug");
    },
    |store| {
        store.ask(PAGES, "1.1.0");
        store.configure_plugin(LOGS, "fancy");
    },
    remove_all,
    |store| {
        store.ask(PAGES, "1.1.0");
        store.ask(LOGS, "1.0.0");
    },
];

pub(crate) fn remove_all(store: &mut Store) {
    store.remove_plugin(PAGES);
    store.remove_plugin(LOGS);
}

/// A cluster at 4.2.1 to which plugins are offered, 4.3.0 as well.
pub(crate) fn offered(faults: Faults, name: &str) -> World {
    static OFFERED: OnceLock<Store> = OnceLock::new();
    let store = OFFERED.get_or_init(|| {
        let mut world = World::installed(Faults::default(), "before plugins");
        world.server.outside(Store::push_plugins);
        world.settle();
        world.long_after().remove(GLOBAL).expect("there is global")
    });
    World::of(store.clone(), faults, name)
}

fn said(world: &World, module: &str) -> ModuleInfoStatus {
    let info = world.get(&info_ref(module)).map(|info| typed::<ModuleInfo>(&info));
    info.and_then(|info| info.status).unwrap_or_default()
}

/// A plugin runs in a version, and its record says so.
pub(crate) fn runs(world: &World, module: &str, version: &str) {
    let (said, release) = (said(world, module), app_release(&world.store(), module));
    let release = release.unwrap_or_default();
    let at = (said.phase.as_str(), said.version.as_str(), release.version.as_str());
    if at != (RUNNING, version, version) || release.phase != AppReleasePhase::Ready {
        world.panic(&format!("{module} is {at:?} instead of Running at {version}"));
    }
}

/// A customisation is in force.
pub(crate) fn in_force(world: &World, patch: &str) {
    let patch: ResourcePatch = typed(&world.get(&object_ref::<ResourcePatch>("", patch)).unwrap());
    let target = &patch.spec.target;
    let live = world.get(&object(&target.kind, &target.namespace, &target.name));
    let live = live.unwrap_or(Value::Null);
    let status = patch.status.unwrap_or_default();
    for operation in &patch.spec.json_patch {
        if live.pointer(&operation.path) != operation.value.as_ref() {
            world.panic(&format!("{} is not in force: {live}", patch.spec.release));
        }
    }
    if json!(status.phase) != "Active" {
        world.panic(&format!("what is in force says {status:?}"));
    }
}

/// Objects and records of a plugin, as they are stored.
pub(crate) fn of(world: &World, module: &str) -> Vec<String> {
    of_store(&world.store(), module)
}

pub(crate) fn of_store(store: &Store, module: &str) -> Vec<String> {
    let mut all = Vec::new();
    for (key, stored) in &store.objects {
        let mut value = stored.value.clone();
        if key.1 == "AppRelease" && key.3 == module {
            // A look for edits that was in vain is recorded, and the next one takes that back.
            value["metadata"]["resourceVersion"].take();
        } else if owner(Some(&value)) != Some(module) {
            continue;
        }
        all.push(format!("{key:?} {value}"));
    }
    all
}

/// Nothing is left of either plugin but the customisations.
pub(crate) fn all_gone(world: &World) {
    for module in [PAGES, LOGS] {
        let left = of(world, module);
        if !left.is_empty() || world.get(&info_ref(module)).is_some() {
            world.panic(&format!("{module} is removed, and there is {left:?}"));
        }
    }
}

/// A life; the ends of its parts.
fn live(faults: Faults, name: &str) -> (World, Vec<Vec<String>>) {
    let mut world = offered(faults, name);
    let mut ends = Vec::new();
    for act in LIFE {
        world.server.outside(act);
        world.settle();
        ends.push(plain(&world.store()));
    }
    (world, ends)
}

/// How each part of an undisturbed life ends, and how many changing requests it sends.
fn undisturbed() -> &'static (Vec<Vec<String>>, u64) {
    static ENDS: OnceLock<(Vec<Vec<String>>, u64)> = OnceLock::new();
    ENDS.get_or_init(|| {
        let (world, ends) = live(Faults::default(), "an undisturbed life of plugins");
        (ends, world.changing())
    })
}

fn lives_alike(faults: Faults, name: &str) {
    let (world, ends) = live(faults, name);
    for (found, expected) in ends.iter().zip(&undisturbed().0) {
        world.ends_alike(found, expected);
    }
}

#[test]
fn a_plugin_is_installed_upgraded_removed_and_installed_again() {
    let mut world = offered(Faults::default(), "a life of plugins, part by part");
    let mut next = LIFE.into_iter();
    let mut live = |world: &mut World| {
        world.server.outside(next.next().unwrap());
        world.settle();
    };
    let catalogue = |world: &World| {
        let pages = all_of::<ModulePlugin>(&world.store()).remove(1).status.unwrap();
        let at = pages.installed.into_iter().map(|at| format!("{} {}", at.phase, at.version));
        (pages.latest_version, at.collect::<Vec<_>>())
    };
    let legacy = object("ConfigMap", NAMESPACE, "pages-legacy");

    live(&mut world);
    runs(&world, PAGES, "1.0.0");
    runs(&world, LOGS, "1.0.0");
    [PAGES_PATCH, LOGS_PATCH].iter().for_each(|patch| in_force(&world, patch));
    assert_eq!(catalogue(&world), ("1.2.0".to_owned(), vec!["Running 1.0.0".to_owned()]));
    assert!(world.get(&legacy).is_some());

    live(&mut world);
    runs(&world, PAGES, "1.1.0");
    [PAGES_PATCH, LOGS_PATCH].iter().for_each(|patch| in_force(&world, patch));
    let logs = world.get(&object("ConfigMap", NAMESPACE, LOGS)).unwrap();
    assert_eq!(logs["data"]["setting"], "fancy");
    assert!(world.get(&legacy).is_none(), "what the new version does not have is gone");

    live(&mut world);
    all_gone(&world);
    assert_eq!(catalogue(&world).1, Vec::<String>::new());
    let patch = object_ref::<ResourcePatch>("", PAGES_PATCH);
    assert_eq!(world.get(&patch).unwrap()["status"]["phase"], "Pending", "it outlives the plugin");

    live(&mut world);
    runs(&world, PAGES, "1.1.0");
    runs(&world, LOGS, "1.0.0");
    [PAGES_PATCH, LOGS_PATCH].iter().for_each(|patch| in_force(&world, patch));
}

#[test]
fn crashes_change_nothing_in_the_life_of_a_plugin() {
    let (_, changing) = undisturbed();
    let kills: Vec<(u64, Fault)> = (1..=*changing)
        .flat_map(|request| [(request, Fault::DeadBefore), (request, Fault::DeadAfter)])
        .collect();
    side_by_side(&kills, |(request, fault)| {
        lives_alike(Faults::at(*request, *fault), &format!("plugins, {fault:?} {request}"));
    });
    let seeds = seeds(SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of a life of plugins", &seeds, |seed| {
        lives_alike(Faults::random(seed), &format!("plugins, SIMULATION_SEED={seed}"));
    });
}

#[test]
fn a_late_write_changes_nothing_in_the_life_of_a_plugin() {
    let (_, changing) = undisturbed();
    let late: Vec<u64> = (1..=*changing).collect();
    side_by_side(&late, |request| {
        lives_alike(Faults::at(*request, Fault::Late), &format!("plugins, late {request}"));
    });
}
