//! The process that makes rounds: one about each of some clusters, side by side, as the operator
//! makes them. A process that dies dies for all of them, and remembers nothing.

use super::World;
use crate::releases::{Moody, Others, Templates};
use crate::scope::Withheld;
use crate::server::Server;
use api::Version;
use api::names::GLOBAL;
use cluster::modules_round::{ModulesRound, judge_version, keep_catalogue};
use cluster::observe::catalogue;
use cluster::round::{Ended, Round};
use cluster::{Announcer, CallError};
use futures::future::join_all;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::future::{Future as _, poll_fn};
use std::task::Poll;

/// Version of the operator.
const VERSION: &str = "4.4.0";

/// How a round ended.
pub(crate) enum End {
    Ended(Box<Ended>),
    Failed(CallError),
    /// The process died in it.
    Died,
}

/// Those of a process that has announced nothing yet.
pub(super) fn announcers(
    clusters: impl Iterator<Item = &'static str>,
    identity: &str,
) -> BTreeMap<&'static str, Announcer> {
    clusters.map(|cluster| (cluster, Announcer::new(cluster, identity))).collect()
}

impl World {
    /// One round about global.
    pub(crate) fn round(&mut self) -> End {
        self.rounds(&[GLOBAL]).remove(GLOBAL).expect("there was a round about it")
    }

    /// Rounds about any of the clusters, at least one.
    pub(crate) fn turn(&mut self) -> BTreeMap<&'static str, End> {
        let lot = 1 + self.order.below((1 << self.announcers.len()) - 1);
        let all = self.announcers.keys().enumerate();
        let drawn: Vec<_> = all.filter(|(at, _)| lot >> at & 1 == 1).map(|(_, c)| *c).collect();
        self.rounds(&drawn)
    }

    /// One round about each of these clusters, side by side.
    fn rounds(&mut self, about: &[&'static str]) -> BTreeMap<&'static str, End> {
        self.begin(about);
        let (now, server) = (self.clock(self.now()), &self.server);
        let all = self.announcers.iter_mut().filter(|(cluster, _)| about.contains(cluster));
        let all = all.map(|(cluster, announcer)| one(server, cluster, announcer, now));
        let ends: BTreeMap<_, _> = self.runtime.block_on(join_all(all)).into_iter().collect();
        for (cluster, end) in &ends {
            match end {
                End::Ended(ended) => self.unknown_is_never_passed(cluster, ended),
                End::Failed(error) => {
                    let line = format!("the round about {cluster} ends: {error}");
                    self.server.lock().log.push(line);
                }
                End::Died => {}
            }
        }
        if ends.values().any(|end| matches!(end, End::Died)) {
            self.succeed();
        }
        self.check();
        ends
    }

    fn begin(&mut self, about: &[&'static str]) {
        let mut inner = self.server.lock();
        inner.is_dead = false;
        if std::mem::take(&mut inner.is_deposed) {
            self.announcers = announcers(inner.stores.keys().copied(), "after the pause");
        }
        for cluster in about {
            inner.watch(cluster).withheld = Withheld::default();
        }
    }

    /// Another process follows the one that died.
    fn succeed(&mut self) {
        let mut inner = self.server.lock();
        self.clock_s = inner.faults.clock_s();
        self.announcers = announcers(inner.stores.keys().copied(), "another");
        let line = format!("the next process, its clock is off by {} s", self.clock_s);
        inner.log.push(line);
    }
}

/// A round about a cluster, as far as its process lives.
async fn one(
    server: &Server,
    cluster: &'static str,
    announcer: &mut Announcer,
    now: Timestamp,
) -> (&'static str, End) {
    let (home, own) = (server.of(GLOBAL, cluster), server.of(cluster, cluster));
    let version: Version = VERSION.parse().unwrap();
    let round = Round {
        home: &home,
        server: &own,
        renderer: &Templates,
        store: &Moody(&home),
        fleet: &Others,
        cluster,
        version: &version,
        now,
    };
    let (home, own) = (home.about_plugins(), own.about_plugins());
    let plugins = ModulesRound {
        home: &home,
        server: &own,
        renderer: &Templates,
        charts: &Moody(&home),
        cluster,
        now,
    };
    let mut whole = Box::pin(async {
        let (ended, due) = futures::join!(round.run(announcer), about_plugins(&plugins));
        let mut ended = ended?;
        ended.wake_at = [ended.wake_at, due?].into_iter().flatten().min();
        Ok::<_, CallError>(ended)
    });
    let end = poll_fn(|context| {
        let polled = whole.as_mut().poll(context);
        if server.lock().is_dead {
            return Poll::Ready(End::Died);
        }
        polled.map(|result| match result {
            Ok(ended) => End::Ended(Box::new(ended)),
            Err(error) => End::Failed(error),
        })
    });
    (cluster, end.await)
}

/// A round about the plugins of a cluster, and on global about the catalogue, as the operator makes
/// it beside the other. Where none are offered there is none: schedules without plugins keep their
/// requests.
async fn about_plugins(
    round: &ModulesRound<'_, Server, Templates, Moody<'_>>,
) -> Result<Option<Timestamp>, CallError> {
    if !round.home.lock().store(GLOBAL).offers_plugins() {
        return Ok(None);
    }
    let due = round.run().await?.due;
    if round.cluster == GLOBAL {
        let found = catalogue(round.home).await?;
        for config in found.configs.iter().filter(|config| !config.ready) {
            judge_version(round.home, config, Ok(())).await?;
        }
        keep_catalogue(round.home, &found).await?;
    }
    Ok(due)
}
