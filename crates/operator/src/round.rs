//! Makes one round after the other about a cluster: ProductManifests are resolved, the round of
//! `cluster` runs and is counted. Remembers nothing of the last but what was announced, how the
//! cluster was reached, and what just failed.

use crate::fleet::{drives_the_fleet, registered};
use crate::manifests::Resolver;
use crate::metrics::Metrics;
use crate::plugins::{PluginCharts, Shelf};
use crate::releases::{ReleaseStore, registry_address};
use crate::settings::Settings;
use crate::triggers::{Bell, Bells, Moved, Watch};
use crate::trust::{Trust, Trusted};
use api::StalledReason;
use api::names::GLOBAL;
use cluster::modules_round::{ModulesRound, keep_catalogue, lost};
use cluster::observe::{LiveFleet, NoRoute, Route, address, catalogue, route};
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

/// What the rounds about all clusters share.
pub struct Shared {
    /// The global cluster.
    home: Live,
    store: ReleaseStore,
    helm: Helm,
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
}

/// How a cluster was reached, and the watch of its changes.
struct Reached {
    route: Route,
    server: Live,
    _watch: Option<Watch>,
}

/// Makes rounds about one cluster.
pub struct Rounds {
    shared: Arc<Shared>,
    /// Its name.
    cluster: String,
    /// A workload cluster, where it was reached; None: not yet, or not any more.
    reached: Option<Reached>,
    /// Resolves ProductManifests: in the rounds about the global cluster.
    resolver: Resolver,
    /// Looks at the catalogue: in the rounds about the global cluster.
    shelf: Shelf,
    announcer: Announcer,
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
    /// Rounds about a cluster.
    #[must_use]
    pub fn new(shared: Arc<Shared>, cluster: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            reached: None,
            resolver: Resolver::default(),
            shelf: Shelf::default(),
            announcer: Announcer::new(cluster, &shared.settings.identity),
            longest_pause: Duration::from_secs(shared.settings.resync_s),
            after_failure: AFTER_FAILURE,
            failing_since: None,
            is_at_work: false,
            shared,
        }
    }

    fn is_global(&self) -> bool {
        self.cluster == GLOBAL
    }

    /// The API server of the cluster.
    async fn server(&mut self) -> Live {
        if self.is_global() {
            return self.shared.home.clone();
        }
        let bell = self.shared.bells.of(&self.cluster);
        match self.reach(&bell).await {
            Ok(server) => server,
            Err(error) => {
                bell.moved();
                if matches!(error, NoRoute::None(_)) {
                    self.reached = None;
                }
                let known = self.reached.as_ref().map(|reached| reached.server.clone());
                known.unwrap_or_else(|| Live::unreachable(&error.to_string()))
            }
        }
    }

    /// Reaches the cluster, anew where the way there has changed.
    async fn reach(&mut self, bell: &Arc<Bell>) -> Result<Live, NoRoute> {
        let moved = bell.take_moved();
        if let Some(reached) = &self.reached {
            let stays = match moved {
                Moved::No => true,
                Moved::Address => {
                    let now = address(&self.shared.home, &self.cluster).await?;
                    reached.route.leads_to(&now)
                }
                Moved::Way => false,
            };
            if stays {
                return Ok(reached.server.clone());
            }
        }
        let route = route(&self.shared.home, &self.cluster).await?;
        if let Some(reached) = &self.reached
            && reached.route.is_that_of(&route)
        {
            return Ok(reached.server.clone());
        }
        let server = route.server().map_err(NoRoute::None)?;
        let server = self.shared.home.fenced_like(server);
        let client = server.client().ok();
        let watch = client.map(|client| Watch::start(client, Arc::clone(bell)));
        self.reached = Some(Reached { route, server: server.clone(), _watch: watch });
        Ok(server)
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
        self.shared.metrics.round(result.is_ok(), started.elapsed());
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
        let server = self.server().await;
        let shared = Arc::clone(&self.shared);
        let (home, store) = (&shared.home, &shared.store);
        let trust = Trust::read(home, store, &self.cluster, now).await;
        let round = Round {
            home,
            server: &server,
            renderer: &shared.helm,
            store: &Trusted { store, trust: &trust },
            fleet: &LiveFleet,
            cluster: &self.cluster,
            version: &shared.settings.cvo_version,
            now,
        };
        let again = if self.is_global() {
            self.resolver.resolve_all(home, store, &trust, now).await
        } else {
            None
        };
        let plugins = ModulesRound {
            home,
            server: &server,
            renderer: &shared.helm,
            charts: &PluginCharts { store },
            cluster: &self.cluster,
            now,
        };
        let (ended, plugins) = futures::join!(
            round.run(&mut self.announcer),
            about_plugins(plugins, store, &mut self.shelf)
        );
        let ended = ended?;
        shared.metrics.status(&self.cluster, &ended.next);
        if self.is_global() && ended.next.current != ended.previous.current {
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
            return Ok((SHORTEST_PAUSE, true));
        }
        let plugins_due = plugins.unwrap_or_else(|error| {
            tracing::warn!(%error, "the round about the plugins could not be made");
            Some(WHILE_FAILING)
        });
        let until = ended.wake_at.map(|at| positive(at.duration_since(now)));
        let wait =
            [until, again, plugins_due].into_iter().flatten().min().unwrap_or(self.longest_pause);
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

/// One round about the plugins of a cluster, and on the global one about the catalogue; gives the
/// time until the next is due.
async fn about_plugins(
    round: ModulesRound<'_, Live, Helm, PluginCharts<'_>>,
    store: &ReleaseStore,
    shelf: &mut Shelf,
) -> Result<Option<Duration>, CallError> {
    let own = round.run().await;
    if round.cluster != GLOBAL {
        return Ok(own?.map(|at| positive(at.duration_since(round.now))));
    }
    // What holds up one of the three holds up none of the others.
    let again = about_catalogue(&round, store, shelf).await;
    let due = own?.map(|at| positive(at.duration_since(round.now)));
    Ok([due, again?].into_iter().flatten().min())
}

/// What is published, and what is asked for on clusters that are not registered.
async fn about_catalogue(
    round: &ModulesRound<'_, Live, Helm, PluginCharts<'_>>,
    store: &ReleaseStore,
    shelf: &mut Shelf,
) -> Result<Option<Duration>, CallError> {
    let catalogue = catalogue(round.home).await?;
    let again = match catalogue.configs.is_empty() {
        true => Ok(None),
        false => {
            let registry = registry_address(round.home).await;
            shelf.stock(round.home, store, registry, &catalogue).await
        }
    };
    let kept = keep_catalogue(round.home, &catalogue).await;
    if drives_the_fleet() && !catalogue.installed.is_empty() {
        let registered = registered(round.home).await?;
        lost(round, &catalogue, &registered).await?;
    }
    kept.and(again)
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
