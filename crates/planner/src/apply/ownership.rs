//! Who owns what: which fields others hold, and which objects may be deleted.

use super::{Decision, Prepared};
use api::names::{FIELD_MANAGER, HELM_KEEP, HELM_RESOURCE_POLICY, OWNER_LABEL};
use api::objects::ObjectRef;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Kinds whose deletion loses data: never pruned unless the release lists the object.
const PROTECTED_KINDS: [&str; 4] =
    ["CustomResourceDefinition", "Namespace", "PersistentVolumeClaim", "PersistentVolume"];

/// The AppRelease that owns a live object.
#[must_use]
pub fn owner(live: &Value) -> Option<&str> {
    live.pointer("/metadata/labels")?.get(OWNER_LABEL)?.as_str()
}

/// Whether an obsolete object may be deleted: it is still ours, of no protected kind and not kept.
#[must_use]
pub fn is_prunable(
    reference: &ObjectRef,
    live: &Value,
    release: &str,
    allowed: &BTreeSet<String>,
) -> bool {
    if owner(live) != Some(release) {
        return false;
    }
    let listed = format!("{}/{}/{}", reference.kind, reference.namespace, reference.name);
    let kept = live
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(HELM_RESOURCE_POLICY))
        .and_then(Value::as_str)
        == Some(HELM_KEEP);
    let protected = kept || PROTECTED_KINDS.contains(&reference.kind.as_str());
    !protected || allowed.contains(&listed)
}

/// Objects that would change and of which another manager holds fields: only these need to be
/// tried on the server before the first write.
#[must_use]
pub fn suspects<'a>(
    objects: &'a [(Prepared, Decision)],
    live: &BTreeMap<ObjectRef, Value>,
) -> Vec<&'a Prepared> {
    objects
        .iter()
        .filter(|(object, decision)| {
            *decision == Decision::Change
                && live.get(&object.reference).is_some_and(has_other_managers)
        })
        .map(|(object, _)| object)
        .collect()
}

fn has_other_managers(live: &Value) -> bool {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.is_some_and(|entries| {
        entries.iter().any(|entry| {
            let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default();
            // Status and scale are written by controllers through their own subresource.
            text("manager") != FIELD_MANAGER && text("subresource").is_empty()
        })
    })
}
