//! Makes one round after the other: ProductManifests are resolved, the round of `cluster` runs, its
//! transitions are announced and counted. Remembers nothing of the last.

use crate::events;
use crate::manifests;
use crate::metrics::Metrics;
use crate::releases::ReleaseStore;
use crate::settings::Settings;
use api::Version;
use cluster::observe::LiveFleet;
use cluster::render::Helm;
use cluster::round::{Round, Written};
use cluster::{CallError, Live};
use jiff::{SignedDuration, Timestamp};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After a round that failed, how long until the next.
const AFTER_FAILURE: Duration = Duration::from_secs(2);
/// The longest time without a round: what no watch tells is seen then.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The shortest time between two rounds.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Makes rounds about the global cluster.
pub struct Rounds {
    server: Live,
    store: ReleaseStore,
    helm: Helm,
    cluster: String,
    version: Version,
    identity: String,
    metrics: Arc<Metrics>,
}

impl Rounds {
    /// Rounds with these settings.
    #[must_use]
    pub fn new(server: Live, settings: &Settings, metrics: Arc<Metrics>) -> Self {
        Self {
            server,
            store: ReleaseStore::new(settings.registry_ca.clone(), settings.pull_secret.clone()),
            helm: Helm::new(settings.helm.clone(), settings.cache.clone()),
            cluster: settings.cluster.clone(),
            version: settings.cvo_version.clone(),
            identity: settings.identity.clone(),
            metrics,
        }
    }

    /// One round; gives the time until the next is due if nothing changes before.
    pub async fn run(&self, now: Timestamp) -> Duration {
        let started = Instant::now();
        let result = self.round(now).await;
        self.metrics.round(result.is_ok(), started.elapsed());
        match result {
            Ok(wait) => wait.clamp(SHORTEST_PAUSE, LONGEST_PAUSE),
            Err(CallError::NotLeader) => AFTER_FAILURE,
            Err(error) => {
                tracing::warn!(%error, "the round could not be made");
                AFTER_FAILURE
            }
        }
    }

    async fn round(&self, now: Timestamp) -> Result<Duration, CallError> {
        let round = Round {
            server: &self.server,
            renderer: &self.helm,
            store: &self.store,
            fleet: &LiveFleet,
            cluster: &self.cluster,
            version: &self.version,
            now,
        };
        round.ensure_object().await?;
        let again = manifests::resolve_all(&self.server, &self.store, now).await?;
        let ended = round.run().await?;
        self.metrics.status(&ended.next);
        match ended.written {
            None => {}
            Some(Written::Yes) => {
                let (before, after) = (&ended.previous, &ended.next);
                events::announce(&self.server, &self.identity, &self.cluster, before, after, now)
                    .await;
            }
            Some(Written::Superseded) => {
                tracing::warn!("another writer was faster; this round counts for nothing");
                return Ok(SHORTEST_PAUSE);
            }
        }
        let until = ended.wake_at.map(|at| positive(at.duration_since(now)));
        Ok([until, again].into_iter().flatten().min().unwrap_or(LONGEST_PAUSE))
    }
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
