//! The few calls that `ac` makes to an API server, each with a time-out, and what their refusals
//! mean to the user.
//!
//! Must not decide what is asked for or shown.

mod refusals;
mod watch;

pub(crate) use watch::Look;

use crate::arguments::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::foreign::{cleaned, plain};
use crate::kubeconfig;
use crate::shadow::{self, Shadow};
use api::names::{GLOBAL, NAMESPACE, PRODUCT_BASE, RELEASE_KEYS};
use api::objects::{Cluster, VersionImage};
use api::{ClusterVersionShadow, ProductBase, ProductManifest};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource};
use refusals::{Call, failure, unreachable_at};
use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

/// Field manager of what `ac` writes.
const MANAGER: &str = "ac";
/// Longest list that is read; the platform has a handful of releases and at most 1,000 clusters.
const LIST_LIMIT: u32 = 1_000;
/// How long a server may say nothing; longer than a watch lasts.
const SILENCE: Duration = Duration::from_secs(watch::WATCH_SECONDS as u64 + 5);

/// An API server, seen through one context.
pub(crate) struct ApiServer {
    client: Client,
    server: String,
    context: String,
    globals: Vec<String>,
    timeout: Duration,
}

impl ApiServer {
    /// Chooses an API server; asks it nothing yet.
    pub(crate) async fn connect(
        connection: &Connection,
        environment: &Environment,
    ) -> Result<Self, Failure> {
        let file = connection.kubeconfig.as_deref();
        let chosen = kubeconfig::choose(environment, file, connection.context.as_deref()).await?;
        let mut config = chosen.config;
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        // The client's own retries hide what the server says, repeat writes, and may wait for
        // minutes: whoever asks decides instead.
        config.default_retry = false;
        config.connect_timeout = Some(connection.request_timeout);
        config.write_timeout = Some(connection.request_timeout);
        // A watch ends by itself before that; what lasts longer is a dead connection.
        config.read_timeout = Some(SILENCE.max(connection.request_timeout));
        let context = chosen.context;
        let unusable = |error: kube::Error| match error {
            // What such a program prints, and is called with, may be a credential.
            kube::Error::Auth(kube::client::AuthError::AuthExecRun { out, .. }) => {
                Failure::refused(
                    format!(
                        "the program of the kubeconfig that gives the credentials failed ({})",
                        out.status
                    ),
                    vec!["see which it is, and run it to see why: kubectl config view".to_owned()],
                )
            }
            source => unreachable_at(&server, &context, Box::new(source)),
        };
        let client = Client::try_from(config).map_err(unusable)?;
        let timeout = connection.request_timeout;
        Ok(Self { client, server, context, globals: chosen.globals, timeout })
    }

    /// The ClusterVersionShadow of a cluster.
    ///
    /// # Errors
    /// It is not there, and then it says where to ask; or the call fails.
    pub(crate) async fn shadow(&self, cluster: &str) -> Result<Shadow, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let call = Call::of::<ClusterVersionShadow>("get", true);
        match self.optional(&call, api.get(cluster)).await? {
            Some(found) => Shadow::read(&found),
            None => Err(self.no_shadow(cluster).await?),
        }
    }

    /// Every ClusterVersionShadow.
    ///
    /// # Errors
    /// There is none, and then it says what to do; or the call fails.
    pub(crate) async fn shadows(&self) -> Result<Vec<Shadow>, Failure> {
        match self.listed().await {
            Ok(all) if !all.is_empty() => all.iter().map(Shadow::read).collect(),
            Ok(_) | Err(Failure::Answer { code: 404, .. }) => Err(self.not_prepared().await?),
            Err(failure) => Err(failure),
        }
    }

    async fn listed(&self) -> Result<Vec<DynamicObject>, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let call = Call::of::<ClusterVersionShadow>("list", true);
        let params = ListParams::default().limit(LIST_LIMIT);
        Ok(self.call(&call, api.list(&params)).await?.items)
    }

    /// Names of the clusters that have a ClusterVersionShadow.
    async fn clusters(&self) -> Result<Vec<String>, Failure> {
        let all = self.listed().await?;
        let names = all.into_iter().filter_map(|item| item.metadata.name);
        let mut names: Vec<String> = names.map(|name| plain(&name)).collect();
        names.sort();
        Ok(names)
    }

    /// Every registered cluster.
    pub(crate) async fn registered(&self) -> Result<Vec<Cluster>, Failure> {
        let api = self.all::<Cluster>();
        let call = Call::of::<Cluster>("list", false);
        let params = ListParams::default().limit(LIST_LIMIT);
        let found = self.optional(&call, api.list(&params)).await?;
        found.iter().flat_map(|list| &list.items).map(cleaned).collect()
    }

    /// Asks for a version: writes spec.desiredUpdate.version and nothing else.
    pub(crate) async fn request(&self, cluster: &str, version: &str) -> Result<Shadow, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let patch = serde_json::json!({ "spec": { "desiredUpdate": { "version": version } } });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let call = Call::of::<ClusterVersionShadow>("patch", true);
        let written = self.call(&call, api.patch(cluster, &params, &Patch::Merge(&patch))).await?;
        Shadow::read(&written)
    }

    /// Every ProductManifest.
    pub(crate) async fn manifests(&self) -> Result<Vec<ProductManifest>, Failure> {
        let api = self.all::<ProductManifest>();
        let call = Call::of::<ProductManifest>("list", false);
        let params = ListParams::default().limit(LIST_LIMIT);
        let asked = api.list(&params);
        let found = self.optional(&call, asked).await?;
        found.iter().flat_map(|list| &list.items).map(shadow::manifest).collect()
    }

    /// A ProductManifest.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Option<ProductManifest>, Failure> {
        let api = self.all::<ProductManifest>();
        let call = Call::of::<ProductManifest>("get", false);
        let found = self.optional(&call, api.get(name)).await?;
        found.as_ref().map(shadow::manifest).transpose()
    }

    /// The last completed version of a cluster; none where nothing of ours says one.
    pub(crate) async fn current(&self, cluster: &str) -> Result<Option<VersionImage>, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let call = Call::of::<ClusterVersionShadow>("get", true);
        let found = self.optional(&call, api.get(cluster)).await?;
        let text = |name: &str| {
            let at = found.as_ref()?.data.pointer(&format!("/status/current/{name}"))?;
            at.as_str().map(plain)
        };
        Ok(text("version")
            .map(|version| VersionImage { version, image: text("image").unwrap_or_default() }))
    }

    /// The data of ConfigMap `release-keys`; none where there is no such ConfigMap.
    pub(crate) async fn release_keys(&self) -> Result<BTreeMap<String, String>, Failure> {
        let api = self.namespaced::<ConfigMap>();
        let call = Call::of::<ConfigMap>("get", true);
        let found = self.optional(&call, api.get(RELEASE_KEYS)).await?;
        let data = found.as_ref().and_then(|f| f.data.get("data")?.as_object());
        let entries = data.into_iter().flatten();
        Ok(entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect())
    }

    /// Creates a ProductManifest; `None` where one of its name exists.
    pub(crate) async fn create_manifest(
        &self,
        manifest: &ProductManifest,
    ) -> Result<Option<ProductManifest>, Failure> {
        let api: Api<ProductManifest> = Api::all(self.client.clone());
        let call = Call::of::<ProductManifest>("create", false);
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let created = async {
            match api.create(&params, manifest).await {
                Ok(created) => Ok(Some(created)),
                Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(None),
                // The collection itself is unknown: the CRD is not installed.
                Err(error) => Err(error),
            }
        };
        match self.call(&call, created).await {
            Err(Failure::Answer { code: 404, .. }) => Err(self.not_prepared().await?),
            Ok(created) => created.as_ref().map(shadow::manifest).transpose(),
            Err(failure) => Err(failure),
        }
    }

    /// Why there is no ClusterVersionShadow of that name.
    async fn no_shadow(&self, cluster: &str) -> Result<Failure, Failure> {
        match self.clusters().await {
            Ok(others) if !others.is_empty() => Ok(Failure::refused(
                format!("there is no ClusterVersionShadow {cluster} in namespace {NAMESPACE}"),
                vec![format!("choose one with --cluster: {}", api::text::names(&others))],
            )),
            Ok(_) | Err(Failure::Answer { code: 404, .. }) => self.not_prepared().await,
            Err(failure) => Err(failure),
        }
    }

    /// There is nothing of ours: either the platform is not prepared, or this is no global cluster.
    async fn not_prepared(&self) -> Result<Failure, Failure> {
        let api = self.all::<ProductBase>();
        let call = Call::of::<ProductBase>("get", false);
        let (server, context) = (&self.server, &self.context);
        let prepare = "run: bash upgrade.sh from the extracted core package directory";
        match self.optional(&call, api.get(PRODUCT_BASE)).await {
            Ok(Some(_)) => Ok(Failure::refused(
                "the platform is not prepared for upgrades: its cluster version operator has published nothing yet",
                vec![prepare.to_owned()],
            )),
            Ok(None) => {
                let ask = match self.globals.as_slice() {
                    [] => "ask the global cluster: choose its context with --context (all contexts: kubectl config get-contexts -o name)".to_owned(),
                    globals => format!(
                        "ask the global cluster: choose its context with --context, perhaps {}",
                        api::text::names(globals)
                    ),
                };
                Ok(Failure::refused(
                    format!(
                        "the cluster of context '{context}' ({server}) is not the {GLOBAL} cluster of a platform: it has no ClusterVersionShadow and no ProductBase"
                    ),
                    vec![ask],
                ))
            }
            Err(failure @ (Failure::Forbidden { .. } | Failure::Answer { .. })) => {
                Ok(Failure::refused(
                    format!(
                        "context '{context}' ({server}) has no ClusterVersionShadow, and whether it is the {GLOBAL} cluster cannot be told: {failure}"
                    ),
                    vec![
                        format!("on the {GLOBAL} cluster, {prepare}"),
                        "elsewhere, choose the context of the global cluster with --context"
                            .to_owned(),
                    ],
                ))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Objects as they come, so that what this version cannot read is told apart from no answer.
    fn namespaced<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), NAMESPACE, &ApiResource::erase::<K>(&()))
    }

    fn all<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        Api::all_with(self.client.clone(), &ApiResource::erase::<K>(&()))
    }

    /// A call whose object may be missing, or its kind: a 404 need not come as a Status.
    async fn optional<T>(
        &self,
        call: &Call,
        asked: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<Option<T>, Failure> {
        match self.call(call, asked).await {
            Ok(found) => Ok(Some(found)),
            Err(Failure::Answer { code: 404, .. }) => Ok(None),
            Err(failure) => Err(failure),
        }
    }

    async fn call<T>(
        &self,
        call: &Call,
        asked: impl Future<Output = Result<T, kube::Error>>,
    ) -> Result<T, Failure> {
        match tokio::time::timeout(self.timeout, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(failure(error, call, &self.server, &self.context)),
            Err(_elapsed) => Err(Failure::TimedOut {
                server: self.server.clone(),
                context: self.context.clone(),
                seconds: self.timeout.as_secs(),
            }),
        }
    }
}
