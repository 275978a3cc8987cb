//! What a platform has come to, in a form in which two platforms can be compared: without times,
//! ids, resourceVersions, addresses and secrets, which differ between any two.

use super::Bench;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::collections::BTreeMap;

/// Kinds whose names or contents are chance, or that pass by themselves.
const CHANCE: [&str; 12] = [
    "componentstatuses",
    "controllerrevisions.apps",
    "csinodes.storage.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "events",
    "events.events.k8s.io",
    "ipaddresses.networking.k8s.io",
    "leases.coordination.k8s.io",
    "nodes",
    "pods",
    "replicasets.apps",
];

/// Keys whose values differ between any two runs.
const DIFFERENT: [&str; 12] = [
    "uid",
    "resourceVersion",
    "revision",
    "valuesDigest",
    "values_digest",
    "clusterIP",
    "clusterIPs",
    "observedAt",
    "nodePort",
    "remainingItemCount",
    "nudge",
    // Of images too, and those name the registry.
    "cpaas.io/applied-digest",
];

/// What is random in a platform: keys and certificates.
const RANDOM: &[(&str, &[&str])] =
    &[("Secret", &["/data"]), ("ClusterCredential", &["/token", "/caCert"])];
/// Whose fields are compared: others write when they like.
const OUR_MANAGERS: [&str; 2] = [api::names::CVO, api::names::PREPARE_FIELD_MANAGER];

/// How many differences are told.
const TOLD: usize = 30;

/// Everything that a platform holds, by kind, namespace and name.
#[derive(Debug, Clone)]
pub struct EndState(BTreeMap<String, Value>);

impl Bench {
    /// What the platform has come to.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn end_state(&self) -> Result<EndState> {
        let kinds = self.kubectl(&["api-resources", "--verbs=list", "-o", "name"]).await?;
        let kinds: Vec<&str> = kinds.split_whitespace().filter(|k| !CHANCE.contains(k)).collect();
        let all = self.kubectl(&["get", &kinds.join(","), "-A", "-o", "json"]).await?;
        let all: Value = serde_json::from_str(&all)?;
        let here = Here::of(self)?;
        let mut state = BTreeMap::new();
        for object in all["items"].as_array().context("items")? {
            let part = |key: &str| super::text(object, key).to_owned();
            let key = [
                part("/apiVersion"),
                part("/kind"),
                part("/metadata/namespace"),
                part("/metadata/name"),
            ];
            state.insert(key.join(" "), comparable(object, &here));
        }
        Ok(EndState(state))
    }
}

/// Where this platform is reached: another one is reached elsewhere.
struct Here {
    registry: String,
    server: String,
    port: u64,
}

impl Here {
    fn of(bench: &Bench) -> Result<Self> {
        let url = bench.plane.url();
        let server = url.trim_start_matches("https://").to_owned();
        let port = server.rsplit(':').next().context("a port")?.parse()?;
        Ok(Self { registry: bench.registry.address().to_owned(), server, port })
    }
}

fn comparable(object: &Value, here: &Here) -> Value {
    let mut object = object.clone();
    for (kind, pointers) in RANDOM {
        if object["kind"] == *kind {
            for pointer in *pointers {
                object.pointer_mut(pointer).map(Value::take);
            }
        }
    }
    if let Some(all) = object.pointer_mut("/metadata/managedFields").and_then(Value::as_array_mut) {
        let ours = |entry: &Value| OUR_MANAGERS.contains(&super::text(entry, "/manager"));
        all.retain(ours);
    }
    strip(&mut object, here);
    object
}

fn strip(value: &mut Value, here: &Here) {
    match value {
        Value::Object(map) => {
            map.retain(|key, _| {
                let is_time = key.ends_with("Time") || key.ends_with("Timestamp");
                !is_time && !DIFFERENT.contains(&key.as_str())
            });
            map.values_mut().for_each(|value| strip(value, here));
        }
        Value::Array(all) => all.iter_mut().for_each(|value| strip(value, here)),
        Value::String(text) => {
            if text.contains("-----BEGIN") {
                "certificates".clone_into(text);
            } else if text.parse::<jiff::Timestamp>().is_ok() {
                "a time".clone_into(text);
            } else if text.starts_with("ReplicaSet ") {
                // Its name follows from the images.
                "of a ReplicaSet".clone_into(text);
            } else if is_uid(text) {
                "an id".clone_into(text);
            } else {
                *text = text.replace(&here.registry, "registry").replace(&here.server, "server");
            }
        }
        Value::Number(number) if number.as_u64() == Some(here.port) => {
            *value = "the server's port".into();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_uid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

impl EndState {
    /// The objects of a kind that this is made of.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is nothing at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Both are the same.
    ///
    /// # Errors
    /// When they are not; the text tells where they differ.
    pub fn equals(&self, other: &Self) -> Result<()> {
        let mut told = Vec::new();
        for (key, one) in &self.0 {
            match other.0.get(key) {
                Some(two) => differences(key, one, two, &mut told),
                None => told.push(format!("{key}: only in the first")),
            }
        }
        let more = other.0.keys().filter(|key| !self.0.contains_key(*key));
        told.extend(more.map(|key| format!("{key}: only in the second")));
        let count = told.len();
        told.truncate(TOLD);
        ensure!(told.is_empty(), "{count} differences:\n{}", told.join("\n"));
        Ok(())
    }
}

fn differences(at: &str, one: &Value, two: &Value, told: &mut Vec<String>) {
    if one == two {
        return;
    }
    match (one, two) {
        (Value::Object(one), Value::Object(two)) => {
            let keys: std::collections::BTreeSet<_> = one.keys().chain(two.keys()).collect();
            for key in keys {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned();
                let (one, two) = (of(one).unwrap_or_default(), of(two).unwrap_or_default());
                differences(&format!("{at}/{key}"), &one, &two, told);
            }
        }
        (Value::Array(one), Value::Array(two)) if one.len() == two.len() => {
            for (number, (one, two)) in one.iter().zip(two).enumerate() {
                differences(&format!("{at}/{number}"), one, two, told);
            }
        }
        _ => told.push(format!("{at}: {one} | {two}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn state(objects: &[Value]) -> EndState {
        let here = Here { registry: "r:1".to_owned(), server: "s:99".to_owned(), port: 99 };
        let of = |object: &Value| {
            (super::super::text(object, "/metadata/name").to_owned(), comparable(object, &here))
        };
        EndState(objects.iter().map(of).collect())
    }

    fn object(name: &str, replicas: u32, version: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": {
                "name": name, "resourceVersion": version, "uid": version,
                "managedFields": [
                    { "manager": api::names::CVO, "fieldsV1": { "f:spec": {} } },
                    { "manager": "somebody", "fieldsV1": { "f:status": { version: {} } } },
                ],
            },
            "spec": { "replicas": replicas, "image": "r:1/app", "items": [1, 2] },
        })
    }

    #[test]
    fn a_field_more_or_less_is_a_difference_and_a_version_is_none() {
        let one = state(&[object("a", 2, "7"), object("b", 1, "8")]);
        one.equals(&state(&[object("a", 2, "9"), object("b", 1, "10")])).unwrap();
        let told = |other: &[Value]| one.equals(&state(other)).unwrap_err().to_string();
        let changed = told(&[object("a", 3, "7"), object("b", 1, "8")]);
        assert!(changed.contains("a/spec/replicas: 2 | 3"), "{changed}");
        assert!(told(&[object("a", 2, "7")]).contains("b: only in the first"));
        let more = [object("a", 2, "7"), object("b", 1, "8"), object("c", 1, "8")];
        assert!(told(&more).contains("c: only in the second"));
        for (pointer, value) in [
            ("/spec/items", json!([1])),
            ("/spec/items/1", json!(3)),
            ("/spec/image", json!("elsewhere/app")),
            ("/spec/replicas", Value::Null),
            ("/metadata/managedFields/0/fieldsV1", json!({ "f:data": {} })),
        ] {
            let mut other = [object("a", 2, "7"), object("b", 1, "8")];
            *other[0].pointer_mut(pointer).unwrap() = value;
            assert!(one.equals(&state(&other)).is_err(), "{pointer}");
        }
    }

    #[test]
    fn what_is_random_is_no_difference_where_it_is_known_to_be() {
        let secret = |data: &str| json!({ "kind": "Secret", "metadata": { "name": "s" }, "data": { "key": data } });
        state(&[secret("1")]).equals(&state(&[secret("2")])).unwrap();
        let mut other = secret("1");
        other["metadata"]["labels"] = json!({ "mine": "1" });
        assert!(state(&[secret("1")]).equals(&state(&[other])).is_err());
    }
}
