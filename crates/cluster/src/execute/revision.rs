//! Which Pods of a workload are of its current revision. Those of an older one are about to go:
//! what is wrong with them is what the rollout mends.
//!
//! Only the workload and its Pods are read: to list ReplicaSets or ControllerRevisions is no right
//! of the operator.

use serde_json::Value;
use std::collections::BTreeMap;

/// Given by a Deployment's ReplicaSets.
const TEMPLATE_HASH: &str = "pod-template-hash";
/// Given by a StatefulSet; equal to its status.updateRevision.
const REVISION_HASH: &str = "controller-revision-hash";
/// Given by a DaemonSet, which has the same number in an annotation.
const TEMPLATE_GENERATION: &str = "pod-template-generation";
const TEMPLATE_GENERATION_ANNOTATION: &str = "deprecated.daemonset.template.generation";

/// The Pods that count for a rollout: those that are not being deleted and are of the current
/// revision, all where that is not known.
pub(super) fn current(live: &Value, mut pods: Vec<Value>) -> Vec<Value> {
    pods.retain(|pod| pod.pointer("/metadata/deletionTimestamp").is_none());
    if text(live, "/spec/updateStrategy/type") == Some("OnDelete") {
        return pods;
    }
    let (label, revision) = match live.get("kind").and_then(Value::as_str) {
        Some("Deployment") => (TEMPLATE_HASH, of_deployment(live, &pods)),
        Some("DaemonSet") => (TEMPLATE_GENERATION, of_daemon_set(live)),
        Some("StatefulSet") => (REVISION_HASH, of_stateful_set(live)),
        Some(_) | None => return pods,
    };
    let Some(revision) = revision else { return pods };
    // A Pod that does not say of which revision it is may be of the current one.
    pods.retain(|pod| self::label(pod, label).is_none_or(|of| of == revision));
    pods
}

fn text<'a>(object: &'a Value, pointer: &str) -> Option<&'a str> {
    object.pointer(pointer)?.as_str().filter(|text| !text.is_empty())
}

fn label<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    pod.pointer("/metadata/labels")?.get(name)?.as_str()
}

fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or_default()
}

/// Its own condition names the newest ReplicaSet; where it does not, the newest Pod is of it. The
/// empty revision, which no Pod has, where there is no Pod of it yet.
fn of_deployment(live: &Value, pods: &[Value]) -> Option<String> {
    let is_seen =
        number(live, "/status/observedGeneration") >= number(live, "/metadata/generation");
    if !is_seen || number(live, "/status/updatedReplicas") == 0 {
        return Some(String::new());
    }
    let hashes = || pods.iter().filter_map(|pod| label(pod, TEMPLATE_HASH));
    let named = replica_set(live).filter(|hash| hashes().any(|other| other == hash));
    named.or_else(|| newest(pods))
}

/// `ReplicaSet "own-5d8f7c" is progressing.` of the Deployment `own` is `5d8f7c`.
fn replica_set(live: &Value) -> Option<String> {
    let conditions = live.pointer("/status/conditions")?.as_array()?;
    let is = |c: &&Value| c.get("type").and_then(Value::as_str) == Some("Progressing");
    let message = conditions.iter().find(is)?.get("message")?.as_str()?;
    let name = message.split('"').nth(1)?;
    let hash = name.strip_prefix(text(live, "/metadata/name")?)?.strip_prefix('-')?;
    Some(hash.to_owned())
}

/// The revision of the Pod that was made last; None where two of different ones are as young.
fn newest(pods: &[Value]) -> Option<String> {
    let mut youngest: BTreeMap<&str, &str> = BTreeMap::new();
    for pod in pods {
        let made = text(pod, "/metadata/creationTimestamp")?;
        if let Some(hash) = label(pod, TEMPLATE_HASH) {
            let of_hash = youngest.entry(hash).or_insert(made);
            *of_hash = (*of_hash).max(made);
        }
    }
    let last = youngest.values().max()?;
    let mut all = youngest.iter().filter(|(_, made)| *made == last);
    let (hash, _) = all.next()?;
    all.next().is_none().then(|| (*hash).to_owned())
}

fn of_daemon_set(live: &Value) -> Option<String> {
    let annotations = live.pointer("/metadata/annotations")?;
    annotations.get(TEMPLATE_GENERATION_ANNOTATION)?.as_str().map(str::to_owned)
}

/// None where Pods of another revision may stay, or hold up those that come: one that is replaced
/// in its turn waits until every one before it is ready.
fn of_stateful_set(live: &Value) -> Option<String> {
    let is_parallel = text(live, "/spec/podManagementPolicy") == Some("Parallel");
    let is_parted = number(live, "/spec/updateStrategy/rollingUpdate/partition") > 0;
    let revision = text(live, "/status/updateRevision").map(str::to_owned);
    revision.filter(|_| is_parallel && !is_parted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, label: &str, revision: &str, minute: u32) -> Value {
        json!({ "metadata": {
            "name": name,
            "labels": { label: revision },
            "creationTimestamp": format!("2026-11-22T20:{minute:02}:00Z"),
        }})
    }

    fn names(live: &Value, pods: Vec<Value>) -> Vec<String> {
        let current = current(live, pods);
        current.iter().map(|p| p["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    fn deployment(updated: i64, message: &str) -> Value {
        json!({
            "kind": "Deployment",
            "metadata": { "name": "own", "generation": 2 },
            "status": {
                "observedGeneration": 2,
                "updatedReplicas": updated,
                "conditions": [{ "type": "Progressing", "message": message }],
            },
        })
    }

    #[test]
    fn pods_that_a_rollout_replaces_do_not_hold_it_up() {
        let pods = || vec![pod("old", TEMPLATE_HASH, "aa", 1), pod("new", TEMPLATE_HASH, "bb", 2)];
        let named = deployment(1, "ReplicaSet \"own-bb\" is progressing.");
        assert_eq!(names(&named, pods()), ["new"]);
        // An old Pod may be younger: it was evicted and made again.
        let evicted = vec![pod("old", TEMPLATE_HASH, "aa", 9), pod("new", TEMPLATE_HASH, "bb", 2)];
        assert_eq!(names(&named, evicted.clone()), ["new"]);
        // Without a condition that names it, the youngest Pod tells.
        assert_eq!(names(&deployment(1, "Deployment is paused"), pods()), ["new"]);
        assert_eq!(names(&deployment(1, ""), evicted), ["old"]);
        // No Pod of the new revision is there yet, or its controller did not see it.
        assert!(names(&deployment(0, "ReplicaSet \"own-aa\" is progressing."), pods()).is_empty());
        let mut unseen = named;
        unseen["metadata"]["generation"] = json!(3);
        assert!(names(&unseen, pods()).is_empty());
    }

    #[test]
    fn where_the_revision_is_not_known_all_pods_count() {
        let same = vec![pod("a", TEMPLATE_HASH, "aa", 1), pod("b", TEMPLATE_HASH, "bb", 1)];
        assert_eq!(names(&deployment(1, ""), same), ["a", "b"]);
        let bare = vec![pod("a", "app", "own", 1)];
        assert_eq!(names(&deployment(0, ""), bare.clone()), ["a"]);
        assert_eq!(names(&json!({ "kind": "Job" }), bare), ["a"]);
    }

    #[test]
    fn sets_tell_the_revision_of_their_pods() {
        let number = json!({ TEMPLATE_GENERATION_ANNOTATION: "2" });
        let mut daemons = json!({ "kind": "DaemonSet", "metadata": { "annotations": number } });
        let of = |label: &str| vec![pod("old", label, "1", 1), pod("new", label, "2", 2)];
        assert_eq!(names(&daemons, of(TEMPLATE_GENERATION)), ["new"]);
        daemons["spec"] = json!({ "updateStrategy": { "type": "OnDelete" } });
        assert_eq!(names(&daemons, of(TEMPLATE_GENERATION)), ["old", "new"]);
        let mut set = json!({
            "kind": "StatefulSet",
            "spec": { "podManagementPolicy": "Parallel" },
            "status": { "updateRevision": "2" },
        });
        assert_eq!(names(&set, of(REVISION_HASH)), ["new"]);
        // In their order, an old one that fails holds up the others for ever.
        set["spec"] = json!({});
        assert_eq!(names(&set, of(REVISION_HASH)), ["old", "new"]);
    }
}
