//! Which API server is meant, and as whom: the administrator's kubeconfig, read only where
//! something must be read from the cluster.

use crate::failure::Failure;
use api::names::PREPARE_FIELD_MANAGER;
use cluster::kubeconfig::{self, Unusable};
use cluster::{CallError, Live};
use std::path::PathBuf;

/// A cluster that can be asked.
#[derive(Clone)]
pub(crate) struct Connection {
    /// Its API server.
    pub(crate) server: Live,
    url: String,
    kubeconfig: String,
}

impl Connection {
    /// Connects to the cluster of the kubeconfig; asks it nothing yet. `need` says what for.
    ///
    /// # Errors
    /// When there is no kubeconfig or it cannot be used.
    pub(crate) async fn open(paths: &[PathBuf], need: &'static str) -> Result<Self, Failure> {
        let (found, config) = kubeconfig::config(paths).await.map_err(|error| match error {
            Unusable::Missing => Failure::NoKubeconfig { paths: paths.to_owned(), need },
            Unusable::Refused(reason) => Failure::Kubeconfig { paths: paths.to_owned(), reason },
        })?;
        let url = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        let names: Vec<String> = found.iter().map(|path| path.display().to_string()).collect();
        let kubeconfig = names.join(":");
        let server = Live::new(config).map_err(|source| Failure::Cluster {
            action: "connect".to_owned(),
            server: url.clone(),
            kubeconfig: kubeconfig.clone(),
            source,
        })?;
        Ok(Self { server: server.managed_by(PREPARE_FIELD_MANAGER), url, kubeconfig })
    }

    /// What a call that failed means to the user; `action` is what it was for.
    pub(crate) fn failed(&self, action: impl Into<String>) -> impl FnOnce(CallError) -> Failure {
        let (action, server) = (action.into(), self.url.clone());
        let kubeconfig = self.kubeconfig.clone();
        move |source| Failure::Cluster { action, server, kubeconfig, source }
    }
}
