//! The namespace and the kinds of what is recorded on each cluster. On the global one the
//! deployment of the operator brings them; to the others the operator does, before it records
//! anything there: what an older definition does not know the API server drops without a word.
//!
//! Must not know what is recorded. Kinds only grow: those of a newer operator stay.

use super::objects::at_version;
use super::{Contents, Executor, Stop};
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions};
use api::names::{CVO, GLOBAL, NAMESPACE};
use planner::apply::Decision;
use planner::health::{Health, health};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::sync::OnceCell;

/// Whether the kinds were found ready in this round. They are looked at when something is about to
/// be recorded, and once: a cluster on which nothing is to be done is asked for none of them.
#[derive(Debug, Default)]
pub struct Kinds(OnceCell<()>);

/// Brings the kinds to a workload cluster where they are not as this operator writes them.
///
/// # Errors
/// [`Stop::Waiting`] until the API server serves them.
pub(super) async fn ready<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
) -> Result<(), Stop> {
    if executor.cluster == GLOBAL {
        return Ok(());
    }
    executor.kinds.0.get_or_try_init(|| bring(executor)).await.copied()
}

async fn bring<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
) -> Result<(), Stop> {
    let namespace =
        json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
    if executor.server.get(&planner::apply::reference(&namespace)?).await?.is_none() {
        executor.server.create(&namespace).await?;
    }
    let definitions = api::crds::of_each_cluster().iter().map(|crd| json!(crd)).collect();
    let definitions = planner::apply::prepare(definitions, CVO)?;
    let mut live = BTreeMap::new();
    for definition in &definitions {
        if let Some(found) = executor.server.get(&definition.reference).await? {
            live.insert(definition.reference.clone(), found);
        }
    }
    let plan = planner::apply::plan_apply(definitions, &BTreeSet::new(), &live);
    let mut awaited = Vec::new();
    for (definition, decision) in plan.objects {
        let found = live.remove(&definition.reference);
        let found = if let (Decision::Skip, Some(found)) = (&decision, &found) {
            found.clone()
        } else {
            let version = found.as_ref().and_then(|f| f.pointer("/metadata/resourceVersion"));
            let body = at_version(definition.body, version.and_then(Value::as_str));
            executor.server.apply(&body, ApplyOptions { force: true, dry_run: false }).await?
        };
        if health(&found) != Health::Healthy {
            awaited.push(definition.reference.name);
        }
    }
    if awaited.is_empty() {
        return Ok(());
    }
    let (names, cluster) = (api::text::names(&awaited), executor.cluster);
    Err(Stop::Waiting(format!("{names} on cluster {cluster} to be Established")))
}
