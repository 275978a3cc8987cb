//! A workload cluster beside the global one: rounds about either or both in any order, with
//! crashes, errors and edits at any moment. It waits for global, follows it, and never passes it.

use crate::edits::configure;
use crate::faults::Faults;
use crate::invariants::status;
use crate::prng::Prng;
use crate::schedules::{every_schedule, seeds};
use crate::server::Clusters;
use crate::store::Store;
use crate::world::ends::plain;
use crate::world::{End, World};
use api::HistoryState;
use api::checks::CheckReason;
use api::names::{ADVERTISE, GLOBAL, NAMESPACE};
use api::objects::{
    Cluster, ClusterCredential, ClusterModule, ClusterVersionShadow, ModuleInfo, object_ref,
};
use cluster::observe::{place, route};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;

pub(crate) const NAME: &str = "workload-a";
/// What both come to.
const TARGET: &str = "4.3.0";
/// What is published and global never asks for.
const BEYOND: &str = "4.3.1";
/// The checks that would say it first: without them only the rules hold that nobody can switch off.
const DISABLED: &str = "disabled: [ClusterVersionUpgradeable, ResourcePatchUpgradeable]";

/// Schedules of a usual run, and all of them.
const SCHEDULES: u64 = 40;
const ALL_SCHEDULES: u64 = 2_000;

/// Both clusters at 4.2.1, each with a customisation and a plugin, and nothing asked for.
pub(crate) fn installed() -> Clusters {
    static INSTALLED: OnceLock<Clusters> = OnceLock::new();
    let install = || {
        let global = World::installed(Faults::default(), "before the fleet").store();
        let workload = Store::workload(global.now);
        let stores = BTreeMap::from([(GLOBAL, global), (NAME, workload)]);
        let mut world = World::of_all(stores, Faults::default(), Prng::new(0), "a new fleet");
        world.server.outside(|store| {
            store.publish(BEYOND);
            store.register(NAME);
        });
        world.settle();
        world.server.outside(|store| store.wish_of(NAME, Some("4.2.1")));
        world.settle();
        world.server.outside(|store| store.wish_of(NAME, None));
        world.server.of(NAME, NAME).outside(|store| {
            store.agnostic_plugin();
            store.customise(3, TARGET);
        });
        world.settle();
        if world.status_of(NAME).current.is_none_or(|current| current.version != "4.2.1") {
            world.panic("4.2.1 is not installed on the workload cluster");
        }
        world.long_after()
    };
    INSTALLED.get_or_init(install).clone()
}

/// What the workload cluster is like after an upgrade with nothing in its way. It is asked for
/// before global is, and waits.
fn undisturbed() -> &'static Vec<String> {
    static END: OnceLock<Vec<String>> = OnceLock::new();
    END.get_or_init(|| {
        let (faults, order) = (Faults::default(), Prng::new(1));
        let mut world = World::of_all(installed(), faults, order, "an undisturbed fleet");
        world.server.outside(|store| store.wish_of(NAME, Some(TARGET)));
        world.settle();
        let waits = world.status_of(NAME);
        let mut checks = waits.preflight.into_iter().flat_map(|preflight| preflight.checks);
        let is_told = checks.any(|check| check.reason == CheckReason::GlobalNotReached);
        let is_there = waits.current.is_some_and(|current| current.version == "4.2.1");
        if !is_there || !is_told {
            world.panic("the workload cluster does not wait for global");
        }
        world.server.outside(|store| store.wish(Some(TARGET)));
        world.settle();
        both_completed(&world);
        if world.server.lock().watch(NAME).customised == 0 {
            world.panic("the watch did not look at the customisation of the workload cluster");
        }
        plain(&world.store_of(NAME))
    })
}

/// Both are at the target, each by one upgrade.
fn both_completed(world: &World) {
    for cluster in [GLOBAL, NAME] {
        let history = world.status_of(cluster).history;
        let history: Vec<_> = history.iter().map(|h| (h.version.as_str(), h.state)).collect();
        if history != [(TARGET, HistoryState::Completed), ("4.2.1", HistoryState::Completed)] {
            world.panic(&format!("{cluster} ends with {history:?}"));
        }
    }
}

/// What goes wrong, and what users do meanwhile: the second of the two wishes comes, the checks
/// that could be asked are switched off, another version is asked for, the wish is withdrawn.
fn disturbances(seed: u64, second: &'static str, prng: &mut Prng) -> Faults {
    let mut faults = Faults::of_everything(seed);
    if prng.below(2) == 0 {
        faults.edit(1 + prng.below(300), Box::new(|store| configure(store, DISABLED)));
    }
    for _ in 0..prng.below(4) {
        let wish = [Some(TARGET), Some(BEYOND), None][usize::try_from(prng.below(3)).unwrap()];
        faults.edit(1 + prng.below(900), Box::new(move |store| store.wish_of(NAME, wish)));
    }
    let ask = move |store: &mut Store| {
        let current = status(store, GLOBAL).current.unwrap_or_default();
        assert_ne!(current.version, TARGET, "the wish comes before global is there");
        store.wish_of(second, Some(TARGET));
    };
    faults.edit(1 + prng.below(200), Box::new(ask));
    faults
}

#[test]
fn a_workload_cluster_never_passes_global() {
    let expected = undisturbed();
    let seeds = seeds(SCHEDULES, ALL_SCHEDULES);
    every_schedule("schedules of a workload cluster beside global", &seeds, |seed| {
        let mut prng = Prng::new(seed ^ 0xF1EE7);
        let [first, second] = if prng.below(2) == 0 { [NAME, GLOBAL] } else { [GLOBAL, NAME] };
        let faults = disturbances(seed, second, &mut prng);
        let name = format!("a fleet, SIMULATION_SEED={seed}");
        let mut world = World::of_all(installed(), faults, prng, &name);
        world.server.outside(|store| store.wish_of(first, Some(TARGET)));
        world.settle_with_edits();
        let met = world.server.lock().faults.met;
        if met.crashes == 0 || met.errors == 0 {
            world.panic(&format!("{met:?}: a schedule has crashes and errors"));
        }
        world.server.outside(|store| store.wish_of(NAME, Some(TARGET)));
        world.settle();
        both_completed(&world);
        world.ends_alike(&plain(&world.store_of(NAME)), expected);
    });
}

#[test]
fn a_cluster_whose_address_moved_is_followed() {
    let (faults, order) = (Faults::default(), Prng::new(2));
    let world = World::of_all(installed(), faults, order, "a cluster that moves");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    world.server.outside(|store| {
        let credential = object_ref::<ClusterCredential>("", NAME);
        store.edit(&credential, |value| value["caCert"] = json!("")).unwrap();
    });
    let advertised = |host: &str| {
        let cluster = object_ref::<Cluster>("", NAME);
        let address = json!([{ "host": host, "port": 6443, "type": ADVERTISE }]);
        let edit = |value: &mut Value| {
            value["status"]["addresses"] = address;
            Ok(())
        };
        world.server.outside(|store| store.update(&cluster, true, "platform", edit)).unwrap();
        let home = &world.server;
        let found = async { (route(home, NAME).await, place(home, NAME).await) };
        let (route, place) = runtime.block_on(found);
        (route.unwrap(), place.unwrap())
    };
    let (before, old) = advertised("10.0.0.1");
    let (probed, same) = advertised("10.0.0.1");
    assert!(before.leads_to(&same) && before.is_that_of(&probed), "a probe is no move");
    let (after, new) = advertised("10.0.0.2");
    assert!(!before.leads_to(&new) && after.leads_to(&new) && !after.leads_to(&old));
    assert!(!before.is_that_of(&after), "it is reached anew");
    // Which credential it names is a part of the way, too.
    let naming = |credential: &str| {
        let cluster = object_ref::<Cluster>("", NAME);
        let reference = json!({ "name": credential });
        world
            .server
            .outside(|store| {
                store.edit(&cluster, |value| value["spec"]["clusterCredentialRef"] = reference)
            })
            .unwrap();
        let home = &world.server;
        runtime.block_on(async { (route(home, NAME).await, place(home, NAME).await.unwrap()) })
    };
    let (named, place) = naming(NAME);
    let named = named.unwrap();
    assert_eq!((after.credential(), named.credential()), (None, Some(NAME)));
    assert!(!after.leads_to(&place) && named.leads_to(&place) && named.is_that_of(&after));
    let (nowhere, place) = naming("another");
    let why = nowhere.err().map(|why| why.to_string()).unwrap_or_default();
    assert!(why.contains("names another") && !named.leads_to(&place), "{why}");
}

#[test]
fn a_cluster_that_is_registered_again_under_its_name_begins_anew() {
    let (faults, order) = (Faults::default(), Prng::new(3));
    let mut world = World::of_all(installed(), faults, order, "a name that is used again");
    let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, NAME);
    let uid = |world: &World| world.get(&shadow).unwrap()["metadata"]["uid"].clone();
    let (before, history) = (uid(&world), world.status_of(NAME).history);
    assert_eq!(history.len(), 1, "it has a past");
    world.server.outside(|store| {
        for gone in [
            object_ref::<Cluster>("", NAME),
            object_ref::<ClusterCredential>("", NAME),
            object_ref::<ClusterModule>("", NAME),
            object_ref::<ModuleInfo>("", &format!("{NAME}-notes")),
        ] {
            let live = store.get(&gone).unwrap().unwrap();
            store.delete(&live, "an administrator").unwrap();
        }
        store.register(NAME);
    });
    world.server.of(NAME, NAME).outside(|store| *store = Store::workload(store.now));
    let mut refused = 0;
    for _ in 0..8 {
        // Nothing is collected yet.
        match world.turn().remove(NAME) {
            None => {}
            Some(End::Failed(_)) => refused += 1,
            Some(_) => world.panic("a round is made with what was kept of the cluster before"),
        }
    }
    assert!(refused > 0, "there were rounds about it");
    assert_eq!(world.status_of(NAME).history, history, "what is old is not written on");
    world.settle();
    let status = world.status_of(NAME);
    assert_ne!(uid(&world), before, "the old record went with its owner");
    assert_eq!((status.history.len(), status.current), (0, None), "nothing of it is told on");
}
