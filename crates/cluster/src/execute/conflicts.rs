//! Fields that others own: found before the first write, settled where the rules allow it.

mod field;

use super::component::Rendered;
use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::call::{CallError, FieldConflict};
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::StalledReason;
use api::objects::ObjectRef;
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
                refused.extend(foreign.iter().map(|c| told(&step.module_info, object, c)));
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

/// Longest value that is told of a field.
const VALUE_SHOWN: usize = 96;

/// Whose the field is and what the release sets there, so that its owner can give it up by setting
/// the same. Of a Secret no value is told, and none of a plugin: there the settings of its users
/// stand, and a setting may be a password.
fn told(module_info: &str, object: &Prepared, conflict: &FieldConflict) -> String {
    let may_be_told = object.reference.kind != "Secret" && module_info.is_empty();
    let wanted = field::value_at(&object.body, &conflict.field).filter(|_| may_be_told);
    let wanted = wanted.map_or_else(String::new, |value| {
        format!(", the release sets it to {}", api::text::line(&value.to_string(), VALUE_SHOWN))
    });
    format!("{}: {conflict}{wanted}", object.reference)
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
    of_object.flat_map(|p| &p.operations).any(|o| field::meets(&object.body, o, &conflict.field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_may_be_a_password_is_not_told() {
        let conflict =
            FieldConflict { manager: "kubectl".to_owned(), field: ".data.key".to_owned() };
        let of = |kind: &str, module_info: &str| {
            let object = json!({
                "apiVersion": "v1", "kind": kind,
                "metadata": { "name": "x", "namespace": "n" }, "data": { "key": "canary" },
            });
            told(module_info, &apply::prepare(vec![object], "own").unwrap()[0], &conflict)
        };
        assert!(of("ConfigMap", "").ends_with(", the release sets it to \"canary\""));
        for hidden in [of("Secret", ""), of("ConfigMap", "global-pages")] {
            assert!(hidden.contains("kubectl") && !hidden.contains("canary"), "{hidden}");
        }
    }
}
