//! Clusters with a product that makes rounds about them, process after process, until nothing moves
//! any more. The order of a round is the product's own.

pub(crate) mod ends;
mod rounds;

use crate::faults::Faults;
use crate::invariants::{Status, Watch, status};
use crate::plugins::told;
use crate::prng::Prng;
use crate::releases::{Shelf, Templates};
use crate::server::{Clusters, Server, Watches};
use crate::store::Store;
use api::CheckState;
use api::names::GLOBAL;
use api::objects::ObjectRef;
use cluster::Announcer;
use cluster::execute::{Executor, Kinds};
use cluster::round::{Ended, Written};
use jiff::{SignedDuration, Timestamp};
use planner::plan::DRIFT_INTERVAL_S;
pub(crate) use rounds::End;
use rounds::announcers;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Rounds about each cluster until a schedule must have come to its end.
const ROUNDS: usize = 400;
/// Rounds about each cluster in a row in which nothing moves before it is believed.
const QUIET: usize = 3;
/// The longest time that passes without a round.
const LONGEST_PAUSE_S: i64 = 300;
/// How soon there is a round after one that did not end.
const AGAIN_S: i64 = 2;

/// Lines of the log that are told with a breach.
const LOG: usize = 150;

/// The clusters of a platform and the product.
pub(crate) struct World {
    /// The API server of global.
    pub(crate) server: Server,
    runtime: tokio::runtime::Runtime,
    /// What the process that lives now has announced of each cluster.
    announcers: BTreeMap<&'static str, Announcer>,
    /// How far the clock of the process that lives now is off, in seconds.
    clock_s: i64,
    /// Which clusters the next rounds are about.
    order: Prng,
    /// Told with a breach, to run the schedule again.
    name: String,
}

impl World {
    /// Global alone.
    pub(crate) fn of(store: Store, faults: Faults, name: &str) -> Self {
        Self::of_all(BTreeMap::from([(GLOBAL, store)]), faults, Prng::new(0), name)
    }

    /// Global and others.
    pub(crate) fn of_all(stores: Clusters, faults: Faults, order: Prng, name: &str) -> Self {
        let watch = |cluster: &&'static str| (*cluster, Watch::of(cluster, &stores[GLOBAL]));
        let watches = stores.keys().map(watch).collect();
        Self::watched(stores, watches, faults, order, name)
    }

    fn watched(
        stores: Clusters,
        watches: Watches,
        mut faults: Faults,
        order: Prng,
        name: &str,
    ) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let clock_s = faults.clock_s();
        let announcers = announcers(stores.keys().copied(), "one");
        let server = Server::new(stores, watches, faults);
        Self { server, runtime, announcers, clock_s, order, name: name.to_owned() }
    }

    /// A platform without anything of the product.
    pub(crate) fn empty() -> Self {
        Self::of(Store::platform(start()), Faults::default(), "a fresh install")
    }

    /// A cluster at 4.2.1 with a customisation that is exempt for 4.3.0, which is offered.
    pub(crate) fn installed(faults: Faults, name: &str) -> Self {
        static INSTALLED: OnceLock<Store> = OnceLock::new();
        let store = INSTALLED.get_or_init(|| {
            let mut world = Self::empty();
            world.round();
            world.server.outside(|store| store.wish(Some("4.2.1")));
            world.settle();
            if world.status().current.is_none() {
                world.panic("4.2.1 is not installed");
            }
            world.server.outside(|store| {
                store.wish(None);
                store.agnostic_plugin();
                store.customise(3, "4.3.0");
                store.publish("4.3.0");
            });
            world.settle();
            world.long_after().remove(GLOBAL).expect("there is global")
        });
        Self::of(store.clone(), faults, name)
    }

    /// The clusters when what was announced is old, and its Events have expired.
    pub(crate) fn long_after(&self) -> Clusters {
        let mut stores = self.server.lock().stores.clone();
        for store in stores.values_mut() {
            store.now = store.now.checked_add(SignedDuration::from_hours(2)).unwrap();
            store.objects.retain(|(_, kind, ..), _| kind != "Event");
        }
        stores
    }

    /// A copy of global as it is now.
    pub(crate) fn store(&self) -> Store {
        self.store_of(GLOBAL)
    }

    /// A copy of a cluster as it is now.
    pub(crate) fn store_of(&self, cluster: &str) -> Store {
        self.server.lock().store(cluster).clone()
    }

    /// What is said of global.
    pub(crate) fn status(&self) -> Status {
        self.status_of(GLOBAL)
    }

    /// What is said of a cluster.
    pub(crate) fn status_of(&self, cluster: &str) -> Status {
        status(self.server.lock().store(GLOBAL), cluster)
    }

    /// An object of global.
    pub(crate) fn get(&self, object: &ObjectRef) -> Option<Value> {
        self.server.lock().store(GLOBAL).get(object).unwrap()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.server.lock().store(GLOBAL).now
    }

    pub(crate) fn changing(&self) -> u64 {
        self.server.lock().changing
    }

    /// What the process that lives now takes a moment for.
    fn clock(&self, now: Timestamp) -> Timestamp {
        now.checked_add(SignedDuration::from_secs(self.clock_s)).unwrap()
    }

    /// One step alone on global, outside of any round.
    pub(crate) fn execute(&mut self, step: &planner::Step) -> planner::Outcome {
        let now = self.now();
        let executor = Executor {
            home: &self.server,
            server: &self.server,
            renderer: &Templates,
            contents: &Shelf,
            cluster: GLOBAL,
            now,
            kinds: Kinds::default(),
        };
        self.runtime.block_on(executor.execute(step))
    }

    /// A breach of an invariant ends the test, with everything that led to it.
    pub(crate) fn check(&self) {
        let inner = self.server.lock();
        if let Some(breach) = inner.watches.values().find_map(|watch| watch.breach.clone()) {
            self.fail(&inner.log, &breach);
        }
    }

    fn fail(&self, log: &[String], why: &str) -> ! {
        let last = &log[log.len().saturating_sub(LOG)..];
        panic!("{}: {why}\n  {}", self.name, last.join("\n  "));
    }

    pub(crate) fn panic(&self, why: &str) -> ! {
        let log = self.server.lock().log.clone();
        let all = self.announcers.keys();
        let all = all.map(|cluster| format!("\n  {cluster}:{}", said(&self.status_of(cluster))));
        self.fail(&log, &format!("{why}{}{}", all.collect::<String>(), told(&self.store())))
    }

    /// I5: a check of which an input could not be read in this round did not pass in it.
    fn unknown_is_never_passed(&self, cluster: &str, ended: &Ended) {
        let Some(preflight) = &ended.plan.preflight else { return };
        if ended.written != Some(Written::Yes) {
            return;
        }
        let mut inner = self.server.lock();
        let begins = matches!(ended.plan.situation, planner::Situation::Begin(_));
        let watch = inner.watch(cluster);
        for read in watch.withheld.unread.clone() {
            let checks = checks_of(&read);
            for check in preflight.checks.iter().filter(|c| checks.contains(&c.name.as_str())) {
                let stood = check.policy == api::Policy::OncePassed && !begins;
                watch.must(check.state != CheckState::Passed || stood, || {
                    format!("I5: {} passed although `{read}` failed", check.name)
                });
            }
        }
    }

    /// Every transition that was written has exactly one Event, and no Event tells another.
    fn everything_is_announced_once(&self) {
        let inner = self.server.lock();
        for (cluster, watch) in &inner.watches {
            let (mut expected, found) = watch.announced(&inner.stores[GLOBAL]);
            if inner.faults.met.crashes > 0 {
                for (revision, words) in &mut expected {
                    let told = found.get(revision).map_or(&[][..], Vec::as_slice);
                    let old = &watch.old_conditions[revision];
                    words.retain(|word| told.contains(word) || !old.contains(word));
                }
                expected.retain(|_, words| !words.is_empty());
            }
            let differs = |(revision, all): (&i64, &Vec<String>)| {
                let other = expected.get(revision);
                (other != Some(all)).then(|| format!("{revision}: {all:?} instead of {other:?}"))
            };
            let missing = expected.keys().find(|revision| !found.contains_key(revision));
            let missing = missing.map(|m| format!("{m}: no Event of {:?}", expected[m]));
            if let Some(wrong) = found.iter().find_map(differs).or(missing) {
                self.fail(&inner.log, &format!("Events of {cluster}, of revision {wrong}"));
            }
        }
    }

    /// As [`Self::settle`]; edits that did not come while the product worked come at the end.
    pub(crate) fn settle_with_edits(&mut self) {
        for _ in 0..ROUNDS / 4 {
            self.turn();
            self.pass(1);
            if !self.server.lock().faults.is_due() {
                break;
            }
        }
        let late = self.server.lock().faults.end();
        for edit in late {
            self.server.outside(edit);
            self.turn();
        }
        self.settle();
    }

    /// Time passes, controllers work; tells whether they are still at it.
    pub(crate) fn pass(&self, seconds: i64) -> bool {
        let mut inner = self.server.lock();
        let mut busy = inner.faults.edits_left();
        for cluster in self.announcers.keys() {
            let store = inner.store(cluster);
            store.now = store.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
            busy |= store.tick();
            inner.look(cluster, cluster);
        }
        busy
    }

    /// Rounds until nothing moves any more; ends the test if that never comes.
    pub(crate) fn settle(&mut self) {
        let all = self.announcers.len();
        let mut quiet: BTreeMap<&str, usize> = BTreeMap::new();
        let mut due: BTreeMap<&str, Timestamp> = BTreeMap::new();
        for _ in 0..ROUNDS * all {
            let before = self.changing();
            let ends = self.turn();
            let sent = self.changing() != before;
            let now = self.now();
            for (cluster, end) in &ends {
                let wait = SignedDuration::from_secs(self.wait(end));
                due.insert(cluster, now.checked_add(wait).unwrap());
            }
            let first = due.values().min().filter(|_| due.len() == all);
            let wait = first.map_or(1, |first| first.duration_since(now).as_secs());
            let stands = |end: &End| matches!(end, End::Ended(ended) if ended.written.is_none());
            let busy = self.pass(wait.max(1)) || self.server.lock().store(GLOBAL).moves_plugins();
            if sent || busy || !ends.values().all(stands) {
                quiet.clear();
                continue;
            }
            for cluster in ends.into_keys() {
                *quiet.entry(cluster).or_default() += 1;
            }
            if quiet.len() == all && quiet.values().all(|rounds| *rounds >= QUIET) {
                let mut stores = self.announcers.keys().map(|cluster| self.store_of(cluster));
                if stores.any(|store| store.was_looked_at_in_vain()) {
                    // What the last look met stands until the next.
                    self.pass(DRIFT_INTERVAL_S);
                    quiet.clear();
                    continue;
                }
                self.everything_is_announced_once();
                return;
            }
        }
        self.panic(&format!("no end after {ROUNDS} rounds about each cluster"));
    }

    /// Until when the next round can wait, in seconds.
    fn wait(&self, end: &End) -> i64 {
        match end {
            End::Ended(ended) => ended.wake_at.map_or(LONGEST_PAUSE_S, |at| {
                let wait = at.duration_since(self.clock(self.now()));
                wait.as_secs().clamp(0, LONGEST_PAUSE_S)
            }),
            End::Failed(_) | End::Died => AGAIN_S,
        }
    }
}

/// The checks that cannot pass where a read failed.
fn checks_of(read: &str) -> &'static [&'static str] {
    let words: Vec<&str> = read.split(' ').collect();
    match words.as_slice() {
        ["list", "Node", ..] => &["ControlPlaneStaticPodsPresent", "DockerRuntimeUnsupported"],
        ["list", "Pod", "kube-system", "tier=control-plane"] => &["ControlPlaneStaticPodsPresent"],
        ["list", "Pod", "", ""] => &["CRIUpgradePodsAbsent"],
        ["list", "CronJob", ..] => &["CustomEtcdBackupCronJobsAbsent"],
        ["list", "ModuleInfo" | "ModuleConfig", ..] => &["ModuleInfoStable"],
        ["list", "ResourcePatch", ..] => &["ResourcePatchUpgradeable"],
        ["list", "Cluster" | "ClusterCredential", ..] => &["KubernetesVersionSupported"],
        ["list", "ProductManifest", ..] => &["ClusterVersionUpgradeable", "VersionUpgradePath"],
        ["list", "AppRelease", ..] => &["ClusterVersionUpgradeable"],
        ["get", "ClusterModule", ..] => &["ClusterModuleStable"],
        ["get", "Cluster", ..] => &["ClusterRunning"],
        ["get", "ClusterVersionShadow", "cpaas-system/global"] => &["ClusterVersionUpgradeable"],
        ["get", "ProductBase", ..]
        | ["get", "Secret", "cpaas-system/platform-license"]
        | ["get", "ConfigMap", "cpaas-system/release-keys"] => &["PlatformLicense"],
        ["get", "ConfigMap", "cpaas-system/admin-gates"] => &["AdminAckRequired"],
        _ => &[],
    }
}

/// A process that leads to the end while another one is paused.
pub(crate) fn another_leads(stores: Clusters, watches: Watches) -> (Clusters, Watches) {
    let lead = || {
        let (faults, order) = (Faults::default(), Prng::new(0));
        let mut world = World::watched(stores, watches, faults, order, "while another is paused");
        world.settle();
        let mut inner = world.server.lock();
        (inner.stores.clone(), std::mem::take(&mut inner.watches))
    };
    // A thread of its own: it waits for nothing, but a runtime cannot run within another one.
    std::thread::scope(|scope| scope.spawn(lead).join().expect("what failed was printed"))
}

/// A status as short as a person can read it.
fn said(status: &Status) -> String {
    let conditions = status
        .conditions
        .iter()
        .map(|c| format!("{} {} {}: {}", c.type_, c.status, c.reason, c.message));
    let checks = status.preflight.iter().flat_map(|p| &p.checks);
    let open = checks
        .filter(|c| c.state != CheckState::Passed)
        .map(|c| format!("{} {:?}: {}", c.name, c.state, c.message));
    let operations = status
        .stages
        .iter()
        .flat_map(|s| &s.operations)
        .map(|o| format!("{} {:?} {:?}: {}", o.name, o.action, o.phase, o.message));
    let history = status.history.iter().map(|h| format!("{} {:?}", h.version, h.state));
    conditions
        .chain(open)
        .chain(operations)
        .chain(history)
        .map(|line| format!("\n  {line}"))
        .collect()
}

/// When the simulation begins.
pub(crate) fn start() -> Timestamp {
    "2026-11-22T20:00:00Z".parse().unwrap()
}
