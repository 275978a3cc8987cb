//! Fields that others own: found before the first write, settled where the rules allow it.

use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::call::{CallError, FieldConflict};
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::StalledReason;
use api::objects::ObjectRef;
use futures::StreamExt as _;
use planner::apply::{ApplyPlan, PatchSpec, Prepared, suspects};
use planner::plan::ApplyStep;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Tries the objects of which others hold fields on the server, and gives those that must be sent
/// with force. Only fields of predecessors and of ResourcePatches may be taken.
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

/// Whether a field lies under a path that a ResourcePatch of this object sets.
fn is_patched(conflict: &FieldConflict, object: &Prepared, patches: &[PatchSpec]) -> bool {
    let field = steps_of_field(&conflict.field);
    let of_object = patches.iter().filter(|p| {
        p.target.kind == object.reference.kind
            && p.target.name == object.reference.name
            && p.target.namespace == object.reference.namespace
    });
    of_object.flat_map(|p| &p.operations).any(|operation| {
        let path = steps_of_pointer(&operation.path);
        let shared = path.len().min(field.len());
        path[..shared] == field[..shared]
    })
}

/// `.spec.containers[name="a"].image` as spec, containers, image: indexes and selectors differ in
/// form between the API server and JSON Pointer and are left out of both.
fn steps_of_field(field: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for c in field.chars() {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain.split('.').filter(|s| !s.is_empty()).map(str::to_owned).collect()
}

fn steps_of_pointer(pointer: &str) -> Vec<String> {
    let is_index = |step: &&str| {
        !(step.is_empty() || *step == "-" || step.bytes().all(|b| b.is_ascii_digit()))
    };
    pointer
        .split('/')
        .filter(is_index)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_pointers_meet() {
        let field = steps_of_field(".spec.template.spec.containers[name=\"a.b\"].resources.limits");
        assert_eq!(field, ["spec", "template", "spec", "containers", "resources", "limits"]);
        assert_eq!(steps_of_pointer("/spec/template/spec/containers/0/resources"), field[..5]);
    }
}
