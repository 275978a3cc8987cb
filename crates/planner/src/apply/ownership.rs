//! Who owns what: which fields others hold, and which objects may be deleted.

use super::{Decision, Prepared};
use api::names::{FIELD_MANAGER, HELM_KEEP, HELM_RESOURCE_POLICY, OWNER_LABEL};
use api::objects::ObjectRef;
use serde_json::{Map, Value};
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
    let kept = live
        .pointer("/metadata/annotations")
        .and_then(|a| a.get(HELM_RESOURCE_POLICY))
        .and_then(Value::as_str)
        == Some(HELM_KEEP);
    !kept && !is_protected(reference, allowed) || is_listed(reference, allowed)
}

/// Whether an object is of a kind whose deletion loses data, and the release does not list it.
#[must_use]
pub fn is_protected(reference: &ObjectRef, allowed: &BTreeSet<String>) -> bool {
    PROTECTED_KINDS.contains(&reference.kind.as_str()) && !is_listed(reference, allowed)
}

fn is_listed(reference: &ObjectRef, allowed: &BTreeSet<String>) -> bool {
    let listed = format!("{}/{}/{}", reference.kind, reference.namespace, reference.name);
    allowed.contains(&listed)
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
    // Status and scale are written by controllers through their own subresource.
    entries(live).iter().any(|e| text(e, "manager") != FIELD_MANAGER && is_of_object(e))
}

fn entries(live: &Value) -> &[Value] {
    let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.map_or(&[], Vec::as_slice)
}

fn text<'a>(entry: &'a Value, key: &str) -> &'a str {
    entry.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_of_object(entry: &Value) -> bool {
    text(entry, "subresource").is_empty()
}

/// Whether a field has no other owner than us and predecessors whose fields become ours: were it
/// left out of what is sent, the API server would delete it.
#[must_use]
pub fn is_only_ours(live: &Value, path: &[&str], predecessors: &BTreeSet<String>) -> bool {
    let has = |entry: &&Value| {
        let mut at = entry.get("fieldsV1");
        for step in path {
            at = at.and_then(|fields| fields.get(format!("f:{step}")));
        }
        at.is_some()
    };
    let mut owners = entries(live).iter().filter(has).map(|e| text(e, "manager")).peekable();
    owners.peek().is_some() && owners.all(|m| m == FIELD_MANAGER || predecessors.contains(m))
}

/// The managedFields in which what predecessors own is ours, as if we had applied it: what they
/// set and the release does not have goes with the next apply. None where they own nothing.
/// Volumes and their claims are left as they are: their fields can only be set once.
#[must_use]
pub fn taken_over(live: &Value, predecessors: &BTreeSet<String>) -> Option<Value> {
    if ["PersistentVolume", "PersistentVolumeClaim"].contains(&text(live, "kind")) {
        return None;
    }
    let is_ours = |e: &Value| {
        text(e, "manager") == FIELD_MANAGER && text(e, "operation") == "Apply" && is_of_object(e)
    };
    let is_theirs = |e: &Value| {
        let manager = text(e, "manager");
        manager != FIELD_MANAGER && predecessors.contains(manager) && is_of_object(e)
    };
    let all = entries(live);
    let first = all.iter().find(|e| is_theirs(e))?;
    let base = all.iter().find(|e| is_ours(e)).unwrap_or(first);
    // Fields of another version have other names; a later apply turns ours into its own version.
    let is_taken = |e: &Value| is_theirs(e) && text(e, "apiVersion") == text(base, "apiVersion");
    if !all.iter().any(is_taken) {
        return None;
    }
    let mut fields = Value::Object(Map::new());
    for entry in all.iter().filter(|e| is_ours(e) || is_taken(e)) {
        unite(&mut fields, entry.get("fieldsV1").unwrap_or(&Value::Null));
    }
    let mut ours = base.clone();
    if let Some(ours) = ours.as_object_mut() {
        ours.insert("manager".to_owned(), FIELD_MANAGER.into());
        ours.insert("operation".to_owned(), "Apply".into());
        ours.insert("fieldsV1".to_owned(), fields);
    }
    let others = all.iter().filter(|e| !is_ours(e) && !is_taken(e)).cloned();
    Some(std::iter::once(ours).chain(others).collect())
}

/// Sets of fields are trees of objects.
fn unite(into: &mut Value, other: &Value) {
    if let (Value::Object(into), Value::Object(other)) = (into, other) {
        for (key, below) in other {
            unite(into.entry(key).or_insert_with(|| Value::Object(Map::new())), below);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(manager: &str, operation: &str, fields: Value) -> Value {
        json!({
            "manager": manager,
            "operation": operation,
            "apiVersion": "apps/v1",
            "fieldsType": "FieldsV1",
            "fieldsV1": fields,
        })
    }

    fn live(entries: &[Value]) -> Value {
        json!({ "kind": "Deployment", "metadata": { "managedFields": entries } })
    }

    fn predecessors() -> BTreeSet<String> {
        BTreeSet::from(["helm".to_owned()])
    }

    #[test]
    fn fields_of_predecessors_become_ours_as_if_we_had_applied_them() {
        let kubectl = entry("kubectl-edit", "Update", json!({ "f:spec": { "f:paused": {} } }));
        let mut status = entry("helm", "Update", json!({ "f:status": {} }));
        status["subresource"] = json!("status");
        let found = live(&[
            entry("helm", "Update", json!({ "f:spec": { "f:replicas": {}, "f:old": {} } })),
            kubectl.clone(),
            status.clone(),
            entry(FIELD_MANAGER, "Apply", json!({ "f:spec": { "f:replicas": {} } })),
        ]);
        let fields = json!({ "f:spec": { "f:replicas": {}, "f:old": {} } });
        let expected = json!([entry(FIELD_MANAGER, "Apply", fields), kubectl, status]);
        assert_eq!(taken_over(&found, &predecessors()).unwrap(), expected);
        let found = live(expected.as_array().unwrap());
        assert_eq!(taken_over(&found, &predecessors()), None, "there is nothing left to take");
    }

    #[test]
    fn fields_of_another_version_are_not_mixed_with_ours() {
        let mut helm = entry("helm", "Update", json!({ "f:spec": { "f:old": {} } }));
        helm["apiVersion"] = json!("apps/v1beta1");
        let ours = entry(FIELD_MANAGER, "Apply", json!({ "f:spec": {} }));
        assert_eq!(taken_over(&live(&[helm.clone(), ours]), &predecessors()), None);
        let taken = taken_over(&live(&[helm]), &predecessors()).unwrap();
        assert_eq!(taken[0]["apiVersion"], "apps/v1beta1");
    }

    #[test]
    fn a_replica_count_is_only_ours_until_somebody_scales() {
        let fields = json!({ "f:spec": { "f:replicas": {} } });
        let only_ours = |entries: &[Value]| {
            is_only_ours(&live(entries), &["spec", "replicas"], &predecessors())
        };
        let ours = entry(FIELD_MANAGER, "Apply", fields.clone());
        let helm = entry("helm", "Update", fields.clone());
        let scaled = entry("kube-controller-manager", "Update", fields);
        assert!(only_ours(std::slice::from_ref(&ours)) && only_ours(&[ours.clone(), helm]));
        assert!(!only_ours(&[ours, scaled.clone()]) && !only_ours(&[scaled]));
        let other = entry(FIELD_MANAGER, "Apply", json!({ "f:spec": { "f:paused": {} } }));
        assert!(!only_ours(&[other]), "what nobody owns is a default of the server");
    }

    #[test]
    fn what_loses_data_is_not_ours_or_is_to_be_kept_is_never_pruned() {
        let of = |kind: &str| ObjectRef {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            namespace: "n".to_owned(),
            name: "x".to_owned(),
        };
        let owned_by =
            |release: &str| json!({ "metadata": { "labels": { OWNER_LABEL: release } } });
        let (none, ours) = (BTreeSet::new(), owned_by("portal"));
        assert!(is_prunable(&of("ConfigMap"), &ours, "portal", &none));
        assert!(!is_prunable(&of("ConfigMap"), &owned_by("other"), "portal", &none));
        assert!(!is_prunable(&of("ConfigMap"), &json!({ "metadata": {} }), "portal", &none));
        let mut kept = ours.clone();
        kept["metadata"]["annotations"] = json!({ HELM_RESOURCE_POLICY: HELM_KEEP });
        assert!(!is_prunable(&of("ConfigMap"), &kept, "portal", &none));
        for kind in
            ["CustomResourceDefinition", "Namespace", "PersistentVolumeClaim", "PersistentVolume"]
        {
            assert!(!is_prunable(&of(kind), &ours, "portal", &none), "{kind}");
            let listed = BTreeSet::from([format!("{kind}/n/x")]);
            assert!(is_prunable(&of(kind), &ours, "portal", &listed), "{kind} is listed");
            assert!(!is_prunable(&of(kind), &owned_by("other"), "portal", &listed), "{kind}");
        }
    }
}
