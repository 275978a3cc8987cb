//! Which API server is meant, and as whom: the administrator's kubeconfig, read only where
//! something must be read from the cluster.

use crate::failure::Failure;
use api::names::PREPARE_FIELD_MANAGER;
use cluster::{CallError, Live};
use kube::config::{Config, KubeConfigOptions, Kubeconfig, KubeconfigError};
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
        let found: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
        if found.is_empty() {
            return Err(Failure::NoKubeconfig { paths: paths.to_owned(), need });
        }
        let unusable = |error| {
            let reason = match &error {
                // What the parser says repeats lines of the file, tokens and all.
                KubeconfigError::Parse(error) => {
                    let at = error.location().map(|at| format!(" (line {})", at.line()));
                    format!("it is not written as a kubeconfig is{}", at.unwrap_or_default())
                }
                other => api::failure::chain(other),
            };
            Failure::Kubeconfig { paths: paths.to_owned(), reason }
        };
        let mut merged = Kubeconfig::default();
        for path in &found {
            let one = Kubeconfig::read_from(path).map_err(unusable)?;
            merged = merged.merge(one).map_err(unusable)?;
        }
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(merged, &options).await.map_err(unusable)?;
        // The client ends the program where a token is no header.
        let account = serde_json::to_value(&config.auth_info).unwrap_or_default();
        let token = account.get("token").and_then(|token| token.as_str()).unwrap_or_default();
        if !api::text::is_token(token) {
            let reason = "its token holds a character that no token has".to_owned();
            return Err(Failure::Kubeconfig { paths: paths.to_owned(), reason });
        }
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
