//! Waits until the operator that was deployed holds the Lease, and says meanwhile what it waits
//! for, down to the Pod that does not start. Must not write.

mod blocker;

use super::{Arriving, guard};
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::printer::Printer;
use api::names::{CVO, NAMESPACE};
use api::objects::ObjectRef;
use cluster::{ApiServer as _, CallError, ListQuery};
use indicatif::{ProgressBar, ProgressDrawTarget};
use serde_json::Value;
use std::time::{Duration, Instant};

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(500);
/// Annotation of Kubernetes that counts the revisions of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Label of Kubernetes on the Pods of one revision.
const HASH: &str = "pod-template-hash";
/// Label of the operator's Pods.
const SELECTOR: &str = "app.kubernetes.io/name";

/// How it is waited.
pub(super) struct Waiting {
    /// The longest wait.
    pub(super) timeout: Duration,
    /// Whether progress may be drawn.
    pub(super) is_terminal: bool,
}

/// What one look shows.
#[derive(Debug, Default)]
struct Look {
    deployment: Value,
    sets: Vec<Value>,
    pods: Vec<Value>,
    lease: Value,
}

/// Waits.
///
/// # Errors
/// When the time is over, with what was seen last; or when the cluster may not be asked.
pub(super) async fn wait(
    connection: &Connection,
    arriving: &Arriving,
    waiting: &Waiting,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let version = &arriving.version;
    let spinner = spinner(waiting.is_terminal);
    let mut shown = String::new();
    loop {
        let seen = match look(connection).await {
            Ok(look) => match judge(&look) {
                Ok(pod) => {
                    spinner.finish_and_clear();
                    return printer.say(&format!(
                        "Operator {version} leads: Pod {pod} holds the Lease {CVO}."
                    ));
                }
                Err(seen) => seen,
            },
            // Where we may not ask, waiting is of no use.
            Err(Failure::Cluster { source: CallError::Unavailable(error), .. }) => {
                format!("the API server does not answer: {error}")
            }
            Err(error) => return Err(error),
        };
        if began.elapsed() >= waiting.timeout {
            spinner.finish_and_clear();
            return Err(Failure::TimedOut {
                what: format!("operator {version} does not hold the Lease {NAMESPACE}/{CVO}"),
                seconds: waiting.timeout.as_secs(),
                seen,
                hints: vec![
                    format!("look: kubectl -n {NAMESPACE} describe pods -l {SELECTOR}={CVO}"),
                    format!("then: kubectl -n {NAMESPACE} logs deployment/{CVO}"),
                    "clear the cause and run the same command again; a longer wait is asked for with --timeout=10m".to_owned(),
                ],
            });
        }
        let line = format!("Waiting for operator {version}: {seen}");
        if waiting.is_terminal {
            spinner.set_message(line);
        } else if line != shown {
            printer.note(&line);
            shown = line;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

fn spinner(is_terminal: bool) -> ProgressBar {
    if !is_terminal {
        return ProgressBar::hidden();
    }
    let spinner = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    spinner.enable_steady_tick(Duration::from_millis(200));
    spinner
}

async fn look(connection: &Connection) -> Result<Look, Failure> {
    let server = &connection.server;
    let query = |version: &str, kind: &str| {
        let labels = format!("{SELECTOR}={CVO}");
        ListQuery::all(version, kind).within(NAMESPACE).labelled(&labels)
    };
    let lease = ObjectRef {
        api_version: "coordination.k8s.io/v1".to_owned(),
        kind: "Lease".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: CVO.to_owned(),
    };
    let (sets, pods) = (query("apps/v1", "ReplicaSet"), query("v1", "Pod"));
    let deployment = guard::deployment();
    let read = futures::try_join!(
        server.get(&deployment),
        server.list(&sets),
        server.list(&pods),
        server.get(&lease),
    );
    let read = read.map_err(connection.failed("read the state of the operator"))?;
    let (deployment, sets, pods, lease) = read;
    Ok(Look {
        deployment: deployment.unwrap_or(Value::Null),
        sets,
        pods,
        lease: lease.unwrap_or(Value::Null),
    })
}

fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn entry<'a>(object: &'a Value, map: &str, key: &str) -> Option<&'a str> {
    object.pointer(map).and_then(|map| map.get(key)).and_then(Value::as_str)
}

/// The Pod of the new operator that leads, or what is waited for.
fn judge(look: &Look) -> Result<String, String> {
    let deployment = &look.deployment;
    let number = |pointer: &str| deployment.pointer(pointer).and_then(Value::as_i64);
    let is_seen = number("/status/observedGeneration") >= number("/metadata/generation");
    let revision = entry(deployment, "/metadata/annotations", REVISION);
    let current = look.sets.iter().find(|set| {
        revision.is_some() && entry(set, "/metadata/annotations", REVISION) == revision
    });
    let Some(set) = current.filter(|_| is_seen) else {
        return Err(format!("Deployment {CVO} is not taken up by its controller yet"));
    };
    let hash = entry(set, "/metadata/labels", HASH);
    let is_new = |pod: &&Value| {
        entry(pod, "/metadata/labels", HASH) == hash
            && pod.pointer("/metadata/deletionTimestamp").is_none()
    };
    let pods: Vec<&Value> = look.pods.iter().filter(is_new).collect();
    if pods.is_empty() {
        return Err(blocker::of_set(set, deployment));
    }
    let holder = text(&look.lease, "/spec/holderIdentity");
    let leads = |pod: &&&Value| {
        let name = text(pod, "/metadata/name");
        let is_holder = holder == name
            || holder.strip_prefix(name).is_some_and(|rest| rest.starts_with(['_', '/']));
        is_holder && text(pod, "/status/phase") == "Running" && blocker::of_pod(pod).is_none()
    };
    if let Some(pod) = pods.iter().find(leads) {
        return Ok(text(pod, "/metadata/name").to_owned());
    }
    if let Some(blocker) = pods.iter().find_map(|pod| blocker::of_pod(pod)) {
        return Err(blocker);
    }
    let running = pods.iter().filter(|pod| text(pod, "/status/phase") == "Running").count();
    let holder = match api::text::line(holder, 128) {
        none if none.is_empty() => "nobody holds the Lease".to_owned(),
        holder => format!("{holder} holds the Lease"),
    };
    Err(format!("{running} of {} new Pods run; {holder}", pods.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(name: &str, hash: &str, phase: &str) -> Value {
        json!({
            "metadata": { "name": name, "labels": { HASH: hash } },
            "status": { "phase": phase },
        })
    }

    fn seen(pods: Vec<Value>, holder: &str) -> Look {
        let set = |revision: &str, hash: &str| {
            let annotations = json!({ REVISION: revision });
            json!({ "metadata": { "annotations": annotations, "labels": { HASH: hash } } })
        };
        Look {
            deployment: json!({
                "metadata": { "generation": 2, "annotations": { REVISION: "2" } },
                "status": { "observedGeneration": 2 },
            }),
            sets: vec![set("1", "old"), set("2", "new")],
            pods,
            lease: json!({ "spec": { "holderIdentity": holder } }),
        }
    }

    #[test]
    fn only_a_pod_of_the_new_revision_counts() {
        let pods = || vec![pod("cvo-old", "old", "Running"), pod("cvo-new", "new", "Running")];
        assert_eq!(judge(&seen(pods(), "cvo-new")).unwrap(), "cvo-new");
        assert_eq!(judge(&seen(pods(), "cvo-new_1234")).unwrap(), "cvo-new");
        let waits = judge(&seen(pods(), "cvo-old")).unwrap_err();
        assert_eq!(waits, "1 of 1 new Pods run; cvo-old holds the Lease");
        assert!(judge(&seen(pods(), "")).unwrap_err().contains("nobody holds"));
        assert!(judge(&seen(pods(), "cvo-new2")).is_err());
        let mut ending = pod("cvo-new", "new", "Running");
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert!(judge(&seen(vec![ending], "cvo-new")).is_err());
    }

    #[test]
    fn what_the_controller_has_not_seen_does_not_count() {
        let mut look = seen(vec![pod("cvo-new", "new", "Running")], "cvo-new");
        look.deployment["metadata"]["generation"] = json!(3);
        assert!(judge(&look).unwrap_err().contains("not taken up"));
    }
}
