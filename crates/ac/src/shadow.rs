//! A ClusterVersionShadow and a ProductManifest as they are read, also from an operator that is
//! newer than this program: a word of a closed set that is not known here gives way to one that
//! promises nothing, and is kept, so that it is said.
//!
//! Must not decide what a state amounts to.

use crate::failure::Failure;
use crate::foreign::cleaned;
use api::checks::CheckReason;
use api::conditions::{ConditionReason, ConditionStatus, ConditionType};
use api::objects::{Action, HistoryState};
use api::signature::ReleaseSignature;
use api::{
    CheckName, CheckState, ClusterVersionShadow, Phase, Policy, ProductManifest, StalledReason,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeSet;

/// A ClusterVersionShadow, and what of it this version does not know.
#[derive(Debug, Clone, Default)]
pub struct Shadow {
    /// The object, in words that are known here.
    pub object: ClusterVersionShadow,
    /// What is not known here: `check state Skipped`.
    pub unknown: BTreeSet<String>,
}

impl Shadow {
    /// Reads an object as an API server sends it.
    ///
    /// # Errors
    /// It has a shape that this version does not know.
    pub fn read(object: &impl Serialize) -> Result<Self, Failure> {
        let mut value: Value = cleaned(object)?;
        let mut unknown = BTreeSet::new();
        if let Some(status) = value.get_mut("status") {
            conditions(status, &mut unknown);
            checks(status, &mut unknown);
            stages(status, &mut unknown);
            signature(status.get_mut("preflight"), &mut unknown);
            for entry in items(status, "/history") {
                word::<HistoryState>(entry, "history", "state", "Partial", &mut unknown);
            }
        }
        Ok(Self { object: cleaned(&value)?, unknown })
    }
}

/// Reads a ProductManifest as an API server sends it. Whose keys count is not shown of it, so
/// nothing is said of a word that is not known.
///
/// # Errors
/// It has a shape that this version does not know.
pub(crate) fn manifest(object: &impl Serialize) -> Result<ProductManifest, Failure> {
    let mut value: Value = cleaned(object)?;
    signature(value.get_mut("status"), &mut BTreeSet::new());
    cleaned(&value)
}

/// Whose keys made a release trusted: no other word can stand in for one that is not known, so
/// nothing is said.
fn signature(of: Option<&mut Value>, unknown: &mut BTreeSet<String>) {
    let Some(Value::Object(of)) = of else { return };
    let Some(found) = of.get("signature") else { return };
    if serde_json::from_value::<ReleaseSignature>(found.clone()).is_err() {
        unknown.insert(format!("signature trust {}", text(found, "trust")).trim_end().to_owned());
        of.remove("signature");
    }
}

fn items<'a>(value: &'a mut Value, pointer: &str) -> impl Iterator<Item = &'a mut Value> + use<'a> {
    value.pointer_mut(pointer).and_then(Value::as_array_mut).into_iter().flatten()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value.get(field).and_then(Value::as_str).unwrap_or_default()
}

/// Conditions have words of any spelling; nothing has to give way.
fn conditions(status: &mut Value, unknown: &mut BTreeSet<String>) {
    for condition in items(status, "/conditions") {
        let (kind, reason) = (text(condition, "type"), text(condition, "reason"));
        let holds = text(condition, "status") == ConditionStatus::True.as_str();
        if ConditionType::parse(kind).is_none() {
            unknown.insert(format!("condition {kind}"));
        } else if !is_reason(kind == ConditionType::Stalled.as_str() && holds, reason) {
            unknown.insert(format!("reason {reason} of {kind}"));
        }
    }
}

/// Whether a condition may have that reason, as far as is known here.
fn is_reason(stalled: bool, reason: &str) -> bool {
    if stalled {
        return StalledReason::parse(reason).is_some();
    }
    ConditionReason::parse(reason).is_some()
}

fn checks(status: &mut Value, unknown: &mut BTreeSet<String>) {
    for check in items(status, "/preflight/checks") {
        if CheckName::parse(text(check, "name")).is_none() {
            unknown.insert(format!("check {}", text(check, "name")));
        }
        word::<Policy>(check, "check", "policy", "Always", unknown);
        word::<CheckReason>(check, "check", "reason", CheckReason::AsExpected.as_str(), unknown);
        // What is not known is never Passed.
        word::<CheckState>(check, "check", "state", "Retry", unknown);
    }
}

fn stages(status: &mut Value, unknown: &mut BTreeSet<String>) {
    for stage in items(status, "/stages") {
        word::<Phase>(stage, "stage", "phase", "Running", unknown);
        for operation in items(stage, "/operations") {
            word::<Phase>(operation, "operation", "phase", "Running", unknown);
            word::<Action>(operation, "operation", "action", "Upgrade", unknown);
            waits(operation);
            blocker(operation, unknown);
        }
    }
}

/// What an operation waits for are others' words: the operator's own remedy is in its blocker.
fn waits(operation: &mut Value) {
    if let Some(Value::String(message)) = operation.get_mut("message") {
        *message = api::remedy::unmarked(message);
    }
}

/// A blocker of a reason that is not known is told by the message of its operation.
fn blocker(operation: &mut Value, unknown: &mut BTreeSet<String>) {
    let Some(blocker) = operation.get("blocker") else { return };
    let reason = text(blocker, "reason").to_owned();
    if StalledReason::parse(&reason).is_some() {
        return;
    }
    unknown.insert(format!("reason {reason} of a blocker"));
    let said = format!("{reason}: {}", text(blocker, "message"));
    let message = api::remedy::message(&said, text(blocker, "remedy"));
    if let Value::Object(operation) = operation {
        operation.remove("blocker");
        operation.insert("message".to_owned(), Value::String(message));
    }
}

/// Puts a word that is known in the place of one that is not, which the message then begins with.
fn word<W: DeserializeOwned>(
    item: &mut Value,
    of: &str,
    field: &str,
    stand_in: &str,
    unknown: &mut BTreeSet<String>,
) {
    let Some(found) = item.get(field).filter(|found| found.is_string()).cloned() else { return };
    if serde_json::from_value::<W>(found.clone()).is_ok() {
        return;
    }
    let found = found.as_str().unwrap_or_default();
    unknown.insert(format!("{of} {field} {found}"));
    let message = format!("{field} {found}; {}", text(item, "message"));
    if let Value::Object(item) = item {
        item.insert(field.to_owned(), Value::String(stand_in.to_owned()));
        // An entry of the history has no message; a field that is not known is passed over.
        item.insert("message".to_owned(), Value::String(message.trim_end_matches("; ").to_owned()));
    }
}
