//! What a component's Pods need to be pulled, and the rights that its objects need.

use super::{Contents, Executor, IN_FLIGHT, Stop};
use crate::observe::typed;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions, Right};
use api::StalledReason;
use api::names::{NAMESPACE, PRODUCT_BASE, PULL_SECRET};
use api::objects::{ObjectRef, ProductBase};
use api::release::ReleaseImage;
use futures::StreamExt as _;
use planner::apply::{ApplyPlan, Decision};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// From where Pods pull.
pub(super) struct Registry {
    /// Host and port.
    pub(super) address: String,
    /// The data of the pull secret, where the platform has one.
    secret: Option<Value>,
}

/// Reads the platform's registry and pull secret.
pub(super) async fn registry<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
) -> Result<Registry, Stop> {
    let base = typed::<ProductBase, _>(executor.server, "", PRODUCT_BASE).await?;
    let registry = base.map(|b| b.spec.registry).unwrap_or_default();
    let Some(name) = registry.secret_ref.map(|s| s.name).filter(|n| !n.is_empty()) else {
        return Ok(Registry { address: registry.address, secret: None });
    };
    let found = executor.server.get(&secret_ref(NAMESPACE, &name)).await?;
    let secret = found.and_then(|s| {
        let kind = s.get("type")?.clone();
        Some(json!({ "type": kind, "data": s.get("data")?.clone() }))
    });
    if secret.is_none() {
        let message = format!(
            "the pull secret {NAMESPACE}/{name} of ProductBase.spec.registry.secretRef is missing"
        );
        return Err(Stop::Blocked(StalledReason::ImagePullFailed, message));
    }
    Ok(Registry { address: registry.address, secret })
}

fn secret_ref(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: namespace.to_owned(),
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
        })
    }

    /// Brings the namespace of a component and the pull secret in it.
    pub(super) async fn bring<A: ApiServer, R: Renderer, C: Contents>(
        &self,
        executor: &Executor<'_, A, R, C>,
        namespace: &str,
    ) -> Result<(), Stop> {
        let reference = ObjectRef {
            api_version: "v1".to_owned(),
            kind: "Namespace".to_owned(),
            namespace: String::new(),
            name: namespace.to_owned(),
        };
        if executor.server.get(&reference).await?.is_none() {
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
            // The copy is ours alone.
            executor.server.apply(&body, ApplyOptions { force: true, dry_run: false }).await?;
        }
        Ok(())
    }
}

/// Asks for every right that the plan needs before anything is written.
pub(super) async fn rights<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    plan: &ApplyPlan,
) -> Result<(), Stop> {
    let changing = plan.objects.iter().filter(|(_, decision)| *decision != Decision::Skip);
    let rights: BTreeSet<Right> = changing
        .flat_map(|(object, decision)| {
            // Server-side apply asks for patch, and for create where the object is new.
            let verbs: &[&str] =
                if *decision == Decision::Create { &["patch", "create"] } else { &["patch"] };
            verbs.iter().map(|verb| Right {
                verb: (*verb).to_owned(),
                api_version: object.reference.api_version.clone(),
                kind: object.reference.kind.clone(),
                namespace: object.reference.namespace.clone(),
            })
        })
        .collect();
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
