//! What the operator is started with. Environment and flags are read here and nowhere else.

use crate::lease::LeaseSettings;
use anyhow::Context as _;
use api::Version;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Moves the clusters of the platform to the versions they are asked for.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = api::names::CVO, disable_version_flag = true)]
pub struct Settings {
    /// Version of the release that this operator belongs to; set by its image.
    #[arg(long, env = "CVO_VERSION")]
    pub cvo_version: Version,
    /// Name of this replica in the Lease.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,
    /// Cluster whose ClusterVersionShadow is served.
    #[arg(long, default_value = api::names::GLOBAL)]
    pub cluster: String,
    /// Kubeconfig; without it the account of the Pod is used.
    #[arg(long)]
    pub kubeconfig: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics answer.
    #[arg(long, default_value = "0.0.0.0:8080")]
    pub listen: SocketAddr,
    /// CA certificate of the registry (PEM); absent: those of the machine.
    #[arg(long, default_value = "/etc/acp/registry-ca/ca.crt")]
    pub registry_ca: PathBuf,
    /// Pull credentials (a .dockerconfigjson).
    #[arg(long, default_value = "/etc/acp/pull/.dockerconfigjson")]
    pub pull_secret: PathBuf,
    /// The helm binary.
    #[arg(long, default_value = "/usr/local/bin/helm")]
    pub helm: PathBuf,
    /// Folder for charts while they are rendered.
    #[arg(long, default_value = "/var/cache/acp")]
    pub cache: PathBuf,
    /// How long a Lease that is not renewed holds, in seconds.
    #[arg(long, default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_duration_s: u64,
    /// After how long without renewal the leader stops writing, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub lease_renew_deadline_s: u64,
    /// How often the Lease is renewed or looked at, in milliseconds.
    #[arg(long, default_value_t = 2000, value_parser = clap::value_parser!(u64).range(50..=60000))]
    pub lease_retry_ms: u64,
    /// What is logged (`info`, `debug`, `cluster=trace`).
    #[arg(long, env = "CVO_LOG", default_value = "info")]
    pub log: String,
}

impl Settings {
    /// How the Lease is held.
    #[must_use]
    pub fn lease(&self) -> LeaseSettings {
        LeaseSettings {
            identity: self.identity.clone(),
            duration: Duration::from_secs(self.lease_duration_s),
            renew_deadline: Duration::from_secs(
                self.lease_renew_deadline_s.min(self.lease_duration_s),
            ),
            retry: Duration::from_millis(self.lease_retry_ms),
        }
    }

    /// The configuration of the API server.
    ///
    /// # Errors
    /// When there is neither a kubeconfig nor an account of a Pod.
    pub async fn kube_config(&self) -> anyhow::Result<kube::Config> {
        match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = kube::config::Kubeconfig::read_from(path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                let options = kube::config::KubeConfigOptions::default();
                kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .with_context(|| format!("{} cannot be used", path.display()))
            }
            None => {
                kube::Config::incluster().context("no --kubeconfig is given and this is no Pod")
            }
        }
    }
}
