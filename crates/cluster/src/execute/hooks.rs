//! Helm hooks: each runs once for a release, and its success is recorded before anything is
//! deleted. One that runs is adopted, one that failed stays until a person deletes it. As with
//! Helm, what is deleted on success stays until the last hook of its point has ended: a Job may
//! need the account beside it. A Job goes later: the platform deletes it once nobody can still be
//! about to make it.

use super::objects::{at_version, identity, named, why_not};
use super::record::Record;
use super::{Contents, Executor, Stop};
use crate::call::CallError;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::StalledReason;
use api::names::{HOOK_ANNOTATION, HOOK_POINT_ANNOTATION};
use api::objects::ObjectRef;
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
        // One Job may be a hook of both points; it runs at each.
        let key =
            format!("{}/{}/{}/{}", point.as_str(), object.kind, object.namespace, object.name);
        let done =
            record.status.hooks_release == step.image && record.status.hooks_done.contains(&key);
        if done {
            continue;
        }
        if is_job(hook) {
            job(executor, step, hook).await?;
        } else {
            beside(executor, step, hook, &object).await?;
        }
        record.hook_done(executor, step, key).await?;
    }
    // What was recorded before a crash is deleted as well: only what still is of this release.
    let goes = |hook: &&Hook| hook.point == point && hook.delete_on_success && !is_job(hook);
    for hook in hooks.iter().filter(goes) {
        let Some(live) = executor.server.get(&reference(&hook.object)?).await? else { continue };
        let going = live.pointer("/metadata/deletionTimestamp").is_some();
        if !going && is_of_run(&live, hook, &step.image) {
            executor.server.delete(&identity(&live)).await?;
        }
    }
    Ok(())
}

/// How long a Job stays that is deleted on success, at the least, in seconds. A leader that was
/// stopped just before it asked for the Job must find it there when it goes on, or it ran twice.
const STAYS_S: u64 = 3600;

fn is_job(hook: &Hook) -> bool {
    hook.object.get("kind").and_then(Value::as_str) == Some("Job")
}

/// A Job that is deleted on success, with the time at which the platform deletes it.
fn ending(mut job: Value) -> Value {
    if let Some(spec) = job.get_mut("spec").and_then(Value::as_object_mut) {
        let own = spec.get("ttlSecondsAfterFinished").and_then(Value::as_u64).unwrap_or_default();
        spec.insert("ttlSecondsAfterFinished".to_owned(), json!(own.max(STAYS_S)));
    }
    job
}

/// A hook with the release it runs for and its point in it.
fn marked(hook: &Hook, image: &str) -> Value {
    let mut body = hook.object.clone();
    if let Some(metadata) = body.get_mut("metadata").and_then(Value::as_object_mut) {
        let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
        if let Some(annotations) = annotations.as_object_mut() {
            annotations.insert(HOOK_ANNOTATION.to_owned(), json!(image));
            annotations.insert(HOOK_POINT_ANNOTATION.to_owned(), json!(hook.point.as_str()));
        }
    }
    body
}

/// Whether a live hook runs for this release at this point. One that says no point is adopted.
fn is_of_run(live: &Value, hook: &Hook, image: &str) -> bool {
    let annotation = |key: &str| live.pointer("/metadata/annotations")?.get(key)?.as_str();
    annotation(HOOK_ANNOTATION) == Some(image)
        && annotation(HOOK_POINT_ANNOTATION).is_none_or(|point| point == hook.point.as_str())
}

/// What a hook Job needs (an account, a ConfigMap): there as soon as it is applied. As with every
/// object of a chart, what others own of it is not taken; what this run made is its own.
async fn beside<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    hook: &Hook,
    object: &ObjectRef,
) -> Result<(), Stop> {
    let live = executor.server.get(object).await?;
    let text = |pointer: &str| live.as_ref().and_then(|l| l.pointer(pointer)?.as_str());
    if text("/metadata/deletionTimestamp").is_some() {
        return Err(Stop::Waiting(format!("hook {object} of an earlier run is being deleted")));
    }
    let body = at_version(marked(hook, &step.image), text("/metadata/resourceVersion"));
    let force = live.as_ref().is_some_and(|live| is_of_run(live, hook, &step.image));
    let apply = |force| executor.server.apply(&body, ApplyOptions { force, dry_run: false });
    let answer = match apply(force).await {
        Err(CallError::FieldConflict(mut conflicts)) => {
            conflicts.retain(|conflict| !step.predecessors.contains(&conflict.manager));
            if conflicts.is_empty() {
                apply(true).await
            } else {
                Err(CallError::FieldConflict(conflicts))
            }
        }
        answer => answer,
    };
    answer.map(drop).map_err(|error| named(object, error))
}

async fn job<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    hook: &Hook,
) -> Result<(), Stop> {
    let object = reference(&hook.object)?;
    let Some(live) = executor.server.get(&object).await? else {
        let job = marked(hook, &step.image);
        let job = if hook.delete_on_success { ending(job) } else { job };
        executor.server.create(&job).await?;
        return Err(Stop::Waiting(format!("hook {object} was started")));
    };
    if live.pointer("/metadata/deletionTimestamp").is_some() {
        return Err(Stop::Waiting(format!("hook {object} of an earlier run is being deleted")));
    }
    if !is_of_run(&live, hook, &step.image) {
        executor.server.delete(&identity(&live)).await?;
        return Err(Stop::Waiting(format!("hook {object} of an earlier run is being deleted")));
    }
    match health(&live) {
        Health::Healthy => Ok(()),
        Health::Progressing(why) => Err(why_not(executor, &object, &live, &why).await),
        Health::Failed(why) => {
            let remedy = format!(
                "read its log: kubectl -n {ns} logs job/{name}; mend the cause, then let it run again: kubectl -n {ns} delete job {name}",
                ns = object.namespace,
                name = object.name
            );
            let message = format!("hook {object} {why}");
            Err(Stop::BlockedUntil(StalledReason::HookFailed, message, remedy))
        }
    }
}
