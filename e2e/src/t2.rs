//! A platform on one machine in seconds: a real API server whose Pods are simulated, a real
//! registry, and the operator as a process beside them. Tests read what users read.
//!
//! Nothing here knows what a check or an upgrade should come to: that is the tests'.

mod checking;
mod editing;
mod end_state;
mod node;
mod operator;
mod platform;
mod plugins;
mod releases;
mod watching;
mod workload;

pub use editing::{Edits, Watched};
pub use end_state::EndState;
pub use node::{make_static_pod, set_runtime};
pub use operator::{Lease, Operator, Start};
pub use platform::ADMINISTRATOR;
pub use plugins::{Plugin, chart_of, installed_app, plugin_rights};
pub use releases::{Published, demo_signer};
pub use watching::{Of, SHADOWS, check, condition, is_completed_at, text};
pub use workload::{CLUSTERS, CREDENTIALS, MODULES};

use crate::audit::{self, Request};
use crate::packages::{Packages, cache, root};
use crate::shell::{Said, Shell};
use crate::turn::Turn;
use anyhow::{Context as _, Result, ensure};
use sandbox::plane::Programs;
use sandbox::process::{run, run_with_input};
use sandbox::toolchain::{KubernetesVersion, Tool, Toolchain};
use sandbox::{ControlPlane, Narrator, TestRegistry};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::OnceCell;

/// How long one command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);
/// The packages, built once for all tests of the process.
static PACKAGES: OnceCell<Packages> = OnceCell::const_new();

/// A platform to test on; everything of it ends with this value.
#[derive(Debug)]
pub struct Bench {
    /// The API server.
    pub plane: ControlPlane,
    /// The platform's registry.
    pub registry: TestRegistry,
    /// The packages.
    pub packages: Packages,
    administrator: PathBuf,
    helm: PathBuf,
    client: reqwest::Client,
    folder: TempDir,
    _turn: Turn,
}

impl Bench {
    /// A platform without CVO, CRDs of ours and Core: only what it has before this product, and an
    /// empty registry.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn bare() -> Result<Self> {
        Self::bare_in(Turn::beside_others().await).await
    }

    async fn bare_in(turn: Turn) -> Result<Self> {
        // A second test of this process has installed it already.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let narrator = Narrator::stderr();
        let packages = PACKAGES.get_or_try_init(|| Packages::build(&narrator)).await?.clone();
        let toolchain = Toolchain::new(&cache()?, narrator);
        let registry_program = toolchain.build(&Tool::registry()).await?;
        let programs = Programs {
            kube: toolchain.build(&Tool::kube(KubernetesVersion::default())).await?,
            kwok: Some(toolchain.build(&Tool::kwok()).await?),
            controllers: true,
        };
        // Beside the packages, so that their files can be links.
        let here = root().join("target/t2");
        std::fs::create_dir_all(&here)?;
        let folder = tempfile::tempdir_in(here)?;
        let packages = Packages {
            old: own_copy(&packages.old, &folder.path().join("acp-core-4.2.1"))?,
            new: own_copy(&packages.new, &folder.path().join("acp-core-4.3.0"))?,
            ..packages
        };
        let storage = folder.path().join("registry");
        let registry = TestRegistry::start(&registry_program, &storage).await?;
        let plane = ControlPlane::start(&folder.path().join("plane"), programs).await?;
        plane.seed_platform(&registry, Vec::new()).await?;
        let mut bench = Self {
            client: client(&plane)?,
            administrator: PathBuf::new(),
            helm: toolchain.build(&Tool::helm()).await?,
            plane,
            registry,
            packages,
            folder,
            _turn: turn,
        };
        bench.administrator = bench.make_administrator().await?;
        node::make(&bench.plane).await?;
        bench.kinds_are_served().await?;
        Ok(bench)
    }

    /// An API server refuses the first requests about a kind while it makes room for it: a real
    /// platform is past that, and kubectl waits for it.
    async fn kinds_are_served(&self) -> Result<()> {
        let names = ["get", "crd", "-o", "jsonpath={.items[*].metadata.name}"];
        for kind in self.kubectl(&names).await?.split_whitespace() {
            self.kubectl(&["get", kind, "-A", "-o", "name"]).await?;
        }
        Ok(())
    }

    /// A platform to which both releases were sent and whose operator is only to be started.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn prepared() -> Result<Self> {
        Self::prepared_in(Turn::beside_others().await).await
    }

    /// The same, in a place on the machine.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn prepared_in(turn: Turn) -> Result<Self> {
        let bench = Self::bare_in(turn).await?;
        for package in [&bench.packages.old, &bench.packages.new] {
            let shell = bench.shell().within(package).silent();
            shell.run("bash upgrade.sh --only-sync-image", COMMAND_LIMIT).await?.expect(0)?;
            bench.deploy(package).await?;
        }
        Ok(bench)
    }

    /// A platform on which something else installed 4.2.1; no operator runs yet.
    ///
    /// # Errors
    /// When a part does not start.
    pub async fn adopted() -> Result<Self> {
        let bench = Self::prepared().await?;
        bench.say_version("4.2.1").await?;
        Ok(bench)
    }

    /// A platform on which the operator, which runs, has installed 4.2.1.
    ///
    /// # Errors
    /// When it is not installed in time.
    pub async fn installed() -> Result<(Self, Operator)> {
        Self::prepared().await?.install().await
    }

    /// This platform, with an operator that runs and has installed 4.2.1.
    ///
    /// # Errors
    /// When it is not installed in time.
    pub async fn install(self) -> Result<(Self, Operator)> {
        let operator = self.operator(&Start::default()).await?;
        self.publish("4.2.1").await?;
        self.offered("4.2.1").await?;
        self.ask_for("4.2.1").await?;
        self.completed("4.2.1").await?;
        Ok((self, operator))
    }

    /// A folder that goes away with the platform.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A user's shell with an administrator's kubeconfig, in the folder of the 4.3.0 package.
    #[must_use]
    pub fn shell(&self) -> Shell {
        self.shell_with(&self.administrator)
    }

    /// A user's shell with another kubeconfig.
    #[must_use]
    pub fn shell_with(&self, kubeconfig: &Path) -> Shell {
        let bin = self.folder.path().join("bin");
        Shell::new(&[&bin], kubeconfig, &self.packages.new, Narrator::stderr())
    }

    /// Runs a command as the administrator, whatever its code; it is shown with what it says.
    ///
    /// # Errors
    /// When it cannot be run or does not end.
    pub async fn run(&self, script: &str) -> Result<Said> {
        eprintln!("$ {script}");
        let said = self.shell().run(script, COMMAND_LIMIT).await?;
        eprintln!("  -> {}", said.code);
        Ok(said)
    }

    /// Runs a command that must succeed, and gives what it printed.
    ///
    /// # Errors
    /// When it does not succeed.
    pub async fn must(&self, script: &str) -> Result<String> {
        let said = self.run(script).await?;
        Ok(said.expect(0).with_context(|| script.to_owned())?.stdout.trim().to_owned())
    }

    /// What kubectl prints, as the owner of the machine; not shown.
    ///
    /// # Errors
    /// When it fails.
    pub async fn kubectl(&self, words: &[&str]) -> Result<String> {
        run(self.plane.kubectl().args(words), COMMAND_LIMIT).await
    }

    /// Applies objects as the owner of the machine.
    ///
    /// # Errors
    /// When they are refused.
    pub async fn apply(&self, objects: &str) -> Result<()> {
        let mut apply = self.plane.kubectl();
        apply.args(["apply", "--server-side", "--force-conflicts", "-f", "-"]);
        run_with_input(&mut apply, objects.as_bytes(), COMMAND_LIMIT).await?;
        Ok(())
    }

    /// Writes a part of an object's status as the owner of the machine.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn set_status(&self, object: &[&str], status: &Value) -> Result<()> {
        let body = serde_json::json!({ "status": status }).to_string();
        let mut words = vec!["patch"];
        words.extend(object);
        words.extend(["--subresource=status", "--type=merge", "-p", &body]);
        self.kubectl(&words).await?;
        Ok(())
    }

    /// An answer of the API server; null where there is no such object.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let url = format!("{}{path}", self.plane.url());
        let request = self.client.get(&url).bearer_auth(self.plane.token());
        let answer = request.timeout(Duration::from_secs(10)).send().await?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(Value::Null);
        }
        Ok(answer.error_for_status()?.json().await?)
    }

    /// The requests that the API server answered from a byte of its log on, and where it ends.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn requests(&self, from: u64) -> Result<(Vec<Request>, u64)> {
        audit::read(&self.plane.audit_log(), from)
    }
}

/// A package in another folder, as on another host: other tests work with the same one.
///
/// # Errors
/// When it cannot be copied.
pub fn own_copy(package: &Path, folder: &Path) -> Result<PathBuf> {
    let mut copy = std::process::Command::new("cp");
    let done = copy.arg("-al").args([package, folder]).status()?;
    ensure!(done.success(), "cannot copy {}", package.display());
    let lock = folder.join(".upgrade.lock");
    if lock.exists() {
        std::fs::remove_file(lock)?;
    }
    Ok(folder.to_owned())
}

fn client(plane: &ControlPlane) -> Result<reqwest::Client> {
    let authority = std::fs::read(plane.authority())?;
    let authority = reqwest::Certificate::from_pem(&authority)?;
    let builder = reqwest::Client::builder().tls_certs_only([authority]);
    builder.build().context("a client of the API server")
}

/// A port of loopback that nobody listens on.
pub(crate) fn free_port() -> Result<u16> {
    Ok(std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
