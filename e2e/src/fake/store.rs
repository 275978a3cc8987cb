//! The objects of a fake API server: versions, uids and generations as a real one gives them, and a
//! state of workloads and definitions in which they are ready. Knows nothing of HTTP.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Where an object or a collection is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// `/apis/apps/v1`. An object is kept in the version in which it was written.
    root: String,
    /// `deployments`.
    plural: String,
    /// Empty for an object of the cluster, and for a collection of all namespaces.
    namespace: String,
    /// Empty for a collection.
    pub(super) name: String,
}

impl Place {
    /// Reads a path; also gives the subresource, empty where there is none. None: it is no path of
    /// an object or a collection.
    pub(super) fn of(path: &str) -> Option<(Self, String)> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (root, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => (format!("/api/{version}"), rest),
            ["apis", group, version, rest @ ..] => (format!("/apis/{group}/{version}"), rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, subresource) = match rest {
            [plural] => (plural, "", ""),
            [plural, name] => (plural, *name, ""),
            [plural, name, subresource] => (plural, *name, *subresource),
            _ => return None,
        };
        let (plural, namespace) = ((*plural).to_owned(), namespace.to_owned());
        let place = Self { root, plural, namespace, name: name.to_owned() };
        Some((place, subresource.to_owned()))
    }

    fn named(&self, name: &str) -> Self {
        Self { name: name.to_owned(), ..self.clone() }
    }
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such object.
    NotFound,
    /// It is there already, or is of another version than the request says.
    Conflict,
    /// The request cannot be carried out.
    Invalid,
}

/// A patch of an object that is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patch {
    /// RFC 7386.
    Merge,
    /// RFC 6902.
    Json,
}

/// The objects.
#[derive(Debug, Default)]
pub(super) struct Store {
    objects: BTreeMap<Place, Value>,
    /// The last resourceVersion.
    version: u64,
}

impl Store {
    /// With these objects in their collections.
    pub(super) fn with(objects: Vec<(&str, Value)>) -> Self {
        let mut store = Self::default();
        for (collection, object) in objects {
            if let Some((place, _)) = Place::of(collection) {
                let place = place.named(object["metadata"]["name"].as_str().unwrap_or_default());
                store.commit(&place, object, true);
            }
        }
        store
    }

    /// The last resourceVersion.
    pub(super) const fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub(super) fn get(&self, place: &Place) -> Result<Value, Refused> {
        self.objects.get(place).cloned().ok_or(Refused::NotFound)
    }

    /// The objects of a collection with these labels: `a=b,c=d`.
    pub(super) fn list(&self, collection: &Place, labels: &str) -> Vec<Value> {
        let wanted: Vec<(&str, &str)> =
            labels.split(',').filter_map(|pair| pair.split_once('=')).collect();
        let is_in = |place: &Place| {
            place.root == collection.root
                && place.plural == collection.plural
                && (collection.namespace.is_empty() || place.namespace == collection.namespace)
        };
        let has = |object: &Value| {
            let labels = &object["metadata"]["labels"];
            wanted.iter().all(|(key, value)| labels[*key].as_str() == Some(*value))
        };
        let found = self.objects.iter().filter(|(place, object)| is_in(place) && has(object));
        found.map(|(_, object)| object.clone()).collect()
    }

    /// Makes an object in a collection.
    pub(super) fn create(&mut self, collection: &Place, body: Value) -> Result<Value, Refused> {
        let name = body["metadata"]["name"].as_str().ok_or(Refused::Invalid)?;
        let place = collection.named(name);
        if self.objects.contains_key(&place) {
            return Err(Refused::Conflict);
        }
        Ok(self.commit(&place, body, false))
    }

    /// Server-side apply by the only one who applies: what the body does not say goes.
    pub(super) fn apply(&mut self, place: &Place, body: Value) -> Result<Value, Refused> {
        let live = self.objects.get(place).unwrap_or(&Value::Null);
        let version = &body["metadata"]["resourceVersion"];
        if !version.is_null() && *version != live["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        Ok(self.commit(place, body, false))
    }

    /// Patches an object, or its status.
    pub(super) fn patch(
        &mut self,
        place: &Place,
        status: bool,
        kind: Patch,
        patch: Value,
    ) -> Result<Value, Refused> {
        let live = self.get(place)?;
        let mut patched = live.clone();
        match kind {
            Patch::Merge => json_patch::merge(&mut patched, &patch),
            Patch::Json => {
                let patch: json_patch::Patch =
                    serde_json::from_value(patch).map_err(|_| Refused::Invalid)?;
                json_patch::patch(&mut patched, &patch).map_err(|_| Refused::Invalid)?;
            }
        }
        if patched["metadata"]["resourceVersion"] != live["metadata"]["resourceVersion"] {
            return Err(Refused::Conflict);
        }
        if !status {
            return Ok(self.commit(place, patched, false));
        }
        let mut next = live;
        next["status"] = patched["status"].take();
        Ok(self.commit(place, next, true))
    }

    /// Deletes an object.
    pub(super) fn delete(&mut self, place: &Place) -> Result<Value, Refused> {
        let gone = self.objects.remove(place).ok_or(Refused::NotFound)?;
        self.version += 1;
        Ok(gone)
    }

    /// Keeps what differs; with `status`, that of the object counts, else that of the live one.
    fn commit(&mut self, place: &Place, mut next: Value, status: bool) -> Value {
        let live = self.objects.get(place).cloned().unwrap_or(Value::Null);
        let before = &live["metadata"];
        let is_new = live.is_null();
        if !status && let Some(fields) = next.as_object_mut() {
            fields.remove("status");
            fields.extend(live.get("status").map(|state| ("status".to_owned(), state.clone())));
        }
        let uid =
            if is_new { json!(format!("uid-{}", self.version)) } else { before["uid"].clone() };
        next["metadata"]["uid"] = uid;
        next["metadata"]["resourceVersion"] = before["resourceVersion"].clone();
        let generation = before["generation"].as_u64().unwrap_or_default();
        let grows = is_new || content(&next) != content(&live);
        next["metadata"]["generation"] = json!(generation + u64::from(grows));
        if let Some(state) = ready(&next) {
            next["status"] = state;
        }
        if next == live {
            return live;
        }
        self.version += 1;
        next["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place.clone(), next.clone());
        next
    }
}

/// What counts for the generation of an object: neither who it is nor how far it is.
fn content(object: &Value) -> Vec<(&String, &Value)> {
    let fields = object.as_object().into_iter().flatten();
    fields.filter(|(key, _)| !["metadata", "status"].contains(&key.as_str())).collect()
}

/// The status of an object that is as it should be; None where nobody waits for one.
fn ready(object: &Value) -> Option<Value> {
    let generation = &object["metadata"]["generation"];
    let state = match object["kind"].as_str()? {
        "Deployment" => {
            let replicas = object["spec"]["replicas"].as_u64().unwrap_or(1);
            json!({
                "observedGeneration": generation, "replicas": replicas, "readyReplicas": replicas,
                "updatedReplicas": replicas, "availableReplicas": replicas,
            })
        }
        "DaemonSet" => json!({
            "observedGeneration": generation, "desiredNumberScheduled": 1, "numberReady": 1,
            "updatedNumberScheduled": 1, "numberAvailable": 1,
        }),
        "CustomResourceDefinition" => {
            json!({ "conditions": [{ "type": "Established", "status": "True" }] })
        }
        _ => return None,
    };
    Some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(path: &str) -> Place {
        Place::of(path).unwrap().0
    }

    fn deployment(image: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "name": "a", "labels": { "app": "a" } },
            "spec": { "replicas": 2, "image": image },
        })
    }

    #[test]
    fn a_path_is_an_object_or_a_collection() {
        let (place, status) = Place::of("/apis/apps/v1/namespaces/n/deployments/a/status").unwrap();
        assert_eq!((place.root.as_str(), place.namespace.as_str()), ("/apis/apps/v1", "n"));
        assert_eq!((place.name.as_str(), status.as_str()), ("a", "status"));
        let namespace = self::place("/api/v1/namespaces/n");
        assert_eq!((namespace.plural.as_str(), namespace.name.as_str()), ("namespaces", "n"));
        assert!(Place::of("/version").is_none());
    }

    #[test]
    fn an_object_has_a_version_a_generation_and_a_state() {
        let mut store = Store::default();
        let at = place("/apis/apps/v1/namespaces/n/deployments/a");
        let made = store.apply(&at, deployment("1")).unwrap();
        assert_eq!(made["status"]["availableReplicas"], 2);
        assert_eq!(store.apply(&at, deployment("1")).unwrap(), made, "nothing differs");
        let mut body = deployment("2");
        body["metadata"]["resourceVersion"] = made["metadata"]["resourceVersion"].clone();
        let changed = store.apply(&at, body.clone()).unwrap();
        assert_eq!(changed["metadata"]["generation"], 2);
        assert_eq!(changed["metadata"]["uid"], made["metadata"]["uid"]);
        assert_eq!(store.apply(&at, body), Err(Refused::Conflict), "it is of an older version");
        let all = place("/apis/apps/v1/deployments");
        assert_eq!(store.list(&all, "app=a"), [changed]);
        assert!(store.list(&all, "app=b").is_empty());
        store.delete(&at).unwrap();
        assert_eq!(store.get(&at), Err(Refused::NotFound));
    }

    #[test]
    fn a_status_is_patched_by_itself() {
        let mut store = Store::default();
        let all = place("/apis/x.io/v1/namespaces/n/records");
        let made = store.create(&all, json!({ "metadata": { "name": "a" }, "spec": 1 })).unwrap();
        let test = |version: &Value| {
            json!([
                { "op": "test", "path": "/metadata/resourceVersion", "value": version },
                { "op": "add", "path": "/status", "value": { "phase": "Ready" } },
                { "op": "add", "path": "/spec", "value": 2 },
            ])
        };
        let at = all.named("a");
        let version = &made["metadata"]["resourceVersion"];
        let patched = store.patch(&at, true, Patch::Json, test(version)).unwrap();
        assert_eq!((&patched["status"]["phase"], &patched["spec"]), (&json!("Ready"), &json!(1)));
        let again = store.patch(&at, true, Patch::Json, test(version));
        assert_eq!(again, Err(Refused::Invalid));
    }
}
