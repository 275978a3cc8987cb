//! One component: render, patch, plan, order, apply, look at its health, record.

use super::record::Record;
use super::{
    Contents, Executor, Stop, access, conflicts, hooks, objects, resource_patches, takeover,
};
use crate::observe::{Patches, patch_specs};
use crate::render::{RenderRequest, Renderer};
use crate::server::ApiServer;
use api::StalledReason;
use api::objects::{AppReleasePhase, Lifecycle, ObjectRef};
use planner::apply::{self, Decision, Hook, HookPoint, Prepared};
use planner::plan::ApplyStep;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What a component comes to on this cluster before anything is written.
pub(super) struct Rendered {
    /// Objects ready to be sent.
    pub(super) objects: Vec<Prepared>,
    /// As they were rendered, without customisations; none where there are no customisations.
    pub(super) plain: Vec<Value>,
    /// Those of them that are there.
    live: BTreeMap<ObjectRef, Value>,
    /// Hooks in their order.
    pub(super) hooks: Vec<Hook>,
    /// Digest of the values, fill-ins included.
    pub(super) values_digest: String,
    /// The ResourcePatches that were replayed, and those that are being deleted.
    pub(super) patches: Patches,
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
    let mut rendered = render(executor, step, &registry, record).await?;
    let live = std::mem::take(&mut rendered.live);
    let plan = apply::plan_apply(rendered.objects.clone(), &record.status.inventory, &live);
    if plan.union.len() > api::objects::INVENTORY_LIMIT {
        let message = format!("old and new objects together are {}", plan.union.len());
        return Err(Stop::Blocked(StalledReason::RenderFailed, message));
    }
    apply::definitions_grow(&plan, &live)?;
    // A release that is applied again (a customisation changed) runs no hook a second time.
    let again = record.status.release_image == step.image;
    let hooks = if again { &[][..] } else { rendered.hooks.as_slice() };
    let writes = plan.objects.iter().any(|(_, decision)| *decision != Decision::Skip);
    if writes || !hooks.is_empty() {
        access::rights(executor, step, &plan, hooks).await?;
    }
    let failures = conflicts::refused(executor, &plan, &rendered).await?;
    if !failures.is_empty() {
        record.patches_failed(executor, &failures, &rendered.patches).await?;
        return Err(patches_failed(&failures));
    }
    let forced = if writes {
        let patches = [rendered.patches.in_force.as_slice(), &rendered.patches.leaving].concat();
        conflicts::settle(executor, step, &plan, &live, &patches).await?
    } else {
        Default::default()
    };
    registry.bring(executor, &step.component.namespace).await?;
    record.intend(executor, step, &rendered, &plan).await?;
    resource_patches::hold(executor, &rendered).await?;
    hooks::run(executor, step, record, hooks, HookPoint::Before).await?;
    let live = takeover::take_over(executor, step, &plan, live).await?;
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
    match look(executor, step, &mut record).await {
        Ok(drift) => record.drifted(executor, drift, "").await,
        Err(stop) => {
            // Until the next look the AppRelease says why nothing is known.
            if let Stop::Blocked(_, message) | Stop::BlockedUntil(_, message, _) = &stop {
                let (drift, message) = (record.status.drift.clone(), api::text::message(message));
                if let Err(other) = record.drifted(executor, drift, &message).await {
                    tracing::debug!(component = step.component.name, ?other, "nothing says so");
                }
            }
            Err(stop)
        }
    }
}

async fn look<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    record: &mut Record,
) -> Result<Vec<String>, Stop> {
    let registry = access::registry(executor).await?;
    registry.renew(executor, &step.component.namespace).await?;
    let rendered = render(executor, step, &registry, record).await?;
    Ok(apply::drift(&rendered.objects, &rendered.live))
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
    let patches = patch_specs(executor.server, &name).await?;
    let plain = if patches.in_force.is_empty() { Vec::new() } else { objects.clone() };
    let objects = match apply::patched(objects, &patches.in_force) {
        Ok(objects) => objects,
        Err(failures) => {
            record.patches_failed(executor, &failures, &patches).await?;
            return Err(patches_failed(&failures));
        }
    };
    let references = objects.iter().map(apply::reference).collect::<Result<Vec<_>, _>>()?;
    let live = objects::live(executor, &component.name, &references).await?;
    let predecessors = &step.predecessors;
    let objects = objects::without_scaled_replicas(executor, objects, &live, predecessors).await?;
    let objects = apply::prepare(objects, &component.name)?;
    Ok(Rendered { objects, plain, live, hooks, values_digest, patches })
}

/// Says what is wrong with each ResourcePatch, and the command that opens them.
fn patches_failed(failures: &[apply::PatchFailure]) -> Stop {
    let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = failures.iter().map(|f| f.patch.as_str()).collect();
    let remedy = api::objects::failed_patch_remedy(&names);
    Stop::BlockedUntil(StalledReason::ResourcePatchFailed, api::text::names(&all), remedy)
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
