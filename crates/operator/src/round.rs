//! Makes one round after the other: ProductManifests are resolved, the round of `cluster` runs and
//! is counted. Remembers nothing of the last but what was announced and what just failed.

use crate::manifests::Resolver;
use crate::metrics::Metrics;
use crate::releases::ReleaseStore;
use crate::settings::Settings;
use crate::trust::{Trust, Trusted};
use api::{StalledReason, Version};
use cluster::observe::LiveFleet;
use cluster::render::Helm;
use cluster::round::{Round, Written};
use cluster::{Announcer, CallError, Live};
use jiff::{SignedDuration, Timestamp};
use planner::{Outcome, Situation, StepResult};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After a round that failed, how long until the next; twice as long after each that follows.
const AFTER_FAILURE: Duration = Duration::from_millis(250);
/// The longest time until the next round while rounds fail.
const WHILE_FAILING: Duration = Duration::from_secs(4);
/// The same while rounds are made in which only some requests fail, for as long as that may pass.
const WHILE_ANSWERED: Duration = Duration::from_millis(500);
/// How long failures may pass: what fails for longer is asked for less often.
const PASSING: Duration = Duration::from_secs(60);
/// The shortest time between two rounds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Makes rounds about the global cluster.
pub struct Rounds {
    server: Live,
    store: ReleaseStore,
    resolver: Resolver,
    helm: Helm,
    cluster: String,
    version: Version,
    announcer: Announcer,
    metrics: Arc<Metrics>,
    /// The longest time without a round: what no watch tells is seen then.
    longest_pause: Duration,
    /// How long the next failure is waited out.
    after_failure: Duration,
    /// Since when no round was whole.
    failing_since: Option<Instant>,
    /// Whether the last round was one of an upgrade.
    is_at_work: bool,
}

impl Rounds {
    /// Rounds with these settings.
    #[must_use]
    pub fn new(server: Live, settings: &Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            server,
            store: ReleaseStore::new(settings.registry_ca.clone(), settings.pull_secret.clone()),
            resolver: Resolver::default(),
            helm: Helm::new(settings.helm.clone(), settings.cache.clone()),
            cluster: settings.cluster.clone(),
            version: settings.cvo_version.clone(),
            announcer: Announcer::new(&settings.cluster, &settings.identity),
            metrics,
            longest_pause: Duration::from_secs(settings.resync_s),
            after_failure: AFTER_FAILURE,
            failing_since: None,
            is_at_work: false,
        }
    }

    /// Whether an upgrade goes on, so that no round may be put off.
    #[must_use]
    pub const fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    /// One round; gives the time until the next is due if nothing changes before.
    pub async fn run(&mut self, now: Timestamp) -> Duration {
        let started = Instant::now();
        let result = self.round(now).await;
        self.metrics.round(result.is_ok(), started.elapsed());
        let error = match result {
            Ok((wait, is_whole)) => {
                // It is due by the time at which the round began; a slow one is not followed at
                // once.
                let left = wait.saturating_sub(started.elapsed()).max(wait / 2);
                let left = left.clamp(SHORTEST_PAUSE, self.longest_pause);
                if is_whole {
                    self.after_failure = AFTER_FAILURE;
                    self.failing_since = None;
                    return left;
                }
                let since = *self.failing_since.get_or_insert(started);
                let passes = since.elapsed() < PASSING;
                return left.min(self.fail(if passes { WHILE_ANSWERED } else { WHILE_FAILING }));
            }
            Err(error) => error,
        };
        if error != CallError::NotLeader {
            tracing::warn!(%error, "the round could not be made");
        }
        self.fail(WHILE_FAILING)
    }

    /// How long this failure is waited out.
    fn fail(&mut self, longest: Duration) -> Duration {
        let wait = self.after_failure.min(longest);
        self.after_failure = (wait * 2).min(longest);
        wait
    }

    /// The time until the next round, and whether none of its requests failed that an upgrade
    /// under way needs.
    async fn round(&mut self, now: Timestamp) -> Result<(Duration, bool), CallError> {
        let trust = Trust::read(&self.server, &self.store, &self.cluster, now).await;
        let round = Round {
            server: &self.server,
            renderer: &self.helm,
            store: &Trusted { store: &self.store, trust: &trust },
            fleet: &LiveFleet,
            cluster: &self.cluster,
            version: &self.version,
            now,
        };
        let again = self.resolver.resolve_all(&self.server, &self.store, &trust, now).await;
        let ended = round.run(&mut self.announcer).await?;
        self.metrics.status(&ended.next);
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
            return Ok((SHORTEST_PAUSE, true));
        }
        let until = ended.wake_at.map(|at| positive(at.duration_since(now)));
        let wait = [until, again].into_iter().flatten().min().unwrap_or(self.longest_pause);
        let unreachable = |o: &Outcome| {
            matches!(&o.result, StepResult::Blocked { reason, .. }
                if *reason == StalledReason::ClusterUnreachable)
        };
        let is_running = ended.plan.situation == Situation::Running;
        let failed =
            (is_running && ended.plan.obstacle.is_some()) || ended.outcomes.iter().any(unreachable);
        Ok((wait, !failed))
    }
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
