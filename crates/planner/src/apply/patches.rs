//! Replays ResourcePatches on rendered objects.

use super::{ApplyError, reference};
use api::Digest;
use api::objects::{JsonPatchOperation, ObjectRef, ResourcePatchTarget};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A ResourcePatch as far as it is applied.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PatchSpec {
    /// Name of the ResourcePatch.
    pub name: String,
    /// metadata.generation of what is applied.
    #[serde(default)]
    pub generation: Option<i64>,
    /// The object.
    pub target: ResourcePatchTarget,
    /// What is changed.
    pub operations: Vec<JsonPatchOperation>,
}

/// A ResourcePatch that does not apply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("ResourcePatch {patch}: {cause}")]
pub struct PatchFailure {
    /// Name of the ResourcePatch.
    pub patch: String,
    /// metadata.generation of what does not apply.
    pub generation: Option<i64>,
    /// The operation and why.
    pub cause: String,
}

/// Applies patches in the order of their names. Nothing is applied if one of them does not apply.
///
/// # Errors
/// Every patch that does not apply, with the operation and its path.
pub fn patched(
    mut objects: Vec<Value>,
    patches: &[PatchSpec],
) -> Result<Vec<Value>, Vec<PatchFailure>> {
    let mut sorted: Vec<&PatchSpec> = patches.iter().collect();
    sorted.sort_by(|a, b| a.name.cmp(&b.name));
    let failures: Vec<PatchFailure> = sorted
        .iter()
        .filter_map(|patch| {
            let cause = apply_one(&mut objects, patch).err()?;
            Some(PatchFailure {
                patch: patch.name.clone(),
                generation: patch.generation,
                cause: api::text::line(&cause, 512),
            })
        })
        .collect();
    if failures.is_empty() { Ok(objects) } else { Err(failures) }
}

fn apply_one(objects: &mut [Value], patch: &PatchSpec) -> Result<(), String> {
    let wanted = ObjectRef {
        api_version: patch.target.api_version.clone(),
        kind: patch.target.kind.clone(),
        namespace: patch.target.namespace.clone(),
        name: patch.target.name.clone(),
    };
    let found = objects
        .iter_mut()
        .find(|o| reference(o).is_ok_and(|r| r.same_object(&wanted)))
        .ok_or_else(|| format!("the release has no {wanted}"))?;
    // A customisation is recorded against the live object, which always has both maps: the marks of
    // its owner stand in them.
    for map in ["labels", "annotations"] {
        if let Some(metadata) = found.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.entry(map).or_insert_with(|| Value::Object(serde_json::Map::new()));
        }
    }
    for operation in &patch.operations {
        let at = format!("{} {}", operation.op, operation.path);
        if operation.value.as_ref().is_some_and(is_cut) {
            return Err(format!("{at}: its value is nested too deeply"));
        }
        let parsed = serde_json::to_value([operation])
            .and_then(serde_json::from_value::<json_patch::Patch>)
            .map_err(|error| format!("{at}: {error}"))?;
        json_patch::patch(found, &parsed).map_err(|error| format!("{at}: {}", error.kind))?;
    }
    match reference(found) {
        Ok(after) if after.same_object(&wanted) => Ok(()),
        Ok(_) => Err("it changes the kind or the name of the object".to_owned()),
        Err(ApplyError::Incomplete(what)) => Err(format!("it removes the {what} of the object")),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether a part of a value was not read.
fn is_cut(value: &Value) -> bool {
    match value {
        Value::String(text) => text == api::text::TOO_DEEP,
        Value::Array(all) => all.iter().any(is_cut),
        Value::Object(all) => all.values().any(is_cut),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The digest of the patches that are in force, from `name=digest` entries; empty for none.
#[must_use]
pub fn patches_digest(entries: &[String]) -> String {
    if entries.is_empty() {
        return String::new();
    }
    let mut sorted = entries.to_vec();
    sorted.sort();
    Digest::of(sorted.join("\n").as_bytes()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn patch(name: &str, op: &str, path: &str, value: Value) -> PatchSpec {
        PatchSpec {
            name: name.into(),
            generation: Some(1),
            target: ResourcePatchTarget {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                name: "a".into(),
                namespace: "n".into(),
            },
            operations: vec![JsonPatchOperation {
                op: op.into(),
                path: path.into(),
                from: None,
                value: Some(value),
            }],
        }
    }

    fn object() -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a", "namespace": "n"}, "spec": {"replicas": 2}})
    }

    #[test]
    fn later_names_win() {
        let patches = [
            patch("b", "replace", "/spec/replicas", json!(5)),
            patch("a", "replace", "/spec/replicas", json!(4)),
        ];
        let out = patched(vec![object()], &patches).unwrap();
        assert_eq!(out[0]["spec"]["replicas"], 5);
    }

    #[test]
    fn annotations_can_be_added_where_the_chart_has_none() {
        let added = patch("a", "add", "/metadata/annotations/example.com~1owner", json!("team"));
        let out = patched(vec![object()], &[added]).unwrap();
        assert_eq!(out[0]["metadata"]["annotations"]["example.com/owner"], "team");
    }

    #[test]
    fn a_value_that_was_read_in_part_is_not_applied() {
        let value = json!({ "a": [api::text::TOO_DEEP] });
        let failures = patched(vec![object()], &[patch("a", "add", "/spec/x", value)]).unwrap_err();
        assert_eq!(failures[0].cause, "add /spec/x: its value is nested too deeply");
    }

    #[test]
    fn a_patch_that_does_not_apply_is_named_with_its_path() {
        let failures = patched(vec![object()], &[patch("a", "replace", "/spec/nothing", json!(1))])
            .unwrap_err();
        assert_eq!(failures[0].patch, "a");
        assert!(failures[0].cause.starts_with("replace /spec/nothing: "), "{}", failures[0].cause);
        let renamed =
            patched(vec![object()], &[patch("a", "replace", "/metadata/name", json!("x"))])
                .unwrap_err();
        assert!(renamed[0].cause.contains("name of the object"));
    }
}
