//! Makes one idempotent attempt at a Step. What it comes to is read from the cluster, never
//! assumed; rollouts and hooks are looked at, not awaited.

mod access;
mod component;
mod conflicts;
mod hooks;
mod kinds;
mod modules;
mod objects;
mod platform;
mod prune;
mod record;
mod resource_patches;
mod revision;
mod takeover;

pub use kinds::Kinds;

use crate::call::CallError;
use crate::render::{RenderError, Renderer};
use crate::server::ApiServer;
use api::StalledReason;
use jiff::Timestamp;
use planner::{Outcome, Step, StepResult};
use std::sync::Arc;

/// Writes that are under way at a time.
pub(crate) const IN_FLIGHT: usize = 16;

/// Why the contents of a release cannot be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContentError {
    /// The registry does not give them now.
    #[error("{0}")]
    Unavailable(String),
    /// They are not what their digest says, or not there.
    #[error("{0}")]
    Invalid(String),
}

/// Gives the contents of a release: charts and manifests, verified by the release's digest.
pub trait Contents: Sync {
    /// The bytes of a path inside the product image.
    fn content(
        &self,
        image: &str,
        path: &str,
    ) -> impl Future<Output = Result<Arc<Vec<u8>>, ContentError>> + Send;
}

/// What a step is executed with.
pub struct Executor<'a, A, R, C> {
    /// The global cluster, which keeps what is recorded of the platform and of every cluster.
    pub home: &'a A,
    /// The cluster that is changed; for the global cluster itself, the same.
    pub server: &'a A,
    /// Renders charts.
    pub renderer: &'a R,
    /// Gives charts.
    pub contents: &'a C,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// The time.
    pub now: Timestamp,
    /// What is known of the kinds of records on the cluster; nothing as it begins.
    pub kinds: Kinds,
}

/// Why a step did not come to its end; becomes a [`StepResult`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It goes on by itself.
    Waiting(String),
    /// Somebody must act, or time must pass; the table of reasons says what is done.
    Blocked(StalledReason, String),
    /// Somebody must act, and this is what: reason, what is wrong, what clears it.
    BlockedUntil(StalledReason, String, String),
}

impl From<CallError> for Stop {
    fn from(error: CallError) -> Self {
        let text = error.to_string();
        match error {
            // The next round reads again and decides anew.
            CallError::Conflict(_) | CallError::NotFound(_) | CallError::NotLeader => {
                Self::Waiting(text)
            }
            CallError::FieldConflict(_) => Self::Blocked(StalledReason::FieldConflict, text),
            CallError::Forbidden(_) | CallError::Unauthorized(_) => {
                Self::Blocked(StalledReason::Forbidden, text)
            }
            CallError::Invalid(_) | CallError::KindAbsent(_) => {
                Self::Blocked(StalledReason::ObjectRejected, text)
            }
            CallError::Unavailable(_) | CallError::Unexpected(_) => {
                Self::Blocked(StalledReason::ClusterUnreachable, text)
            }
        }
    }
}

impl From<RenderError> for Stop {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Unavailable(text) => Self::Waiting(text),
            RenderError::Refused(_) | RenderError::Output(_) => {
                Self::Blocked(StalledReason::RenderFailed, error.to_string())
            }
        }
    }
}

impl From<ContentError> for Stop {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Unavailable(text) => {
                Self::Blocked(StalledReason::ReleaseUnavailable, text)
            }
            ContentError::Invalid(text) => Self::Blocked(StalledReason::ReleaseInvalid, text),
        }
    }
}

impl From<planner::apply::ApplyError> for Stop {
    fn from(error: planner::apply::ApplyError) -> Self {
        Self::Blocked(StalledReason::RenderFailed, error.to_string())
    }
}

impl<A: ApiServer, R: Renderer, C: Contents> Executor<'_, A, R, C> {
    /// One attempt at a step.
    pub async fn execute(&self, step: &Step) -> Outcome {
        let result = match step {
            Step::BeginModule { version } => platform::begin(self, version).await,
            Step::Finish { version, image, license_keys, signing_keys, app_releases } => {
                let keys = platform::Keys { image, license_keys, signing_keys };
                platform::finish(self, version, &keys, app_releases).await
            }
            Step::ShowModule { shown } => platform::show(self, shown).await,
            Step::Apply(apply) => component::apply(self, apply).await,
            Step::Prune { name, allowed } => prune::prune(self, name, allowed).await,
            Step::Remove { name, allowed } => prune::remove(self, name, allowed).await,
            Step::ReleasePatch { name } => resource_patches::release(self, name).await,
            Step::ReportPatch { name, message } => {
                resource_patches::report(self, name, message).await
            }
            Step::HoldModule { name } => modules::hold(self, name).await,
            Step::ReleaseModule { name } => modules::release(self, name).await,
            Step::MoveModule { module_info, version, .. } => {
                modules::move_to(self, module_info, version).await
            }
            Step::ReportDrift(apply) => component::report_drift(self, apply).await,
        };
        let result = match result {
            Ok(()) => StepResult::Done,
            Err(Stop::Waiting(message)) => StepResult::Waiting(message),
            Err(Stop::Blocked(reason, message)) => {
                StepResult::Blocked { reason, message, remedy: String::new() }
            }
            Err(Stop::BlockedUntil(reason, message, remedy)) => {
                StepResult::Blocked { reason, message, remedy }
            }
        };
        Outcome { subject: step.subject().to_owned(), result }
    }
}
