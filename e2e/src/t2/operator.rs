//! The operator as a process of this machine, with its account's real rights and a short Lease.

use super::{Bench, free_port};
use anyhow::{Context as _, Result, ensure};
use sandbox::companion::Companion;
use sandbox::process::{Recorded, tail_of, wait_until};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Where the Lease of the operator stands.
const LEASE: &str =
    "/apis/coordination.k8s.io/v1/namespaces/cpaas-system/leases/cluster-version-operator";

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its name in the Lease.
    pub identity: String,
    /// The release that it belongs to.
    pub version: String,
    /// The API server that it asks; None for the real one. A proxy has its own address.
    pub through: Option<String>,
    /// How it holds the Lease.
    pub lease: Lease,
    /// What it logs.
    pub log: &'static str,
    /// The longest time without a look at everything, in seconds; None as it is shipped.
    pub resync_s: Option<u64>,
}

/// How an operator holds the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lease {
    /// 2 s, 1 s, 200 ms: a test need not wait.
    Short,
    /// 15 s, 10 s, 2 s, as it is shipped.
    AsShipped,
}

impl Lease {
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Short => {
                &["--lease-duration-s=2", "--lease-renew-deadline-s=1", "--lease-retry-ms=200"]
            }
            Self::AsShipped => &[],
        }
    }
}

impl Default for Start {
    fn default() -> Self {
        Self {
            identity: "operator-a".to_owned(),
            version: "4.3.0".to_owned(),
            through: None,
            lease: Lease::Short,
            log: "info",
            resync_s: None,
        }
    }
}

/// An operator that runs; it is killed when this value is dropped.
#[derive(Debug)]
pub struct Operator {
    process: Companion,
    /// Its name in the Lease.
    pub identity: String,
    port: u16,
    log: PathBuf,
}

impl Bench {
    /// Starts an operator and waits until it answers.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn operator(&self, start: &Start) -> Result<Operator> {
        let operator = self.start_operator(start).await?;
        wait_until("the operator to be ready", Duration::from_secs(20), || async {
            Ok(operator.page("/readyz").await?.0 == 200)
        })
        .await
        .with_context(|| operator.said())?;
        Ok(operator)
    }

    /// Starts an operator.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_operator(&self, start: &Start) -> Result<Operator> {
        let folder = self.folder();
        let kubeconfig = self.kubeconfig_of_operator(start).await?;
        let cache = folder.join(format!("cache-{}", start.identity));
        fs::create_dir_all(&cache)?;
        let port = free_port()?;
        let log = folder.join(format!("{}.log", start.identity));
        let mut arguments = vec![
            format!("--identity={}", start.identity),
            format!("--cvo-version={}", start.version),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--registry-ca={}", self.registry.authority().display()),
            format!("--pull-secret={}", folder.join("pull.json").display()),
            format!("--helm={}", self.helm.display()),
            format!("--cache={}", cache.display()),
            format!("--listen=127.0.0.1:{port}"),
            format!("--log={}", start.log),
        ];
        arguments.extend(start.resync_s.map(|seconds| format!("--resync-s={seconds}")));
        arguments.extend(start.lease.arguments().iter().map(|&word| word.to_owned()));
        let program = self.packages.programs.join("cluster-version-operator");
        let process = Companion::start(&program, &arguments, &log)?;
        Ok(Operator { process, identity: start.identity.clone(), port, log })
    }

    /// With the token of the operator's own account, so that its rights are the packaged ones.
    async fn kubeconfig_of_operator(&self, start: &Start) -> Result<PathBuf> {
        let folder = self.folder();
        let direct = folder.join("operator.kubeconfig");
        if !direct.exists() {
            let account = "system:serviceaccount:cpaas-system:cluster-version-operator";
            let name = account.rsplit(':').next().unwrap_or_default();
            let token = self.token("cpaas-system", name).await?;
            fs::write(&direct, self.kubeconfig_of(&token)?)?;
            fs::write(folder.join("pull.json"), self.pull_secret()?)?;
        }
        let Some(through) = &start.through else { return Ok(direct) };
        let other = folder.join(format!("{}.kubeconfig", start.identity));
        let text = fs::read_to_string(&direct)?;
        fs::write(&other, text.replace(&self.plane.url(), through))?;
        Ok(other)
    }

    fn pull_secret(&self) -> Result<String> {
        let pull = &self.registry.credentials().pull;
        let account = json!({ "username": pull.name, "password": pull.password });
        let auths = json!({ (self.registry.address()): account });
        Ok(serde_json::to_string(&json!({ "auths": auths }))?)
    }

    /// Who holds the Lease; empty where nobody does.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn leader(&self) -> Result<String> {
        let lease = self.get(LEASE).await?;
        Ok(super::text(&lease, "/spec/holderIdentity").to_owned())
    }

    /// Whether somebody leads now: the Lease was renewed within its last second.
    ///
    /// # Errors
    /// When the API server does not answer.
    pub async fn lease_is_fresh(&self) -> Result<bool> {
        let lease = self.get(LEASE).await?;
        let renewed: jiff::Timestamp = super::text(&lease, "/spec/renewTime").parse()?;
        Ok(jiff::Timestamp::now().duration_since(renewed) < jiff::SignedDuration::from_secs(1))
    }
}

impl Operator {
    /// The status and text of a page of its own.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn page(&self, path: &str) -> Result<(u16, String)> {
        let url = format!("http://127.0.0.1:{}{path}", self.port);
        let answer = tokio::time::timeout(Duration::from_secs(5), reqwest::get(url)).await??;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The id of its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Whether it runs no more.
    pub fn has_ended(&mut self) -> bool {
        self.process.has_ended()
    }

    /// The end of its log.
    #[must_use]
    pub fn said(&self) -> String {
        tail_of(&self.log)
    }

    /// Kills it as a power cut does.
    pub fn kill(mut self) {
        self.process.end();
    }

    /// Asks it to end, and waits until it has.
    ///
    /// # Errors
    /// When it had to be killed.
    pub async fn terminate(mut self) -> Result<()> {
        let process = Recorded::of(i32::try_from(self.process.id())?)?;
        process.end(Duration::from_secs(25)).await?;
        ensure!(self.process.has_ended(), "it still runs");
        ensure!(self.said().contains("stopped"), "it did not end by itself: {}", self.said());
        Ok(())
    }
}
