//! The clusters of a fleet: how they join, are asked, fall ill, are waited for and leave.

mod records;
mod registration;

use crate::measure::say;
use anyhow::{Context as _, Result, ensure};
use e2e::fake::{FakeServer, Manner, Model};
use e2e::t2::{Bench, SHADOWS, condition, is_completed_at, text};
use futures::{StreamExt as _, TryStreamExt as _};
use registration::register;
use sandbox::ControlPlane;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long each answer of a slow cluster takes.
const SLOW: Duration = Duration::from_secs(3);
/// How long a fleet may take for one thing.
const LIMIT: Duration = Duration::from_secs(900);
/// How often all of them are looked at.
const POLL: Duration = Duration::from_millis(500);
/// How often it is said how far they are.
const SAY: Duration = Duration::from_secs(15);
/// API servers that start at a time: each takes a core for seconds.
const STARTING: usize = 3;
/// Our requests at a time.
const IN_FLIGHT: usize = 16;

/// How many clusters of each kind a fleet has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Healthy ones with a real API server and an etcd of their own.
    pub(super) whole: usize,
    /// Healthy ones with a real API server, all of them on the etcd of the platform.
    pub(super) beside: usize,
    /// Healthy ones with a fake.
    pub(super) fake: usize,
    /// Those that never answer or refuse connections, in turn.
    pub(super) dead: usize,
    /// Those of which each answer takes seconds.
    pub(super) slow: usize,
}

impl Size {
    /// All of them.
    pub(super) const fn count(self) -> usize {
        self.real() + self.fake + self.dead + self.slow
    }

    /// Those with a real API server.
    pub(super) const fn real(self) -> usize {
        self.whole + self.beside
    }
}

/// What becomes of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Healthy,
    Dead,
    Slow,
}

enum Server {
    Fake(FakeServer),
    Real(Box<ControlPlane>),
}

struct Cluster {
    name: String,
    server: Server,
    fate: Fate,
}

/// A fleet; its servers end with this value.
pub(super) struct Fleet<'a> {
    bench: &'a Bench,
    clusters: Vec<Cluster>,
}

impl<'a> Fleet<'a> {
    /// Starts the servers and registers them; all of them are well.
    ///
    /// # Errors
    /// When one does not start or cannot be registered.
    pub(super) async fn joins(
        bench: &'a Bench,
        model: &Model,
        name: &str,
        size: Size,
    ) -> Result<Self> {
        let real = (0..size.real()).map(|number| async move {
            let name = format!("{name}-real-{number}");
            let plane = match number < size.whole {
                true => bench.joins(&name).await?,
                false => bench.joins_beside(&name).await?,
            };
            anyhow::Ok(Cluster { name, server: Server::Real(Box::new(plane)), fate: Fate::Healthy })
        });
        let real = futures::stream::iter(real).buffer_unordered(STARTING);
        let mut clusters: Vec<Cluster> = real.try_collect().await?;
        for (fate, word, count) in [
            (Fate::Healthy, "fake", size.fake),
            (Fate::Dead, "dead", size.dead),
            (Fate::Slow, "slow", size.slow),
        ] {
            for number in 0..count {
                let server = Server::Fake(FakeServer::start(model).await?);
                clusters.push(Cluster { name: format!("{name}-{word}-{number}"), server, fate });
            }
        }
        let fleet = Self { bench, clusters };
        let fakes = fleet.clusters.iter().filter_map(|cluster| match &cluster.server {
            Server::Fake(server) => Some(register(bench, model, &cluster.name, server.port())),
            Server::Real(_) => None,
        });
        futures::stream::iter(fakes).buffer_unordered(IN_FLIGHT).try_collect::<()>().await?;
        fleet.until("a ClusterVersionShadow", |_| true, |_| true).await?;
        Ok(fleet)
    }

    /// Asks all of them for a version.
    ///
    /// # Errors
    /// When that is refused.
    pub(super) async fn ask_for(&self, version: &str) -> Result<()> {
        let wish = json!({ "spec": { "desiredUpdate": { "version": version } } });
        let wish = &wish;
        futures::stream::iter(&self.clusters)
            .map(|cluster| async move {
                let path = format!("{SHADOWS}/{}", cluster.name);
                self.bench.merge(&path, wish).await.map(drop)
            })
            .buffer_unordered(IN_FLIGHT)
            .try_collect()
            .await
    }

    /// Waits until all of them have a version.
    ///
    /// # Errors
    /// When one has not in time.
    pub(super) async fn all_are_at(&self, version: &str) -> Result<()> {
        self.until(version, |_| true, |shadow| is_completed_at(shadow, version)).await
    }

    /// Waits until all healthy ones have a version.
    ///
    /// # Errors
    /// When one has not in time.
    pub(super) async fn healthy_are_at(&self, version: &str) -> Result<()> {
        let whom = |cluster: &Cluster| cluster.fate == Fate::Healthy;
        self.until(version, whom, |shadow| is_completed_at(shadow, version)).await
    }

    /// Waits until all of them are offered a version whose checks have passed.
    ///
    /// # Errors
    /// When one is not in time.
    pub(super) async fn all_are_offered(&self, version: &str) -> Result<()> {
        let what = format!("an offer of {version}");
        let is_offered = |shadow: &Value| {
            text(shadow, "/status/availableUpdates/0/version") == version
                && text(shadow, "/status/preflight/version") == version
                && text(condition(shadow, "PreflightReady"), "/status") == "True"
        };
        self.until(&what, |_| true, is_offered).await
    }

    /// Those that are to be dead or slow now are.
    pub(super) fn falls_ill(&self) {
        let mut refuses = false;
        for cluster in &self.clusters {
            let Server::Fake(server) = &cluster.server else { continue };
            match cluster.fate {
                Fate::Healthy => {}
                Fate::Slow => server.behave(Manner::Slow(SLOW)),
                Fate::Dead if refuses => server.refuse(),
                Fate::Dead => server.behave(Manner::Silent),
            }
            refuses = cluster.fate == Fate::Dead && !refuses;
        }
    }

    /// All of them leave the platform, and take along what is kept of them.
    ///
    /// # Errors
    /// When they cannot, or something stays.
    pub(super) async fn leaves(self) -> Result<()> {
        futures::stream::iter(&self.clusters)
            .map(|cluster| self.bench.leaves(&cluster.name))
            .buffer_unordered(IN_FLIGHT)
            .try_collect::<()>()
            .await?;
        let is_gone = |list: &Value| {
            let all = list["items"].as_array().map_or(&[][..], Vec::as_slice);
            all.iter().all(|shadow| text(shadow, "/metadata/name") == api::names::GLOBAL)
        };
        let what = "what is kept of the clusters to go";
        self.bench.until(SHADOWS, what, LIMIT, is_gone).await?;
        Ok(())
    }

    /// Waits until the ClusterVersionShadows of these clusters are as they should be.
    async fn until(
        &self,
        what: &str,
        whom: impl Fn(&Cluster) -> bool,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<()> {
        let awaited: Vec<&Cluster> = self.clusters.iter().filter(|c| whom(c)).collect();
        let (begin, mut said) = (Instant::now(), Instant::now());
        loop {
            let list = match self.bench.get(SHADOWS).await {
                // Whoever is busy is asked again.
                Err(error) if begin.elapsed() < LIMIT => {
                    say(&format!("{what}: {error:#}"));
                    sleep(POLL).await;
                    continue;
                }
                answer => answer?,
            };
            let all = list["items"].as_array().context("a list")?;
            let shadows: BTreeMap<&str, &Value> =
                all.iter().map(|shadow| (text(shadow, "/metadata/name"), shadow)).collect();
            let is_ready = |cluster: &&&Cluster| {
                shadows.get(cluster.name.as_str()).is_some_and(|shadow| is_so(shadow))
            };
            let left: Vec<_> = awaited.iter().filter(|cluster| !is_ready(cluster)).collect();
            let Some(first) = left.first() else { return Ok(()) };
            let (count, seconds) = (left.len(), begin.elapsed().as_secs());
            if said.elapsed() > SAY {
                say(&format!("{what}: {count} of {} are left after {seconds} s", awaited.len()));
                said = Instant::now();
            }
            let state = shadows.get(first.name.as_str()).map(|shadow| &shadow["status"]);
            ensure!(
                begin.elapsed() < LIMIT,
                "waited {seconds} s for {what}: {count} are left; {} says: {:#}",
                first.name,
                state.unwrap_or(&Value::Null)
            );
            sleep(POLL).await;
        }
    }
}
