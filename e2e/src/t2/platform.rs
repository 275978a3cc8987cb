//! What a test platform has beside the sandbox's seed: a control-plane node, an administrator, the
//! objects of a package's deploy folder, a version that something else installed.

use super::{Bench, node};
use anyhow::{Context as _, Result};
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The account of the administrator, so that the audit log tells it from everybody else.
pub const ADMINISTRATOR: &str = "system:serviceaccount:kube-system:administrator";

impl Bench {
    /// An administrator's kubeconfig with an account of its own, and programs on a PATH.
    pub(super) async fn make_administrator(&self) -> Result<PathBuf> {
        let bin = self.folder().join("bin");
        fs::create_dir_all(&bin)?;
        symlink(self.folder().join("plane/kubectl"), bin.join("kubectl"))?;
        symlink(&self.helm, bin.join("helm"))?;
        for program in ["ac", "violet"] {
            symlink(self.packages.programs.join(program), bin.join(program))?;
        }
        self.apply(
            "
apiVersion: v1
kind: ServiceAccount
metadata: {name: administrator, namespace: kube-system}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: administrator}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: administrator, namespace: kube-system}]
",
        )
        .await?;
        let token = self.token("kube-system", "administrator").await?;
        let kubeconfig = self.folder().join("administrator.kubeconfig");
        fs::write(&kubeconfig, self.kubeconfig_of(&token)?)?;
        Ok(kubeconfig)
    }

    /// A token of an account that lasts for the test.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn token(&self, namespace: &str, account: &str) -> Result<String> {
        let words = ["-n", namespace, "create", "token", account, "--duration=4h"];
        Ok(self.kubectl(&words).await?.trim().to_owned())
    }

    /// A kubeconfig with this token.
    ///
    /// # Errors
    /// When the owner's kubeconfig cannot be read.
    pub fn kubeconfig_of(&self, token: &str) -> Result<String> {
        let own = fs::read_to_string(self.plane.kubeconfig())?;
        Ok(own.replace(self.plane.token(), token))
    }

    /// What the node says of its container runtime.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn set_runtime(&self, runtime: &str) -> Result<()> {
        node::set_runtime(&self.plane, runtime).await
    }

    /// A static Pod of the control plane on the node.
    ///
    /// # Errors
    /// When it cannot be made.
    pub async fn make_static_pod(&self, component: &str) -> Result<()> {
        node::make_static_pod(&self.plane, component).await
    }

    /// Lets the platform say that something else installed this version.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn say_version(&self, version: &str) -> Result<()> {
        let spec = json!({ "spec": { "version": version } }).to_string();
        for object in ["productbases/base", "clustermodules/global"] {
            self.kubectl(&["patch", object, "--type=merge", "-p", &spec]).await?;
        }
        self.set_status(&["productbases/base"], &json!({ "version": version })).await?;
        let base = json!({
            "deployStatus": "Completed", "runningStatus": "Healthy", "version": version,
        });
        self.set_status(&["clustermodules/global"], &json!({ "base": base })).await
    }

    /// Applies what a package deploys, the operator's Deployment aside: the operator is a process.
    ///
    /// # Errors
    /// When something is refused.
    pub async fn deploy(&self, package: &Path) -> Result<()> {
        let folder = package.join("deploy");
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder)?.map(|e| Ok(e?.path())).collect::<Result<_>>()?;
        files.sort();
        let mut all = String::new();
        for file in files {
            let name = file.file_name().and_then(|n| n.to_str()).context("a name in UTF-8")?;
            if !name.contains("operator") {
                all.push_str("\n---\n");
                all.push_str(&fs::read_to_string(&file)?);
            }
        }
        self.apply(&all).await?;
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        self.kubectl(&wait).await?;
        Ok(())
    }

    /// Publishes a release that is in the registry, as `ac` does.
    ///
    /// # Errors
    /// When it cannot be published.
    pub async fn publish(&self, version: &str) -> Result<()> {
        self.must(&format!("ac adm release import-manifest --version {version}")).await?;
        Ok(())
    }

    /// Writes the wish, as the seed does.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn ask_for(&self, version: &str) -> Result<()> {
        self.of(api::names::GLOBAL).ask_for(version).await
    }
}
