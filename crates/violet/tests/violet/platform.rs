//! A platform in memory: an API server that keeps objects by their path and applies them as whole
//! objects.

use super::CANARY;
use super::server::{Answer, Asked, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Where the kinds of the catalogue are.
pub(crate) const CATALOGUE: &str = "/apis/cluster.alauda.io/v1alpha1";
/// Where rights are.
const RIGHTS: &str = "/apis/rbac.authorization.k8s.io/v1";

type Objects = BTreeMap<String, Value>;

/// The platform, and what is in it.
pub(crate) struct Platform {
    pub(crate) server: Server,
    objects: Arc<Mutex<Objects>>,
}

/// How a platform behaves.
#[derive(Clone, Default)]
pub(crate) struct Ways {
    /// Writes below this path are forbidden.
    pub(crate) forbidden: Option<&'static str>,
    /// No operator confirms a version.
    pub(crate) silent: bool,
    /// What comes before every path.
    pub(crate) below: &'static str,
    /// Who is let in; empty: whoever has the token.
    pub(crate) account: &'static str,
}

impl Platform {
    /// With a registry at this address, a node and two clusters.
    pub(crate) fn start(registry: &str, ways: Ways) -> Self {
        let objects = Arc::new(Mutex::new(content(registry)));
        let kept = Arc::clone(&objects);
        let answer = move |asked: &Asked| answer(asked, &mut kept.lock().unwrap(), &ways);
        Self { server: Server::start(answer), objects }
    }

    pub(crate) fn put(&self, path: &str, object: Value) {
        let mut object = object;
        let name = path.rsplit('/').next().unwrap();
        object["metadata"]["name"] = json!(name);
        object["metadata"]["uid"] = json!(format!("uid-{name}"));
        object["metadata"]["resourceVersion"] = json!("1");
        self.objects.lock().unwrap().insert(path.to_owned(), object);
    }

    pub(crate) fn get(&self, path: &str) -> Option<Value> {
        self.objects.lock().unwrap().get(path).cloned()
    }

    /// A version in the catalogue.
    pub(crate) fn publish(&self, plugin: &str, version: &str, lines: &[&str]) {
        let path = format!("{CATALOGUE}/moduleconfigs/{plugin}-{version}");
        let object = json!({
            "metadata": { "labels": { "cpaas.io/module-name": plugin } },
            "spec": { "name": plugin, "version": version, "targetClusterVersions": lines },
            "status": { "readyForDeploy": true },
        });
        self.put(&path, object);
    }

    /// A plugin on a cluster.
    pub(crate) fn install(&self, plugin: &str, version: &str, cluster: &str) {
        let path = format!("{CATALOGUE}/moduleinfoes/{cluster}-{plugin}");
        let labels = json!({ "cpaas.io/module-name": plugin, "cpaas.io/cluster-name": cluster });
        let object = json!({
            "metadata": { "labels": labels },
            "spec": { "version": version },
            "status": { "version": version, "phase": "Running" },
        });
        self.put(&path, object);
    }
}

fn content(registry: &str) -> Objects {
    let secret = |text: &str| -> String {
        // As an API server tells the entries of a Secret: `admin`, the canary.
        match text {
            "admin" => "YWRtaW4=".to_owned(),
            _ => "YzRuNHJ5LXMzY3JldA==".to_owned(),
        }
    };
    let cluster = |name: &str, region: &str| {
        json!({
            "metadata": { "name": name, "labels": { "region": region } },
            "spec": { "type": "Baremetal" },
        })
    };
    Objects::from([
        (
            "/apis/product.alauda.io/v1alpha2/productbases/base".to_owned(),
            json!({
                "metadata": { "name": "base" },
                "spec": { "registry": { "address": registry, "preferPlatformURL": false }, "platformURL": "https://127.0.0.1" },
            }),
        ),
        (
            "/api/v1/namespaces/cpaas-system/secrets/registry-admin".to_owned(),
            json!({ "data": { "username": secret("admin"), "password": secret(CANARY) } }),
        ),
        (
            "/api/v1/nodes/one".to_owned(),
            json!({ "metadata": { "name": "one" }, "status": { "nodeInfo": { "architecture": "amd64" } } }),
        ),
        ("/apis/platform.tkestack.io/v1/clusters/global".to_owned(), cluster("global", "eu")),
        (
            "/apis/platform.tkestack.io/v1/clusters/workload-a".to_owned(),
            cluster("workload-a", "us"),
        ),
    ])
}

fn ok(value: &Value) -> Answer {
    (200, vec![("content-type", "application/json".to_owned())], value.to_string().into_bytes())
}

fn refusal(code: u16, reason: &str, message: &str, name: &str) -> Answer {
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "status": "Failure", "code": code,
        "reason": reason, "message": message, "metadata": {}, "details": { "name": name },
    });
    (code, vec![("content-type", "application/json".to_owned())], status.to_string().into_bytes())
}

fn answer(asked: &Asked, objects: &mut Objects, ways: &Ways) -> Answer {
    let Some(path) = asked.path.strip_prefix(ways.below) else {
        return (200, vec![("content-type", "text/html".to_owned())], b"<html>".to_vec());
    };
    let is_let_in = match ways.account {
        "" => asked.authorization == format!("Bearer {CANARY}"),
        account => asked.authorization == account,
    };
    if !is_let_in {
        return refusal(401, "Unauthorized", "Unauthorized", "");
    }
    let name = path.rsplit('/').next().unwrap_or_default();
    match asked.method.as_str() {
        "GET" if path == "/version" => ok(&json!({ "gitVersion": "v1.33.0" })),
        "GET" => match objects.get(path) {
            Some(object) => ok(object),
            None if is_collection(path) => {
                let below = format!("{path}/");
                let items: Vec<&Value> =
                    objects.iter().filter(|(p, _)| p.starts_with(&below)).map(|(_, o)| o).collect();
                ok(&json!({ "kind": "List", "metadata": {}, "items": items }))
            }
            None => refusal(404, "NotFound", &format!("\"{name}\" not found"), name),
        },
        "PATCH" | "DELETE" if ways.forbidden.is_some_and(|below| path.starts_with(below)) => {
            let text = format!(
                "{name} is forbidden: User \"jane\" cannot patch resource \"clusterroles\" in API group \"rbac.authorization.k8s.io\" at the cluster scope"
            );
            refusal(403, "Forbidden", &text, name)
        }
        "PATCH" => apply(asked, path, objects, ways),
        "DELETE" => match objects.remove(path) {
            Some(_) => ok(&json!({ "kind": "Status", "status": "Success" })),
            None => refusal(404, "NotFound", "not found", name),
        },
        _ => refusal(405, "MethodNotAllowed", "no", name),
    }
}

/// `.../moduleconfigs`, not an object of it.
fn is_collection(path: &str) -> bool {
    let steps = path.trim_start_matches('/').split('/').count();
    let is_core = path.starts_with("/api/");
    steps == if is_core { 3 } else { 4 }
}

fn apply(asked: &Asked, path: &str, objects: &mut Objects, ways: &Ways) -> Answer {
    let mut object: Value = serde_json::from_slice(&asked.body).unwrap();
    let before = objects.get(path).cloned();
    let version =
        |o: &Value| o["metadata"]["resourceVersion"].as_str().unwrap().parse::<u32>().unwrap();
    let number = before.as_ref().map_or(0, version);
    object["metadata"]["uid"] = json!("uid");
    object["metadata"]["resourceVersion"] = json!(number.to_string());
    if path.contains("/moduleconfigs/") && !ways.silent {
        object["status"] = json!({ "readyForDeploy": true });
    }
    if before.as_ref() == Some(&object) {
        return ok(&object);
    }
    object["metadata"]["resourceVersion"] = json!((number + 1).to_string());
    if !asked.query.contains("dryRun") {
        objects.insert(path.to_owned(), object.clone());
    }
    ok(&object)
}

/// Where the role of a plugin is.
pub(crate) fn role(plugin: &str) -> String {
    format!("{RIGHTS}/clusterroles/{}", api::names::plugin_role(plugin))
}
