//! A cluster with a product that makes rounds about it, process after process, until nothing moves
//! any more. The order of a round is the product's own.

use crate::faults::Faults;
use crate::invariants::{Watch, status};
use crate::releases::{Moody, Others, Shelf, Templates};
use crate::scope::Withheld;
use crate::server::Server;
use crate::store::Store;
use api::names::GLOBAL;
use api::objects::ObjectRef;
use api::{CheckState, ClusterVersionShadowStatus, Version};
use cluster::execute::Executor;
use cluster::round::{Ended, Round, Written};
use cluster::{Announcer, CallError};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::future::{Future as _, poll_fn};
use std::sync::OnceLock;
use std::task::Poll;

/// Rounds until a schedule must have come to its end.
const ROUNDS: usize = 400;
/// Rounds in a row in which nothing moves before it is believed.
const QUIET: usize = 3;

/// Lines of the log that are told with a breach.
const LOG: usize = 150;

/// How a round ended.
pub(crate) enum End {
    Ended(Box<Ended>),
    Failed(CallError),
    /// The process died in it.
    Died,
}

/// A cluster and the product.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) rounds: usize,
    pub(crate) runtime: tokio::runtime::Runtime,
    /// What the process that lives now has announced.
    announcer: Announcer,
    pub(crate) version: Version,
    /// How far the clock of the process that lives now is off, in seconds.
    clock_s: i64,
    /// Told with a breach, to run the schedule again.
    name: String,
}

impl World {
    pub(crate) fn of(store: Store, faults: Faults, name: &str) -> Self {
        let watch = Watch::of(&store);
        Self::watched(store, watch, faults, name)
    }

    fn watched(store: Store, watch: Watch, mut faults: Faults, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let clock_s = faults.clock_s();
        Self {
            server: Server::new(store, faults, watch),
            rounds: 0,
            runtime,
            announcer: Announcer::new(GLOBAL, "one"),
            version: "4.4.0".parse().unwrap(),
            clock_s,
            name: name.to_owned(),
        }
    }

    /// A platform without anything of the product.
    pub(crate) fn empty() -> Self {
        let mut store = Store::new(start());
        store.platform();
        Self::of(store, Faults::default(), "a fresh install")
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
            // What was announced is old, and its Events have expired.
            let mut store = world.store();
            store.now = store.now.checked_add(SignedDuration::from_hours(2)).unwrap();
            store.objects.retain(|(_, kind, ..), _| kind != "Event");
            store
        });
        Self::of(store.clone(), faults, name)
    }

    /// A copy of the cluster as it is now.
    pub(crate) fn store(&self) -> Store {
        self.server.lock().store.clone()
    }

    pub(crate) fn status(&self) -> ClusterVersionShadowStatus {
        status(&self.server.lock().store)
    }

    pub(crate) fn get(&self, object: &ObjectRef) -> Option<Value> {
        self.server.lock().store.get(object).unwrap()
    }

    pub(crate) fn changing(&self) -> u64 {
        self.server.lock().changing
    }

    /// One round of a process that remembers nothing.
    pub(crate) fn round(&mut self) -> End {
        self.rounds += 1;
        let now = {
            let mut inner = self.server.lock();
            inner.is_dead = false;
            if std::mem::take(&mut inner.is_deposed) {
                self.announcer = Announcer::new(GLOBAL, "after the pause");
            }
            inner.asked.clear();
            inner.unread.clear();
            inner.watch.withheld = Withheld::default();
            inner.store.now
        };
        let now = self.clock(now);
        let shelf = Moody(&self.server);
        let round = Round {
            home: &self.server,
            server: &self.server,
            renderer: &Templates,
            store: &shelf,
            fleet: &Others,
            cluster: GLOBAL,
            version: &self.version,
            now,
        };
        let server = &self.server;
        let announcer = &mut self.announcer;
        let end = self.runtime.block_on(async {
            let mut whole = Box::pin(round.run(announcer));
            poll_fn(|context| {
                let polled = whole.as_mut().poll(context);
                if server.lock().is_dead {
                    return Poll::Ready(End::Died);
                }
                polled.map(|result| match result {
                    Ok(ended) => End::Ended(Box::new(ended)),
                    Err(error) => End::Failed(error),
                })
            })
            .await
        });
        match &end {
            End::Ended(ended) => self.unknown_is_never_passed(ended),
            End::Failed(error) => {
                let line = format!("the round ends: {error}");
                self.server.lock().log.push(line);
            }
            End::Died => {
                let mut inner = self.server.lock();
                self.clock_s = inner.faults.clock_s();
                let line = format!("the next process, its clock is off by {} s", self.clock_s);
                inner.log.push(line);
                drop(inner);
                self.announcer = Announcer::new(GLOBAL, "another");
            }
        }
        self.check();
        end
    }

    /// What the process that lives now takes a moment for.
    fn clock(&self, now: Timestamp) -> Timestamp {
        now.checked_add(SignedDuration::from_secs(self.clock_s)).unwrap()
    }

    /// One step alone, outside of any round.
    pub(crate) fn execute(&mut self, step: &planner::Step) -> planner::Outcome {
        let now = self.server.lock().store.now;
        let executor = Executor {
            home: &self.server,
            server: &self.server,
            renderer: &Templates,
            contents: &Shelf,
            cluster: GLOBAL,
            now,
        };
        self.runtime.block_on(executor.execute(step))
    }

    /// A breach of an invariant ends the test, with everything that led to it.
    pub(crate) fn check(&self) {
        let inner = self.server.lock();
        if let Some(breach) = inner.watch.breach.clone() {
            self.fail(&inner.log, &breach);
        }
    }

    fn fail(&self, log: &[String], why: &str) -> ! {
        let last = &log[log.len().saturating_sub(LOG)..];
        panic!("{}: {why}\n  {}", self.name, last.join("\n  "));
    }

    pub(crate) fn panic(&self, why: &str) -> ! {
        let log = self.server.lock().log.clone();
        self.fail(&log, &format!("{why}{}", said(&self.status())))
    }

    /// I5: a check of which an input could not be read in this round did not pass in it.
    fn unknown_is_never_passed(&self, ended: &Ended) {
        let Some(preflight) = &ended.plan.preflight else { return };
        if ended.written != Some(Written::Yes) {
            return;
        }
        let mut inner = self.server.lock();
        let begins = matches!(ended.plan.situation, planner::Situation::Begin(_));
        for read in inner.unread.clone() {
            let checks = checks_of(&read);
            for check in preflight.checks.iter().filter(|c| checks.contains(&c.name.as_str())) {
                let stood = check.policy == api::Policy::OncePassed && !begins;
                if check.state == CheckState::Passed && !stood {
                    inner.watch.breach.get_or_insert(format!(
                        "I5: {} passed although `{read}` failed",
                        check.name
                    ));
                }
            }
        }
    }

    /// Every transition that was written has exactly one Event, and no Event tells another.
    fn everything_is_announced_once(&self) {
        let inner = self.server.lock();
        let (mut expected, found) = inner.watch.announced(&inner.store);
        if inner.faults.met.crashes > 0 {
            for (revision, words) in &mut expected {
                let told = found.get(revision).map_or(&[][..], Vec::as_slice);
                let old = &inner.watch.old_conditions[revision];
                words.retain(|word| told.contains(word) || !old.contains(word));
            }
            expected.retain(|_, words| !words.is_empty());
        }
        let differs = |(revision, all): (&i64, &Vec<String>)| {
            let other = expected.get(revision);
            (other != Some(all)).then(|| format!("{revision}: {all:?} instead of {other:?}"))
        };
        let missing = expected.keys().find(|revision| !found.contains_key(revision));
        let wrong = found.iter().find_map(differs);
        if let Some(wrong) =
            wrong.or(missing.map(|m| format!("{m}: no Event of {:?}", expected[m])))
        {
            self.fail(&inner.log, &format!("Events of revision {wrong}"));
        }
    }

    /// As [`Self::settle`]; edits that did not come while the product worked come at the end.
    pub(crate) fn settle_with_edits(&mut self) {
        for _ in 0..ROUNDS / 4 {
            self.round();
            self.pass(1);
            if !self.server.lock().faults.is_due() {
                break;
            }
        }
        let late = self.server.lock().faults.end();
        for edit in late {
            self.server.outside(edit);
            self.round();
        }
        self.settle();
    }

    /// Time passes, controllers work; tells whether they are still at it.
    pub(crate) fn pass(&self, seconds: i64) -> bool {
        let mut inner = self.server.lock();
        let step = SignedDuration::from_secs(seconds);
        inner.store.now = inner.store.now.checked_add(step).unwrap();
        let busy = inner.store.tick();
        inner.look();
        busy || inner.faults.edits_left()
    }

    /// Rounds until nothing moves any more; ends the test if that never comes.
    pub(crate) fn settle(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            let before = self.changing();
            let end = self.round();
            let sent = self.changing() != before;
            let waits = match &end {
                End::Ended(ended) => ended.wake_at.map_or(300, |at| {
                    let now = self.clock(self.server.lock().store.now);
                    let wait = at.duration_since(now);
                    wait.as_secs().clamp(0, 300)
                }),
                End::Failed(_) | End::Died => 2,
            };
            let stands = matches!(&end, End::Ended(ended) if ended.written.is_none());
            let busy = self.pass(waits.max(1));
            quiet = if stands && !sent && !busy { quiet + 1 } else { 0 };
            if quiet == QUIET {
                self.everything_is_announced_once();
                return;
            }
        }
        self.panic(&format!("no end after {ROUNDS} rounds"));
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
        ["list", "ModuleInfo", ..] => &["ModuleInfoStable"],
        ["list", "ResourcePatch", ..] => &["ResourcePatchUpgradeable"],
        ["list", "Cluster" | "ClusterCredential", ..] => &["KubernetesVersionSupported"],
        ["list", "ProductManifest", ..] => &["ClusterVersionUpgradeable", "VersionUpgradePath"],
        ["list", "AppRelease", ..] => &["ClusterVersionUpgradeable"],
        ["get", "ClusterModule", ..] => &["ClusterModuleStable"],
        ["get", "Cluster", ..] => &["ClusterRunning"],
        ["get", "ProductBase", ..]
        | ["get", "Secret", "cpaas-system/platform-license"]
        | ["get", "ConfigMap", "cpaas-system/release-keys"] => &["PlatformLicense"],
        ["get", "ConfigMap", "cpaas-system/admin-gates"] => &["AdminAckRequired"],
        _ => &[],
    }
}

/// A process that leads to the end while another one is paused.
pub(crate) fn another_leads(store: Store, watch: Watch) -> (Store, Watch) {
    let lead = || {
        let mut world = World::watched(store, watch, Faults::default(), "while another is paused");
        world.settle();
        let mut inner = world.server.lock();
        (inner.store.clone(), std::mem::take(&mut inner.watch))
    };
    // A thread of its own: it waits for nothing, but a runtime cannot run within another one.
    std::thread::scope(|scope| scope.spawn(lead).join().expect("what failed was printed"))
}

/// A status as short as a person can read it.
fn said(status: &ClusterVersionShadowStatus) -> String {
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

/// The cluster without times, uids and resourceVersions: what two runs must have in common. Pods of
/// Jobs are named by uids and are not the product's; Events tell of the way, not of the end.
pub(crate) fn plain(store: &Store) -> Vec<String> {
    let of_product = |value: &Value| {
        value["metadata"].get("ownerReferences").is_none() && value["kind"] != "Event"
    };
    let all = store.objects.iter().filter(|(_, stored)| of_product(&stored.value));
    let all = all.map(|(key, stored)| {
        let mut value = stored.value.clone();
        scrub(&mut value);
        let managers: Vec<String> = stored
            .managers
            .iter()
            .map(|m| {
                let paths = m.paths.iter().map(|path| crate::fields::shown(path));
                let paths: Vec<String> = paths.filter(|p| p != ".status.driftTime").collect();
                format!("{} {} {} {paths:?}", m.name, m.applies, m.subresource)
            })
            .collect();
        let mut managers = managers;
        managers.sort();
        format!("{key:?} {value} {managers:?}")
    });
    all.collect()
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("uid");
            map.remove("resourceVersion");
            map.remove("revision");
            // Edits are looked for now and then, by the clock.
            map.remove("driftTime");
            map.values_mut().for_each(scrub);
        }
        Value::Array(list) => list.iter_mut().for_each(scrub),
        Value::String(text) if text.starts_with("20") && text.parse::<Timestamp>().is_ok() => {
            "TIME".clone_into(text)
        }
        _ => {}
    }
}
