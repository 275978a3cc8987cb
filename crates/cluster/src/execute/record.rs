//! What is recorded of a component: its AppRelease.

use super::component::{Rendered, chart_of, chart_status, lifecycle};
use super::objects::at_version;
use super::{Contents, Executor, Stop, kinds, resource_patches};
use crate::call::CallError;
use crate::observe::{Patches, typed};
use crate::render::Renderer;
use crate::server::{ApiServer, PatchBody};
use api::Time;
use api::names::{LIFECYCLE_LABEL, NAMESPACE};
use api::objects::{
    AppRelease, AppReleaseChart, AppReleaseDestination, AppReleasePhase, AppReleaseSource,
    AppReleaseSpec, AppReleaseStatus, ObjectRef, object_ref,
};
use jiff::Timestamp;
use planner::apply::{ApplyPlan, PatchFailure};
use planner::plan::ApplyStep;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An AppRelease as it was read, and as it is to be.
pub(super) struct Record {
    reference: ObjectRef,
    live: Option<AppRelease>,
    /// The status as it was last written.
    pub(super) status: AppReleaseStatus,
}

impl Record {
    pub(super) async fn read<A: ApiServer, R: Renderer, C: Contents>(
        executor: &Executor<'_, A, R, C>,
        name: &str,
    ) -> Result<Self, Stop> {
        let live = typed::<AppRelease, _>(executor.server, NAMESPACE, name).await?;
        let status = live.as_ref().and_then(|l| l.status.clone()).unwrap_or_default();
        Ok(Self { reference: object_ref::<AppRelease>(NAMESPACE, name), live, status })
    }

    /// Writes the intent: what is to be installed, and every object that may come to be.
    pub(super) async fn intend<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        step: &ApplyStep,
        rendered: &Rendered,
        plan: &ApplyPlan,
    ) -> Result<(), Stop> {
        let spec = spec(executor.cluster, step, rendered);
        if self.live.as_ref().is_none_or(|l| l.spec != spec) {
            self.write_spec(executor, step, &spec).await?;
        }
        let mut status = self.status.clone();
        status.inventory.clone_from(&plan.union);
        status.obsolete.clone_from(&plan.obsolete);
        let installed = status.phase == AppReleasePhase::Ready
            && status.release_image == step.image
            && status.values_digest == rendered.values_digest
            && status.patches_digest == rendered.patches.digest;
        if !installed {
            // What failed is Failed until it is Ready: Deploying in between tells nobody more.
            let failed = status.phase == AppReleasePhase::Failed;
            let phase = if failed { status.phase } else { AppReleasePhase::Deploying };
            leave(&mut status, phase, executor.now);
        }
        if status.hooks_release != step.image {
            status.hooks_release.clone_from(&step.image);
            status.hooks_done.clear();
        }
        self.write(executor, status).await
    }

    async fn write_spec<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        step: &ApplyStep,
        spec: &AppReleaseSpec,
    ) -> Result<(), Stop> {
        kinds::ready(executor).await?;
        let body = json!({
            "apiVersion": self.reference.api_version,
            "kind": self.reference.kind,
            "metadata": {
                "name": self.reference.name,
                "namespace": self.reference.namespace,
                "labels": { LIFECYCLE_LABEL: lifecycle(step).as_str() },
            },
            "spec": spec,
        });
        let live = self.live.as_ref().and_then(|l| l.metadata.resource_version.as_deref());
        let body = at_version(body, live);
        // The AppRelease is the operator's own record; what others write into it does not hold.
        let options = crate::ApplyOptions { force: true, dry_run: false };
        let written = executor.server.apply(&body, options).await?;
        self.live = serde_json::from_value(written).ok();
        Ok(())
    }

    /// A hook ended well; recorded before it may be deleted.
    pub(super) async fn hook_done<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        step: &ApplyStep,
        key: String,
    ) -> Result<(), Stop> {
        let mut status = self.status.clone();
        status.hooks_release.clone_from(&step.image);
        status.hooks_done.insert(key);
        self.write(executor, status).await
    }

    /// Everything is applied and healthy.
    pub(super) async fn complete<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        step: &ApplyStep,
        rendered: &Rendered,
        plan: &ApplyPlan,
    ) -> Result<(), Stop> {
        let applied = self.status.release_image != step.image
            || self.status.values_digest != rendered.values_digest;
        resource_patches::active(executor, rendered, applied).await?;
        let mut status = self.status.clone();
        status.observed_generation = self.live.as_ref().and_then(|l| l.metadata.generation);
        status.phase = AppReleasePhase::Ready;
        status.message.clear();
        status.version.clone_from(&step.component.version);
        status.release.clone_from(&step.release);
        status.release_image.clone_from(&step.image);
        status.values_digest.clone_from(&rendered.values_digest);
        status.patches_digest.clone_from(&rendered.patches.digest);
        status.charts = chart_status(step, AppReleasePhase::Ready);
        status.inventory.clone_from(&plan.union);
        status.obsolete.clone_from(&plan.obsolete);
        self.write(executor, status).await
    }

    /// What others changed of the installed component since it was applied, or why that is not
    /// known.
    pub(super) async fn drifted<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        drift: Vec<String>,
        message: &str,
    ) -> Result<(), Stop> {
        let mut status = AppReleaseStatus { message: message.to_owned(), ..self.status.clone() };
        if status.drift != drift {
            status.drift = drift;
            status.drift_time = later(status.drift_time, executor.now);
        }
        self.write(executor, status).await
    }

    /// Objects are gone, or are not ours any more.
    pub(super) async fn forget<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        gone: &BTreeSet<ObjectRef>,
    ) -> Result<(), Stop> {
        let mut status = self.status.clone();
        status.inventory.retain(|o| !gone.contains(o));
        status.obsolete.retain(|o| !gone.contains(o));
        self.write(executor, status).await
    }

    /// Deletes the record itself.
    pub(super) async fn delete<A: ApiServer, R: Renderer, C: Contents>(
        &self,
        executor: &Executor<'_, A, R, C>,
    ) -> Result<(), Stop> {
        if let Some(live) = executor.server.get(&self.reference).await? {
            executor.server.delete(&live).await?;
        }
        Ok(())
    }

    /// Says why the component is not further.
    pub(super) async fn explain<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        stop: &Stop,
    ) -> Result<(), Stop> {
        let (phase, message) = match stop {
            Stop::Waiting(message) => (AppReleasePhase::Deploying, message),
            Stop::Blocked(_, message) | Stop::BlockedUntil(_, message, _) => {
                (AppReleasePhase::Failed, message)
            }
        };
        if self.live.is_none() {
            return Ok(());
        }
        let mut status = self.status.clone();
        leave(&mut status, phase, executor.now);
        status.message = api::text::message(message);
        self.write(executor, status).await
    }

    /// Patches that do not apply say so; the component stays as it is.
    pub(super) async fn patches_failed<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        failures: &[PatchFailure],
        patches: &Patches,
    ) -> Result<(), Stop> {
        resource_patches::failed(executor, failures, patches).await?;
        if self.live.is_none() || self.status.patches_digest == patches.digest {
            return Ok(());
        }
        // These patches were tried; only a change of them is a reason to try again while idle.
        let mut status = self.status.clone();
        status.patches_digest.clone_from(&patches.digest);
        self.write(executor, status).await
    }

    /// Writes the status where it changed, only over the version that was read.
    async fn write<A: ApiServer, R: Renderer, C: Contents>(
        &mut self,
        executor: &Executor<'_, A, R, C>,
        status: AppReleaseStatus,
    ) -> Result<(), Stop> {
        if status == self.status && self.live.as_ref().is_some_and(|l| l.status.is_some()) {
            return Ok(());
        }
        kinds::ready(executor).await?;
        let version = self.live.as_ref().and_then(|l| l.metadata.resource_version.clone());
        let Some(version) = version else {
            return Err(Stop::Waiting(format!("{} is not there yet", self.reference)));
        };
        let patch = json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": version },
            { "op": "add", "path": "/status", "value": status },
        ]);
        let patch = PatchBody::Json(patch);
        match executor.server.patch(&self.reference, Some("status"), &patch).await {
            Ok(written) => {
                self.live = serde_json::from_value(written).ok();
                self.status = status;
                Ok(())
            }
            Err(error) => Err(self.refused(executor, error, &version).await),
        }
    }

    /// A test that fails and a status that breaks the schema are refused with the same words: only
    /// the object itself tells whether somebody changed it meanwhile.
    async fn refused<A: ApiServer, R: Renderer, C: Contents>(
        &self,
        executor: &Executor<'_, A, R, C>,
        error: CallError,
        version: &str,
    ) -> Stop {
        if !matches!(error, CallError::Invalid(_)) {
            return error.into();
        }
        match executor.server.get(&self.reference).await {
            Ok(found) if version_of(found.as_ref()) == Some(version) => error.into(),
            Ok(_) => Stop::Waiting(format!("{} was changed meanwhile", self.reference)),
            Err(error) => error.into(),
        }
    }
}

fn version_of(object: Option<&Value>) -> Option<&str> {
    object?.pointer("/metadata/resourceVersion")?.as_str()
}

/// A component that is not Ready: where it was until now, its application begins here.
fn leave(status: &mut AppReleaseStatus, phase: AppReleasePhase, now: Timestamp) {
    if status.phase == AppReleasePhase::Ready || status.started_time.is_none() {
        status.started_time = later(status.started_time.take(), now);
    }
    status.phase = phase;
}

/// Now, but never before what was written down of the same: the clock of an earlier leader may have
/// been ahead.
pub(super) fn later(before: Option<Time>, now: Timestamp) -> Option<Time> {
    before.max(Some(api::time(now)))
}

fn spec<'a>(cluster: &'a str, step: &'a ApplyStep, rendered: &Rendered) -> AppReleaseSpec {
    let component = &step.component;
    let (name, revision) = chart_of(step);
    let repository = step.image.rsplit_once('@').map_or(step.image.as_str(), |(head, _)| head);
    AppReleaseSpec {
        source: AppReleaseSource {
            repo_url: repository.to_owned(),
            charts: vec![AppReleaseChart {
                name,
                release_name: component.name.clone(),
                target_revision: revision,
            }],
        },
        destination: AppReleaseDestination {
            cluster: cluster.to_owned(),
            namespace: component.namespace.clone(),
        },
        timeout: i64::from(component.timeout_seconds),
        values: component.values.clone(),
        values_digest: rendered.values_digest.clone(),
        version: component.version.clone(),
        release: step.release.clone(),
        release_image: step.image.clone(),
        path: component.path().to_owned(),
        lifecycle: component.lifecycle,
        module_info: step.module_info.clone(),
    }
}
