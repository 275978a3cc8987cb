//! The objects of the cluster in memory with the semantics of an API server: versions, uids,
//! generations, ownership of fields, finalizers, preconditions. Knows nothing of faults.

use crate::fields::{self, Manager};
use api::objects::ObjectRef;
use cluster::CallError;
use cluster::server::PatchBody;
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Group, kind, namespace, name.
pub(crate) type Key = (String, String, String, String);

/// An object as it is stored, without managedFields.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stored {
    pub(crate) value: Value,
    pub(crate) managers: Vec<Manager>,
}

/// A kind that is served.
#[derive(Debug, Clone)]
pub(crate) struct Kind {
    pub(crate) versions: BTreeSet<String>,
    pub(crate) namespaced: bool,
}

/// One committed change.
#[derive(Debug, Clone)]
pub(crate) struct Change {
    pub(crate) manager: String,
    pub(crate) key: Key,
    pub(crate) old: Option<Value>,
    pub(crate) new: Option<Value>,
}

/// The cluster.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) objects: BTreeMap<Key, Stored>,
    pub(crate) kinds: BTreeMap<(String, String), Kind>,
    pub(crate) now: Timestamp,
    /// Changes since they were last looked at.
    pub(crate) changes: Vec<Change>,
    /// How far controllers are: uid and generation, ticks.
    pub(crate) progress: BTreeMap<(String, i64), u32>,
    /// Names of Jobs that fail.
    pub(crate) failing_jobs: BTreeSet<String>,
    counter: u64,
}

const BUILT_IN: [(&str, &str, bool); 15] = [
    ("v1", "ConfigMap", true),
    ("v1", "Secret", true),
    ("v1", "Pod", true),
    ("v1", "Service", true),
    ("v1", "ServiceAccount", true),
    ("v1", "PersistentVolumeClaim", true),
    ("v1", "Namespace", false),
    ("v1", "Node", false),
    ("apps/v1", "Deployment", true),
    ("apps/v1", "DaemonSet", true),
    ("batch/v1", "Job", true),
    ("batch/v1", "CronJob", true),
    ("events.k8s.io/v1", "Event", true),
    ("rbac.authorization.k8s.io/v1", "ClusterRole", false),
    ("apiextensions.k8s.io/v1", "CustomResourceDefinition", false),
];

pub(crate) fn group_of(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

pub(crate) fn reference(value: &Value) -> ObjectRef {
    planner::apply::reference(value).expect("objects of the simulation are complete")
}

impl Store {
    /// A cluster without objects that serves what Kubernetes itself serves.
    pub(crate) fn new(now: Timestamp) -> Self {
        let mut store = Self {
            objects: BTreeMap::new(),
            kinds: BTreeMap::new(),
            now,
            changes: Vec::new(),
            progress: BTreeMap::new(),
            failing_jobs: BTreeSet::new(),
            counter: 0,
        };
        for (api_version, kind, namespaced) in BUILT_IN {
            store.serve(api_version, kind, namespaced);
        }
        store
    }

    pub(crate) fn serve(&mut self, api_version: &str, kind: &str, namespaced: bool) {
        let (group, version) = group_of(api_version);
        let entry = self
            .kinds
            .entry((group.to_owned(), kind.to_owned()))
            .or_insert(Kind { versions: BTreeSet::new(), namespaced });
        entry.versions.insert(version.to_owned());
    }

    fn next(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(crate) fn kind(&self, api_version: &str, kind: &str) -> Result<&Kind, CallError> {
        let (group, version) = group_of(api_version);
        self.kinds
            .get(&(group.to_owned(), kind.to_owned()))
            .filter(|k| k.versions.contains(version))
            .ok_or_else(|| CallError::KindAbsent(format!("{kind} of {api_version}")))
    }

    pub(crate) fn key(&self, object: &ObjectRef) -> Result<Key, CallError> {
        let kind = self.kind(&object.api_version, &object.kind)?;
        if kind.namespaced == object.namespace.is_empty() {
            return Err(CallError::Invalid(format!("{object}: wrong scope")));
        }
        Ok((
            object.group().to_owned(),
            object.kind.clone(),
            object.namespace.clone(),
            object.name.clone(),
        ))
    }

    /// As it is served: in the version that was asked for, with its managers.
    pub(crate) fn shown(&self, stored: &Stored, api_version: &str) -> Value {
        let mut value = stored.value.clone();
        value["apiVersion"] = json!(api_version);
        value["metadata"]["managedFields"] =
            stored.managers.iter().map(Manager::entry).collect::<Vec<_>>().into();
        value
    }

    pub(crate) fn get(&self, object: &ObjectRef) -> Result<Option<Value>, CallError> {
        let key = match self.key(object) {
            Ok(key) => key,
            Err(CallError::KindAbsent(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        Ok(self.objects.get(&key).map(|s| self.shown(s, &object.api_version)))
    }

    /// Objects of a kind, with all of these labels.
    pub(crate) fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        labels: &[(&str, &str)],
    ) -> Result<Vec<Value>, CallError> {
        self.kind(api_version, kind)?;
        let (group, _) = group_of(api_version);
        let from = (group.to_owned(), kind.to_owned(), String::new(), String::new());
        let of_kind =
            self.objects.range(from..).take_while(|(key, _)| key.0 == group && key.1 == kind);
        let found = of_kind.filter(|(key, stored)| {
            let label = |name: &str| stored.value["metadata"]["labels"][name].as_str();
            namespace.is_none_or(|n| n == key.2)
                && labels.iter().all(|(name, value)| label(name) == Some(*value))
        });
        Ok(found.map(|(_, stored)| self.shown(stored, api_version)).collect())
    }

    /// Server-side apply.
    pub(crate) fn apply(
        &mut self,
        body: &Value,
        manager: &str,
        force: bool,
        dry_run: bool,
    ) -> Result<Value, CallError> {
        let object = reference(body);
        let key = self.key(&object)?;
        let time = self.now.to_string();
        let mut body = body.clone();
        if let Some(map) = body.as_object_mut() {
            map.remove("status");
        }
        let stored = match self.objects.get(&key) {
            None if body["metadata"].get("resourceVersion").is_some() => {
                return Err(CallError::Conflict(format!("{object} is gone")));
            }
            None => {
                self.namespace_exists(&key)?;
                let managers = fields::apply(&json!({}), &[], &body, manager, force, &time);
                let (_, managers) = managers.map_err(CallError::FieldConflict)?;
                Stored { value: body, managers }
            }
            Some(live) => {
                let version = body["metadata"].get("resourceVersion");
                if version.is_some_and(|v| *v != live.value["metadata"]["resourceVersion"]) {
                    return Err(CallError::Conflict(format!(
                        "{object}: the object has been modified"
                    )));
                }
                let (value, managers) =
                    fields::apply(&live.value, &live.managers, &body, manager, force, &time)
                        .map_err(CallError::FieldConflict)?;
                Stored { value, managers }
            }
        };
        if dry_run {
            return Ok(self.shown(&stored, &object.api_version));
        }
        Ok(self.commit(&key, stored, manager, &object.api_version))
    }

    pub(crate) fn create(&mut self, body: &Value, manager: &str) -> Result<Value, CallError> {
        let object = reference(body);
        let key = self.key(&object)?;
        if self.objects.contains_key(&key) {
            return Err(CallError::Conflict(format!("{object} already exists")));
        }
        self.namespace_exists(&key)?;
        let time = self.now.to_string();
        let managers = fields::update(&json!({}), body, &[], manager, "", &time);
        let stored = Stored { value: body.clone(), managers };
        Ok(self.commit(&key, stored, manager, &object.api_version))
    }

    fn namespace_exists(&self, key: &Key) -> Result<(), CallError> {
        let namespace = (String::new(), "Namespace".to_owned(), String::new(), key.2.clone());
        if key.2.is_empty() || self.objects.contains_key(&namespace) {
            return Ok(());
        }
        Err(CallError::NotFound(format!("namespaces \"{}\" not found", key.2)))
    }

    /// An update of an object or its status.
    pub(crate) fn update(
        &mut self,
        object: &ObjectRef,
        status: bool,
        manager: &str,
        edit: impl FnOnce(&mut Value) -> Result<(), CallError>,
    ) -> Result<Value, CallError> {
        let key = self.key(object)?;
        let Some(live) = self.objects.get(&key) else {
            return Err(CallError::NotFound(object.to_string()));
        };
        let mut value = live.value.clone();
        edit(&mut value)?;
        let before = &live.value;
        if value["metadata"]["resourceVersion"] != before["metadata"]["resourceVersion"] {
            return Err(CallError::Conflict(format!("{object}: the object has been modified")));
        }
        // Each of the two endpoints leaves the other's part alone.
        let mut after = if status { before.clone() } else { value.clone() };
        let part = if status { value.get("status") } else { before.get("status") };
        if let Some(map) = after.as_object_mut() {
            match part {
                Some(part) => drop(map.insert("status".to_owned(), part.clone())),
                None => drop(map.remove("status")),
            }
        }
        let time = self.now.to_string();
        let part = if status { "status" } else { "" };
        let managers = fields::update(before, &after, &live.managers, manager, part, &time);
        let stored = Stored { value: after, managers };
        Ok(self.commit(&key, stored, manager, &object.api_version))
    }

    pub(crate) fn patch(
        &mut self,
        object: &ObjectRef,
        status: bool,
        body: &PatchBody,
        manager: &str,
    ) -> Result<Value, CallError> {
        let mut owners = None;
        let patched = self.update(object, status, manager, |value| match body {
            PatchBody::Merge(patch) => {
                fields::merge_patch(value, patch);
                Ok(())
            }
            PatchBody::Json(patch) => {
                let mut patch = patch.clone();
                owners = owners_in(&mut patch);
                let patch: json_patch::Patch =
                    serde_json::from_value(patch).map_err(|e| CallError::Invalid(e.to_string()))?;
                // The API server says no more than this, whichever operation failed.
                let refused = "the server rejected our request due to an error in our request";
                json_patch::patch(value, &patch).map_err(|_| CallError::Invalid(refused.to_owned()))
            }
        })?;
        let key = self.key(object)?;
        let (Some(owners), Some(stored)) = (owners, self.objects.get(&key)) else {
            return Ok(patched);
        };
        let stored = Stored { managers: owners, value: stored.value.clone() };
        Ok(self.commit(&key, stored, manager, &object.api_version))
    }

    /// Deletes what has this uid and resourceVersion; finalizers hold it.
    pub(crate) fn delete(&mut self, live: &Value, manager: &str) -> Result<(), CallError> {
        let object = reference(live);
        let key = self.key(&object)?;
        let Some(stored) = self.objects.get(&key) else { return Ok(()) };
        for field in ["uid", "resourceVersion"] {
            let wanted = live["metadata"].get(field).filter(|v| !v.is_null());
            if wanted.is_some_and(|v| *v != stored.value["metadata"][field]) {
                return Err(CallError::Conflict(format!("{object}: {field} is another one")));
            }
        }
        let mut stored = stored.clone();
        if has_finalizers(&stored.value) {
            stored.value["metadata"]["deletionTimestamp"] = json!(self.now.to_string());
            self.commit(&key, stored, manager, &object.api_version);
        } else {
            self.remove(&key, manager);
        }
        Ok(())
    }

    pub(crate) fn remove(&mut self, key: &Key, manager: &str) {
        let Some(gone) = self.objects.remove(key) else { return };
        self.next();
        let change =
            Change { manager: manager.into(), key: key.clone(), old: Some(gone.value), new: None };
        self.changes.push(change);
    }

    /// Stores what differs; nothing changes where nothing differs.
    fn commit(&mut self, key: &Key, mut new: Stored, manager: &str, api_version: &str) -> Value {
        let old = self.objects.get(key).cloned();
        if let Some(old) = &old {
            // An object may be written in another version of its kind.
            new.value["apiVersion"] = old.value["apiVersion"].clone();
            if *old == new {
                return self.shown(old, api_version);
            }
            let part = |value: &Value| -> Vec<(String, Value)> {
                let fields = value.as_object().into_iter().flatten();
                let own = fields.filter(|(k, _)| !["metadata", "status"].contains(&k.as_str()));
                own.map(|(k, v)| (k.clone(), v.clone())).collect()
            };
            if part(&old.value) != part(&new.value) {
                let generation = old.value["metadata"]["generation"].as_i64().unwrap_or(1);
                new.value["metadata"]["generation"] = json!(generation + 1);
            }
        } else {
            let uid = format!("uid-{}", self.next());
            new.value["metadata"]["uid"] = json!(uid);
            new.value["metadata"]["generation"] = json!(1);
            new.value["metadata"]["creationTimestamp"] = json!(self.now.to_string());
        }
        new.value["metadata"]["resourceVersion"] = json!(self.next().to_string());
        let shown = self.shown(&new, api_version);
        let deleting = new.value["metadata"].get("deletionTimestamp").is_some();
        if deleting && !has_finalizers(&new.value) {
            self.remove(key, manager);
            return shown;
        }
        let change = Change {
            manager: manager.to_owned(),
            key: key.clone(),
            old: old.map(|o| o.value),
            new: Some(new.value.clone()),
        };
        self.changes.push(change);
        self.objects.insert(key.clone(), new);
        shown
    }
}

/// Takes out of a patch what it says of owners: they are not stored with the object.
fn owners_in(patch: &mut Value) -> Option<Vec<Manager>> {
    let all = patch.as_array_mut()?;
    let at = all.iter().position(|o| o["path"] == "/metadata/managedFields")?;
    Some(all.remove(at)["value"].as_array()?.iter().map(Manager::of).collect())
}

fn has_finalizers(value: &Value) -> bool {
    value["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty())
}
