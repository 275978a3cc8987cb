//! Schedules of crashes, errors and edits: whatever goes wrong on the way, the end is that of the
//! undisturbed upgrade.

use crate::edits;
use crate::faults::{Fault, Faults};
use crate::platform::{PATCH, object};
use crate::prng::Prng;
use crate::world::World;
use crate::world::ends::plain;
use api::HistoryState;
use api::names::GLOBAL;
use api::objects::{ResourcePatch, object_ref};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Schedules of everything at once, edits included.
const SCHEDULES: u64 = 250;
const ALL_SCHEDULES: u64 = 10_000;
/// One of so many seeds is run without edits as well: then the end is told to the last field.
const OF_WHICH_EXACT: usize = 5;

/// The upgrade of every schedule.
fn upgrade(faults: Faults, name: &str) -> World {
    let mut world = World::installed(faults, name);
    world.server.lock().watch(GLOBAL).never_stalls = true;
    world.server.outside(|store| store.wish(Some("4.3.0")));
    world.settle();
    world
}

/// How the undisturbed upgrade ends, and how many changing requests it sends.
fn undisturbed() -> &'static (Vec<String>, u64) {
    static END: OnceLock<(Vec<String>, u64)> = OnceLock::new();
    END.get_or_init(|| {
        let world = upgrade(Faults::default(), "undisturbed");
        (plain(&world.store()), world.changing())
    })
}

/// The end is that of the undisturbed upgrade.
fn ends_alike(world: &World) {
    world.ends_alike(&plain(&world.store()), &undisturbed().0);
}

/// The seeds of a test: the one from the environment, else as many as are run usually or, where
/// `E2E_SOAK` is set as `cargo xtask soak` does, all.
pub(crate) fn seeds(usual: u64, all: u64) -> Vec<u64> {
    if let Ok(seed) = std::env::var("SIMULATION_SEED") {
        return vec![seed.parse().expect("SIMULATION_SEED is a number")];
    }
    (0..if std::env::var_os("E2E_SOAK").is_some() { all } else { usual }).collect()
}

/// Runs every schedule, and says how many in which time, in a form that `cargo xtask soak` finds.
pub(crate) fn every_schedule(what: &str, seeds: &[u64], run: impl Fn(u64) + Sync) {
    let begun = Instant::now();
    side_by_side(seeds, |seed| run(*seed));
    eprintln!("figure: {} {what} in {:.0} s", seeds.len(), begun.elapsed().as_secs_f64());
}

#[test]
fn i6_crashes_change_nothing() {
    let (_, changing) = undisturbed();
    assert!((20..=200).contains(changing), "{changing} changing requests");
    let kills: Vec<(u64, Fault)> = (1..=*changing)
        .flat_map(|request| [(request, Fault::DeadBefore), (request, Fault::DeadAfter)])
        .collect();
    side_by_side(&kills, |(request, fault)| {
        ends_alike(&upgrade(Faults::at(*request, *fault), &format!("{fault:?} {request}")));
    });
    let all = seeds(SCHEDULES, ALL_SCHEDULES);
    let some: Vec<u64> = all.into_iter().step_by(OF_WHICH_EXACT).collect();
    every_schedule("schedules of crashes and errors", &some, |seed| {
        ends_alike(&upgrade(Faults::random(seed), &format!("SIMULATION_SEED={seed}")));
    });
}

/// As if the process was paused before the request, its Lease ran out, another one led to the end,
/// and then the request went out after all.
#[test]
fn a_late_write_of_a_paused_leader_changes_nothing() {
    let (_, changing) = undisturbed();
    let mut world = World::installed(Faults::default(), "undisturbed");
    world.server.outside(|store| store.wish(Some("4.3.0")));
    world.settle();
    let log = world.server.lock().log.clone();
    // What a hook needs beside it, and what was deleted with it, is made again by a request that
    // went out in the microseconds after the Lease was looked at: it runs nothing.
    let is_beside_a_hook = |request: &u64| {
        let line = log.iter().find(|line| line.trim().starts_with(&format!("{request} ")));
        line.is_some_and(|line| line.ends_with("apply ConfigMap cpaas-system/portal-migrate"))
    };
    let late: Vec<u64> = (1..=*changing).filter(|request| !is_beside_a_hook(request)).collect();
    assert!(u64::try_from(late.len()).unwrap() + 2 > *changing, "{late:?}");
    side_by_side(&late, |request| {
        ends_alike(&upgrade(Faults::at(*request, Fault::Late), &format!("late {request}")));
    });
}

#[test]
fn events_that_cannot_be_written_hold_up_nothing_for_long() {
    for times in [1, 5, 1000] {
        let name = format!("{times} refused Events");
        let mut world = World::installed(Faults::refusing("Event", times), &name);
        world.server.outside(|store| store.wish(Some("4.3.0")));
        let begun = world.now();
        while world.status().current.is_none_or(|c| c.version != "4.3.0") {
            world.round();
            world.pass(2);
            let waited = world.now().duration_since(begun);
            assert!(waited.as_secs() < 600, "{name}: no end after {waited:?}");
        }
        // Whatever could not be said in time is said afterwards.
        world.server.lock().faults.end();
        world.settle();
    }
}

#[test]
fn a_restart_tells_no_old_news() {
    let world = World::installed(Faults::default(), "old news");
    let mut store = world.store();
    store.now = store.now.checked_add(jiff::SignedDuration::from_hours(3)).unwrap();
    let mut world = World::of(store, Faults::default(), "old news, later");
    world.settle();
    let kind = ("events.k8s.io/v1", "Event");
    let events = world.store().list(kind.0, kind.1, None, &[]).unwrap();
    assert!(events.is_empty(), "{events:?}");
}

/// Runs all of them on two threads.
pub(crate) fn side_by_side<T: Sync>(all: &[T], run: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
            run(one);
        }
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(work);
        work();
        // What the other thread panicked with was printed there.
        other.join().expect("the other thread found no breach");
    });
}

/// The objects are those of the undisturbed upgrade, and every release is as far as there.
fn same_objects(world: &World) {
    static EXPECTED: OnceLock<Vec<String>> = OnceLock::new();
    let objects = |world: &World| {
        let store = world.store();
        // Users delete Jobs that ended, and keep their own customisations.
        let of_product = |kind: &str, value: &Value| {
            kind != "Event" && value["metadata"].get("ownerReferences").is_none()
        };
        let all = store.objects.iter().filter(|(key, stored)| {
            of_product(&key.1, &stored.value) && !["ResourcePatch", "Job"].contains(&key.1.as_str())
        });
        let all = all.map(|(key, stored)| {
            let status = &stored.value["status"];
            let far = match key.1.as_str() {
                "AppRelease" => json!([
                    status["phase"],
                    status["releaseImage"],
                    status["inventory"],
                    status["obsolete"],
                    status["version"]
                ]),
                "ClusterModule" | "ProductBase" => json!([stored.value["spec"], status]),
                _ => Value::Null,
            };
            format!("{key:?} {far}")
        });
        all.collect::<Vec<String>>()
    };
    let expected = EXPECTED.get_or_init(|| objects(&upgrade(Faults::default(), "undisturbed")));
    world.ends_alike(&objects(world), expected);
}

#[test]
fn edits_at_any_moment_lose_nothing() {
    let seeds = seeds(SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of crashes, errors, edits, clocks", &seeds, |seed| {
        let mut prng = Prng::new(seed ^ 0xED17);
        let mut faults = Faults::of_everything(seed);
        for _ in 0..1 + prng.below(6) {
            faults.edit(1 + prng.below(900), edits::edit(&mut prng));
        }
        let name = format!("edits, SIMULATION_SEED={seed}");
        let mut world = World::installed(faults, &name);
        world.server.outside(|store| store.wish(Some("4.3.0")));
        world.settle_with_edits();
        let met = world.server.lock().faults.met;
        if met.crashes == 0 || met.errors == 0 {
            world.panic(&format!("{met:?}: a schedule has crashes and errors"));
        }
        let noted = |world: &World| {
            let coredns = world.get(&object("Deployment", "kube-system", "coredns"));
            coredns.unwrap()["metadata"]["annotations"]["user/note"].clone()
        };
        let note = noted(&world);
        world.server.outside(edits::settle);
        world.settle();
        if noted(&world) != note {
            world.panic("the note of the user is lost");
        }
        let status = world.status();
        let last = status.history.first().cloned().unwrap_or_default();
        if (last.version.as_str(), last.state) != ("4.3.0", HistoryState::Completed) {
            world.panic("the upgrade did not complete");
        }
        same_objects(&world);
        let patch = world.get(&object_ref::<ResourcePatch>("", PATCH));
        let coredns = world.get(&object("Deployment", "kube-system", "coredns")).unwrap();
        match patch {
            None if coredns["spec"]["replicas"] == 2 => {}
            Some(patch) if patch["status"]["phase"] == "Active" => {
                if coredns["spec"]["replicas"] != 4 {
                    world.panic("the customisation is not in force");
                }
            }
            patch => world.panic(&format!("{patch:?} and {}", coredns["spec"]["replicas"])),
        }
    });
}
