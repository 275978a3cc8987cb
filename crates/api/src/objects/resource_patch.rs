//! ResourcePatch: a user's recorded customisation of an object of the platform.

use crate::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A customisation.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "operator.alauda.io",
    version = "v1alpha1",
    kind = "ResourcePatch",
    plural = "resourcepatches",
    singular = "resourcepatch",
    shortname = "rpch",
    category = "acp",
    status = "ResourcePatchStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A customisation of an object of the platform; replayed whenever its release is applied.",
    printcolumn(name = "Release", type_ = "string", json_path = ".spec.release"),
    printcolumn(name = "Kind", type_ = "string", json_path = ".spec.target.kind"),
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target.name"),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePatchSpec {
    /// The release whose object is customised: `<namespace>/<release>`.
    pub release: String,
    /// The object.
    pub target: ResourcePatchTarget,
    /// What is changed (RFC 6902).
    #[serde(default)]
    pub json_patch: Vec<JsonPatchOperation>,
}

/// The object that is customised.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePatchTarget {
    /// `apps/v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Name.
    pub name: String,
    /// Namespace; empty for objects of the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// One operation of a JSON Patch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JsonPatchOperation {
    /// add, remove, replace, move, copy or test.
    pub op: String,
    /// JSON Pointer.
    pub path: String,
    /// JSON Pointer of the source of move and copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The value of add, replace and test; null is a value too.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "any_value")]
    #[schemars(schema_with = "super::any_value")]
    pub value: Option<serde_json::Value>,
}

/// A value that is there, also where it is null.
fn any_value<'de, D>(deserializer: D) -> Result<Option<serde_json::Value>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    serde_json::Value::deserialize(deserializer).map(Some)
}

/// What stands between the component and the name of its customisation.
const FAILED: &str = ": ResourcePatch ";
/// Most names in one command.
const NAMED: usize = 20;

/// What is said of a component's customisation that does not apply.
#[must_use]
pub fn failed_patch_note(component: &str, patch: &str, why: &str) -> String {
    format!("{component}{FAILED}{patch}: {why}")
}

/// The component and what is said of its customisation, where a message is such a note.
#[must_use]
pub fn noted_failed_patch(message: &str) -> Option<(&str, &str)> {
    let at = message.find(FAILED)?;
    // From the word ResourcePatch on.
    Some((&message[..at], &message[at + 2..]))
}

/// The commands that clear customisations that do not apply.
#[must_use]
pub fn failed_patch_remedy(names: &[&str]) -> String {
    let names: Vec<&str> = names.iter().take(NAMED).copied().collect();
    let names = names.join(" ");
    format!(
        "correct it: kubectl edit resourcepatches {names}; or delete it: kubectl delete resourcepatches {names}"
    )
}

/// Whether a customisation is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum ResourcePatchPhase {
    /// Not applied yet.
    #[default]
    Pending,
    /// In force.
    Active,
    /// Does not apply; the message names the operation.
    Failed,
}

/// What became of a customisation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ResourcePatchStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Active, Failed or Pending.
    #[serde(default)]
    pub phase: ResourcePatchPhase,
    /// When it was applied last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_apply_time: Option<Time>,
    /// Why it is not in force.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_null_of_a_patch_is_kept() {
        for operation in [
            json!({"op": "add", "path": "/a", "value": null}),
            json!({"op": "remove", "path": "/a"}),
        ] {
            let read: JsonPatchOperation = serde_json::from_value(operation.clone()).unwrap();
            assert_eq!(serde_json::to_value(read).unwrap(), operation);
        }
    }
}
