//! One component: render, patch, plan, order, apply, look at its health, record.

use super::record::Record;
use super::{Contents, Executor, Stop, access, conflicts, hooks, objects};
use crate::observe::patch_specs;
use crate::render::{RenderRequest, Renderer};
use crate::server::ApiServer;
use api::StalledReason;
use api::objects::{AppReleasePhase, Lifecycle};
use planner::apply::{self, Decision, Hook, HookPoint, Prepared};
use planner::plan::ApplyStep;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a component comes to on this cluster before anything is written.
pub(super) struct Rendered {
    /// Objects ready to be sent.
    pub(super) objects: Vec<Prepared>,
    /// Hooks in their order.
    pub(super) hooks: Vec<Hook>,
    /// Digest of the values, fill-ins included.
    pub(super) values_digest: String,
    /// Digest of the patches that were replayed.
    pub(super) patches_digest: String,
    /// Names of the patches and the objects they are about.
    pub(super) patches: Vec<apply::PatchSpec>,
}

/// Brings a component to its release, or applies it again.
pub(super) async fn apply<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
) -> Result<(), Stop> {
    let mut record = Record::read(executor, &step.component.name).await?;
    let result = attempt(executor, step, &mut record).await;
    if let Err(stop) = &result {
        // What the AppRelease shows is for people; what stopped the component counts, not if it
        // could be said there.
        if let Err(other) = record.explain(executor, stop).await {
            tracing::debug!(
                component = step.component.name,
                ?other,
                "the AppRelease does not say so"
            );
        }
    }
    result
}

async fn attempt<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    record: &mut Record,
) -> Result<(), Stop> {
    let registry = access::registry(executor).await?;
    let rendered = render(executor, step, &registry, record).await?;
    let live = objects::live(executor, &step.component.name, &rendered.objects).await?;
    let plan = apply::plan_apply(rendered.objects.clone(), &record.status.inventory, &live);
    if plan.union.len() > api::objects::INVENTORY_LIMIT {
        let message = format!("old and new objects together are {}", plan.union.len());
        return Err(Stop::Blocked(StalledReason::RenderFailed, message));
    }
    let writes = plan.objects.iter().any(|(_, decision)| *decision != Decision::Skip);
    let forced = if writes {
        access::rights(executor, &plan).await?;
        conflicts::settle(executor, step, &plan, &live, &rendered.patches).await?
    } else {
        Default::default()
    };
    registry.bring(executor, &step.component.namespace).await?;
    record.intend(executor, step, &rendered, &plan).await?;
    // A release that is applied again (a customisation changed) runs no hook a second time.
    let again = record.status.release_image == step.image;
    let hooks = if again { &[][..] } else { rendered.hooks.as_slice() };
    hooks::run(executor, step, record, hooks, HookPoint::Before).await?;
    let live = objects::send(executor, &plan, live, &forced).await?;
    objects::healthy(executor, &plan, &live).await?;
    hooks::run(executor, step, record, hooks, HookPoint::After).await?;
    record.complete(executor, step, &rendered, &plan).await
}

/// Looks for fields of an installed component that others changed; nothing is corrected.
pub(super) async fn report_drift<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
) -> Result<(), Stop> {
    let mut record = Record::read(executor, &step.component.name).await?;
    let registry = access::registry(executor).await?;
    let rendered = render(executor, step, &registry, &mut record).await?;
    let live = objects::live(executor, &step.component.name, &rendered.objects).await?;
    record.drifted(executor, apply::drift(&rendered.objects, &live)).await
}

async fn render<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    registry: &access::Registry,
    record: &mut Record,
) -> Result<Rendered, Stop> {
    let component = &step.component;
    let content = executor.contents.content(&step.image, component.path()).await?;
    let mut values = Value::Object(component.values.clone());
    merge_values(&mut values, registry.values(&step.images));
    let values_digest = api::Digest::of(values.to_string().as_bytes()).to_string();
    let is_install = record.status.version.is_empty();
    let request = RenderRequest {
        name: component.name.clone(),
        namespace: component.namespace.clone(),
        content,
        is_chart: component.chart.is_some(),
        values,
        kubernetes: executor.server.version().await?,
        api_versions: executor.server.api_versions().await?,
        is_install,
    };
    let rendered = executor.renderer.render(&request).await?;
    // A hook that is recorded for this release must be found again when the release is applied
    // again, so the occasion is that of the first attempt.
    let (mut objects, mut hooks) = apply::split_hooks(rendered, is_install);
    normalise(executor, component.namespace.as_str(), &mut objects, &mut hooks).await?;
    let name = format!("{}/{}", component.namespace, component.name);
    let (patches, patches_digest) = patch_specs(executor.server, &name).await?;
    let objects = match apply::patched(objects, &patches) {
        Ok(objects) => objects,
        Err(failures) => {
            record.patches_failed(executor, &failures, &patches_digest).await?;
            let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
            return Err(Stop::Blocked(StalledReason::ResourcePatchFailed, api::text::names(&all)));
        }
    };
    let objects = objects::without_scaled_replicas(executor, objects).await?;
    let objects = apply::prepare(objects, &component.name)?;
    Ok(Rendered { objects, hooks, values_digest, patches_digest, patches })
}

async fn normalise<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    namespace: &str,
    objects: &mut [Value],
    hooks: &mut [Hook],
) -> Result<(), Stop> {
    let text =
        |o: &Value, key: &str| o.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let all = objects.iter().chain(hooks.iter().map(|h| &h.object));
    let mut kinds: Vec<(String, String)> =
        all.map(|o| (text(o, "apiVersion"), text(o, "kind"))).collect();
    kinds.sort();
    kinds.dedup();
    let mut scopes = executor.server.scopes(&kinds).await?;
    scopes.extend(apply::scopes_of_crds(objects));
    apply::normalise(objects, namespace, &scopes)?;
    for hook in hooks {
        apply::normalise(std::slice::from_mut(&mut hook.object), namespace, &scopes)?;
    }
    Ok(())
}

/// Values of the release with `global` filled in; what the release itself says under `global` wins
/// nowhere: registry and images are facts of the platform.
fn merge_values(values: &mut Value, global: Value) {
    let Value::Object(values) = values else { return };
    let entry = values.entry("global").or_insert_with(|| Value::Object(Map::new()));
    if let (Value::Object(entry), Value::Object(global)) = (entry, global) {
        entry.extend(global);
    }
}

/// The charts of a step as the AppRelease shows them: name, release name, revision.
pub(super) fn chart_of(step: &ApplyStep) -> (String, String) {
    let file = step.component.path().rsplit('/').next().unwrap_or_default();
    let stem = file.trim_end_matches(".tgz").trim_end_matches(".yaml");
    match stem.rsplit_once('-') {
        Some((name, version)) if version.starts_with(|c: char| c.is_ascii_digit()) => {
            (name.to_owned(), version.to_owned())
        }
        _ => (stem.to_owned(), step.component.version.clone()),
    }
}

/// The chart's entry in the status of an AppRelease.
pub(super) fn chart_status(
    step: &ApplyStep,
    phase: AppReleasePhase,
) -> BTreeMap<String, api::objects::AppReleaseChartStatus> {
    let (name, revision) = chart_of(step);
    let status = api::objects::AppReleaseChartStatus { installed_revision: revision, phase };
    BTreeMap::from([(name, status)])
}

/// The lifecycle of a component, as the AppRelease keeps it.
pub(super) const fn lifecycle(step: &ApplyStep) -> Lifecycle {
    step.component.lifecycle
}
