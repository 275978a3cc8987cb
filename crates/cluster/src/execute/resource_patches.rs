//! What is said of the ResourcePatches of a release, and the finalizer that keeps each until what
//! it set is taken back.

use super::component::Rendered;
use super::objects::at_version;
use super::record::later;
use super::{Contents, Executor, Stop, kinds};
use crate::observe::{Patches, typed};
use crate::render::Renderer;
use crate::server::{ApiServer, PatchBody};
use api::names::{FIELD_MANAGER, NAMESPACE, RESOURCE_PATCH_FINALIZER};
use api::objects::{
    AppRelease, ResourcePatch, ResourcePatchPhase, ResourcePatchStatus, object_ref,
};
use planner::apply::{PatchFailure, PatchSpec};
use serde_json::{Value, json};

/// A ResourcePatch that is not in force says so. Of a plugin that came meanwhile the rounds about
/// plugins speak.
pub(super) async fn report<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
    message: &str,
) -> Result<(), Stop> {
    let Some(patch) = typed::<ResourcePatch, _>(executor.server, "", name).await? else {
        return Ok(());
    };
    let before = patch.status.clone().unwrap_or_default();
    let phase = ResourcePatchPhase::Pending;
    let is_said = before.phase == phase && before.message == message;
    if !is_said {
        // Read after the patch: what comes into force in between is not written over.
        let release = patch.spec.release.rsplit('/').next().unwrap_or_default();
        let found = typed::<AppRelease, _>(executor.server, NAMESPACE, release).await?;
        if found.is_some_and(|found| !found.spec.module_info.is_empty()) {
            return Ok(());
        }
    }
    say(executor, patch, Tried::default(), phase, message).await
}

/// ResourcePatches get our finalizer before they come into force: when one is deleted, what it set
/// must still be known to be taken back.
pub(super) async fn hold<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    rendered: &Rendered,
) -> Result<(), Stop> {
    for name in &rendered.patches.unheld {
        let found = typed::<ResourcePatch, _>(executor.server, "", name).await?;
        let Some(patch) = found.filter(|p| p.metadata.deletion_timestamp.is_none()) else {
            return Err(Stop::Waiting(format!("ResourcePatch {name} was deleted meanwhile")));
        };
        let mut finalizers = patch.metadata.finalizers.unwrap_or_default();
        if finalizers.iter().any(|f| f == RESOURCE_PATCH_FINALIZER) {
            continue;
        }
        finalizers.push(RESOURCE_PATCH_FINALIZER.to_owned());
        let body = json!({ "metadata": { "finalizers": finalizers } });
        let body = at_version(body, patch.metadata.resource_version.as_deref());
        let reference = object_ref::<ResourcePatch>("", name);
        executor.server.patch(&reference, None, &PatchBody::Merge(body)).await?;
    }
    Ok(())
}

/// Says of what is in force that it is; `applied`: it was replayed on another content.
pub(super) async fn active<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    rendered: &Rendered,
    applied: bool,
) -> Result<(), Stop> {
    for patch in &rendered.patches.in_force {
        let tried = Tried { applied, ..Tried::at(patch.generation) };
        patch_status(executor, &patch.name, tried, ResourcePatchPhase::Active, "").await?;
    }
    Ok(())
}

/// Those that do not apply say so, and the others of the release that they wait.
pub(super) async fn failed<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    failures: &[PatchFailure],
    patches: &Patches,
) -> Result<(), Stop> {
    for failure in failures {
        let (name, phase) = (&failure.patch, ResourcePatchPhase::Failed);
        let tried = Tried::at(failure.generation);
        patch_status(executor, name, tried, phase, &failure.cause).await?;
    }
    let waits = |patch: &&PatchSpec| failures.iter().all(|failure| failure.patch != patch.name);
    let names: Vec<&str> = failures.iter().map(|failure| failure.patch.as_str()).collect();
    let why = format!(
        "waits: all customisations of a release are applied together, and these do not apply: {}",
        api::text::names(&names)
    );
    for patch in patches.in_force.iter().filter(waits) {
        let tried = Tried { unless_active: true, ..Tried::at(patch.generation) };
        patch_status(executor, &patch.name, tried, ResourcePatchPhase::Pending, &why).await?;
    }
    Ok(())
}

/// What was tried of a ResourcePatch.
#[derive(Clone, Copy, Default)]
struct Tried {
    /// The generation; none: whatever it says now.
    generation: Option<i64>,
    /// It was applied anew.
    applied: bool,
    /// It stays Active where this generation is in force already.
    unless_active: bool,
}

impl Tried {
    const fn at(generation: Option<i64>) -> Self {
        Self { generation, applied: false, unless_active: false }
    }
}

/// Says of a ResourcePatch how it went, in the generation that was tried.
async fn patch_status<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
    tried: Tried,
    phase: ResourcePatchPhase,
    message: &str,
) -> Result<(), Stop> {
    match typed::<ResourcePatch, _>(executor.server, "", name).await? {
        Some(patch) => say(executor, patch, tried, phase, message).await,
        None => Ok(()),
    }
}

async fn say<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    patch: ResourcePatch,
    tried: Tried,
    phase: ResourcePatchPhase,
    message: &str,
) -> Result<(), Stop> {
    // It was changed meanwhile: nothing is known of what it says now, and it is applied again.
    if tried.generation.is_some() && tried.generation != patch.metadata.generation {
        return Ok(());
    }
    let before = patch.status.unwrap_or_default();
    let in_force = before.phase == ResourcePatchPhase::Active
        && before.observed_generation == patch.metadata.generation;
    if tried.unless_active && in_force {
        return Ok(());
    }
    let unchanged = !tried.applied
        && before.phase == phase
        && before.message == message
        && before.observed_generation == patch.metadata.generation;
    if unchanged {
        return Ok(());
    }
    kinds::ready(executor).await?;
    let status = ResourcePatchStatus {
        observed_generation: patch.metadata.generation,
        phase,
        last_apply_time: match phase {
            ResourcePatchPhase::Active => later(before.last_apply_time, executor.now),
            ResourcePatchPhase::Pending | ResourcePatchPhase::Failed => before.last_apply_time,
        },
        message: message.to_owned(),
    };
    let version = patch.metadata.resource_version.as_deref();
    let body = at_version(json!({ "status": merge_form(&status) }), version);
    let body = PatchBody::Merge(body);
    let name = patch.metadata.name.as_deref().unwrap_or_default();
    executor.server.patch(&object_ref::<ResourcePatch>("", name), Some("status"), &body).await?;
    Ok(())
}

/// As a merge patch: what the type leaves out when empty must be taken away.
fn merge_form(status: &ResourcePatchStatus) -> Value {
    let mut value = json!(status);
    if let Some(map) = value.as_object_mut() {
        map.entry("message").or_insert(Value::Null);
    }
    value
}

/// A ResourcePatch that is being deleted is let go: its release was applied without it.
pub(super) async fn release<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
) -> Result<(), Stop> {
    let Some(patch) = typed::<ResourcePatch, _>(executor.server, "", name).await? else {
        return Ok(());
    };
    let finalizers = patch.metadata.finalizers.unwrap_or_default();
    let Some(at) = finalizers.iter().position(|f| f == RESOURCE_PATCH_FINALIZER) else {
        return Ok(());
    };
    let body = json!([
        { "op": "test", "path": format!("/metadata/finalizers/{at}"), "value": RESOURCE_PATCH_FINALIZER },
        { "op": "remove", "path": format!("/metadata/finalizers/{at}") },
    ]);
    let reference = object_ref::<ResourcePatch>("", name);
    executor.server.patch(&reference, None, &PatchBody::Json(body)).await?;
    tracing::info!(patch = name, manager = FIELD_MANAGER, "ResourcePatch let go");
    Ok(())
}
