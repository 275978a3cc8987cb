//! A cluster with a product that makes rounds about it, process after process, until nothing moves
//! any more. The order of a round is the product's own.

use crate::faults::Faults;
use crate::invariants::{Watch, status};
use crate::releases::{Others, Shelf, Templates};
use crate::server::Server;
use crate::store::Store;
use api::names::GLOBAL;
use api::objects::ObjectRef;
use api::{CheckState, ClusterVersionShadowStatus, Version};
use cluster::CallError;
use cluster::execute::Executor;
use cluster::round::{Ended, Round, Written};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use std::future::{Future as _, poll_fn};
use std::sync::OnceLock;
use std::task::Poll;

/// Rounds until a schedule must have come to its end.
const ROUNDS: usize = 400;
/// Rounds in a row in which nothing moves before it is believed.
const QUIET: usize = 3;

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
    runtime: tokio::runtime::Runtime,
    version: Version,
    /// Told with a breach, to run the schedule again.
    name: String,
}

impl World {
    pub(crate) fn of(store: Store, faults: Faults, name: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self {
            server: Server::new(store, faults, Watch::default()),
            rounds: 0,
            runtime,
            version: "4.4.0".parse().unwrap(),
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
            world.store()
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
            inner.asked.clear();
            inner.unread.clear();
            inner.store.now
        };
        let round = Round {
            server: &self.server,
            renderer: &Templates,
            store: &Shelf,
            fleet: &Others,
            cluster: GLOBAL,
            version: &self.version,
            now,
        };
        let server = &self.server;
        let end = self.runtime.block_on(async {
            let whole = async {
                round.ensure_object().await?;
                round.run().await
            };
            let mut whole = Box::pin(whole);
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
            End::Died => self.server.lock().log.push("the next process".to_owned()),
        }
        self.check();
        end
    }

    /// One step alone, outside of any round.
    pub(crate) fn execute(&mut self, step: &planner::Step) -> planner::Outcome {
        let now = self.server.lock().store.now;
        let executor = Executor {
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
        let last = &log[log.len().saturating_sub(60)..];
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
        for kind in inner.unread.clone() {
            let checks: &[&str] = match kind.as_str() {
                "Node" => &["ControlPlaneStaticPodsPresent", "DockerRuntimeUnsupported"],
                "CronJob" => &["CustomEtcdBackupCronJobsAbsent"],
                "ModuleInfo" => &["ModuleInfoStable"],
                "ResourcePatch" => &["ResourcePatchUpgradeable"],
                "ClusterModule" => &["ClusterModuleStable"],
                _ => continue,
            };
            for check in preflight.checks.iter().filter(|c| checks.contains(&c.name.as_str())) {
                let stood = check.policy == api::Policy::OncePassed && !begins;
                if check.state == CheckState::Passed && !stood {
                    inner.watch.breach.get_or_insert(format!(
                        "I5: {} passed although {kind} could not be read",
                        check.name
                    ));
                }
            }
        }
    }

    /// As [`Self::settle`]; edits that did not come while the product worked come at the end.
    pub(crate) fn settle_with_edits(&mut self) {
        for _ in 0..ROUNDS / 4 {
            self.round();
            self.pass(1);
        }
        let late = self.server.lock().faults.end();
        for edit in late {
            self.server.outside(edit);
            self.round();
        }
        self.settle();
    }

    /// Time passes, controllers work; tells whether they are still at it.
    fn pass(&self, seconds: i64) -> bool {
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
                    let wait = at.duration_since(self.server.lock().store.now);
                    wait.as_secs().clamp(0, 300)
                }),
                End::Failed(_) | End::Died => 2,
            };
            let stands = matches!(&end, End::Ended(ended) if ended.written.is_none());
            let busy = self.pass(waits.max(1));
            quiet = if stands && !sent && !busy { quiet + 1 } else { 0 };
            if quiet == QUIET {
                return;
            }
        }
        self.panic(&format!("no end after {ROUNDS} rounds"));
    }
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
/// Jobs are named by uids and are not the product's.
pub(crate) fn plain(store: &Store) -> Vec<String> {
    let of_product = |value: &Value| value["metadata"].get("ownerReferences").is_none();
    let all = store.objects.iter().filter(|(_, stored)| of_product(&stored.value));
    let all = all.map(|(key, stored)| {
        let mut value = stored.value.clone();
        scrub(&mut value);
        let managers: Vec<String> = stored
            .managers
            .iter()
            .map(|m| format!("{} {} {} {:?}", m.name, m.applies, m.subresource, m.paths))
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
            map.values_mut().for_each(scrub);
        }
        Value::Array(list) => list.iter_mut().for_each(scrub),
        Value::String(text) if text.starts_with("20") && text.parse::<Timestamp>().is_ok() => {
            "TIME".clone_into(text)
        }
        _ => {}
    }
}
