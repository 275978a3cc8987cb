//! What a component's Pods need to be pulled, and the rights that its objects need.

use super::objects::at_version;
use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::observe::typed;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions, Right};
use api::StalledReason;
use api::names::{NAMESPACE, PRODUCT_BASE, PULL_SECRET};
use api::objects::{Cluster, ObjectRef, ProductBase};
use api::release::ReleaseImage;
use futures::StreamExt as _;
use planner::apply::{ApplyPlan, Decision, Hook, is_protected, reference};
use planner::plan::ApplyStep;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What every chart is told of the cluster, and from where Pods pull.
pub(super) struct Registry {
    /// Facts of the cluster itself.
    cluster: Value,
    /// Host and port.
    pub(super) address: String,
    /// The data of the pull secret, where the platform has one.
    secret: Option<Value>,
}

/// What charts are told of the cluster: where it is registered with one, the address of its DNS
/// service. Nothing else: clusters that are told the same share their renderings.
async fn facts<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
) -> Result<Value, Stop> {
    let found = typed::<Cluster, _>(executor.home, "", executor.cluster).await?;
    let dns_ip = found.and_then(|cluster| cluster.status).unwrap_or_default().dns_ip;
    Ok(json!({ "dnsIP": dns_ip }))
}

/// Reads the platform's registry and pull secret, and the facts of the cluster.
pub(super) async fn registry<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
) -> Result<Registry, Stop> {
    let cluster = facts(executor).await?;
    let base = typed::<ProductBase, _>(executor.home, "", PRODUCT_BASE).await?;
    let registry = base.map(|b| b.spec.registry).unwrap_or_default();
    let Some(name) = registry.secret_ref.map(|s| s.name).filter(|n| !n.is_empty()) else {
        return Ok(Registry { cluster, address: registry.address, secret: None });
    };
    let found = executor.home.get(&secret_ref(NAMESPACE, &name)).await?;
    let secret = found.and_then(|s| {
        let kind = s.get("type")?.clone();
        Some(json!({ "type": kind, "data": s.get("data")?.clone() }))
    });
    if secret.is_none() {
        let message = format!(
            "the pull secret {NAMESPACE}/{name} of ProductBase.spec.registry.secretRef is missing"
        );
        let remedy = api::remedy::at_global(&format!(
            "create it with an account that can pull: kubectl -n {NAMESPACE} create secret docker-registry {name} --docker-server={} --docker-username=USER --docker-password=PASSWORD",
            registry.address
        ));
        return Err(Stop::BlockedUntil(StalledReason::ImagePullFailed, message, remedy));
    }
    Ok(Registry { cluster, address: registry.address, secret })
}

fn secret_ref(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn namespace_ref(name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Namespace".to_owned(),
        namespace: String::new(),
        name: name.to_owned(),
    }
}

impl Registry {
    /// The values that every chart gets under `global`.
    pub(super) fn values(&self, images: &BTreeMap<String, ReleaseImage>) -> Value {
        let secrets: Vec<Value> =
            self.secret.iter().map(|_| json!({ "name": PULL_SECRET })).collect();
        json!({
            "registry": { "address": self.address, "imagePullSecrets": secrets },
            "images": images,
            "cluster": self.cluster,
        })
    }

    /// Brings the pull secret into a namespace that is there, where it is another one.
    pub(super) async fn renew<A: ApiServer, R: Renderer, C: Contents>(
        &self,
        executor: &Executor<'_, A, R, C>,
        namespace: &str,
    ) -> Result<(), Stop> {
        match executor.server.get(&namespace_ref(namespace)).await? {
            Some(_) => self.bring(executor, namespace).await,
            None => Ok(()),
        }
    }

    /// Brings the namespace of a component and the pull secret in it.
    pub(super) async fn bring<A: ApiServer, R: Renderer, C: Contents>(
        &self,
        executor: &Executor<'_, A, R, C>,
        namespace: &str,
    ) -> Result<(), Stop> {
        if executor.server.get(&namespace_ref(namespace)).await?.is_none() {
            let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } });
            executor.server.create(&body).await?;
        }
        let Some(secret) = &self.secret else { return Ok(()) };
        let mut body = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": { "name": PULL_SECRET, "namespace": namespace },
        });
        if let (Some(body), Some(secret)) = (body.as_object_mut(), secret.as_object()) {
            body.extend(secret.clone());
        }
        let live = executor.server.get(&secret_ref(namespace, PULL_SECRET)).await?;
        if live.as_ref().and_then(|l| l.get("data")) != secret.get("data") {
            let version = live.as_ref().and_then(|l| l.pointer("/metadata/resourceVersion"));
            let body = at_version(body, version.and_then(Value::as_str));
            // The copy is ours alone.
            executor.server.apply(&body, ApplyOptions { force: true, dry_run: false }).await?;
        }
        Ok(())
    }
}

/// Asks for every right that a component needs before anything of it is written: for its objects,
/// its hooks, and the deletion of what the release no longer has.
pub(super) async fn rights<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    step: &ApplyStep,
    plan: &ApplyPlan,
    hooks: &[Hook],
) -> Result<(), Stop> {
    let mut rights = BTreeSet::new();
    let changing = plan.objects.iter().filter(|(_, decision)| *decision != Decision::Skip);
    for (object, decision) in changing {
        // Server-side apply asks for patch, and for create where the object is new.
        let verbs: &[&str] =
            if *decision == Decision::Create { &["patch", "create"] } else { &["patch"] };
        rights.extend(verbs.iter().map(|verb| right(verb, &object.reference)));
    }
    for hook in hooks {
        let object = reference(&hook.object)?;
        // A Job is made and, once it is old, deleted; what is beside it is applied.
        let is_job = object.kind == "Job";
        let verbs: &[&str] = match (is_job, hook.delete_on_success) {
            (true, _) => &["create", "delete"],
            (false, true) => &["create", "patch", "delete"],
            (false, false) => &["create", "patch"],
        };
        rights.extend(verbs.iter().map(|verb| right(verb, &object)));
    }
    let going = plan.obsolete.iter().filter(|o| !is_protected(o, &step.component.prune));
    rights.extend(going.map(|object| right("delete", object)));
    ask(executor, rights).await
}

/// Asks whether objects may be deleted before the first one is.
pub(super) async fn deletion<'a, A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    objects: impl Iterator<Item = &'a ObjectRef>,
) -> Result<(), Stop> {
    ask(executor, objects.map(|object| right("delete", object)).collect()).await
}

fn right(verb: &str, object: &ObjectRef) -> Right {
    Right {
        verb: verb.to_owned(),
        api_version: object.api_version.clone(),
        kind: object.kind.clone(),
        namespace: object.namespace.clone(),
    }
}

async fn ask<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    rights: BTreeSet<Right>,
) -> Result<(), Stop> {
    let asked: Vec<(Right, Result<bool, crate::CallError>)> = futures::stream::iter(rights)
        .map(|right| async move {
            let answer = executor.server.allowed(&right).await;
            (right, answer)
        })
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await;
    let mut missing = Vec::new();
    for (right, answer) in asked {
        match answer {
            Ok(true) => {}
            // A kind that the component itself defines is asked for once it is served.
            Err(crate::CallError::KindAbsent(_)) => {}
            Ok(false) => missing.push(format!(
                "{} {} in {}",
                right.verb,
                right.kind,
                place(&right.namespace)
            )),
            Err(error) => return Err(error.into()),
        }
    }
    missing.sort();
    if missing.is_empty() {
        return Ok(());
    }
    let message =
        format!("the operator may not {}; nothing was written", api::text::names(&missing));
    Err(Stop::Blocked(StalledReason::Forbidden, message))
}

fn place(namespace: &str) -> &str {
    if namespace.is_empty() { "the cluster" } else { namespace }
}
