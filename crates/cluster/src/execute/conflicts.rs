//! Fields that others own: found before the first write, settled where the rules allow it.

use super::component::Rendered;
use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::call::{CallError, FieldConflict};
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::StalledReason;
use api::objects::{JsonPatchOperation, ObjectRef};
use futures::StreamExt as _;
use planner::apply::{self, ApplyPlan, Decision, PatchFailure, PatchSpec, Prepared, suspects};
use planner::plan::ApplyStep;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tries the objects of which others hold fields on the server, and gives those that must be sent
/// with force. Only fields of predecessors and of ResourcePatches may be taken, of those as well
/// that are being deleted: what they set goes back to what the release says.
pub(super) async fn settle<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    plan: &ApplyPlan,
    live: &BTreeMap<ObjectRef, Value>,
    patches: &[PatchSpec],
) -> Result<BTreeSet<ObjectRef>, Stop> {
    let tried: Vec<(&Prepared, Result<Value, CallError>)> =
        futures::stream::iter(suspects(&plan.objects, live))
            .map(|object| async move {
                let options = ApplyOptions { force: false, dry_run: true };
                (object, executor.server.apply(&object.body, options).await)
            })
            .buffer_unordered(IN_FLIGHT)
            .collect()
            .await;
    let mut forced = BTreeSet::new();
    let mut refused = Vec::new();
    for (object, answer) in tried {
        match answer {
            Ok(_) => {}
            Err(CallError::FieldConflict(conflicts)) => {
                let foreign: Vec<&FieldConflict> = conflicts
                    .iter()
                    .filter(|c| {
                        !step.predecessors.contains(&c.manager) && !is_patched(c, object, patches)
                    })
                    .collect();
                if foreign.is_empty() {
                    forced.insert(object.reference.clone());
                }
                refused.extend(foreign.iter().map(|c| format!("{}: {c}", object.reference)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if refused.is_empty() {
        return Ok(forced);
    }
    refused.sort();
    Err(Stop::Blocked(StalledReason::FieldConflict, api::text::names(&refused)))
}

/// Tries the objects that customisations change on the server: one that it does not take is the
/// affair of its customisations, and nothing is written.
pub(super) async fn refused<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    plan: &ApplyPlan,
    rendered: &Rendered,
) -> Result<Vec<PatchFailure>, Stop> {
    let changing = plan.objects.iter().filter(|(_, decision)| *decision != Decision::Skip);
    let mut failures = Vec::new();
    for (object, _) in changing {
        let in_force = &rendered.patches.in_force;
        let own: Vec<&PatchSpec> =
            in_force.iter().filter(|p| is_target(p, &object.reference)).collect();
        if own.is_empty() {
            continue;
        }
        let Some(why) = not_taken(executor, &object.body).await? else { continue };
        let mut blamed = Vec::new();
        // Of several, those that are not taken alone; where each is, all of them together.
        let is_one = own.len() == 1;
        for patch in own.iter().filter(|_| !is_one) {
            let alone = apply::patched(rendered.plain.clone(), &[(*patch).clone()]);
            let alone = alone.unwrap_or_default().into_iter();
            let mut alone = alone.filter(|o| {
                apply::reference(o).is_ok_and(|reference| reference.same_object(&object.reference))
            });
            let Some(body) = alone.next() else { continue };
            blamed.extend(not_taken(executor, &body).await?.map(|why| (*patch, why)));
        }
        if blamed.is_empty() {
            blamed = own.iter().map(|patch| (*patch, why.clone())).collect();
        }
        failures.extend(blamed.into_iter().map(|(patch, why)| {
            let cause = format!("the API server does not take {}: {why}", object.reference);
            PatchFailure {
                patch: patch.name.clone(),
                generation: patch.generation,
                cause: api::text::line(&cause, 512),
            }
        }));
    }
    Ok(failures)
}

/// Why the API server does not take an object; None where it does, or where its kind or namespace
/// is not there yet: they may come with the component itself.
async fn not_taken<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    body: &Value,
) -> Result<Option<String>, Stop> {
    match executor.server.apply(body, ApplyOptions { force: true, dry_run: true }).await {
        Err(CallError::Invalid(why)) => Ok(Some(why)),
        Ok(_) | Err(CallError::NotFound(_) | CallError::KindAbsent(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn is_target(patch: &PatchSpec, object: &ObjectRef) -> bool {
    let target = &patch.target;
    target.kind == object.kind && target.name == object.name && target.namespace == object.namespace
}

/// Whether a field lies under a path that a ResourcePatch of this object sets.
fn is_patched(conflict: &FieldConflict, object: &Prepared, patches: &[PatchSpec]) -> bool {
    let of_object = patches.iter().filter(|p| is_target(p, &object.reference));
    of_object.flat_map(|p| &p.operations).any(|o| meets(&object.body, o, &conflict.field))
}

/// Whether the path of an operation and a field as the API server writes it
/// (`.spec.containers[name="a"].image`) are the same, or one lies under the other. The object tells
/// which item of a list an index means, and where a step ends: names of fields may have dots.
fn meets(body: &Value, operation: &JsonPatchOperation, field: &str) -> bool {
    let (mut at, mut rest) = (Some(body), field);
    for step in operation.path.split('/').skip(1) {
        if rest.is_empty() {
            return true;
        }
        let step = step.replace("~1", "/").replace("~0", "~");
        if let Some(Value::Array(list)) = at {
            let item = if step == "-" {
                operation.value.as_ref()
            } else {
                step.parse().ok().and_then(|index: usize| list.get(index))
            };
            let (Some(item), Some((selector, below))) = (item, selector(rest)) else {
                return false;
            };
            if !is_selected(item, selector) {
                return false;
            }
            (at, rest) = (Some(item), below);
        } else {
            let named = rest.strip_prefix('.').and_then(|r| r.strip_prefix(step.as_str()));
            let Some(below) = named.filter(|b| b.is_empty() || b.starts_with(['.', '['])) else {
                return false;
            };
            (at, rest) = (at.and_then(|value| value.get(&step)), below);
        }
    }
    // Under a plain value there is nothing: the step was the beginning of a longer name.
    rest.is_empty() || at.is_none_or(|value| value.is_object() || value.is_array())
}

/// `[name="a"].image` as `name="a"` and `.image`.
fn selector(field: &str) -> Option<(&str, &str)> {
    let inner = field.strip_prefix('[')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            ']' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Whether an item has every key of `containerPort=53,protocol="UDP"`; values of a set are `="a"`.
fn is_selected(item: &Value, selector: &str) -> bool {
    if let Some(value) = selector.strip_prefix('=') {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let mut rest = selector;
    loop {
        let Some((key, tail)) = rest.split_once('=') else { return false };
        let mut values = serde_json::Deserializer::from_str(tail).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else { return false };
        // The API server fills in what an item leaves out: a default is no difference.
        if item.get(key).is_some_and(|found| *found != value) {
            return false;
        }
        match tail[values.byte_offset()..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        let containers = json!([
            { "name": "a.b", "image": "x", "ports": [{ "containerPort": 53, "protocol": "UDP" }] },
            { "name": "b]", "image": "y", "args": ["-v"] },
        ]);
        json!({
            "metadata": { "annotations": { "example.com/owner": "me" } },
            "data": { "nginx.conf": "1", "nginx": "2" },
            "spec": { "containers": containers, "replicas": 2 },
        })
    }

    fn met(path: &str, field: &str) -> bool {
        let operation = JsonPatchOperation {
            op: "replace".into(),
            path: path.into(),
            from: None,
            value: Some(json!({ "name": "new", "image": "z" })),
        };
        meets(&deployment(), &operation, field)
    }

    #[test]
    fn names_with_dots_and_slashes_are_one_step() {
        assert!(met(
            "/metadata/annotations/example.com~1owner",
            ".metadata.annotations.example.com/owner"
        ));
        assert!(met("/data/nginx.conf", ".data.nginx.conf"));
        assert!(!met("/data/nginx", ".data.nginx.conf"));
        assert!(met("/data", ".data.nginx.conf"));
        assert!(!met("/data/nginx.con", ".data.nginx.conf"));
        assert!(!met("/spec/replicas", ".spec.replicasOther"));
    }

    #[test]
    fn a_patch_of_one_container_says_nothing_of_another() {
        assert!(met("/spec/containers/0/image", ".spec.containers[name=\"a.b\"].image"));
        assert!(!met("/spec/containers/0/image", ".spec.containers[name=\"b]\"].image"));
        assert!(met("/spec/containers/1/image", ".spec.containers[name=\"b]\"].image"));
        assert!(met("/spec/containers/1", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers/1/args/0", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers/-", ".spec.containers[name=\"new\"].image"));
        let port =
            ".spec.containers[name=\"a.b\"].ports[containerPort=53,protocol=\"UDP\"].hostPort";
        assert!(met("/spec/containers/0/ports/0/hostPort", port));
        assert!(!met("/spec/containers/0/ports/0/hostPort", &port.replace("UDP", "TCP")));
    }
}
