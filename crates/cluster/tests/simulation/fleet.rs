//! A workload cluster beside the global one: rounds about both in any order, with processes that
//! die and errors on either server. It follows global and never passes it.

use crate::faults::Faults;
use crate::invariants::{Watch, status_of_cluster};
use crate::platform::object;
use crate::prng::Prng;
use crate::releases::{Others, Shelf, Templates};
use crate::scope::Withheld;
use crate::server::Server;
use crate::store::Store;
use crate::world::{World, plain};
use api::names::{NAMESPACE, RUNNING};
use api::objects::{ClusterVersionShadow, object_ref};
use cluster::Announcer;
use cluster::round::Round;
use serde_json::json;
use std::future::{Future as _, poll_fn};
use std::sync::OnceLock;
use std::task::Poll;
use std::time::Instant;

const NAME: &str = "workload-a";
/// Schedules; in soak, all of them.
const SCHEDULES: u64 = 40;
const ALL_SCHEDULES: u64 = 2_000;
/// Rounds about either until a schedule must have come to its end.
const ROUNDS: usize = 600;
/// Rounds in a row in which nothing is sent before it is believed.
const QUIET: usize = 8;

/// Both clusters, and the product.
struct Fleet {
    global: World,
    /// The server of the workload cluster.
    server: Server,
    announcer: Announcer,
    prng: Prng,
}

impl Fleet {
    fn of(global: World, store: Store, faults: Faults, seed: u64) -> Self {
        let watch = Watch::of(&store);
        let server = Server::new(store, faults, watch);
        Self { global, server, announcer: Announcer::new(NAME, "one"), prng: Prng::new(seed) }
    }

    fn wish(&self, version: &str) {
        let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, NAME);
        self.global.server.outside(|store| {
            let wish = json!({ "version": version });
            store.edit(&shadow, |value| value["spec"]["desiredUpdate"] = wish).unwrap();
        });
    }

    fn is_at(&self, version: &str) -> bool {
        let is = |current: Option<api::VersionImage>| current.is_some_and(|c| c.version == version);
        let of_global = status_of_cluster(&self.global.server.lock().store, NAME);
        is(of_global.current) && is(self.global.status().current)
    }

    /// One round about the workload cluster; whether its process lives on.
    fn follow(&mut self) {
        let home = &self.global.server;
        let now = {
            let mut inner = home.lock();
            inner.is_dead = false;
            inner.watch.withheld = Withheld::default();
            inner.store.now
        };
        {
            let status = status_of_cluster(&home.lock().store, NAME);
            let mut inner = self.server.lock();
            inner.is_dead = false;
            inner.store.now = now;
            inner.watch.of_global = Some(status);
            inner.watch.withheld = Withheld::default();
        }
        let round = Round {
            home,
            server: &self.server,
            renderer: &Templates,
            store: &Shelf,
            fleet: &Others,
            cluster: NAME,
            version: &self.global.version,
            now,
        };
        let (server, announcer) = (&self.server, &mut self.announcer);
        let died = self.global.runtime.block_on(async {
            let mut whole = Box::pin(round.run(announcer));
            poll_fn(|context| {
                let polled = whole.as_mut().poll(context);
                if home.lock().is_dead || server.lock().is_dead {
                    return Poll::Ready(true);
                }
                polled.map(|_| false)
            })
            .await
        });
        if died {
            self.announcer = Announcer::new(NAME, "another");
        }
        self.global.check();
        let inner = self.server.lock();
        if let Some(breach) = &inner.watch.breach {
            let last = &inner.log[inner.log.len().saturating_sub(60)..];
            self.global.panic(&format!("on {NAME}: {breach}\n  {}", last.join("\n  ")));
        }
    }

    /// Rounds about one or the other, until both are at the version and nothing is sent.
    fn settle_at(&mut self, version: &str) {
        let mut quiet = 0;
        let sent = |fleet: &Self| fleet.global.changing() + fleet.server.lock().changing;
        for _ in 0..ROUNDS {
            let before = sent(self);
            if self.prng.below(2) == 0 {
                self.global.round();
            } else {
                self.follow();
            }
            let seconds = 1 + i64::try_from(self.prng.below(8)).unwrap();
            let busy = self.global.pass(seconds) | self.server.outside(Store::tick);
            quiet = if sent(self) == before && !busy { quiet + 1 } else { 0 };
            if quiet >= QUIET && self.is_at(version) {
                return;
            }
        }
        let of_global = status_of_cluster(&self.global.server.lock().store, NAME);
        self.global.panic(&format!("no end at {version}: {of_global:#?}"));
    }

    /// Both at 4.2.1; what each server holds.
    fn installed() -> (Store, Store) {
        static INSTALLED: OnceLock<(Store, Store)> = OnceLock::new();
        let stores = INSTALLED.get_or_init(|| {
            let global = World::installed(Faults::default(), "the fleet is installed");
            global.server.outside(register);
            let mut store = Store::new(global.server.lock().store.now);
            store.platform();
            let mut fleet = Self::of(global, store, Faults::default(), 1);
            fleet.follow();
            fleet.wish("4.2.1");
            fleet.settle_at("4.2.1");
            let remote = fleet.server.lock().store.clone();
            (fleet.global.store(), remote)
        });
        stores.clone()
    }

    /// An upgrade of both; the workload cluster is asked for first.
    fn upgraded(faults: [Faults; 2], seed: u64) -> Self {
        let (home, remote) = Self::installed();
        let [of_global, of_workload] = faults;
        let global = World::of(home, of_global, &format!("a fleet, SIMULATION_SEED={seed}"));
        let mut fleet = Self::of(global, remote, of_workload, seed);
        fleet.wish("4.3.0");
        for _ in 0..fleet.prng.below(12) {
            fleet.follow();
            fleet.global.pass(2);
        }
        fleet.global.server.outside(|store| store.wish(Some("4.3.0")));
        fleet.settle_at("4.3.0");
        fleet
    }
}

/// The cluster as it is registered on global.
fn register(store: &mut Store) {
    for object in [
        json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": NAME }, "spec": { "type": "Baremetal" },
            "status": { "phase": RUNNING },
        }),
        json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "ClusterCredential",
            "metadata": { "name": NAME }, "clusterName": NAME, "token": "t", "caCert": "Y2E=",
        }),
    ] {
        store.create(&object, "installer").expect("the cluster is new");
    }
}

#[test]
fn a_workload_cluster_never_passes_global() {
    let undisturbed = Fleet::upgraded([Faults::default(), Faults::default()], 0);
    let expected = plain(&undisturbed.server.lock().store);
    assert!(
        undisturbed
            .server
            .lock()
            .store
            .get(&object("Deployment", "kube-system", "coredns"))
            .unwrap()
            .is_some()
    );
    let all = if std::env::var_os("E2E_SOAK").is_some() { ALL_SCHEDULES } else { SCHEDULES };
    let seeds = match std::env::var("SIMULATION_SEED") {
        Ok(seed) => vec![seed.parse().expect("SIMULATION_SEED is a number")],
        Err(_) => (1..=all).collect::<Vec<u64>>(),
    };
    let begun = Instant::now();
    for seed in &seeds {
        let faults = [Faults::random(*seed), Faults::random(seed ^ 0xF1EE7)];
        let fleet = Fleet::upgraded(faults, *seed);
        let found = plain(&fleet.server.lock().store);
        if let Some((found, expected)) = found.iter().zip(&expected).find(|(a, b)| a != b) {
            fleet.global.panic(&format!("{found}\ninstead of\n  {expected}"));
        }
        assert_eq!(found.len(), expected.len(), "seed {seed}");
    }
    eprintln!(
        "figure: {} schedules of a workload cluster beside global in {:.0} s",
        seeds.len(),
        begun.elapsed().as_secs_f64()
    );
}
