//! Makes one round after the other about the release of a cluster: ProductManifests are resolved,
//! the round of `cluster` runs and is counted. Remembers nothing of the last but what was announced
//! and what just failed.

use crate::bells::{About, Bells};
use crate::manifests::Resolver;
use crate::metrics::Metrics;
use crate::pace::{Made, Pace, SHORTEST_PAUSE};
use crate::reach::Reach;
use crate::releases::ReleaseStore;
use crate::settings::Settings;
use crate::trust::{Trust, Trusted};
use api::StalledReason;
use cluster::observe::LiveFleet;
use cluster::render::Helm;
use cluster::round::{Round, Written};
use cluster::{Announcer, CallError, Live};
use jiff::{SignedDuration, Timestamp};
use planner::{Outcome, Situation, StepResult};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the rounds about all clusters share.
pub struct Shared {
    /// The global cluster.
    home: Live,
    pub(crate) store: ReleaseStore,
    pub(crate) helm: Helm,
    settings: Settings,
    metrics: Arc<Metrics>,
    bells: Arc<Bells>,
}

impl Shared {
    /// What rounds with these settings share.
    #[must_use]
    pub fn new(home: Live, settings: Settings, metrics: Arc<Metrics>, bells: Arc<Bells>) -> Self {
        Self {
            home,
            store: ReleaseStore::new(settings.registry_ca.clone(), settings.pull_secret.clone()),
            helm: Helm::new(settings.helm.clone(), settings.cache.clone()),
            settings,
            metrics,
            bells,
        }
    }

    /// The global cluster.
    pub const fn home(&self) -> &Live {
        &self.home
    }

    /// What rings when something changed.
    pub const fn bells(&self) -> &Arc<Bells> {
        &self.bells
    }

    /// What is counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The pace of the rounds about one thing.
    pub(crate) const fn pace(&self) -> Pace {
        Pace::new(Duration::from_secs(self.settings.resync_s))
    }
}

/// Makes rounds about one thing of a cluster.
pub(crate) trait Rounds {
    /// What they are about.
    const ABOUT: About;

    /// One round; gives the time until the next is due if nothing changes before.
    async fn run(&mut self, now: Timestamp) -> Duration;

    /// Whether something is under way, so that no round may be put off.
    fn is_at_work(&self) -> bool;
}

/// Makes rounds about the release of one cluster.
pub struct ReleaseRounds {
    shared: Arc<Shared>,
    reach: Arc<Reach>,
    /// Resolves ProductManifests: in the rounds about the global cluster.
    resolver: Resolver,
    announcer: Announcer,
    pace: Pace,
    is_at_work: bool,
}

impl ReleaseRounds {
    /// Rounds about a cluster.
    #[must_use]
    pub fn new(shared: Arc<Shared>, reach: Arc<Reach>) -> Self {
        Self {
            resolver: Resolver::default(),
            announcer: Announcer::new(reach.cluster(), &shared.settings.identity),
            pace: shared.pace(),
            is_at_work: false,
            shared,
            reach,
        }
    }

    async fn round(&mut self, now: Timestamp) -> Result<Made, CallError> {
        let server = self.reach.server().await;
        let cluster = self.reach.cluster();
        let shared = Arc::clone(&self.shared);
        let (home, store) = (&shared.home, &shared.store);
        let trust = Trust::read(home, store, cluster, now).await;
        let round = Round {
            home,
            server: &server,
            renderer: &shared.helm,
            store: &Trusted { store, trust: &trust },
            fleet: &LiveFleet,
            cluster,
            version: &shared.settings.cvo_version,
            now,
        };
        let again = if self.reach.is_global() {
            self.resolver.resolve_all(home, store, &trust, now).await
        } else {
            None
        };
        let ended = round.run(&mut self.announcer).await;
        if !matches!(&ended, Ok(ended) if ended.written.is_none()) {
            // How far the cluster is decides about its plugins; a write that failed may have come.
            self.reach.bell().ring_for(About::Plugins);
        }
        let ended = ended?;
        shared.metrics.status(cluster, &ended.next);
        if self.reach.is_global() && ended.next.current != ended.previous.current {
            // What global has reached may be offered to the others.
            shared.bells.ring_all();
        }
        self.is_at_work = match ended.plan.situation {
            Situation::Adopt(_)
            | Situation::Begin(_)
            | Situation::Running
            | Situation::Complete => true,
            Situation::NotInstalled
            | Situation::NotUpgradable(_)
            | Situation::Idle
            | Situation::Waiting { held_by: _ } => false,
        };
        if ended.written == Some(Written::Superseded) {
            tracing::warn!("another writer was faster; this round counts for nothing");
            return Ok(Made::Whole(Some(SHORTEST_PAUSE)));
        }
        let until = ended.wake_at.map(|at| positive(at.duration_since(now)));
        let wait = [until, again].into_iter().flatten().min();
        let unreachable = |o: &Outcome| {
            matches!(&o.result, StepResult::Blocked { reason, .. }
                if *reason == StalledReason::ClusterUnreachable)
        };
        let is_running = ended.plan.situation == Situation::Running;
        let failed =
            (is_running && ended.plan.obstacle.is_some()) || ended.outcomes.iter().any(unreachable);
        Ok(if failed { Made::InPart(wait) } else { Made::Whole(wait) })
    }
}

impl Rounds for ReleaseRounds {
    const ABOUT: About = About::Release;

    async fn run(&mut self, now: Timestamp) -> Duration {
        let started = Instant::now();
        let result = self.round(now).await;
        self.shared.metrics.round(result.is_ok(), started.elapsed());
        let made = result.unwrap_or_else(|error| {
            if error != CallError::NotLeader {
                tracing::warn!(%error, "the round could not be made");
            }
            Made::Failed
        });
        self.pace.after(started, made)
    }

    fn is_at_work(&self) -> bool {
        self.is_at_work
    }
}

/// A duration that may not be below zero.
pub(crate) fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
