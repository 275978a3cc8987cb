//! Fields of predecessors become ours before the first apply: what they set and the release
//! does not have goes with it, and they no longer have a say. Nothing but the record of owners is
//! changed here.

use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::call::CallError;
use crate::render::Renderer;
use crate::server::{ApiServer, PatchBody};
use api::objects::ObjectRef;
use futures::StreamExt as _;
use planner::apply::{ApplyPlan, Decision, taken_over};
use planner::plan::ApplyStep;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Takes over what the release's predecessors own in objects that are changed, and gives the live
/// objects as they are then.
pub(super) async fn take_over<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    plan: &ApplyPlan,
    mut live: BTreeMap<ObjectRef, Value>,
) -> Result<BTreeMap<ObjectRef, Value>, Stop> {
    let changed = plan.objects.iter().filter(|(_, decision)| *decision == Decision::Change);
    let owned: Vec<(ObjectRef, Value)> = changed
        .filter_map(|(object, _)| {
            let found = live.get(&object.reference)?;
            let owners = taken_over(found, &step.predecessors)?;
            let version = found.pointer("/metadata/resourceVersion")?;
            // Whoever changed the object meanwhile is not overwritten.
            let patch = json!([
                { "op": "replace", "path": "/metadata/managedFields", "value": owners },
                { "op": "replace", "path": "/metadata/resourceVersion", "value": version },
            ]);
            Some((object.reference.clone(), patch))
        })
        .collect();
    let answers: Vec<(ObjectRef, Result<Value, CallError>)> = futures::stream::iter(owned)
        .map(|(reference, patch)| async move {
            let answer = executor.server.patch(&reference, None, &PatchBody::Json(patch)).await;
            (reference, answer)
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    for (reference, answer) in answers {
        live.insert(reference, answer?);
    }
    Ok(live)
}
