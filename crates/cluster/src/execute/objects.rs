//! The objects of a component: read, sent in waves, looked at.

use super::{Contents, Executor, IN_FLIGHT, Stop, revision};
use crate::call::CallError;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions, ListQuery};
use api::StalledReason;
use api::names::OWNER_LABEL;
use api::objects::ObjectRef;
use futures::StreamExt as _;
use planner::apply::{ApplyPlan, Decision, Prepared, Wave};
use planner::health::{Health, health, pod_blocker};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// Workloads whose health is waited for, besides definitions.
const WATCHED: [&str; 6] =
    ["Deployment", "StatefulSet", "DaemonSet", "Job", "CustomResourceDefinition", "APIService"];

/// Kinds by which an API server comes to serve others.
const BRINGS_KINDS: [&str; 2] = ["CustomResourceDefinition", "APIService"];

/// So many objects of a kind that may be there in a namespace are asked for by one list.
const MANY: usize = 16;

/// The live objects of a component: those with its label by list, the others one by one.
pub(super) async fn live<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    owner: &str,
    objects: &[ObjectRef],
) -> Result<BTreeMap<ObjectRef, Value>, Stop> {
    let kinds: BTreeSet<(String, String)> =
        objects.iter().map(|o| (o.api_version.clone(), o.kind.clone())).collect();
    let mut found = BTreeMap::new();
    for (api_version, kind) in kinds {
        let query = ListQuery::all(&api_version, &kind).labelled(&format!("{OWNER_LABEL}={owner}"));
        match executor.server.list(&query).await {
            Ok(list) => {
                for object in list {
                    found.insert(planner::apply::reference(&object)?, object);
                }
            }
            // The component brings the kind with it, or its account may not list it everywhere.
            Err(CallError::KindAbsent(_) | CallError::Forbidden(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let missing = objects.iter().filter(|o| !found.contains_key(*o)).collect();
    let missing = perhaps_there(executor, missing).await?;
    let read: Vec<Result<(ObjectRef, Option<Value>), CallError>> = futures::stream::iter(missing)
        .map(|object| async move { Ok((object.clone(), executor.server.get(object).await?)) })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    for result in read {
        let (reference, live) = result?;
        if let Some(live) = live {
            found.insert(reference, live);
        }
    }
    Ok(found)
}

/// Those of the objects that are there, as far as one list tells: a large component that is new has
/// none of them, and is not asked for each.
async fn perhaps_there<'o, A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    mut objects: Vec<&'o ObjectRef>,
) -> Result<Vec<&'o ObjectRef>, Stop> {
    let group = |o: &ObjectRef| (o.api_version.clone(), o.kind.clone(), o.namespace.clone());
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for object in &objects {
        *counts.entry(group(object)).or_default() += 1;
    }
    for (many, _) in counts.into_iter().filter(|(_, count)| *count >= MANY) {
        let mut query = ListQuery::all(&many.0, &many.1);
        query.metadata_only = true;
        let query = if many.2.is_empty() { query } else { query.within(&many.2) };
        let there = match executor.server.list(&query).await {
            Ok(there) => there,
            // Its account may read it where it may not list it.
            Err(CallError::KindAbsent(_) | CallError::Forbidden(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        let name =
            |o: &Value| o.pointer("/metadata/name").and_then(Value::as_str).map(str::to_owned);
        let there: BTreeSet<String> = there.iter().filter_map(name).collect();
        objects.retain(|o| group(o) != many || there.contains(&o.name));
    }
    Ok(objects)
}

/// Leaves the replica count of workloads that an autoscaler scales to it.
pub(super) async fn without_scaled_replicas<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    mut objects: Vec<Value>,
    live: &BTreeMap<ObjectRef, Value>,
    predecessors: &BTreeSet<String>,
) -> Result<Vec<Value>, Stop> {
    let text = |o: &Value, pointer: &str| {
        o.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let scalable = |o: &Value| o.pointer("/spec/replicas").is_some();
    let namespaces: BTreeSet<String> =
        objects.iter().filter(|o| scalable(o)).map(|o| text(o, "/metadata/namespace")).collect();
    let mut scaled = BTreeSet::new();
    for namespace in namespaces {
        let query = ListQuery::all("autoscaling/v2", "HorizontalPodAutoscaler").within(&namespace);
        let list = match executor.server.list(&query).await {
            Ok(list) => list,
            Err(CallError::KindAbsent(_)) => continue,
            Err(error) => return Err(error.into()),
        };
        scaled.extend(list.iter().map(|hpa| {
            (
                namespace.clone(),
                text(hpa, "/spec/scaleTargetRef/kind"),
                text(hpa, "/spec/scaleTargetRef/name"),
            )
        }));
    }
    for object in objects.iter_mut().filter(|o| scalable(o)) {
        let key = (
            text(object, "/metadata/namespace"),
            text(object, "/kind"),
            text(object, "/metadata/name"),
        );
        if scaled.contains(&key) {
            let live = live.get(&planner::apply::reference(object)?);
            planner::apply::leave_replicas(object, live, predecessors);
        }
    }
    Ok(objects)
}

/// Sends what differs, wave by wave, and gives the live objects afterwards.
pub(super) async fn send<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    plan: &ApplyPlan,
    mut live: BTreeMap<ObjectRef, Value>,
    forced: &BTreeSet<ObjectRef>,
) -> Result<BTreeMap<ObjectRef, Value>, Stop> {
    let waves: BTreeSet<Wave> = plan.objects.iter().map(|(o, _)| o.wave).collect();
    for wave in waves {
        let of_wave = plan.objects.iter().filter(|(o, d)| o.wave == wave && *d != Decision::Skip);
        let jobs: Vec<(&Prepared, Value, bool)> = of_wave
            .map(|(object, _)| {
                let body = with_version(&object.body, live.get(&object.reference));
                (object, body, forced.contains(&object.reference))
            })
            .collect();
        let sent: Vec<(&Prepared, Result<Value, CallError>)> = futures::stream::iter(jobs)
            .map(|(object, body, force)| async move {
                let options = ApplyOptions { force, dry_run: false };
                (object, executor.server.apply(&body, options).await)
            })
            .buffer_unordered(IN_FLIGHT)
            .collect()
            .await;
        let mut failed = None;
        for (object, answer) in sent {
            match answer {
                Ok(value) => drop(live.insert(object.reference.clone(), value)),
                // A version that a definition just gained is served a moment later.
                Err(CallError::KindAbsent(kind)) if is_defined(plan, &object.reference) => {
                    let text = format!("{}: {kind} is not served yet", object.reference);
                    failed = Some(worse(failed, Stop::Waiting(text)));
                }
                Err(error) => {
                    let stop = named(&object.reference, error);
                    failed = Some(worse(failed, stop));
                }
            }
        }
        if let Some(stop) = failed {
            return Err(stop);
        }
        if wave == Wave::Definitions {
            healthy_wave(plan, &live, wave)?;
        }
    }
    Ok(live)
}

/// Whether the component itself defines the kind of an object in its version.
fn is_defined(plan: &ApplyPlan, reference: &ObjectRef) -> bool {
    let version = reference.api_version.rsplit('/').next().unwrap_or_default();
    plan.objects.iter().filter(|(o, _)| o.wave == Wave::Definitions).any(|(definition, _)| {
        let spec = |pointer: &str| definition.body.pointer(&format!("/spec{pointer}"));
        let versions = spec("/versions").and_then(Value::as_array);
        spec("/group").and_then(Value::as_str) == Some(reference.group())
            && spec("/names/kind").and_then(Value::as_str) == Some(reference.kind.as_str())
            && versions.into_iter().flatten().any(|v| {
                v.get("name").and_then(Value::as_str) == Some(version)
                    && v.get("served").and_then(Value::as_bool) == Some(true)
            })
    })
}

/// What was just read must still be what is changed; the body of an object that is not there says
/// nothing of versions.
fn with_version(body: &Value, live: Option<&Value>) -> Value {
    let version = live.and_then(|l| l.pointer("/metadata/resourceVersion")).and_then(Value::as_str);
    at_version(body.clone(), version)
}

/// A body that is refused unless the object still is of this resourceVersion: whoever led before
/// and was late changes nothing.
pub(super) fn at_version(mut body: Value, version: Option<&str>) -> Value {
    if let (Some(version), Some(body)) = (version, body.as_object_mut()) {
        let metadata = body.entry("metadata").or_insert_with(|| json!({}));
        if let Some(metadata) = metadata.as_object_mut() {
            metadata.insert("resourceVersion".to_owned(), json!(version));
        }
    }
    body
}

/// With the object that it is about.
pub(super) fn named(reference: &ObjectRef, error: CallError) -> Stop {
    match Stop::from(error) {
        Stop::Waiting(text) => Stop::Waiting(format!("{reference}: {text}")),
        Stop::Blocked(reason, text) => Stop::Blocked(reason, format!("{reference}: {text}")),
        Stop::BlockedUntil(reason, text, remedy) => {
            Stop::BlockedUntil(reason, format!("{reference}: {text}"), remedy)
        }
    }
}

/// Of two stops the one that needs a person is said.
fn worse(first: Option<Stop>, second: Stop) -> Stop {
    match first {
        Some(blocked @ (Stop::Blocked(..) | Stop::BlockedUntil(..))) => blocked,
        _ => second,
    }
}

fn healthy_wave(
    plan: &ApplyPlan,
    live: &BTreeMap<ObjectRef, Value>,
    wave: Wave,
) -> Result<(), Stop> {
    for (object, _) in plan.objects.iter().filter(|(o, _)| o.wave == wave) {
        if let Some(Health::Progressing(why)) = live.get(&object.reference).map(health) {
            return Err(Stop::Waiting(format!("{} {why}", object.reference)));
        }
    }
    Ok(())
}

/// Looks at the health of everything that runs.
pub(super) async fn healthy<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    plan: &ApplyPlan,
    live: &BTreeMap<ObjectRef, Value>,
) -> Result<(), Stop> {
    for (object, _) in &plan.objects {
        if !WATCHED.contains(&object.reference.kind.as_str()) {
            continue;
        }
        let Some(found) = live.get(&object.reference) else {
            return Err(Stop::Waiting(format!("{} is not there yet", object.reference)));
        };
        match health(found) {
            Health::Healthy => {}
            Health::Failed(why) => {
                let message = format!("{} {why}", object.reference);
                return Err(Stop::Blocked(StalledReason::TimedOut, message));
            }
            Health::Progressing(why) => {
                return Err(why_not(executor, &object.reference, found, &why).await);
            }
        }
    }
    let brings_kinds =
        |(object, _): &(Prepared, Decision)| BRINGS_KINDS.contains(&object.reference.kind.as_str());
    if plan.objects.iter().any(brings_kinds) {
        executor.server.forget_kinds().await;
    }
    Ok(())
}

/// Why a workload does not come up, down to its Pods.
pub(super) async fn why_not<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    reference: &ObjectRef,
    live: &Value,
    why: &str,
) -> Stop {
    let waiting = Stop::Waiting(format!("{reference}: {why}"));
    let labels = live.pointer("/spec/selector/matchLabels").and_then(Value::as_object);
    let Some(labels) = labels.filter(|l| !l.is_empty()) else { return waiting };
    let pairs: Vec<String> =
        labels.iter().filter_map(|(k, v)| Some(format!("{k}={}", v.as_str()?))).collect();
    let query = ListQuery::all("v1", "Pod").within(&reference.namespace).labelled(&pairs.join(","));
    let pods = match executor.server.list(&query).await {
        Ok(pods) => pods,
        Err(error) => {
            return Stop::Waiting(format!("{reference}: {why}; its Pods are not known: {error}"));
        }
    };
    match pod_blocker(&revision::current(live, pods)) {
        Some((reason, message)) => Stop::Blocked(reason, format!("{reference}: {why}; {message}")),
        None => waiting,
    }
}

/// The minimal object by which something is deleted: what was read, without its contents.
pub(super) fn identity(live: &Value) -> Value {
    let of = |pointer: &str| live.pointer(pointer).cloned().unwrap_or(Value::Null);
    json!({
        "apiVersion": of("/apiVersion"),
        "kind": of("/kind"),
        "metadata": {
            "name": of("/metadata/name"),
            "namespace": of("/metadata/namespace"),
            "uid": of("/metadata/uid"),
            "resourceVersion": of("/metadata/resourceVersion"),
        },
    })
}
