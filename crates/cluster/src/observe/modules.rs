//! Reads what a round about the plugins of a cluster needs, and the catalogue.

use super::{inventory, observed, parse, typed};
use crate::call::CallError;
use crate::server::{ApiServer, ListQuery};
use api::names::{
    ACCEPTED_RISK_ANNOTATION, CLUSTER_NAME_LABEL, LIFECYCLE_LABEL, MODULE_INFO_FINALIZER,
    MODULE_NAME_LABEL, NAMESPACE, PRODUCT_BASE,
};
use api::objects::{self as o, BlockingResource};
use jiff::Timestamp;
use planner::modules::{Catalogued, ConfigFacts, InfoFacts, LifecycleFact, World};
use planner::snapshot::Observed;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Objects that are named for whose sake a plugin must stay.
const STANDING_LIMIT: usize = 20;

/// Reads what decides about the plugins of a cluster. None: it has none, and nothing else was read.
///
/// # Errors
/// When its ModuleInfos cannot be read.
pub async fn world<A: ApiServer>(
    home: &A,
    server: &A,
    cluster: &str,
    now: Timestamp,
) -> Result<Option<World>, CallError> {
    let label = format!("{CLUSTER_NAME_LABEL}={cluster}");
    let infos = match readable::<o::ModuleInfo, _>(home, Some(&label)).await {
        Ok(infos) => infos,
        Err(CallError::KindAbsent(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    if infos.is_empty() {
        return Ok(None);
    }
    let (configs, object, shadow, base, app_releases, resource_patches) = futures::join!(
        configs(home),
        typed::<o::Cluster, _>(home, "", cluster),
        typed::<o::ClusterVersionShadow, _>(home, NAMESPACE, cluster),
        typed::<o::ProductBase, _>(home, "", PRODUCT_BASE),
        inventory::app_releases(server),
        inventory::resource_patches(server),
    );
    let labels = |c: o::Cluster| c.metadata.labels.unwrap_or_default();
    let mut world = World {
        now,
        cluster: cluster.to_owned(),
        labels: observed(object.map(|cluster| cluster.map(labels))),
        status: shadow?.and_then(|shadow| shadow.status).unwrap_or_default(),
        infos: infos.into_iter().map(info).collect(),
        configs: observed(configs),
        registry: observed(base.map(|b| b.map(|b| b.spec.registry.address).unwrap_or_default())),
        app_releases,
        resource_patches,
        standing: BTreeMap::new(),
    };
    world.standing = standing(server, &world).await;
    Ok(Some(world))
}

/// One ModuleInfo of a cluster as it is now; None where it is gone, or of another cluster.
///
/// # Errors
/// When it cannot be read.
pub async fn module_info<A: ApiServer>(
    home: &A,
    cluster: &str,
    name: &str,
) -> Result<Option<InfoFacts>, CallError> {
    let found = typed::<o::ModuleInfo, _>(home, "", name).await?;
    let of =
        |found: &o::ModuleInfo| found.metadata.labels.as_ref()?.get(CLUSTER_NAME_LABEL).cloned();
    Ok(found.filter(|found| of(found).as_deref() == Some(cluster)).map(info))
}

fn info(info: o::ModuleInfo) -> InfoFacts {
    let meta = info.metadata;
    let of = |map: &Option<BTreeMap<String, String>>, key: &str| {
        map.as_ref().and_then(|map| map.get(key).cloned()).unwrap_or_default()
    };
    InfoFacts {
        module: of(&meta.labels, MODULE_NAME_LABEL),
        accepted_risk: of(&meta.annotations, ACCEPTED_RISK_ANNOTATION),
        resource_version: meta.resource_version,
        generation: meta.generation,
        created: meta.creation_timestamp.map(|time| time.0),
        deleting: meta.deletion_timestamp.is_some(),
        held: meta.finalizers.iter().flatten().any(|f| f == MODULE_INFO_FINALIZER),
        name: meta.name.unwrap_or_default(),
        spec: info.spec,
        status: info.status.unwrap_or_default(),
    }
}

/// The objects of a kind; one that is malformed is left out and said so, for it must not hold up
/// the others.
async fn readable<K, A>(home: &A, labels: Option<&str>) -> Result<Vec<K>, CallError>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    A: ApiServer,
{
    let mut query = ListQuery::all(&K::api_version(&()), &K::kind(&()));
    query.labels = labels.map(str::to_owned);
    let all = home.list(&query).await?;
    let read = |value: Value| match parse::<K>(value) {
        Ok(found) => Some(found),
        Err(error) => {
            tracing::warn!(%error, kind = %K::kind(&()), "an object is malformed");
            None
        }
    };
    Ok(all.into_iter().filter_map(read).collect())
}

/// The published versions of every plugin.
async fn configs<A: ApiServer>(home: &A) -> Result<Vec<ConfigFacts>, CallError> {
    Ok(readable(home, None).await?.into_iter().map(config).collect())
}

fn config(found: o::ModuleConfig) -> ConfigFacts {
    let labels = found.metadata.labels.unwrap_or_default();
    let lifecycle = labels.get(LIFECYCLE_LABEL).and_then(|label| inventory::lifecycle(label));
    let status = found.status.unwrap_or_default();
    let is_observed = status.observed_generation == found.metadata.generation;
    ConfigFacts {
        generation: found.metadata.generation,
        is_observed,
        name: found.metadata.name.unwrap_or_default(),
        module: labels.get(MODULE_NAME_LABEL).cloned().unwrap_or_default(),
        lifecycle: lifecycle.map(LifecycleFact).unwrap_or_default(),
        spec: found.spec,
        ready: status.ready_for_deploy && is_observed,
        message: status.message,
    }
}

/// The objects for whose sake plugins that are being deleted must stay.
async fn standing<A: ApiServer>(
    server: &A,
    world: &World,
) -> BTreeMap<String, Observed<Vec<String>>> {
    let mut found = BTreeMap::new();
    for info in world.infos.iter().filter(|info| info.deleting) {
        // Without it, the plugin stays.
        let Some(config) = world.installed_config(info) else { continue };
        let mut names = Ok(Vec::new());
        for blocking in &config.spec.resources_block_remove {
            match (objects(server, blocking).await, &mut names) {
                (Ok(more), Ok(names)) => names.extend(more),
                (Err(error), names) => *names = Err(error),
                (Ok(_), Err(_)) => {}
            }
        }
        found.insert(info.name.clone(), observed(names));
    }
    found
}

async fn objects<A: ApiServer>(
    server: &A,
    blocking: &BlockingResource,
) -> Result<Vec<String>, CallError> {
    let mut query = ListQuery::all(&blocking.api_version, &blocking.kind);
    query.metadata_only = true;
    let all = match server.list(&query).await {
        Ok(all) => all,
        Err(CallError::KindAbsent(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let text = |object: &Value, key: &str| {
        let found = object.pointer(&format!("/metadata/{key}")).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
    let meant = all.into_iter().filter_map(|object| {
        let (namespace, name) = (text(&object, "namespace"), text(&object, "name"));
        (is(&blocking.namespace, &namespace) && is(&blocking.name, &name))
            .then(|| format!("{} {namespace}/{name}", blocking.kind))
    });
    Ok(meant.take(STANDING_LIMIT + 1).collect())
}

/// The catalogue: what is published, and where it is installed.
#[derive(Debug, Default)]
pub struct Catalogue {
    /// The published versions.
    pub configs: Vec<ConfigFacts>,
    /// The plugins, as they are.
    pub plugins: Vec<o::ModulePlugin>,
    /// What is installed on every cluster.
    pub installed: Vec<Catalogued>,
}

/// Reads the catalogue; empty on a platform that knows no plugins.
///
/// # Errors
/// When it cannot be read.
pub async fn catalogue<A: ApiServer>(home: &A) -> Result<Catalogue, CallError> {
    let plugins = match readable::<o::ModulePlugin, _>(home, None).await {
        Ok(plugins) => plugins,
        Err(CallError::KindAbsent(_)) => return Ok(Catalogue::default()),
        Err(error) => return Err(error),
    };
    let (configs, infos) = futures::join!(configs(home), readable::<o::ModuleInfo, _>(home, None));
    let of = |found: o::ModuleInfo| {
        let labels = found.metadata.labels.as_ref();
        let cluster = labels.and_then(|l| l.get(CLUSTER_NAME_LABEL).cloned()).unwrap_or_default();
        Catalogued { cluster, info: info(found) }
    };
    Ok(Catalogue { configs: configs?, plugins, installed: infos?.into_iter().map(of).collect() })
}
