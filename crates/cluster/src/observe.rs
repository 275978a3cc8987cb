//! Reads what a round needs into a Snapshot. What cannot be read is Unknown with the reason; a kind
//! that is not served is KindAbsent; neither is ever taken for empty.

mod fleet;
mod inventory;
mod modules;
mod route;
mod workload;

pub use fleet::{Fleet, LiveFleet};
pub use inventory::{Patches, patch_specs};
pub use modules::{Catalogue, catalogue, module_info, world};
pub use route::{NoRoute, Place, Route, config_of, place, route};

use crate::call::CallError;
use crate::execute::ContentError;
use crate::server::{ApiServer, ListQuery};
use api::names::{
    ADMIN_ACKS, ADMIN_GATES, CVO_CONFIG, CVO_CONFIG_PREFLIGHT, GLOBAL, LICENSE_KEY, NAMESPACE,
    PLATFORM_LICENSE, PRODUCT_BASE, RELEASE_KEYS, RELEASE_LICENSE_KEYS,
};
use api::objects::{self as o, ObjectRef, object_ref};
use api::{Release, Version};
use futures::StreamExt as _;
use jiff::Timestamp;
use planner::snapshot::{
    ClusterModuleFacts, ClusterObjectFacts, CvshFacts, ManifestFacts, ManifestReady, ModuleShown,
    Observed, ProductBaseFacts, Snapshot,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::BTreeMap;

/// Releases that are read at a time: each may have 64 MiB, and the operator's memory has an end.
const RELEASES_IN_FLIGHT: usize = 2;

/// How much of the world is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// What an upgrade that runs needs.
    Upgrade,
    /// Everything, preflight's inputs included.
    Preflight,
}

/// Gives the release inside a product image, from a cache where it can.
pub trait Releases: Sync {
    /// The release of an image with its digest; the error says why there is none.
    fn release(&self, image: &str) -> impl Future<Output = Result<Release, ContentError>> + Send;
}

/// What a round is about.
#[derive(Debug, Clone)]
pub struct Subject {
    /// Name of the cluster.
    pub cluster: String,
    /// Version of the operator.
    pub cvo_version: Version,
    /// The time.
    pub now: Timestamp,
}

impl Subject {
    /// Whether it is the global cluster.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.cluster == GLOBAL
    }
}

/// The API servers that a round reads.
#[derive(Debug)]
pub struct Servers<'a, A> {
    /// Of the global cluster: what is recorded of the platform and of every cluster.
    pub home: &'a A,
    /// Of the cluster that the round is about; for the global cluster itself, the same.
    pub server: &'a A,
}

impl<A> Clone for Servers<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Servers<'_, A> {}

/// Reads the world for a round about a cluster whose own object was read: without that there is no
/// round, while everything else may be unknown.
pub async fn observe<A: ApiServer, R: Releases, F: Fleet>(
    servers: Servers<'_, A>,
    releases: &R,
    fleet: &F,
    subject: &Subject,
    shadow: Option<o::ClusterVersionShadow>,
    depth: Depth,
) -> Snapshot {
    let Servers { home, server } = servers;
    let cluster = subject.cluster.as_str();
    let cvsh = shadow.map(|c| CvshFacts {
        generation: c.metadata.generation,
        desired_update: c.spec.desired_update,
        status: c.status.unwrap_or_default(),
    });
    let mut snapshot = Snapshot {
        now: subject.now,
        cvo_version: Some(subject.cvo_version.clone()),
        cluster: cluster.to_owned(),
        is_global: subject.is_global(),
        cvsh,
        ..Snapshot::default()
    };
    let needed = Needed::of(&snapshot.status());
    let (base, module, object, app_releases, patches, manifests) = futures::join!(
        product_base(home),
        cluster_module(home, cluster),
        cluster_object(home, cluster),
        inventory::app_releases(server),
        inventory::resource_patches(server),
        manifests(home, releases, &needed),
    );
    if !subject.is_global() {
        snapshot.reached_by_global = fleet::reached_by_global(home).await;
    }
    snapshot.product_base = base;
    snapshot.cluster_module = module;
    snapshot.cluster_object = object;
    snapshot.app_releases = app_releases;
    snapshot.resource_patches = patches;
    snapshot.manifests = manifests;
    let desired = snapshot.status().desired.filter(|d| !d.image.is_empty());
    if let Some(desired) = desired {
        snapshot.desired_release = match releases.release(&desired.image).await {
            Ok(release) => Observed::Value(release),
            Err(error) => {
                snapshot.desired_release_is_invalid = matches!(error, ContentError::Invalid(_));
                Observed::Unknown(error.to_string())
            }
        };
    }
    if depth == Depth::Upgrade && moves_plugins(&snapshot) {
        snapshot.module_infos = inventory::module_infos(home, cluster).await;
    }
    if depth == Depth::Preflight {
        read_preflight_inputs(servers, fleet, &mut snapshot).await;
    }
    snapshot
}

/// Whether the upgrade under way moves plugins as well.
fn moves_plugins(snapshot: &Snapshot) -> bool {
    let stages = snapshot.cvsh.iter().flat_map(|cvsh| &cvsh.status.stages);
    stages.flat_map(|stage| &stage.operations).any(|o| !o.module_info.is_empty())
}

/// Reads what only preflight looks at.
pub async fn read_preflight_inputs<A: ApiServer, F: Fleet>(
    servers: Servers<'_, A>,
    fleet: &F,
    snapshot: &mut Snapshot,
) {
    let Servers { home, server } = servers;
    let cluster = snapshot.cluster.clone();
    let (config, gates, acks, keys, license) = futures::join!(
        config_map(home, CVO_CONFIG),
        config_map(home, ADMIN_GATES),
        config_map(home, ADMIN_ACKS),
        config_map(home, RELEASE_KEYS),
        license(home),
    );
    snapshot.cvo_config_editor = config.value().and_then(|c| c.editor.clone());
    snapshot.cvo_config = map(config, |c| c.data.get(CVO_CONFIG_PREFLIGHT).cloned());
    snapshot.admin_gates = map(gates, |c| c.data);
    snapshot.admin_acks = map(acks, |c| c.data);
    snapshot.release_keys = map(keys, |c| {
        let keys = c.data.get(RELEASE_LICENSE_KEYS)?;
        Some(keys.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect())
    });
    snapshot.license = license;
    let (nodes, pods, jobs, cri, infos, configs, kubernetes) = futures::join!(
        workload::nodes(server),
        workload::static_pods(server),
        workload::cron_jobs(server),
        workload::cri_upgrade_pods(server),
        inventory::module_infos(home, &cluster),
        inventory::module_configs(home),
        fleet::kubernetes_versions(servers, fleet, &cluster),
    );
    snapshot.nodes = nodes;
    snapshot.static_pods = pods;
    snapshot.cron_jobs = jobs;
    snapshot.cri_upgrade_pods = cri;
    snapshot.module_infos = infos;
    snapshot.module_configs = configs;
    snapshot.kubernetes = kubernetes;
}

/// An object as its type; None where there is none.
///
/// # Errors
/// When it cannot be read or is not of the type.
pub async fn typed<K, A>(server: &A, namespace: &str, name: &str) -> Result<Option<K>, CallError>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    A: ApiServer,
{
    let Some(value) = server.get(&object_ref::<K>(namespace, name)).await? else { return Ok(None) };
    parse(value).map(Some)
}

/// An object as its type.
pub(crate) fn parse<K: DeserializeOwned>(value: Value) -> Result<K, CallError> {
    let name =
        value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    serde_json::from_value(value)
        .map_err(|error| CallError::Unexpected(api::text::line(&format!("{name}: {error}"), 256)))
}

/// Objects of a type.
async fn typed_list<K, A>(server: &A, labels: Option<&str>) -> Result<Vec<K>, CallError>
where
    K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    A: ApiServer,
{
    let mut query = ListQuery::all(&K::api_version(&()), &K::kind(&()));
    query.labels = labels.map(str::to_owned);
    let all = server.list(&query).await?;
    all.into_iter().map(parse).collect()
}

fn observed<T>(result: Result<T, CallError>) -> Observed<T> {
    match result {
        Ok(value) => Observed::Value(value),
        Err(CallError::KindAbsent(_)) => Observed::KindAbsent,
        Err(error) => Observed::Unknown(api::text::message(&error.to_string())),
    }
}

fn map<T, U>(observed: Observed<T>, f: impl FnOnce(T) -> U) -> Observed<U> {
    match observed {
        Observed::Value(value) => Observed::Value(f(value)),
        Observed::KindAbsent => Observed::KindAbsent,
        Observed::Unknown(error) => Observed::Unknown(error),
        Observed::NotRead => Observed::NotRead,
    }
}

async fn product_base<A: ApiServer>(server: &A) -> Observed<Option<ProductBaseFacts>> {
    let found = typed::<o::ProductBase, _>(server, "", PRODUCT_BASE).await;
    observed(found.map(|base| {
        base.map(|b| {
            let status = b.status.unwrap_or_default();
            ProductBaseFacts {
                spec_version: b.spec.version,
                status_version: status.version,
                global_id: status.global_id,
            }
        })
    }))
}

async fn cluster_module<A: ApiServer>(
    server: &A,
    cluster: &str,
) -> Observed<Option<ClusterModuleFacts>> {
    let found = typed::<o::ClusterModule, _>(server, "", cluster).await;
    observed(found.map(|module| {
        module.map(|m| {
            let status = m.status.unwrap_or_default();
            let shown = status.base.as_ref().map(|base| ModuleShown {
                upgradable: status.upgradable,
                unable_upgrade_reason: status.unable_upgrade_reason,
                app_releases: base.app_releases.iter().cloned().collect(),
            });
            let base = status.base.unwrap_or_default();
            ClusterModuleFacts {
                spec_version: m.spec.version,
                base_version: base.version,
                deploy_status: base.deploy_status,
                running_status: base.running_status,
                shown,
            }
        })
    }))
}

async fn cluster_object<A: ApiServer>(
    server: &A,
    cluster: &str,
) -> Observed<Option<ClusterObjectFacts>> {
    let found = typed::<o::Cluster, _>(server, "", cluster).await;
    observed(found.map(|cluster| {
        cluster.map(|c| ClusterObjectFacts {
            uid: c.metadata.uid.unwrap_or_default(),
            kind: c.spec.kind,
            phase: c.status.unwrap_or_default().phase,
            labels: c.metadata.labels.unwrap_or_default(),
            external_etcd: c.spec.etcd.is_some_and(|e| e.external.is_some_and(|x| !x.is_null())),
        })
    }))
}

/// Why a ProductManifest is not Ready is told by its condition; who wrote it knows whether it may
/// pass by itself.
#[must_use]
pub fn manifest_ready(manifest: &o::ProductManifest) -> ManifestReady {
    use api::conditions::{ConditionStatus, ConditionType, ManifestReason, find};
    let status = manifest.status.clone().unwrap_or_default();
    let waiting = |why: &str| ManifestReady::Waiting { why: why.to_owned() };
    let Some(ready) = find(&status.conditions, ConditionType::Ready) else {
        return waiting("it was not resolved yet");
    };
    if status.observed_generation != manifest.metadata.generation {
        return waiting("its change was not resolved yet");
    }
    if ready.status == ConditionStatus::True.as_str() {
        return ManifestReady::Ready;
    }
    let why = api::text::message(&format!("{}: {}", ready.reason, ready.message));
    match ManifestReason::parse(&ready.reason) {
        Some(
            ManifestReason::ImageMoved
            | ManifestReason::InvalidRelease
            | ManifestReason::VersionMismatch
            | ManifestReason::NameMismatch
            | ManifestReason::AccessDenied
            | ManifestReason::ImageNotFound
            | ManifestReason::SignatureMissing
            | ManifestReason::SignatureInvalid
            | ManifestReason::SigningKeyUnknown
            | ManifestReason::SigningKeyExpired
            | ManifestReason::SigningKeysInvalid,
        ) => ManifestReady::Failed { why },
        Some(
            ManifestReason::Resolved
            | ManifestReason::RegistryUnavailable
            | ManifestReason::SigningKeysUnreadable,
        )
        | None => ManifestReady::Waiting { why },
    }
}

/// Which published releases are looked into. A registry that is silent costs time for each of them
/// that is not kept: of what is below the current version nothing is ever asked.
struct Needed {
    /// Only above it something can be offered or asked for; None: whatever there is.
    above: Option<Version>,
    /// The image whose customisations are kept in force, where it is not read as the desired one.
    installed: Option<String>,
}

impl Needed {
    fn of(status: &o::ClusterVersionShadowStatus) -> Self {
        let current = status.current.clone().unwrap_or_default();
        let desired = status.desired.as_ref().is_some_and(|d| d.image == current.image);
        Self {
            above: current.version.parse().ok(),
            installed: Some(current.image).filter(|image| !image.is_empty() && !desired),
        }
    }

    fn has(&self, version: &Version, image: &str) -> bool {
        self.above.as_ref().is_none_or(|current| version > current)
            || self.installed.as_deref() == Some(image)
    }
}

async fn manifests<A: ApiServer, R: Releases>(
    server: &A,
    releases: &R,
    needed: &Needed,
) -> Observed<Vec<ManifestFacts>> {
    let all = match typed_list::<o::ProductManifest, _>(server, None).await {
        Ok(all) => all,
        Err(error) => return observed(Err(error)),
    };
    // What is no version can be offered to nobody; its own Ready condition says so.
    let versions = all.into_iter().filter_map(|m| Some((m.spec.version.parse().ok()?, m)));
    let facts = futures::stream::iter(versions)
        .map(|(version, manifest)| manifest_facts(releases, needed, version, manifest))
        .buffered(RELEASES_IN_FLIGHT)
        .collect()
        .await;
    Observed::Value(facts)
}

async fn manifest_facts<R: Releases>(
    releases: &R,
    needed: &Needed,
    version: Version,
    manifest: o::ProductManifest,
) -> ManifestFacts {
    let ready = manifest_ready(&manifest);
    let is_ready = ready == ManifestReady::Ready;
    let status = manifest.status.unwrap_or_default();
    let read = status.image.as_deref().filter(|image| is_ready && needed.has(&version, image));
    let release = match read {
        Some(image) => releases.release(image).await.map(Observed::Value),
        None => Ok(Observed::NotRead),
    };
    let release_is_invalid = matches!(release, Err(ContentError::Invalid(_)));
    ManifestFacts {
        name: manifest.metadata.name.unwrap_or_default(),
        version,
        image: status.image,
        ready,
        // Whoever does not trust it any more is not told who signed it.
        signature: status.signature.filter(|_| is_ready),
        release: release.unwrap_or_else(|error| Observed::Unknown(error.to_string())),
        release_is_invalid,
    }
}

/// A ConfigMap of the platform.
struct ConfigMap {
    data: BTreeMap<String, String>,
    editor: Option<String>,
}

async fn config_map<A: ApiServer>(server: &A, name: &str) -> Observed<ConfigMap> {
    let reference = core("ConfigMap", name);
    let read = server.get(&reference).await.map(|found| {
        let found = found.unwrap_or(Value::Null);
        let data = found.get("data").and_then(Value::as_object);
        let entries = data.into_iter().flatten();
        ConfigMap {
            data: entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect(),
            editor: last_editor(&found),
        }
    });
    observed(read)
}

/// The manager of the newest change that the API server recorded.
fn last_editor(object: &Value) -> Option<String> {
    let entries = object.pointer("/metadata/managedFields")?.as_array()?;
    let newest =
        entries.iter().max_by_key(|e| e.get("time").and_then(Value::as_str).unwrap_or_default())?;
    newest.get("manager")?.as_str().map(|m| api::text::line(m, 64))
}

async fn license<A: ApiServer>(server: &A) -> Observed<Option<String>> {
    let read = secret(server, PLATFORM_LICENSE).await;
    observed(read.map(|found| found.and_then(|data| data.get(LICENSE_KEY).cloned())))
}

/// The decoded entries of a Secret of the platform that are text.
///
/// # Errors
/// When it cannot be read.
pub async fn secret<A: ApiServer>(
    server: &A,
    name: &str,
) -> Result<Option<BTreeMap<String, String>>, CallError> {
    use base64::Engine as _;
    let Some(found) = server.get(&core("Secret", name)).await? else { return Ok(None) };
    let data = found.get("data").and_then(Value::as_object);
    let decode = |text: &str| {
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).ok()?;
        String::from_utf8(bytes).ok()
    };
    let entries = data.into_iter().flatten();
    Ok(Some(entries.filter_map(|(k, v)| Some((k.clone(), decode(v.as_str()?)?))).collect()))
}

fn core(kind: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: name.to_owned(),
    }
}
