//! One round: observe, plan, execute, status, in this order, with nothing remembered from the last.

use crate::events;
use crate::manifests;
use crate::metrics::Metrics;
use crate::releases::ReleaseStore;
use crate::settings::Settings;
use crate::status_writer::{self, Written};
use api::Version;
use api::names::NAMESPACE;
use api::objects::{ClusterVersionShadow, object_ref};
use cluster::execute::Executor;
use cluster::observe::{Depth, LiveFleet, Subject, observe, typed};
use cluster::render::Helm;
use cluster::server::ApiServer;
use cluster::{CallError, Live};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use planner::{Outcome, Step, StepResult};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the steps of one round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(15);
/// Components that are worked on at a time.
const COMPONENTS_IN_FLIGHT: usize = 4;
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
        self.ensure_object().await?;
        let again = manifests::resolve_all(&self.server, &self.store, now).await?;
        let subject =
            Subject { cluster: self.cluster.clone(), cvo_version: self.version.clone(), now };
        let depth = self.depth().await?;
        let snapshot = observe(&self.server, &self.store, &LiveFleet, &subject, depth).await?;
        let previous = snapshot.status();
        let plan = planner::plan(&snapshot);
        let outcomes = self.execute(&plan.steps, now).await;
        let (next, wake_at) = planner::status(&previous, &snapshot, &plan, &outcomes);
        self.metrics.status(&next);
        if next != previous {
            let is_new = previous.conditions.is_empty() && previous.revision == 0;
            match status_writer::write(&self.server, &self.cluster, is_new, next.clone()).await? {
                Written::Yes => {}
                Written::Superseded => {
                    tracing::warn!("another writer was faster; this round counts for nothing");
                    return Ok(SHORTEST_PAUSE);
                }
            }
            events::announce(&self.server, &self.identity, &self.cluster, &previous, &next, now)
                .await;
        }
        let until = wake_at.map(|at| positive(at.duration_since(now)));
        Ok([until, again].into_iter().flatten().min().unwrap_or(LONGEST_PAUSE))
    }

    /// Where there is no ClusterVersionShadow of this cluster, it is made; its status comes next.
    async fn ensure_object(&self) -> Result<(), CallError> {
        let reference = object_ref::<ClusterVersionShadow>(NAMESPACE, &self.cluster);
        if self.server.get(&reference).await?.is_some() {
            return Ok(());
        }
        let body = json!({
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "metadata": { "name": self.cluster, "namespace": NAMESPACE },
            "spec": {},
        });
        match self.server.create(&body).await {
            Ok(_) | Err(CallError::Conflict(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// While an upgrade runs and nothing else is asked for, preflight's inputs are not read.
    async fn depth(&self) -> Result<Depth, CallError> {
        let cvsh = typed::<ClusterVersionShadow, _>(&self.server, NAMESPACE, &self.cluster).await?;
        let Some(cvsh) = cvsh else { return Ok(Depth::Preflight) };
        let status = cvsh.status.unwrap_or_default();
        let under_way = planner::request::in_flight(&status);
        let wish = cvsh.spec.desired_update.map(|d| d.version).unwrap_or_default();
        let only_that = under_way.is_some_and(|entry| wish.is_empty() || wish == entry.version);
        Ok(if only_that { Depth::Upgrade } else { Depth::Preflight })
    }

    async fn execute(&self, steps: &[Step], now: Timestamp) -> Vec<Outcome> {
        let executor = Executor {
            server: &self.server,
            renderer: &self.helm,
            contents: &self.store,
            cluster: &self.cluster,
            now,
        };
        let executor = &executor;
        futures::stream::iter(steps)
            .map(|step| async move {
                let outcome = match tokio::time::timeout(ROUND_LIMIT, executor.execute(step)).await
                {
                    Ok(outcome) => outcome,
                    Err(_) => Outcome {
                        subject: step.subject().to_owned(),
                        result: StepResult::Waiting(format!(
                            "the attempt did not end within {} s; it is made again",
                            ROUND_LIMIT.as_secs()
                        )),
                    },
                };
                log(&outcome);
                outcome
            })
            .buffer_unordered(COMPONENTS_IN_FLIGHT)
            .collect()
            .await
    }
}

fn log(outcome: &Outcome) {
    match &outcome.result {
        StepResult::Done => tracing::info!(subject = outcome.subject, "done"),
        StepResult::Waiting(message) => {
            tracing::debug!(subject = outcome.subject, message, "waits")
        }
        StepResult::Blocked { reason, message } => {
            tracing::warn!(subject = outcome.subject, reason = reason.as_str(), message, "blocked");
        }
    }
}

fn positive(duration: SignedDuration) -> Duration {
    Duration::try_from(duration).unwrap_or_default()
}
