//! Which API server is meant, and as whom: the address of the command line, else the kubeconfig.
//! No credential is ever shown.

use crate::arguments::Platform;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use api::failure::chain;
use api::names::{GLOBAL, VIOLET};
use cluster::kubeconfig::{self, Unusable};
use cluster::server::ListQuery;
use cluster::{ApiServer as _, CallError, Live};
use kube::config::{AuthInfo, Cluster, Config, Context, Kubeconfig};
use kube::config::{NamedAuthInfo, NamedCluster, NamedContext};
use serde::de::DeserializeOwned;

/// A platform that can be asked.
#[derive(Clone)]
pub(crate) struct Connection {
    /// The API server of its global cluster.
    pub(crate) server: Live,
    /// Its address.
    pub(crate) url: String,
    /// By what it is known: the files of a kubeconfig; None where the command line names it.
    pub(crate) kubeconfig: Option<String>,
}

impl Connection {
    /// Connects; `need` says what for.
    ///
    /// # Errors
    /// When there is no kubeconfig, it cannot be used, or the address answers as no platform does.
    pub(crate) async fn open(
        flags: &Platform,
        environment: &Environment,
        need: &'static str,
        printer: &mut Printer<'_>,
    ) -> Result<Self, Failure> {
        if flags.platform_address.as_ref().is_some_and(|address| address.starts_with("http://")) {
            printer.note("warning: --platform-address is not https: whoever is between here and the platform can read and change what is said, the token or password too");
        }
        let connection = match &flags.platform_address {
            Some(address) => Self::of_address(address, flags, printer).await?,
            None => Self::of_kubeconfig(environment, need).await?,
        };
        if flags.debug {
            let from = connection.kubeconfig.as_deref().unwrap_or("--platform-address");
            printer.note(&format!("debug: platform {} (from {from})", connection.url));
        }
        Ok(connection)
    }

    async fn of_kubeconfig(environment: &Environment, need: &'static str) -> Result<Self, Failure> {
        let paths = || environment.kubeconfig.clone();
        let (found, config) =
            kubeconfig::config(&environment.kubeconfig).await.map_err(|error| match error {
                Unusable::Missing => Failure::NoKubeconfig { paths: paths(), need },
                Unusable::Refused(reason) => Failure::Kubeconfig { paths: paths(), reason },
            })?;
        let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        Self::of_config(config, Some(names.join(":")))
    }

    /// An address is that of an API server if it answers as one, else that of a platform.
    async fn of_address(
        address: &str,
        flags: &Platform,
        printer: &mut Printer<'_>,
    ) -> Result<Self, Failure> {
        let direct = Self::at(address, flags).await?;
        let first = match direct.server.version().await {
            Ok(_) => return Ok(direct),
            Err(error) => error,
        };
        let behind = format!("{}/kubernetes/{GLOBAL}/", address.trim_end_matches('/'));
        if flags.debug {
            let why = chain(&first);
            printer.note(&format!("debug: {address} answers as no API server: {why}; {behind}?"));
        }
        let through = Self::at(&behind, flags).await?;
        match through.server.version().await {
            Ok(_) => Ok(through),
            Err(error @ (CallError::Unauthorized(_) | CallError::Forbidden(_))) => {
                Err(through.failed("sign in")(error))
            }
            Err(_) => Err(direct.failed("find an API server or a platform")(first)),
        }
    }

    async fn at(address: &str, flags: &Platform) -> Result<Self, Failure> {
        let mut cluster = Cluster { server: Some(address.to_owned()), ..Cluster::default() };
        if let Some(file) = &flags.platform_ca {
            cluster.certificate_authority = Some(file.display().to_string());
        }
        let secret = |password: &artifacts::registry::Password| password.0.clone().into();
        let account = AuthInfo {
            token: flags.platform_token.as_ref().map(secret),
            username: flags.platform_username.clone(),
            password: flags.platform_password.as_ref().map(secret),
            ..AuthInfo::default()
        };
        let name = || VIOLET.to_owned();
        let context = Context { cluster: name(), user: Some(name()), ..Context::default() };
        let kubeconfig = Kubeconfig {
            clusters: vec![NamedCluster {
                name: name(),
                cluster: Some(cluster),
                ..NamedCluster::default()
            }],
            auth_infos: vec![NamedAuthInfo {
                name: name(),
                auth_info: Some(account),
                ..NamedAuthInfo::default()
            }],
            contexts: vec![NamedContext {
                name: name(),
                context: Some(context),
                ..NamedContext::default()
            }],
            current_context: Some(name()),
            ..Kubeconfig::default()
        };
        let config = kubeconfig::config_of(kubeconfig).await;
        let config = config.map_err(|error| Failure::Address { reason: error.to_string() })?;
        Self::of_config(config, None)
    }

    fn of_config(config: Config, kubeconfig: Option<String>) -> Result<Self, Failure> {
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let server = Live::new(config).map_err(|source| Failure::Cluster {
            action: "connect".to_owned(),
            server: url.clone(),
            kubeconfig: kubeconfig.clone(),
            source,
        })?;
        Ok(Self { server: server.managed_by(VIOLET), url, kubeconfig })
    }

    /// What a call that failed means to the user; `action` is what it was for.
    pub(crate) fn failed(&self, action: impl Into<String>) -> impl FnOnce(CallError) -> Failure {
        let (action, server) = (action.into(), self.url.clone());
        let kubeconfig = self.kubeconfig.clone();
        move |source| Failure::Cluster { action, server, kubeconfig, source }
    }

    /// Every object of a kind, sorted by name, and as it was read.
    ///
    /// # Errors
    /// When they cannot be listed, or one is not of the kind.
    pub(crate) async fn all<K>(&self) -> Result<Vec<(K, serde_json::Value)>, Failure>
    where
        K: kube::Resource<DynamicType = ()> + DeserializeOwned,
    {
        let kind = K::kind(&());
        let query = ListQuery::all(&K::api_version(&()), &kind);
        let listed = self.server.list(&query).await;
        let listed = listed.map_err(self.failed(format!("list {}", K::plural(&()))))?;
        let mut all = Vec::new();
        for value in listed {
            let object: K = serde_json::from_value(value.clone()).map_err(|error| {
                let name = value.pointer("/metadata/name").and_then(|n| n.as_str()).unwrap_or("");
                let text = api::text::line(&format!("{kind} {name}: {error}"), 256);
                self.failed(format!("read {kind}"))(CallError::Unexpected(text))
            })?;
            all.push((object, value));
        }
        all.sort_by(|(one, _), (other, _)| one.meta().name.cmp(&other.meta().name));
        Ok(all)
    }
}
