//! Whether an object has reached what it was asked for, by the rules of kstatus, and why its Pods
//! do not come up.

use api::StalledReason;
use serde_json::Value;

/// How far an object is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is what it was asked to be.
    Healthy,
    /// Not yet; what it waits for.
    Progressing(String),
    /// It will not get there by itself.
    Failed(String),
}

/// Judges a live object.
#[must_use]
pub fn health(object: &Value) -> Health {
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Health::Progressing("is being deleted".to_owned());
    }
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if let (Some(generation), Some(observed)) = (generation, observed)
        && observed < generation
    {
        return Health::Progressing("its change was not seen by its controller yet".to_owned());
    }
    match object.get("kind").and_then(Value::as_str).unwrap_or_default() {
        "Deployment" => deployment(object, observed),
        "StatefulSet" => stateful_set(object, observed),
        "DaemonSet" => daemon_set(object, observed),
        "Job" => job(object),
        "CustomResourceDefinition" => required(object, "Established"),
        "APIService" => required(object, "Available"),
        _ => Health::Healthy,
    }
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some(kind))
}

fn field<'a>(condition: &'a Value, name: &str) -> &'a str {
    condition.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn deployment(object: &Value, observed: Option<i64>) -> Health {
    if observed.is_none() {
        return Health::Progressing("was not seen by its controller yet".to_owned());
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let updated = number(object, "/status/updatedReplicas");
    let available = number(object, "/status/availableReplicas");
    let total = number(object, "/status/replicas");
    if updated < wanted {
        return Health::Progressing(format!("{updated} of {wanted} replicas updated"));
    }
    if total > updated {
        return Health::Progressing(format!("{} old replicas are still there", total - updated));
    }
    if available < wanted {
        return Health::Progressing(format!("{available} of {wanted} replicas available"));
    }
    Health::Healthy
}

fn stateful_set(object: &Value, observed: Option<i64>) -> Health {
    if observed.is_none() {
        return Health::Progressing("was not seen by its controller yet".to_owned());
    }
    let wanted = object.pointer("/spec/replicas").and_then(Value::as_i64).unwrap_or(1);
    let on_delete =
        object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    let updated = number(object, "/status/updatedReplicas");
    let ready = number(object, "/status/readyReplicas");
    if !on_delete && updated < wanted {
        return Health::Progressing(format!("{updated} of {wanted} replicas updated"));
    }
    if ready < wanted {
        return Health::Progressing(format!("{ready} of {wanted} replicas ready"));
    }
    Health::Healthy
}

fn daemon_set(object: &Value, observed: Option<i64>) -> Health {
    if observed.is_none() {
        return Health::Progressing("was not seen by its controller yet".to_owned());
    }
    let wanted = number(object, "/status/desiredNumberScheduled");
    let updated = number(object, "/status/updatedNumberScheduled");
    let available = number(object, "/status/numberAvailable");
    let on_delete =
        object.pointer("/spec/updateStrategy/type").and_then(Value::as_str) == Some("OnDelete");
    if !on_delete && updated < wanted {
        return Health::Progressing(format!("{updated} of {wanted} nodes updated"));
    }
    if available < wanted {
        return Health::Progressing(format!("{available} of {wanted} nodes available"));
    }
    Health::Healthy
}

fn job(object: &Value) -> Health {
    if let Some(failed) = condition(object, "Failed").filter(|c| field(c, "status") == "True") {
        return Health::Failed(format!(
            "failed: {}: {}",
            field(failed, "reason"),
            field(failed, "message")
        ));
    }
    if condition(object, "Complete").is_some_and(|c| field(c, "status") == "True") {
        return Health::Healthy;
    }
    Health::Progressing("has not ended yet".to_owned())
}

fn required(object: &Value, kind: &str) -> Health {
    match condition(object, kind) {
        Some(c) if field(c, "status") == "True" => Health::Healthy,
        Some(c) => Health::Progressing(format!("is not {kind}: {}", field(c, "message"))),
        None => Health::Progressing(format!("is not {kind} yet")),
    }
}

/// Why Pods do not come up: the first container that cannot be pulled, else that keeps failing.
#[must_use]
pub fn pod_blocker(pods: &[Value]) -> Option<(StalledReason, String)> {
    let found: Vec<(StalledReason, String)> = pods.iter().flat_map(container_blockers).collect();
    let pull = found.iter().find(|(reason, _)| *reason == StalledReason::ImagePullFailed);
    pull.or_else(|| found.first()).cloned()
}

fn container_blockers(pod: &Value) -> Vec<(StalledReason, String)> {
    let name = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let who = format!("Pod {}/{}", name("/metadata/namespace"), name("/metadata/name"));
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let all = statuses.iter().filter_map(|p| pod.pointer(p)?.as_array()).flatten();
    all.filter_map(|status| {
        let waiting = status.pointer("/state/waiting")?;
        let (reason, message) = (field(waiting, "reason"), field(waiting, "message"));
        let image = field(status, "image");
        match reason {
            "ErrImagePull" | "ImagePullBackOff" | "InvalidImageName" | "ImageInspectError" => {
                Some((StalledReason::ImagePullFailed, format!("{who}: image {image}: {message}")))
            }
            "CrashLoopBackOff"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError" => {
                let last = status.pointer("/lastState/terminated");
                let ended = last.map_or_else(String::new, |t| {
                    format!(
                        " (last exit code {})",
                        t.get("exitCode").and_then(Value::as_i64).unwrap_or_default()
                    )
                });
                Some((
                    StalledReason::ContainerFailing,
                    format!("{who}: {reason}: {message}{ended}"),
                ))
            }
            _ => None,
        }
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(kind: &str, spec: Value, status: Value) -> Health {
        health(&json!({
            "kind": kind, "metadata": { "generation": 2 }, "spec": spec, "status": status,
        }))
    }

    fn waits_for(health: &Health, part: &str) -> bool {
        matches!(health, Health::Progressing(why) if why.contains(part))
    }

    #[test]
    fn a_kind_is_healthy_by_its_own_rule() {
        let seen = |mut status: Value| {
            status["observedGeneration"] = json!(2);
            status
        };
        let replicas = json!({ "replicas": 2 });
        let on_delete = json!({ "replicas": 2, "updateStrategy": { "type": "OnDelete" } });
        let is = |kind: &str, status: &str| json!({ "conditions": [{ "type": kind, "status": status, "message": "why" }] });
        let deployed = json!({ "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2 });
        let stateful = json!({ "updatedReplicas": 2, "readyReplicas": 2 });
        let on_nodes = json!({
            "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3,
        });
        for (kind, spec, status) in [
            ("Deployment", &replicas, seen(deployed.clone())),
            ("StatefulSet", &replicas, seen(stateful)),
            ("StatefulSet", &on_delete, seen(json!({ "readyReplicas": 2 }))),
            ("DaemonSet", &replicas, seen(on_nodes)),
            ("Job", &replicas, is("Complete", "True")),
            ("CustomResourceDefinition", &replicas, is("Established", "True")),
            ("APIService", &replicas, is("Available", "True")),
            ("ConfigMap", &Value::Null, Value::Null),
        ] {
            assert_eq!(of(kind, spec.clone(), status.clone()), Health::Healthy, "{kind}: {status}");
        }
        for (kind, spec, status, part) in [
            ("Deployment", &replicas, deployed.clone(), "not seen"),
            ("Deployment", &replicas, seen(json!({ "updatedReplicas": 1 })), "1 of 2 replicas up"),
            (
                "Deployment",
                &replicas,
                seen(json!({ "replicas": 3, "updatedReplicas": 2, "availableReplicas": 2 })),
                "1 old replicas",
            ),
            (
                "Deployment",
                &replicas,
                seen(json!({ "replicas": 2, "updatedReplicas": 2, "availableReplicas": 1 })),
                "1 of 2 replicas available",
            ),
            ("StatefulSet", &replicas, seen(json!({ "readyReplicas": 2 })), "0 of 2 replicas up"),
            (
                "StatefulSet",
                &replicas,
                seen(json!({ "updatedReplicas": 2, "readyReplicas": 1 })),
                "1 of 2 replicas ready",
            ),
            ("StatefulSet", &replicas, Value::Null, "not seen"),
            (
                "DaemonSet",
                &replicas,
                seen(json!({ "desiredNumberScheduled": 3, "updatedNumberScheduled": 3 })),
                "0 of 3 nodes available",
            ),
            (
                "DaemonSet",
                &replicas,
                seen(json!({ "desiredNumberScheduled": 3 })),
                "0 of 3 nodes updated",
            ),
            ("Job", &replicas, Value::Null, "has not ended"),
            ("CustomResourceDefinition", &replicas, Value::Null, "is not Established yet"),
            ("APIService", &replicas, is("Available", "False"), "is not Available: why"),
        ] {
            let found = of(kind, spec.clone(), status.clone());
            assert!(waits_for(&found, part), "{kind}: {status}: {found:?}");
        }
        let failed = of("Job", Value::Null, is("Failed", "True"));
        assert!(matches!(failed, Health::Failed(why) if why.contains("why")));
    }

    #[test]
    fn what_its_controller_has_not_seen_is_never_healthy() {
        for kind in ["Deployment", "StatefulSet", "DaemonSet", "ConfigMap"] {
            let old = json!({
                "observedGeneration": 1, "replicas": 1, "updatedReplicas": 1,
                "availableReplicas": 1, "readyReplicas": 1,
            });
            let found = of(kind, json!({ "replicas": 1 }), old);
            assert!(waits_for(&found, "its change was not seen"), "{kind}: {found:?}");
        }
        let going = json!({ "kind": "ConfigMap", "metadata": { "deletionTimestamp": "now" } });
        assert!(waits_for(&health(&going), "is being deleted"));
    }
}
