//! Says why a Pod does not start, in the words of Kubernetes.

use super::text;
use crate::deploy::apply::conditions;
use api::names::CVO;
use serde_json::Value;

/// Why there are no Pods of a revision yet.
pub(super) fn of_set(set: &Value, deployment: &Value) -> String {
    let all = [conditions(set), conditions(deployment)].concat();
    let failure = all.iter().find(|(kind, status, _)| kind == "ReplicaFailure" && status == "True");
    match failure {
        Some((.., message)) => {
            format!("no Pod of {CVO} can be made: {}", api::text::line(message, 512))
        }
        None => format!("no Pod of {CVO} is there yet"),
    }
}

/// Why a Pod does not run; None where nothing stands in its way.
pub(super) fn of_pod(pod: &Value) -> Option<String> {
    let name = text(pod, "/metadata/name");
    let unscheduled = conditions(pod)
        .into_iter()
        .find(|(kind, status, _)| kind == "PodScheduled" && status == "False");
    let why = match unscheduled {
        Some((.., message)) => format!("no node takes it: {message}"),
        None => of_containers(pod)?,
    };
    Some(format!("Pod {name}: {}", api::text::line(&why, 512)))
}

fn of_containers(pod: &Value) -> Option<String> {
    let states = pod.pointer("/status/containerStatuses").and_then(Value::as_array)?;
    states.iter().find_map(|status| {
        let reason = text(status, "/state/waiting/reason");
        let message = text(status, "/state/waiting/message");
        if !matches!(reason, "" | "ContainerCreating" | "PodInitializing") {
            let last = text(status, "/lastState/terminated/message");
            let last = if last.is_empty() { String::new() } else { format!("; it said: {last}") };
            return Some(format!("{reason}: {message}{last}"));
        }
        let code = status.pointer("/state/terminated/exitCode").and_then(Value::as_i64)?;
        let said = text(status, "/state/terminated/message");
        Some(format!("it ended with {code} {said}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_cause_is_told_in_the_words_of_kubernetes() {
        let pod = |status: Value| json!({ "metadata": { "name": "cvo-1" }, "status": status });
        let waiting = |reason: &str, message: &str| {
            pod(json!({ "containerStatuses": [
                { "state": { "waiting": { "reason": reason, "message": message } } },
            ] }))
        };
        let pull = of_pod(&waiting("ImagePullBackOff", "r/acp: not found")).unwrap();
        assert_eq!(pull, "Pod cvo-1: ImagePullBackOff: r/acp: not found");
        assert_eq!(of_pod(&waiting("ContainerCreating", "")), None);
        let nowhere = json!({ "conditions": [
            { "type": "PodScheduled", "status": "False", "message": "0/1 nodes are available" },
        ] });
        assert!(of_pod(&pod(nowhere)).unwrap().contains("0/1 nodes"));
        let set = json!({ "status": { "conditions": [
            { "type": "ReplicaFailure", "status": "True", "message": "quota exceeded" },
        ] } });
        assert!(of_set(&set, &Value::Null).contains("quota exceeded"));
    }
}
