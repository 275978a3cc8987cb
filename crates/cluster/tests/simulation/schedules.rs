//! Schedules of crashes, errors and edits: whatever goes wrong on the way, the end is that of the
//! undisturbed upgrade.

use crate::faults::{Edit, Fault, Faults};
use crate::platform::{PATCH, object};
use crate::prng::Prng;
use crate::store::Store;
use crate::world::{World, plain};
use api::HistoryState;
use api::objects::{ResourcePatch, object_ref};
use serde_json::{Value, json};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Schedules by chance, with crashes and errors.
const RANDOM: u64 = 300;
/// Schedules by chance, with edits of users as well.
const EDITED: u64 = 100;

/// The upgrade of every schedule.
fn upgrade(faults: Faults, name: &str) -> World {
    let mut world = World::installed(faults, name);
    world.server.lock().watch.never_stalls = true;
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
    let (expected, _) = undisturbed();
    let found = plain(&world.store());
    let differs = found.iter().zip(expected).find(|(a, b)| a != b);
    if let Some((found, expected)) = differs {
        let same = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
        let part = |text: &str| text.chars().skip(same.saturating_sub(80)).take(240).collect();
        let (found, expected): (String, String) = (part(found), part(expected));
        world.panic(&format!("ends otherwise:\n  {found}\ninstead of\n  {expected}"));
    }
    if found.len() != expected.len() {
        world.panic(&format!("{} objects instead of {}", found.len(), expected.len()));
    }
}

/// The seeds of a test: those from the environment, else all.
fn seeds(all: u64) -> Vec<u64> {
    match std::env::var("SIMULATION_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIMULATION_SEED is a number")],
        Err(_) => (0..all).collect(),
    }
}

#[test]
fn i6_crashes_change_nothing() {
    let (_, changing) = undisturbed();
    assert!((20..=200).contains(changing), "{changing} changing requests");
    let kills: Vec<(u64, Fault)> = (1..=*changing)
        .flat_map(|request| [(request, Fault::DeadBefore), (request, Fault::DeadAfter)])
        .collect();
    let begun = Instant::now();
    side_by_side(&kills, |(request, fault)| {
        ends_alike(&upgrade(Faults::at(*request, *fault), &format!("{fault:?} {request}")));
    });
    let seeds = seeds(RANDOM);
    side_by_side(&seeds, |seed| {
        ends_alike(&upgrade(Faults::random(*seed), &format!("SIMULATION_SEED={seed}")));
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!("{} kills and {} random schedules in {seconds:.1} s", kills.len(), seeds.len());
}

/// Runs all of them on two threads.
fn side_by_side<T: Sync>(all: &[T], run: impl Fn(&T) + Sync) {
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

/// What a user may do while the upgrade runs.
fn edit(prng: &mut Prng) -> Edit {
    let number = i64::try_from(prng.below(5)).unwrap_or(0) + 1;
    match prng.below(7) {
        0 | 1 => Box::new(move |store| store.customise(number, "4.3.0")),
        2 => Box::new(Store::uncustomise),
        3 => Box::new(|store| store.wish(None)),
        4 => Box::new(|store| store.wish(Some("4.3.0"))),
        5 => Box::new(move |store| {
            let coredns = object("Deployment", "kube-system", "coredns");
            let annotate = |value: &mut Value| {
                value["metadata"]["annotations"]["user/note"] = json!("mine");
            };
            store.edit(&coredns, annotate).expect("coredns is always there");
        }),
        _ => Box::new(move |store| {
            let settings = object("ConfigMap", "cpaas-system", "settings");
            let set = |value: &mut Value| value["data"]["line"] = json!(number.to_string());
            store.edit(&settings, set).expect("settings are always there");
        }),
    }
}

/// A user settles what is left of his edits, and asks for the upgrade once more.
fn settle_edits(world: &mut World) {
    world.server.outside(|store| {
        let settings = object("ConfigMap", "cpaas-system", "settings");
        store.give_up(&settings, "kubectl");
        store.wish(Some("4.3.0"));
        let patch = store.get(&object_ref::<ResourcePatch>("", PATCH)).unwrap();
        if patch.is_some_and(|p| p["metadata"].get("deletionTimestamp").is_none()) {
            store.customise(4, "4.3.0");
        }
    });
    world.settle();
}

#[test]
fn edits_at_any_moment_lose_nothing() {
    side_by_side(&seeds(EDITED), |seed| {
        let seed = *seed;
        let mut prng = Prng::new(seed ^ 0xED17);
        let mut faults = Faults::random(seed);
        for _ in 0..1 + prng.below(6) {
            faults.edit(1 + prng.below(900), edit(&mut prng));
        }
        let name = format!("edits, SIMULATION_SEED={seed}");
        let mut world = World::installed(faults, &name);
        world.server.outside(|store| store.wish(Some("4.3.0")));
        world.settle_with_edits();
        let noted = |world: &World| {
            let coredns = world.get(&object("Deployment", "kube-system", "coredns"));
            coredns.unwrap()["metadata"]["annotations"]["user/note"].clone()
        };
        let note = noted(&world);
        settle_edits(&mut world);
        if noted(&world) != note {
            world.panic("the note of the user is lost");
        }
        let status = world.status();
        let last = status.history.first().cloned().unwrap_or_default();
        if (last.version.as_str(), last.state) != ("4.3.0", HistoryState::Completed) {
            world.panic("the upgrade did not complete");
        }
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
