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
    /// The longest time without a look at everything: what no watch tells is seen then, in seconds.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub resync_s: u64,
    /// What is logged (`info`, `debug`, `cluster=trace`).
    #[arg(long, env = "CVO_LOG", default_value = "info", value_parser = log_filter)]
    pub log: String,
}

fn log_filter(text: &str) -> Result<String, tracing_subscriber::filter::ParseError> {
    tracing_subscriber::EnvFilter::try_new(text).map(|_| text.to_owned())
}

impl Settings {
    /// How the Lease is held.
    ///
    /// # Errors
    /// When the times do not fit together: a leader must stop to write before another may begin,
    /// and must have tried more than once to renew until then.
    pub fn lease(&self) -> anyhow::Result<LeaseSettings> {
        let duration = Duration::from_secs(self.lease_duration_s);
        let renew_deadline = Duration::from_secs(self.lease_renew_deadline_s);
        let retry = Duration::from_millis(self.lease_retry_ms);
        anyhow::ensure!(
            renew_deadline < duration,
            "--lease-renew-deadline-s must be less than --lease-duration-s"
        );
        anyhow::ensure!(
            retry * 2 <= renew_deadline,
            "--lease-retry-ms must be at most half of --lease-renew-deadline-s"
        );
        Ok(LeaseSettings { identity: self.identity.clone(), duration, renew_deadline, retry })
    }

    /// The configuration of the API server.
    ///
    /// # Errors
    /// When there is neither a kubeconfig nor an account of a Pod, or its token is none.
    pub async fn kube_config(&self) -> anyhow::Result<kube::Config> {
        match &self.kubeconfig {
            Some(path) => {
                let kubeconfig = kube::config::Kubeconfig::read_from(path)
                    .with_context(|| format!("{} cannot be read", path.display()))?;
                let options = kube::config::KubeConfigOptions::default();
                let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .with_context(|| format!("{} cannot be used", path.display()))?;
                anyhow::ensure!(
                    api::text::is_token(&token(&config)),
                    "{} cannot be used: its token holds a character that no token has",
                    path.display()
                );
                Ok(config)
            }
            None => {
                kube::Config::incluster().context("no --kubeconfig is given and this is no Pod")
            }
        }
    }
}

/// The token; empty where there is none. The client ends the program where it is no header.
fn token(config: &kube::Config) -> String {
    let account = serde_json::to_value(&config.auth_info).unwrap_or_default();
    account.get("token").and_then(|token| token.as_str()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Settings, clap::Error> {
        let own = ["cvo", "--cvo-version=4.3.0", "--identity=a"];
        <Settings as clap::Parser>::try_parse_from(own.iter().chain(arguments))
    }

    #[test]
    fn times_of_the_lease_that_let_two_write_are_refused() {
        let lease = |arguments: &[&str]| parse(arguments).map(|s| s.lease().is_ok()).ok();
        assert_eq!(lease(&[]), Some(true));
        let good = ["--lease-duration-s=2", "--lease-renew-deadline-s=1", "--lease-retry-ms=200"];
        assert_eq!(lease(&good), Some(true));
        assert_eq!(lease(&["--lease-duration-s=10"]), Some(false));
        assert_eq!(lease(&["--lease-retry-ms=9000"]), Some(false));
    }

    #[tokio::test]
    async fn a_kubeconfig_whose_token_has_a_line_end_is_refused() {
        let name = format!("cvo-kubeconfig-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let argument = format!("--kubeconfig={}", path.display());
        let settings = parse(&[&argument]).unwrap();
        let mut said = Vec::new();
        for token in ["secret", "secret\\n"] {
            let text = format!(
                "{{clusters: [{{name: a, cluster: {{server: \"https://127.0.0.1:1\"}}}}], \
                 users: [{{name: a, user: {{token: \"{token}\"}}}}], \
                 contexts: [{{name: a, context: {{cluster: a, user: a}}}}], current-context: a}}"
            );
            std::fs::write(&path, text).unwrap();
            said.push(settings.kube_config().await.map(drop).map_err(|e| format!("{e:#}")));
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(said[0], Ok(()));
        let refused = said[1].clone().unwrap_err();
        assert!(refused.contains("no token has") && !refused.contains("secret"), "{refused}");
    }

    #[test]
    fn a_filter_of_logs_that_is_none_is_refused() {
        assert!(parse(&["--log=cluster=trace"]).is_ok());
        assert!(parse(&["--log=cluster=loud"]).is_err());
    }
}
