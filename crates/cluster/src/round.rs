//! The order of one round: observe, plan, execute, status, one write, with nothing remembered from
//! the last. Knows nothing of timers, Leases, Events or metrics: whoever makes rounds adds them.

use crate::call::CallError;
use crate::execute::{Contents, Executor};
use crate::observe::{Depth, Fleet, Releases, Subject, observe, typed};
use crate::render::Renderer;
use crate::server::ApiServer;
use crate::status_writer;
pub use crate::status_writer::Written;
use api::Version;
use api::names::NAMESPACE;
use api::objects::{ClusterVersionShadow, ClusterVersionShadowStatus, object_ref};
use futures::StreamExt as _;
use jiff::Timestamp;
use planner::{Outcome, Plan, Step, StepResult};
use serde_json::json;
use std::time::Duration;

/// How long the steps of one round may take.
const ROUND_LIMIT: Duration = Duration::from_secs(15);
/// Components that are worked on at a time.
const COMPONENTS_IN_FLIGHT: usize = 4;

/// What a round is made with.
pub struct Round<'a, A, R, C, F> {
    /// The cluster.
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
    /// Where there is no ClusterVersionShadow of this cluster, it is made; its status comes next.
    ///
    /// # Errors
    /// When it can neither be read nor made.
    pub async fn ensure_object(&self) -> Result<(), CallError> {
        let reference = object_ref::<ClusterVersionShadow>(NAMESPACE, self.cluster);
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

    /// Makes the round.
    ///
    /// # Errors
    /// When the cluster's own object cannot be read or its status cannot be written.
    pub async fn run(&self) -> Result<Ended, CallError> {
        let subject = Subject {
            cluster: self.cluster.to_owned(),
            cvo_version: self.version.clone(),
            now: self.now,
        };
        let depth = self.depth().await?;
        let snapshot = observe(self.server, self.store, self.fleet, &subject, depth).await?;
        let previous = snapshot.status();
        let plan = planner::plan(&snapshot);
        let outcomes = self.execute(&plan.steps).await;
        let (next, wake_at) = planner::status(&previous, &snapshot, &plan, &outcomes);
        let written = if next == previous {
            None
        } else {
            let is_new = previous.conditions.is_empty() && previous.revision == 0;
            let write = status_writer::write(self.server, self.cluster, is_new, next.clone());
            Some(write.await?)
        };
        Ok(Ended { previous, next, plan, outcomes, written, wake_at })
    }

    /// While an upgrade runs and nothing else is asked for, preflight's inputs are not read.
    async fn depth(&self) -> Result<Depth, CallError> {
        let cvsh = typed::<ClusterVersionShadow, _>(self.server, NAMESPACE, self.cluster).await?;
        let Some(cvsh) = cvsh else { return Ok(Depth::Preflight) };
        let status = cvsh.status.unwrap_or_default();
        let under_way = planner::request::in_flight(&status);
        let wish = cvsh.spec.desired_update.map(|d| d.version).unwrap_or_default();
        let only_that = under_way.is_some_and(|entry| wish.is_empty() || wish == entry.version);
        Ok(if only_that { Depth::Upgrade } else { Depth::Preflight })
    }

    async fn execute(&self, steps: &[Step]) -> Vec<Outcome> {
        let executor = Executor {
            server: self.server,
            renderer: self.renderer,
            contents: self.store,
            cluster: self.cluster,
            now: self.now,
        };
        let executor = &executor;
        futures::stream::iter(steps)
            .map(|step| async move {
                let attempt = tokio::time::timeout(ROUND_LIMIT, executor.execute(step)).await;
                let outcome = attempt.unwrap_or_else(|_| Outcome {
                    subject: step.subject().to_owned(),
                    result: StepResult::Waiting(format!(
                        "the attempt did not end within {} s; it is made again",
                        ROUND_LIMIT.as_secs()
                    )),
                });
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
            tracing::debug!(subject = outcome.subject, message, "waits");
        }
        StepResult::Blocked { reason, message } => {
            tracing::warn!(subject = outcome.subject, reason = reason.as_str(), message, "blocked");
        }
    }
}
