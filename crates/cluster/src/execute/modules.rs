//! What is written of a ModuleInfo besides its status: the finalizer that holds it, and the version
//! to which an upgrade of its cluster moves it.

use super::objects::at_version;
use super::{Contents, Executor, Stop};
use crate::observe::typed;
use crate::render::Renderer;
use crate::server::{ApiServer, PatchBody};
use api::StalledReason;
use api::component_version::order;
use api::conditions::{ConditionType, find};
use api::names::{MODULE_INFO_FINALIZER, RUNNING};
use api::objects::{ModuleInfo, ModulePhase, object_ref};
use serde_json::{Value, json};
use std::cmp::Ordering;

/// A ModuleInfo gets our finalizer before anything of it is there.
pub(super) async fn hold<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
) -> Result<(), Stop> {
    let Some(info) = read(executor, name).await? else { return Ok(()) };
    if info.metadata.deletion_timestamp.is_some() {
        return Err(Stop::Waiting(format!("ModuleInfo {name} was deleted meanwhile")));
    }
    let mut finalizers = info.metadata.finalizers.clone().unwrap_or_default();
    if !finalizers.iter().any(|f| f == MODULE_INFO_FINALIZER) {
        finalizers.push(MODULE_INFO_FINALIZER.to_owned());
        change(executor, &info, json!({ "metadata": { "finalizers": finalizers } })).await?;
    }
    Ok(())
}

/// Nothing is left of it: it may go.
pub(super) async fn release<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
) -> Result<(), Stop> {
    let Some(info) = read(executor, name).await? else { return Ok(()) };
    let mut finalizers = info.metadata.finalizers.clone().unwrap_or_default();
    finalizers.retain(|f| f != MODULE_INFO_FINALIZER);
    change(executor, &info, json!({ "metadata": { "finalizers": finalizers } })).await
}

/// It asks for a version; how far it is, its own status says.
pub(super) async fn move_to<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
    version: &str,
) -> Result<(), Stop> {
    let Some(info) = read(executor, name).await? else { return Ok(()) };
    // Where somebody asked for a higher one meanwhile, that is followed.
    let is_further = order(&info.spec.version, version) == Some(Ordering::Greater);
    if info.spec.version != version && !is_further {
        change(executor, &info, json!({ "spec": { "version": version } })).await?;
        return Err(Stop::Waiting(format!("ModuleInfo {name} is asked to move to {version}")));
    }
    let status = info.status.unwrap_or_default();
    if status.observed_generation != info.metadata.generation {
        return Err(Stop::Waiting(format!("ModuleInfo {name} is about to move to {version}")));
    }
    let version = info.spec.version.as_str();
    if status.phase == RUNNING && status.version == version {
        return Ok(());
    }
    let ready = find(&status.conditions, ConditionType::Ready);
    let said = ready.map_or("", |condition| condition.message.as_str());
    let (cause, remedy) = api::remedy::split(said);
    let message = format!("{}: {cause}", status.phase);
    let is_held = !status.block_reasons.is_empty() || status.phase == ModulePhase::Failed.as_str();
    match (is_held, remedy) {
        (false, _) => Err(Stop::Waiting(message)),
        (true, "") => Err(Stop::Blocked(StalledReason::PluginFailed, message)),
        (true, remedy) => {
            Err(Stop::BlockedUntil(StalledReason::PluginFailed, message, remedy.to_owned()))
        }
    }
}

async fn read<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
) -> Result<Option<ModuleInfo>, Stop> {
    Ok(typed::<ModuleInfo, _>(executor.home, "", name).await?)
}

async fn change<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    info: &ModuleInfo,
    body: Value,
) -> Result<(), Stop> {
    let name = info.metadata.name.as_deref().unwrap_or_default();
    let body = at_version(body, info.metadata.resource_version.as_deref());
    let reference = object_ref::<ModuleInfo>("", name);
    executor.home.patch(&reference, None, &PatchBody::Merge(body)).await?;
    Ok(())
}
