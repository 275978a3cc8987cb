//! The few calls that `ac` makes to an API server, each with a time-out, and what their refusals
//! mean to the user.
//!
//! Must not decide what is asked for or shown.

use crate::arguments::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::foreign::{cleaned, plain};
use crate::kubeconfig;
use api::names::{GLOBAL, NAMESPACE, PRODUCT_BASE};
use api::{ClusterVersionShadow, ProductBase, ProductManifest};
use futures::{Stream, StreamExt};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Resource, core::Status};
use std::future::Future;
use std::time::Duration;

/// Field manager of what `ac` writes.
const MANAGER: &str = "ac";
/// Seconds after which a watch is begun anew, so that a dead connection is noticed.
const WATCH_SECONDS: u32 = 25;
/// Pause before a watch that failed is begun anew.
const RETRY: Duration = Duration::from_secs(2);
/// Longest list that is read; the platform has a handful of releases and at most 1,000 clusters.
const LIST_LIMIT: u32 = 1_000;

/// An API server, seen through one context.
pub(crate) struct ApiServer {
    client: Client,
    server: String,
    context: String,
    globals: Vec<String>,
    timeout: Duration,
}

/// What a call is about, for the words of its failure.
struct Call {
    verb: &'static str,
    resource: String,
    namespace: Option<&'static str>,
}

impl Call {
    fn of<K: Resource<DynamicType = ()>>(verb: &'static str, namespaced: bool) -> Self {
        let (plural, group) = (K::plural(&()), K::group(&()));
        let namespace = namespaced.then_some(NAMESPACE);
        Self { verb, resource: format!("{plural}.{group}"), namespace }
    }
}

/// The same pause before every new attempt: a person waits for the API server to come back.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(RETRY)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// A look at an object while it is watched.
pub(crate) enum Look {
    /// It is there, as it is now.
    Now(Box<ClusterVersionShadow>),
    /// It is gone.
    Gone,
    /// It cannot be seen at the moment.
    Lost(Failure),
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
        config.connect_timeout = Some(connection.request_timeout);
        config.write_timeout = Some(connection.request_timeout);
        let context = chosen.context;
        let unusable = |source: kube::Error| Failure::Unreachable {
            server: server.clone(),
            context: context.clone(),
            source: Box::new(source),
        };
        let client = Client::try_from(config).map_err(unusable)?;
        let timeout = connection.request_timeout;
        Ok(Self { client, server, context, globals: chosen.globals, timeout })
    }

    /// The ClusterVersionShadow of a cluster.
    ///
    /// # Errors
    /// It is not there, and then it says where to ask; or the call fails.
    pub(crate) async fn shadow(&self, cluster: &str) -> Result<ClusterVersionShadow, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let call = Call::of::<ClusterVersionShadow>("get", true);
        match self.call(&call, api.get_opt(cluster)).await? {
            Some(found) => cleaned(&found),
            None => Err(self.no_shadow(cluster).await?),
        }
    }

    /// The ClusterVersionShadow of a cluster, from now on. Ends never; tries again by itself.
    pub(crate) fn watch_shadow(&self, cluster: &str) -> impl Stream<Item = Look> + Send + use<> {
        let fields = format!("metadata.name={cluster}");
        let config = watcher::Config::default().fields(&fields).timeout(WATCH_SECONDS);
        let events = watcher(self.namespaced::<ClusterVersionShadow>(), config).backoff(Steady);
        let (server, context) = (self.server.clone(), self.context.clone());
        let mut seen = false;
        events.filter_map(move |event| {
            let look = match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    seen = true;
                    Some(
                        cleaned(&object)
                            .map_or_else(Look::Lost, |shadow| Look::Now(Box::new(shadow))),
                    )
                }
                Ok(Event::Init) => {
                    seen = false;
                    None
                }
                Ok(Event::Delete(_)) => Some(Look::Gone),
                Ok(Event::InitDone) => (!seen).then_some(Look::Gone),
                Err(error) => Some(Look::Lost(watch_failure(error, &server, &context))),
            };
            std::future::ready(look)
        })
    }

    /// Names of the clusters that have a ClusterVersionShadow.
    async fn clusters(&self) -> Result<Vec<String>, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let call = Call::of::<ClusterVersionShadow>("list", true);
        let params = ListParams::default().limit(LIST_LIMIT);
        let list = self.call(&call, api.list(&params)).await?;
        let mut names: Vec<String> = list
            .items
            .into_iter()
            .filter_map(|item| item.metadata.name)
            .map(|n| plain(&n))
            .collect();
        names.sort();
        Ok(names)
    }

    /// Asks for a version: writes spec.desiredUpdate.version and nothing else.
    pub(crate) async fn request(
        &self,
        cluster: &str,
        version: &str,
    ) -> Result<ClusterVersionShadow, Failure> {
        let api = self.namespaced::<ClusterVersionShadow>();
        let patch = serde_json::json!({ "spec": { "desiredUpdate": { "version": version } } });
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..Default::default() };
        let call = Call::of::<ClusterVersionShadow>("patch", true);
        let written = self.call(&call, api.patch(cluster, &params, &Patch::Merge(&patch))).await?;
        cleaned(&written)
    }

    /// Every ProductManifest.
    pub(crate) async fn manifests(&self) -> Result<Vec<ProductManifest>, Failure> {
        let api = self.all::<ProductManifest>();
        let call = Call::of::<ProductManifest>("list", false);
        let list = self.call(&call, api.list(&ListParams::default().limit(LIST_LIMIT))).await?;
        list.items.iter().map(cleaned).collect()
    }

    /// A ProductManifest.
    pub(crate) async fn manifest(&self, name: &str) -> Result<Option<ProductManifest>, Failure> {
        let api = self.all::<ProductManifest>();
        let call = Call::of::<ProductManifest>("get", false);
        let found = self.call(&call, api.get_opt(name)).await?;
        found.as_ref().map(cleaned).transpose()
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
            Ok(created) => created.as_ref().map(cleaned).transpose(),
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
        match self.call(&call, api.get_opt(PRODUCT_BASE)).await {
            Ok(Some(_)) => Ok(Failure::refused(
                "the platform is not prepared for upgrades: its cluster version operator has published nothing yet",
                vec![prepare.to_owned()],
            )),
            Ok(None) => {
                let ask = match self.globals.as_slice() {
                    [] => format!(
                        "ask the global cluster: choose its context with --context (all contexts: kubectl config get-contexts -o name)"
                    ),
                    globals => format!(
                        "ask the global cluster: choose its context with --context, perhaps {}",
                        api::text::names(globals)
                    ),
                };
                Ok(Failure::refused(
                    format!(
                        "the cluster of context '{context}' ({server}) is not the {GLOBAL} cluster of a platform: it has no ClusterVersionShadow and no ProductBase"
                    ),
                    vec![ask, format!("if it is to become one, {prepare}")],
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

fn failure(error: kube::Error, call: &Call, server: &str, context: &str) -> Failure {
    match error {
        kube::Error::Api(status) => answered(&status, call, server, context),
        kube::Error::SerdeError(source) => Failure::Malformed(source),
        other => Failure::Unreachable {
            server: server.to_owned(),
            context: context.to_owned(),
            source: Box::new(other),
        },
    }
}

fn answered(status: &Status, call: &Call, server: &str, context: &str) -> Failure {
    let answer = plain(&status.message);
    match status.code {
        401 => Failure::Unauthorized { server: server.to_owned(), context: context.to_owned() },
        403 => Failure::Forbidden {
            verb: call.verb,
            resource: call.resource.clone(),
            namespace: call.namespace,
            answer,
        },
        code => Failure::Answer { verb: call.verb, resource: call.resource.clone(), code, answer },
    }
}

fn watch_failure(error: watcher::Error, server: &str, context: &str) -> Failure {
    let call = |verb| Call::of::<ClusterVersionShadow>(verb, true);
    match error {
        watcher::Error::InitialListFailed(error) => failure(error, &call("list"), server, context),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            failure(error, &call("watch"), server, context)
        }
        watcher::Error::WatchError(status) => answered(&status, &call("watch"), server, context),
        error @ watcher::Error::NoResourceVersion => Failure::Unreachable {
            server: server.to_owned(),
            context: context.to_owned(),
            source: Box::new(error),
        },
    }
}
