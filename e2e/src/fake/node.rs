//! The node of a fake cluster: what preflight looks at on it.

use api::names::{COMPONENT_LABEL, CONTROL_PLANE_LABEL, STATIC_PODS};
use serde_json::{Value, json};

/// The collections with the objects that a cluster has before anything is installed.
pub(super) fn objects() -> Vec<(&'static str, Value)> {
    let node = json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": "node-1", "labels": { CONTROL_PLANE_LABEL: "" } },
        "status": { "nodeInfo": {
            "containerRuntimeVersion": "containerd://2.2.0", "architecture": "amd64",
        } },
    });
    let namespaces = ["default", "kube-system"].map(|name| {
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        ("/api/v1/namespaces", namespace)
    });
    let pods = STATIC_PODS.map(|name| ("/api/v1/namespaces/kube-system/pods", static_pod(name)));
    [("/api/v1/nodes", node)].into_iter().chain(namespaces).chain(pods).collect()
}

fn static_pod(component: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{component}-node-1"),
            "namespace": "kube-system",
            "labels": { "tier": "control-plane", COMPONENT_LABEL: component },
        },
        "spec": { "nodeName": "node-1" },
        "status": { "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}
