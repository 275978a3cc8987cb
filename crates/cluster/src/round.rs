//! The order of one round: observe, plan, execute, status, one write and its Events, with nothing
//! remembered from the last but what was announced. Knows nothing of timers, Leases or metrics:
//! whoever makes rounds adds them.

use crate::call::CallError;
use crate::events::Announcer;
use crate::execute::{Contents, Executor, Kinds};
use crate::observe::{Depth, Fleet, Releases, Servers, Subject, observe, typed};
use crate::render::Renderer;
use crate::server::ApiServer;
use crate::status_writer;
pub use crate::status_writer::Written;
use api::Version;
use api::names::{GLOBAL, NAMESPACE};
use api::objects::{Cluster, ClusterVersionShadow, ClusterVersionShadowStatus, object_ref};
use futures::StreamExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::Resource as _;
use planner::snapshot::{ClusterObjectFacts, Observed};
use planner::{Outcome, Plan, Step, StepResult};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

/// How long one round may take, from its first read.
pub(crate) const ROUND_LIMIT: Duration = Duration::from_secs(15);
const ROUND_LIMIT_S: i64 = 15;
/// How long its steps have at least, however long it took to read.
const STEPS_AT_LEAST: Duration = Duration::from_secs(5);
/// Components that are worked on at a time.
const COMPONENTS_IN_FLIGHT: usize = 4;
/// How soon Events that could not be written are tried again.
const EVENTS_AGAIN: SignedDuration = SignedDuration::from_secs(2);

/// What a round is made with.
pub struct Round<'a, A, R, C, F> {
    /// The global cluster, which keeps what is recorded of the platform and of every cluster.
    pub home: &'a A,
    /// The cluster that the round is about; for the global cluster itself, the same.
    pub server: &'a A,
    /// Renders charts.
    pub renderer: &'a R,
    /// Gives releases and what is in them.
    pub store: &'a C,
    /// The other clusters.
    pub fleet: &'a F,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// Version of the operator.
    pub version: &'a Version,
    /// The time.
    pub now: Timestamp,
}

/// What a round came to.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The status as it was found.
    pub previous: ClusterVersionShadowStatus,
    /// The status as this round says it.
    pub next: ClusterVersionShadowStatus,
    /// What was planned.
    pub plan: Plan,
    /// What the steps came to.
    pub outcomes: Vec<Outcome>,
    /// What became of the write; None where nothing was to be written.
    pub written: Option<Written>,
    /// When the next round is due if nothing changes before.
    pub wake_at: Option<Timestamp>,
}

impl<A: ApiServer, R: Renderer, C: Contents + Releases, F: Fleet> Round<'_, A, R, C, F> {
    /// Makes the round. Where there is no ClusterVersionShadow of this cluster, it is made first.
    ///
    /// # Errors
    /// When the cluster's own object cannot be read or made, its status cannot be written, or, for
    /// a while, its Events cannot.
    pub async fn run(&self, announcer: &mut Announcer) -> Result<Ended, CallError> {
        let begun = Instant::now();
        let shadow = self.shadow().await?;
        let subject = Subject {
            cluster: self.cluster.to_owned(),
            cvo_version: self.version.clone(),
            now: self.now,
        };
        let depth = depth(&shadow);
        let servers = Servers { home: self.home, server: self.server };
        let own = Some(shadow.clone());
        let snapshot = observe(servers, self.store, self.fleet, &subject, own, depth).await;
        self.is_of_this_cluster(&shadow, &snapshot.cluster_object).await?;
        announcer.catch_up(self.home, &shadow, self.now).await?;
        let previous = snapshot.status();
        let plan = planner::plan(&snapshot);
        let deadline = (begun + ROUND_LIMIT).max(Instant::now() + STEPS_AT_LEAST);
        let outcomes = self.execute(&plan.steps, deadline).await;
        let (next, mut wake_at) = planner::status(&previous, &snapshot, &plan, &outcomes);
        let written = if next == previous {
            None
        } else {
            Some(status_writer::write(self.home, self.cluster, next.clone()).await?)
        };
        if written == Some(Written::Yes) {
            let said = announcer.announce(self.home, &next, self.now).await;
            if let Err(error) = said {
                tracing::debug!(%error, "Events are written before the next round");
            }
        }
        if announcer.is_behind() {
            let soon = self.now.checked_add(EVENTS_AGAIN).unwrap_or(self.now);
            wake_at = Some(wake_at.map_or(soon, |at| at.min(soon)));
        }
        Ok(Ended { previous, next, plan, outcomes, written, wake_at })
    }

    /// The cluster's own object.
    async fn shadow(&self) -> Result<ClusterVersionShadow, CallError> {
        let found = typed::<ClusterVersionShadow, _>(self.home, NAMESPACE, self.cluster).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let reference = object_ref::<ClusterVersionShadow>(NAMESPACE, self.cluster);
        let mut body = json!({
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "metadata": { "name": self.cluster, "namespace": NAMESPACE },
            "spec": {},
        });
        if self.cluster != GLOBAL {
            // It goes with the cluster that it is about.
            body["metadata"]["ownerReferences"] = json!([self.owner().await?]);
        }
        match self.home.create(&body).await {
            Ok(_) | Err(CallError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
        let made = typed::<ClusterVersionShadow, _>(self.home, NAMESPACE, self.cluster).await?;
        made.ok_or_else(|| CallError::NotFound(reference.to_string()))
    }

    /// What was kept of an earlier cluster of this name says nothing of the one that is registered
    /// now: it is waited for until it has gone with its owner.
    async fn is_of_this_cluster(
        &self,
        shadow: &ClusterVersionShadow,
        cluster: &Observed<Option<ClusterObjectFacts>>,
    ) -> Result<(), CallError> {
        let kind = Cluster::kind(&());
        let mut owners = shadow.metadata.owner_references.iter().flatten();
        let before = owners.find(|owner| owner.kind == kind);
        let Some(before) = before.filter(|_| self.cluster != GLOBAL) else { return Ok(()) };
        let now = match cluster {
            Observed::Value(Some(now)) => now.uid.clone(),
            // One that is malformed has a uid all the same.
            _ => self.owner().await?.get("uid").and_then(Value::as_str).unwrap_or("").to_owned(),
        };
        if now == before.uid {
            return Ok(());
        }
        let name = self.cluster;
        Err(CallError::Conflict(format!(
            "ClusterVersionShadow {name} is of an earlier cluster {name}, and goes with it"
        )))
    }

    /// The registered cluster as the owner of what is kept of it.
    async fn owner(&self) -> Result<Value, CallError> {
        let reference = object_ref::<Cluster>("", self.cluster);
        let found = self.home.get(&reference).await?;
        let cluster = found.ok_or_else(|| CallError::NotFound(reference.to_string()))?;
        Ok(json!({
            "apiVersion": reference.api_version,
            "kind": reference.kind,
            "name": self.cluster,
            "uid": cluster.pointer("/metadata/uid"),
        }))
    }

    async fn execute(&self, steps: &[Step], deadline: Instant) -> Vec<Outcome> {
        let executor = Executor {
            home: self.home,
            server: self.server,
            renderer: self.renderer,
            contents: self.store,
            cluster: self.cluster,
            now: self.now,
            kinds: Kinds::default(),
        };
        execute_all(&executor, steps, deadline).await
    }
}

/// Steps that are not done by the deadline are made again in the next round. Where they are many
/// and slow, others come first then.
pub(crate) async fn execute_all<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    steps: &[Step],
    deadline: Instant,
) -> Vec<Outcome> {
    let mut steps: Vec<&Step> = steps.iter().collect();
    let turns = i64::try_from(steps.len().max(1)).unwrap_or(1);
    let turn = executor.now.as_second().div_euclid(ROUND_LIMIT_S).rem_euclid(turns);
    steps.rotate_left(usize::try_from(turn).unwrap_or_default());
    futures::stream::iter(steps)
        .map(|step| async move {
            let attempt = tokio::time::timeout_at(deadline, executor.execute(step)).await;
            let outcome = attempt.unwrap_or_else(|_| Outcome {
                subject: step.subject().to_owned(),
                result: StepResult::Waiting(format!(
                    "the round ended after {ROUND_LIMIT_S} s; the attempt is made again"
                )),
            });
            log(&outcome);
            outcome
        })
        .buffer_unordered(COMPONENTS_IN_FLIGHT)
        .collect()
        .await
}

/// While an upgrade runs and nothing else is asked for, preflight's inputs are not read.
fn depth(shadow: &ClusterVersionShadow) -> Depth {
    let under_way = shadow.status.as_ref().and_then(planner::request::in_flight);
    let wish = shadow.spec.desired_update.as_ref().map_or("", |desired| &desired.version);
    let only_that = under_way.is_some_and(|entry| wish.is_empty() || wish == entry.version);
    if only_that { Depth::Upgrade } else { Depth::Preflight }
}

fn log(outcome: &Outcome) {
    match &outcome.result {
        StepResult::Done => tracing::info!(subject = outcome.subject, "done"),
        StepResult::Waiting(message) => {
            tracing::debug!(subject = outcome.subject, message, "waits");
        }
        StepResult::Blocked { reason, message, remedy: _ } => {
            tracing::warn!(subject = outcome.subject, reason = reason.as_str(), message, "blocked");
        }
    }
}
