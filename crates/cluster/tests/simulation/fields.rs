//! Which manager owns which field of an object, and what server-side apply and updates make of it.
//! Lists that the API merges by a key are told by the name of their field; others are atomic.

use cluster::call::FieldConflict;
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Field(String),
    /// An item of a list by its key: the name of the key and its value as JSON.
    Item(&'static str, String),
}

impl Step {
    /// As the API server writes it in a set of fields.
    fn coded(&self) -> String {
        match self {
            Self::Field(name) => format!("f:{name}"),
            Self::Item(key, value) => format!("k:{{\"{key}\":{value}}}"),
        }
    }

    fn of(coded: &str) -> Self {
        let Some(item) = coded.strip_prefix("k:") else {
            return Self::Field(coded.trim_start_matches("f:").to_owned());
        };
        let item: Map<String, Value> = serde_json::from_str(item).expect("it was written by us");
        let mut keys = KEYED.iter().flat_map(|(_, keys)| keys.iter());
        let key = keys.find(|key| item.contains_key(**key)).expect("its key is one of ours");
        Self::Item(key, item[*key].to_string())
    }
}

pub(crate) type Path = Vec<Step>;

/// What one manager owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Manager {
    pub(crate) name: String,
    pub(crate) applies: bool,
    pub(crate) subresource: &'static str,
    pub(crate) time: String,
    pub(crate) paths: BTreeSet<Path>,
}

impl Manager {
    /// As the API server shows it; the fields themselves are left out.
    pub(crate) fn entry(&self) -> Value {
        let mut entry = json!({
            "manager": self.name,
            "operation": if self.applies { "Apply" } else { "Update" },
            "apiVersion": "v1",
            "time": self.time,
            "fieldsType": "FieldsV1",
            "fieldsV1": coded(&self.paths),
        });
        if !self.subresource.is_empty() {
            entry["subresource"] = json!(self.subresource);
        }
        entry
    }

    /// From what somebody wrote into managedFields.
    pub(crate) fn of(entry: &Value) -> Self {
        let text = |key: &str| entry[key].as_str().unwrap_or_default();
        let mut paths = BTreeSet::new();
        decode(&entry["fieldsV1"], &mut Vec::new(), &mut paths);
        Self {
            name: text("manager").to_owned(),
            applies: text("operation") == "Apply",
            subresource: if text("subresource") == "status" { "status" } else { "" },
            time: text("time").to_owned(),
            paths,
        }
    }
}

fn coded(paths: &BTreeSet<Path>) -> Value {
    let mut all = json!({});
    for path in paths {
        path.iter().fold(&mut all, |at, step| {
            let at = at.as_object_mut().expect("a set of fields is an object");
            at.entry(step.coded()).or_insert_with(|| json!({}))
        });
    }
    all
}

fn decode(fields: &Value, at: &mut Path, all: &mut BTreeSet<Path>) {
    let below = fields.as_object().expect("a set of fields is an object");
    if below.is_empty() {
        all.insert(at.clone());
    }
    for (step, below) in below {
        at.push(Step::of(step));
        decode(below, at, all);
        at.pop();
    }
}

const KEYED: [(&str, &[&str]); 8] = [
    ("containers", &["name"]),
    ("initContainers", &["name"]),
    ("volumes", &["name"]),
    ("env", &["name"]),
    ("imagePullSecrets", &["name"]),
    ("ports", &["containerPort", "port"]),
    ("conditions", &["type"]),
    ("ownerReferences", &["uid"]),
];

/// Fields of metadata that nobody owns.
const UNOWNED: [&str; 9] = [
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "deletionTimestamp",
    "managedFields",
    "selfLink",
];

fn key_of(field: &str, list: &[Value]) -> Option<&'static str> {
    let (_, keys) = KEYED.iter().find(|(name, _)| *name == field)?;
    keys.iter().copied().find(|key| list.iter().all(|item| item.get(key).is_some()))
}

/// Every leaf of an object with its path.
pub(crate) fn leaves(object: &Value) -> BTreeMap<Path, Value> {
    let mut all = BTreeMap::new();
    let Some(map) = object.as_object() else { return all };
    for (key, value) in map {
        match (key.as_str(), value) {
            ("apiVersion" | "kind", _) => {}
            ("metadata", Value::Object(metadata)) => {
                for (key, value) in metadata {
                    if !UNOWNED.contains(&key.as_str()) {
                        let mut at = vec![Step::Field("metadata".into()), Step::Field(key.clone())];
                        collect(key, value, &mut at, &mut all);
                    }
                }
            }
            _ => collect(key, value, &mut vec![Step::Field(key.clone())], &mut all),
        }
    }
    all
}

fn collect(field: &str, value: &Value, at: &mut Path, all: &mut BTreeMap<Path, Value>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                at.push(Step::Field(key.clone()));
                collect(key, value, at, all);
                at.pop();
            }
        }
        Value::Array(list) if !list.is_empty() => match key_of(field, list) {
            Some(key) => {
                for item in list {
                    at.push(Step::Item(key, item[key].to_string()));
                    collect("", item, at, all);
                    at.pop();
                }
            }
            None => drop(all.insert(at.clone(), value.clone())),
        },
        _ => drop(all.insert(at.clone(), value.clone())),
    }
}

/// A path as the API server writes it.
pub(crate) fn shown(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) => text.push_str(&format!(".{name}")),
            Step::Item(key, value) => text.push_str(&format!("[{key}={value}]")),
        }
    }
    text
}

/// The fields of `wanted` are put into `live`.
fn merge(live: &mut Value, wanted: &Value, field: &str) {
    match (&mut *live, wanted) {
        (Value::Object(live), Value::Object(wanted)) => {
            for (key, value) in wanted {
                merge(live.entry(key.clone()).or_insert(Value::Null), value, key);
            }
        }
        (Value::Array(items), Value::Array(wanted)) if key_of(field, wanted).is_some() => {
            let Some(key) = key_of(field, wanted) else { return };
            for item in wanted {
                match items.iter_mut().find(|i| i.get(key) == item.get(key)) {
                    Some(found) => merge(found, item, ""),
                    None => items.push(item.clone()),
                }
            }
        }
        _ => live.clone_from(wanted),
    }
}

/// Takes a leaf away, and what is empty without it.
fn remove(value: &mut Value, path: &[Step]) {
    let Some((first, rest)) = path.split_first() else { return };
    let emptied = |value: &Value| match value {
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    match (first, value) {
        (Step::Field(name), Value::Object(map)) => {
            if rest.is_empty() {
                map.remove(name);
            } else if let Some(below) = map.get_mut(name) {
                remove(below, rest);
                if emptied(below) {
                    map.remove(name);
                }
            }
        }
        (Step::Item(key, at), Value::Array(list)) => {
            let Some(index) = list.iter().position(|i| is_item(i, key, at)) else { return };
            remove(&mut list[index], rest);
            if emptied(&list[index]) {
                list.remove(index);
            }
        }
        _ => {}
    }
}

fn is_item(item: &Value, key: &str, value: &str) -> bool {
    item[key].to_string().as_str() == value
}

/// What an apply comes to: the object and its managers.
pub(crate) fn apply(
    live: &Value,
    managers: &[Manager],
    body: &Value,
    name: &str,
    force: bool,
    time: &str,
) -> Result<(Value, Vec<Manager>), Vec<FieldConflict>> {
    let wanted = leaves(body);
    let now = leaves(live);
    let own = |m: &Manager| m.applies && m.name == name && m.subresource.is_empty();
    let mut managers = managers.to_vec();
    let mut conflicts = Vec::new();
    for (path, value) in &wanted {
        if now.get(path) == Some(value) {
            continue;
        }
        for other in managers.iter_mut().filter(|m| !own(m) && m.paths.contains(path)) {
            if force {
                other.paths.remove(path);
            } else {
                conflicts.push(FieldConflict { manager: other.name.clone(), field: shown(path) });
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let before: BTreeSet<Path> =
        managers.iter().find(|m| own(m)).map(|m| m.paths.clone()).unwrap_or_default();
    let mut object = live.clone();
    for path in before.iter().filter(|path| !wanted.contains_key(*path)) {
        if !managers.iter().any(|m| !own(m) && m.paths.contains(path)) {
            remove(&mut object, path);
        }
    }
    merge(&mut object, body, "");
    let paths: BTreeSet<Path> = wanted.into_keys().collect();
    match managers.iter_mut().find(|m| own(m)) {
        Some(manager) if manager.paths == paths && object == *live => {}
        Some(manager) => {
            manager.paths = paths;
            manager.time = time.to_owned();
        }
        None => managers.push(Manager {
            name: name.to_owned(),
            applies: true,
            subresource: "",
            time: time.to_owned(),
            paths,
        }),
    }
    managers.retain(|m| !m.paths.is_empty());
    Ok((object, managers))
}

/// What an update by create, patch or edit comes to: changed fields are its manager's.
pub(crate) fn update(
    before: &Value,
    after: &Value,
    managers: &[Manager],
    name: &str,
    subresource: &'static str,
    time: &str,
) -> Vec<Manager> {
    let (old, new) = (leaves(before), leaves(after));
    let changed: BTreeSet<Path> =
        new.iter().filter(|(path, v)| old.get(*path) != Some(v)).map(|(p, _)| p.clone()).collect();
    let mut managers = managers.to_vec();
    if changed.is_empty() && old.len() == new.len() {
        return managers;
    }
    let own = |m: &Manager| !m.applies && m.name == name && m.subresource == subresource;
    for manager in &mut managers {
        let own = own(manager);
        manager.paths.retain(|p| new.contains_key(p) && (own || !changed.contains(p)));
    }
    match managers.iter_mut().find(|m| own(m)) {
        Some(manager) => {
            manager.paths.extend(changed);
            manager.time = time.to_owned();
        }
        None => managers.push(Manager {
            name: name.to_owned(),
            applies: false,
            subresource,
            time: time.to_owned(),
            paths: changed,
        }),
    }
    managers.retain(|m| !m.paths.is_empty());
    managers
}

/// RFC 7386.
pub(crate) fn merge_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        target.clone_from(patch);
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(map) = target.as_object_mut() else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.remove(key);
        } else {
            merge_patch(map.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}
