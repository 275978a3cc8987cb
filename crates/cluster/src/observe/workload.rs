//! What runs on the cluster, as far as preflight asks: nodes, static Pods, CronJobs and left-over
//! Pods of container-runtime upgrades.

use super::observed;
use crate::server::{ApiServer, ListQuery};
use api::names::{COMPONENT_LABEL, CONTROL_PLANE_LABEL, PLATFORM_COMPONENT_LABEL};
use planner::snapshot::{CronJobFacts, NodeFacts, Observed, StaticPodFacts};
use serde_json::Value;
use std::collections::BTreeMap;

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let entries = labels.into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

fn qualified(object: &Value) -> String {
    format!("{}/{}", text(object, "/metadata/namespace"), text(object, "/metadata/name"))
}

pub(super) async fn nodes<A: ApiServer>(server: &A) -> Observed<Vec<NodeFacts>> {
    let all = server.list(&ListQuery::all("v1", "Node")).await;
    observed(all.map(|all| {
        all.iter()
            .map(|node| NodeFacts {
                name: text(node, "/metadata/name"),
                runtime: text(node, "/status/nodeInfo/containerRuntimeVersion"),
                control_plane: labels(node).contains_key(CONTROL_PLANE_LABEL),
            })
            .collect()
    }))
}

pub(super) async fn static_pods<A: ApiServer>(server: &A) -> Observed<Vec<StaticPodFacts>> {
    let query = ListQuery::all("v1", "Pod").within("kube-system").labelled("tier=control-plane");
    let all = server.list(&query).await;
    observed(all.map(|all| {
        all.iter()
            .map(|pod| StaticPodFacts {
                node: text(pod, "/spec/nodeName"),
                component: labels(pod).get(COMPONENT_LABEL).cloned().unwrap_or_default(),
                ready: is_ready(pod),
            })
            .collect()
    }))
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod.pointer("/status/conditions").and_then(Value::as_array);
    conditions.is_some_and(|all| {
        let is =
            |c: &Value, key: &str, value: &str| c.get(key).and_then(Value::as_str) == Some(value);
        all.iter().any(|c| is(c, "type", "Ready") && is(c, "status", "True"))
    })
}

pub(super) async fn cri_upgrade_pods<A: ApiServer>(server: &A) -> Observed<Vec<String>> {
    // Every Pod of every namespace is looked at, so only its metadata is asked for, and only what
    // is left over is kept.
    let query = ListQuery { metadata_only: true, ..ListQuery::all("v1", "Pod") };
    let left = server.list_where(&query, is_left_over).await;
    observed(left.map(|left| left.iter().map(qualified).collect()))
}

fn is_left_over(pod: &Value) -> bool {
    planner::preflight::is_left_over(&text(pod, "/metadata/name"), &labels(pod))
}

pub(super) async fn cron_jobs<A: ApiServer>(server: &A) -> Observed<Vec<CronJobFacts>> {
    let all = server.list(&ListQuery::all("batch/v1", "CronJob")).await;
    observed(all.map(|all| all.iter().map(cron_job).collect()))
}

fn cron_job(job: &Value) -> CronJobFacts {
    let pod = job.pointer("/spec/jobTemplate/spec/template/spec").cloned().unwrap_or(Value::Null);
    let list =
        |pointer: &str| pod.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let containers = [list("/containers"), list("/initContainers")].concat();
    let words = |container: &Value, key: &str| -> Vec<String> {
        let words = container.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
        words.iter().filter_map(|w| w.as_str().map(str::to_owned)).collect()
    };
    let mounts = list("/volumes")
        .iter()
        .flat_map(|volume| [text(volume, "/hostPath/path"), text(volume, "/secret/secretName")])
        .filter(|mount| !mount.is_empty())
        .collect();
    CronJobFacts {
        name: qualified(job),
        of_platform: labels(job).contains_key(PLATFORM_COMPONENT_LABEL),
        commands: containers
            .iter()
            .flat_map(|c| [words(c, "command"), words(c, "args")].concat())
            .collect(),
        mounts,
    }
}
