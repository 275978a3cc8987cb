//! What is to be done to the objects of one component: which are created, changed, left alone,
//! deleted later, and in which order.
//!
//! Works on plain JSON: what was rendered, what is live, what was installed before.

mod definitions;
mod diff;
mod hooks;
mod order;
mod ownership;
mod patches;
mod secret;

pub use definitions::definitions_grow;
pub use hooks::{Hook, HookPoint, split_hooks};
pub use order::Wave;
pub use ownership::{is_only_ours, is_protected, is_prunable, owner, suspects, taken_over};
pub use patches::{PatchFailure, PatchSpec, patched, patches_digest};

use api::Digest;
use api::names::{APPLIED_ANNOTATION, OWNER_LABEL};
use api::objects::ObjectRef;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Why rendered objects cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// An object without apiVersion, kind or name.
    #[error("an object of the chart has no {0}")]
    Incomplete(&'static str),
    /// The same object stands twice.
    #[error("the chart has {0} twice")]
    Twice(String),
    /// A kind that neither the cluster nor the chart knows.
    #[error("the cluster does not know the kind {0}")]
    UnknownKind(String),
    /// A definition would no longer serve a version.
    #[error("the CustomResourceDefinition {0} no longer serves {1}; definitions only grow")]
    Drops(String, String),
    /// A definition whose versions a webhook converts.
    #[error(
        "the CustomResourceDefinition {0} converts its versions by a webhook; a release may not"
    )]
    Converts(String),
    /// More objects than one status can hold.
    #[error("the chart has {0} objects; a component may have {limit}", limit = api::objects::INVENTORY_LIMIT)]
    TooMany(usize),
}

/// An object that is ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Prepared {
    /// Which object.
    pub reference: ObjectRef,
    /// When it is sent.
    pub wave: Wave,
    /// What is sent: rendered, patched, with the marks of its owner.
    pub body: Value,
}

/// What happens to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is not there.
    Create,
    /// It differs.
    Change,
    /// It has every field as rendered; nothing is sent.
    Skip,
}

/// The plan for the objects of one component.
#[derive(Debug, Clone, PartialEq)]
pub struct ApplyPlan {
    /// In the order in which they are sent.
    pub objects: Vec<(Prepared, Decision)>,
    /// Every object of the component before the first is written: old and new.
    pub union: BTreeSet<ObjectRef>,
    /// Those of the union that the release no longer has.
    pub obsolete: BTreeSet<ObjectRef>,
}

/// Whether a kind lives in a namespace, by group and kind.
pub type Scopes = BTreeMap<(String, String), bool>;

/// The reference of a rendered or live object.
///
/// # Errors
/// When apiVersion, kind or name is missing.
pub fn reference(object: &Value) -> Result<ObjectRef, ApplyError> {
    let text = |pointer: &str, what| {
        let found = object.pointer(pointer).and_then(Value::as_str).filter(|t| !t.is_empty());
        found.map(str::to_owned).ok_or(ApplyError::Incomplete(what))
    };
    Ok(ObjectRef {
        api_version: text("/apiVersion", "apiVersion")?,
        kind: text("/kind", "kind")?,
        name: text("/metadata/name", "name")?,
        namespace: text("/metadata/namespace", "namespace").unwrap_or_default(),
    })
}

/// The scopes of the kinds that rendered CRDs define.
#[must_use]
pub fn scopes_of_crds(objects: &[Value]) -> Scopes {
    let crds = objects
        .iter()
        .filter(|o| o.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition"));
    crds.filter_map(|crd| {
        let text = |pointer: &str| crd.pointer(pointer).and_then(Value::as_str);
        let key = (text("/spec/group")?.to_owned(), text("/spec/names/kind")?.to_owned());
        Some((key, text("/spec/scope")? == "Namespaced"))
    })
    .collect()
}

/// Gives objects without a namespace the release's, takes it from objects of the cluster, and
/// writes Secrets as the API server keeps them.
///
/// # Errors
/// When an object is incomplete or of a kind that is not known.
pub fn normalise(
    objects: &mut [Value],
    namespace: &str,
    scopes: &Scopes,
) -> Result<(), ApplyError> {
    for object in objects {
        secret::fold_texts(object);
        let found = reference(object)?;
        let key = (found.group().to_owned(), found.kind.clone());
        let namespaced = *scopes.get(&key).ok_or_else(|| {
            ApplyError::UnknownKind(format!("{} of {}", found.kind, found.api_version))
        })?;
        let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else {
            return Err(ApplyError::Incomplete("metadata"));
        };
        if namespaced && found.namespace.is_empty() {
            metadata.insert("namespace".to_owned(), json!(namespace));
        } else if !namespaced {
            metadata.remove("namespace");
        }
    }
    Ok(())
}

/// Makes rendered and patched objects ready to be sent, in the order in which they are sent.
///
/// # Errors
/// When an object is incomplete, stands twice, or there are too many.
pub fn prepare(objects: Vec<Value>, owner: &str) -> Result<Vec<Prepared>, ApplyError> {
    if objects.len() > api::objects::INVENTORY_LIMIT {
        return Err(ApplyError::TooMany(objects.len()));
    }
    let mut seen = BTreeSet::new();
    let mut prepared = Vec::with_capacity(objects.len());
    for mut body in objects {
        secret::fold_texts(&mut body);
        let reference = reference(&body)?;
        if !seen.insert(reference.clone()) {
            return Err(ApplyError::Twice(reference.to_string()));
        }
        mark(&mut body, "labels", OWNER_LABEL, owner);
        let digest = Digest::of(body.to_string().as_bytes());
        mark(&mut body, "annotations", APPLIED_ANNOTATION, digest.as_str());
        prepared.push(Prepared { wave: Wave::of(&reference), reference, body });
    }
    prepared.sort_by(|a, b| (a.wave, &a.reference).cmp(&(b.wave, &b.reference)));
    Ok(prepared)
}

fn mark(object: &mut Value, map: &str, key: &str, value: &str) {
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let entry = metadata.entry(map).or_insert_with(|| Value::Object(Map::new()));
    if !entry.is_object() {
        *entry = Value::Object(Map::new());
    }
    if let Some(entry) = entry.as_object_mut() {
        entry.insert(key.to_owned(), json!(value));
    }
}

/// Decides for each object, and which of the old ones are obsolete.
#[must_use]
pub fn plan_apply(
    prepared: Vec<Prepared>,
    inventory: &BTreeSet<ObjectRef>,
    live: &BTreeMap<ObjectRef, Value>,
) -> ApplyPlan {
    let new: BTreeSet<ObjectRef> = prepared.iter().map(|p| p.reference.clone()).collect();
    let obsolete: BTreeSet<ObjectRef> =
        inventory.iter().filter(|old| !new.iter().any(|n| n.same_object(old))).cloned().collect();
    let union = new.union(&obsolete).cloned().collect();
    let objects = prepared
        .into_iter()
        .map(|object| {
            let decision = match live.get(&object.reference) {
                None => Decision::Create,
                Some(live) if diff::is_applied(&object.body, live) => Decision::Skip,
                Some(_) => Decision::Change,
            };
            (object, decision)
        })
        .collect();
    ApplyPlan { objects, union, obsolete }
}

/// What is sent as the replica count of a workload that an autoscaler scales: nothing
/// where somebody else owns the field. Where it still is ours alone it stays as it is live, for
/// what we
/// leave out then falls back to one replica.
pub fn leave_replicas(object: &mut Value, live: Option<&Value>, predecessors: &BTreeSet<String>) {
    let (Some(live), Some(spec)) = (live, object.get_mut("spec").and_then(Value::as_object_mut))
    else {
        return;
    };
    match live.pointer("/spec/replicas") {
        Some(count) if is_only_ours(live, &["spec", "replicas"], predecessors) => {
            spec.insert("replicas".to_owned(), count.clone());
        }
        _ => drop(spec.remove("replicas")),
    }
}

/// Objects of which drift is shown before the rest is counted.
const DRIFT_SHOWN: usize = 20;

/// Fields of live objects that differ from what was applied: edits of others. The first twenty, the
/// rest counted.
#[must_use]
pub fn drift(prepared: &[Prepared], live: &BTreeMap<ObjectRef, Value>) -> Vec<String> {
    let differing = prepared.iter().filter_map(|object| match live.get(&object.reference) {
        None => Some(format!("{} is missing", object.reference)),
        Some(live) => {
            let path = diff::first_difference(&object.body, live)?;
            Some(format!("{}: {path}", object.reference))
        }
    });
    let mut all: Vec<String> = differing.map(|text| api::text::line(&text, 256)).collect();
    let more = all.len().saturating_sub(DRIFT_SHOWN);
    if more > 0 {
        all.truncate(DRIFT_SHOWN);
        all.push(format!("and {more} more"));
    }
    all
}
