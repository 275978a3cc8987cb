//! Decides what a platform has before this product comes to it: its CRDs, its own description, its
//! registered clusters, its secrets. Nothing of Core is installed here; the product does that.

mod objects;

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use tokio::process::Command;

use crate::process::{command, run, run_with_input, wait_until};
use crate::registry::Credentials;
use objects::Object;

/// Seed of the key that signs the licences of demo and tests; its public half is a licence key of
/// the demo releases. It protects nothing.
pub const LICENSE_SEED: [u8; 32] = [42; 32];

const LIMIT: Duration = Duration::from_secs(60);
/// Who made these objects, in their managed fields.
const FIELD_MANAGER: &str = "platform-installer";

/// One registered cluster.
#[derive(Clone, Debug)]
pub struct Registered {
    /// Its name.
    pub name: String,
    /// The host of its API server.
    pub host: String,
    /// The port of its API server.
    pub port: u16,
    /// The address under which others reach it.
    pub advertised: String,
    /// What it runs, such as `v1.33.13`.
    pub kubernetes: String,
    /// The address of its DNS service.
    pub dns_ip: String,
    /// The name of its one machine.
    pub machine: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// The token that the platform reaches it with; without one an account is made for it, which
    /// needs the cluster's controllers.
    pub token: Option<String>,
}

/// The platform's registry, as the platform knows it.
#[derive(Clone, Debug)]
pub struct KnownRegistry {
    /// `<VIP>:11443`.
    pub address: String,
    /// The certificate to trust.
    pub authority: PathBuf,
    /// The two accounts.
    pub credentials: Credentials,
}

/// A platform to be.
#[derive(Clone, Debug)]
pub struct Platform {
    /// The program that talks to the clusters.
    pub kubectl: PathBuf,
    /// The global VIP.
    pub vip: String,
    /// Its registry.
    pub registry: KnownRegistry,
    /// The global cluster.
    pub global: Registered,
    /// The other clusters.
    pub workloads: Vec<Registered>,
}

impl Platform {
    /// Makes what is not there. A platform that stands already is left as it is: by now others
    /// have written to these objects.
    pub async fn seed(&self) -> Result<()> {
        if !self.stands().await? {
            self.prepare().await.context("prepare the platform")?;
        }
        for cluster in [&self.global].into_iter().chain(&self.workloads) {
            let register = self.register(cluster).await;
            register.with_context(|| format!("register cluster {}", cluster.name))?;
        }
        Ok(())
    }

    fn kubectl(&self, cluster: &Registered) -> Command {
        let mut kubectl = command(&self.kubectl, ["--kubeconfig"]);
        kubectl.arg(&cluster.kubeconfig);
        kubectl
    }

    async fn get(&self, cluster: &Registered, words: &[&str]) -> Result<String> {
        let mut get = self.kubectl(cluster);
        get.arg("get").args(words).arg("--ignore-not-found");
        run(&mut get, LIMIT).await
    }

    /// The description is written last, so its phase says that all the rest is there.
    async fn stands(&self) -> Result<bool> {
        let resource = objects::product_base("", "", "")?.resource()?;
        let crd = format!("crd/{resource}");
        if self.get(&self.global, &[&crd, "-o", "name"]).await?.is_empty() {
            return Ok(false);
        }
        let phase = [&resource, api::names::PRODUCT_BASE, "-o", "jsonpath={.status.phase}"];
        Ok(self.get(&self.global, &phase).await? == api::names::RUNNING)
    }

    async fn prepare(&self) -> Result<()> {
        let global = &self.global;
        self.apply(global, &objects::crds()?).await?;
        let mut established = self.kubectl(global);
        established.args(["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"]);
        run(&mut established, LIMIT * 2).await?;
        let id = self.get(global, &["namespace/kube-system", "-o", "jsonpath={.metadata.uid}"]);
        let id = id.await?;
        let authority = std::fs::read_to_string(&self.registry.authority)
            .with_context(|| self.registry.authority.display().to_string())?;
        let accounts = &self.registry.credentials;
        let all = [
            objects::namespace(),
            objects::registry_admin(&accounts.push, &authority),
            objects::pull_secret(&self.registry.address, &accounts.pull)?,
            objects::license(&id)?,
            objects::admin_acks(),
            objects::product_base(&self.registry.address, &self.vip, &id)?,
        ];
        self.apply(global, &all).await
    }

    /// Gives the platform access to a cluster and describes the cluster on global.
    async fn register(&self, cluster: &Registered) -> Result<()> {
        let known = objects::cluster(cluster)?;
        let phase = [&known.resource()?, &cluster.name, "-o", "jsonpath={.status.phase}"];
        if !self.get(&self.global, &phase).await?.is_empty() {
            return Ok(());
        }
        let token = match &cluster.token {
            Some(token) => token.clone(),
            None => self.make_access(cluster).await?,
        };
        let authority = self.authority(&cluster.kubeconfig).await?;
        let all = [
            objects::cluster_credential(cluster, &authority, &token)?,
            objects::machine(cluster)?,
            objects::cluster_module(&cluster.name)?,
            // Last, so that its phase says that the others are there.
            known,
        ];
        self.apply(&self.global, &all).await
    }

    async fn make_access(&self, cluster: &Registered) -> Result<String> {
        let access = [vec![objects::namespace()], objects::access()].concat();
        self.apply(cluster, &access).await?;
        let secret = format!("secret/{}", api::names::K8S_ADMIN);
        let written = || async { Ok(self.key(cluster, &secret, "token").await?.is_some()) };
        wait_until("the account's token", LIMIT, written).await?;
        self.key(cluster, &secret, "token").await?.context("the token is gone")
    }

    /// A key of a Secret in the platform's namespace, decoded.
    async fn key(&self, cluster: &Registered, secret: &str, key: &str) -> Result<Option<String>> {
        let path = format!("jsonpath={{.data.{key}}}");
        let words = [secret, "-n", api::names::NAMESPACE, "-o", &path];
        let encoded = self.get(cluster, &words).await?;
        if encoded.is_empty() {
            return Ok(None);
        }
        Ok(Some(String::from_utf8(STANDARD.decode(encoded.trim())?)?))
    }

    /// The certificate of the cluster in a kubeconfig, in base64.
    async fn authority(&self, kubeconfig: &Path) -> Result<String> {
        let mut view = command(&self.kubectl, ["config", "view", "--raw", "--kubeconfig"]);
        view.arg(kubeconfig);
        view.args(["-o", "jsonpath={.clusters[0].cluster.certificate-authority-data}"]);
        run(&mut view, LIMIT).await
    }

    /// Writes objects and then their status.
    async fn apply(&self, cluster: &Registered, all: &[Object]) -> Result<()> {
        let bodies = all.iter().map(|object| object.body.clone()).collect();
        self.apply_list(cluster, bodies, &[]).await?;
        let statuses: Vec<Value> = all.iter().filter_map(Object::status_body).collect();
        if statuses.is_empty() {
            return Ok(());
        }
        // A status alone is no whole object: kubectl's own check would ask for the rest.
        self.apply_list(cluster, statuses, &["--subresource=status", "--validate=false"]).await
    }

    async fn apply_list(
        &self,
        cluster: &Registered,
        items: Vec<Value>,
        options: &[&str],
    ) -> Result<()> {
        let list = serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items });
        let mut apply = self.kubectl(cluster);
        apply.args(["apply", "--server-side", "--field-manager", FIELD_MANAGER, "-f", "-"]);
        run_with_input(apply.args(options), &serde_json::to_vec(&list)?, LIMIT).await?;
        Ok(())
    }
}
