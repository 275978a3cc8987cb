//! Helm hooks: each runs once for a release, and its success is recorded before anything is
//! deleted. One that runs is adopted, one that failed stays until a person deletes it. As with
//! Helm, what is deleted on success stays until the last hook of its point has ended: a Job may
//! need the account beside it.

use super::objects::{identity, why_not};
use super::record::Record;
use super::{Contents, Executor, Stop};
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::StalledReason;
use api::names::HOOK_ANNOTATION;
use planner::apply::{Hook, HookPoint, reference};
use planner::health::{Health, health};
use planner::plan::ApplyStep;
use serde_json::{Value, json};

/// Brings the hooks of a point to their end, one after the other.
pub(super) async fn run<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    record: &mut Record,
    hooks: &[Hook],
    point: HookPoint,
) -> Result<(), Stop> {
    for hook in hooks.iter().filter(|h| h.point == point) {
        let object = reference(&hook.object)?;
        let key = format!("{}/{}/{}", object.kind, object.namespace, object.name);
        let done =
            record.status.hooks_release == step.image && record.status.hooks_done.contains(&key);
        if done {
            continue;
        }
        if object.kind == "Job" {
            job(executor, step, hook).await?;
        } else {
            // What a hook Job needs (an account, a ConfigMap) is there as soon as it is applied.
            let body = marked(&hook.object, &step.image);
            executor.server.apply(&body, ApplyOptions { force: true, dry_run: false }).await?;
        }
        record.hook_done(executor, step, key).await?;
    }
    // What was recorded before a crash is deleted as well: only what still is of this release.
    for hook in hooks.iter().filter(|h| h.point == point && h.delete_on_success) {
        let Some(live) = executor.server.get(&reference(&hook.object)?).await? else { continue };
        let going = live.pointer("/metadata/deletionTimestamp").is_some();
        if !going && release_of(&live) == Some(step.image.as_str()) {
            executor.server.delete(&identity(&live)).await?;
        }
    }
    Ok(())
}

/// A hook with the release it runs for.
fn marked(object: &Value, image: &str) -> Value {
    let mut body = object.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(HOOK_ANNOTATION.to_owned(), json!(image));
        }
    }
    body
}

/// The release that a live hook runs for.
fn release_of(live: &Value) -> Option<&str> {
    live.pointer("/metadata/annotations")?.get(HOOK_ANNOTATION)?.as_str()
}

async fn job<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    hook: &Hook,
) -> Result<(), Stop> {
    let object = reference(&hook.object)?;
    let Some(live) = executor.server.get(&object).await? else {
        executor.server.create(&marked(&hook.object, &step.image)).await?;
        return Err(Stop::Waiting(format!("hook {object} was started")));
    };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(Stop::Waiting(format!("hook {object} of an earlier run is being deleted")));
    }
    if release_of(&live) != Some(step.image.as_str()) {
        executor.server.delete(&identity(&live)).await?;
        return Err(Stop::Waiting(format!("hook {object} of an earlier release is being deleted")));
    }
    match health(&live) {
        Health::Healthy => Ok(()),
        Health::Progressing(why) => Err(why_not(executor, &object, &live, &why).await),
        Health::Failed(why) => {
            let message = format!(
                "hook {object} {why}; its log: kubectl -n {ns} logs job/{name}; to run it again: kubectl -n {ns} delete job {name}",
                ns = object.namespace,
                name = object.name
            );
            Err(Stop::Blocked(StalledReason::HookFailed, message))
        }
    }
}
