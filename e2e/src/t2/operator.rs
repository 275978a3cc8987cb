//! The operator as a process of this machine, with its account's real rights and a short Lease.

use super::{Bench, free_port};
use anyhow::{Context as _, Result, ensure};
use sandbox::companion::Companion;
use sandbox::process::{Recorded, tail_of, wait_until};
use serde_json::json;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// Its name in the Lease.
    pub identity: String,
    /// The release that it belongs to.
    pub version: String,
}

impl Default for Start {
    fn default() -> Self {
        Self { identity: "operator-a".to_owned(), version: "4.3.0".to_owned() }
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
        let folder = self.folder();
        let account = "system:serviceaccount:cpaas-system:cluster-version-operator";
        let kubeconfig = folder.join("operator.kubeconfig");
        if !kubeconfig.exists() {
            let name = account.rsplit(':').next().unwrap_or_default();
            let token = self.token("cpaas-system", name).await?;
            fs::write(&kubeconfig, self.kubeconfig_of(&token)?)?;
            fs::write(folder.join("pull.json"), self.pull_secret()?)?;
        }
        let cache = folder.join(format!("cache-{}", start.identity));
        fs::create_dir_all(&cache)?;
        let port = free_port()?;
        let log = folder.join(format!("{}.log", start.identity));
        let arguments = [
            format!("--identity={}", start.identity),
            format!("--cvo-version={}", start.version),
            format!("--kubeconfig={}", kubeconfig.display()),
            format!("--registry-ca={}", self.registry.authority().display()),
            format!("--pull-secret={}", folder.join("pull.json").display()),
            format!("--helm={}", self.helm.display()),
            format!("--cache={}", cache.display()),
            format!("--listen=127.0.0.1:{port}"),
            "--lease-duration-s=2".to_owned(),
            "--lease-renew-deadline-s=1".to_owned(),
            "--lease-retry-ms=200".to_owned(),
        ];
        let program = self.packages.programs.join("cluster-version-operator");
        let process = Companion::start(&program, &arguments, &log)?;
        let operator = Operator { process, identity: start.identity.clone(), port, log };
        wait_until("the operator to be ready", Duration::from_secs(20), || async {
            Ok(operator.page("/readyz").await?.0 == 200)
        })
        .await
        .with_context(|| operator.said())?;
        Ok(operator)
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
        let path =
            "/apis/coordination.k8s.io/v1/namespaces/cpaas-system/leases/cluster-version-operator";
        let lease = self.get(path).await?;
        Ok(super::text(&lease, "/spec/holderIdentity").to_owned())
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
