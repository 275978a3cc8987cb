//! Decides how a test gets a real API server in seconds: etcd and kube-apiserver as processes of
//! this machine on loopback, with controllers and simulated Pods where asked for. Knows nothing of
//! nodes and containers.

mod access;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::process::Command;

use crate::certificates::{Identity, signing_key, write_secret};
use crate::companion::Companion;
use crate::platform::{KnownRegistry, Platform, Registered};
use crate::process::{command, run, tail_of, wait_until};
use crate::registry::{TestRegistry, free_port, random_password, text};
use crate::toolchain::KubernetesVersion;

/// What the keys of an API server begin with that has an etcd of its own.
const PREFIX: &str = "/registry";

/// What a control plane consists of.
#[derive(Clone, Debug)]
pub struct Programs {
    /// The multi-call binary.
    pub kube: PathBuf,
    /// kwok, which brings Pods and Jobs to their ends; without it Pods stay Pending.
    pub kwok: Option<PathBuf>,
    /// Whether kube-controller-manager and kube-scheduler run: Deployments, Jobs, garbage
    /// collection, service accounts. kwok needs them.
    pub controllers: bool,
}

/// A control plane of its own; it ends when this value is dropped or this process ends.
#[derive(Debug)]
pub struct ControlPlane {
    folder: PathBuf,
    programs: Programs,
    port: u16,
    etcd_port: u16,
    token: String,
    kwok: Option<Companion>,
    controllers: Option<[Companion; 2]>,
    api_server: Option<Companion>,
    /// None: that of another control plane.
    etcd: Option<Companion>,
    /// What the keys of its objects begin with.
    prefix: String,
}

impl ControlPlane {
    /// Starts one with its files in `folder`, which is empty or absent.
    pub async fn start(folder: &Path, programs: Programs) -> Result<Self> {
        link_programs(folder, &programs)?;
        let (port, peer_port) = (free_port()?, free_port()?);
        let etcd = access::etcd(folder, port, peer_port)?;
        let etcd = Companion::start(&folder.join("etcd"), &etcd, &folder.join("log/etcd.log"))?;
        Self::start_with(folder, programs, (port, Some(etcd)), PREFIX).await
    }

    /// Starts another one of the same programs, whose objects are kept in the etcd of this one
    /// under `prefix`, which nobody else has: `/registry-a`. It must end before this one does.
    pub async fn start_beside(&self, folder: &Path, prefix: &str) -> Result<Self> {
        link_programs(folder, &self.programs)?;
        Self::start_with(folder, self.programs.clone(), (self.etcd_port, None), prefix).await
    }

    async fn start_with(
        folder: &Path,
        programs: Programs,
        (etcd_port, etcd): (u16, Option<Companion>),
        prefix: &str,
    ) -> Result<Self> {
        let (port, token) = (free_port()?, random_password()?);
        Identity::in_folder(&folder.join("tls"), "control plane", &["127.0.0.1", "localhost"])?;
        let (private, public) = signing_key()?;
        write_secret(&folder.join("sa.key"), private.as_bytes())?;
        fs::write(folder.join("sa.pub"), public)?;
        fs::write(folder.join("audit-policy.yaml"), access::AUDIT_POLICY)?;
        write_secret(&folder.join("tokens.csv"), access::tokens(&token).as_bytes())?;
        let kubeconfig = access::kubeconfig(folder, port, &token)?;
        write_secret(&folder.join("kubeconfig"), kubeconfig.as_bytes())?;
        let mut plane = Self {
            folder: folder.to_owned(),
            programs,
            port,
            etcd_port,
            token,
            kwok: None,
            controllers: None,
            api_server: None,
            etcd,
            prefix: prefix.to_owned(),
        };
        plane.resume().await?;
        plane.start_others().await?;
        Ok(plane)
    }

    /// What it consists of.
    pub const fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The administrator's kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The administrator's token; its user is in the group `system:masters`.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// `https://127.0.0.1:<port>`.
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// Lets the API server reach etcd at another port of this machine: that of a proxy.
    pub async fn reach_etcd_at(&mut self, port: u16) -> Result<()> {
        self.cut();
        self.etcd_port = port;
        self.resume().await
    }

    /// The client address of etcd as the API server knows it, plain HTTP.
    pub fn etcd_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.etcd_port)
    }

    /// The certificate that the API server's is signed by.
    pub fn authority(&self) -> PathBuf {
        self.folder.join("tls/ca.crt")
    }

    /// The audit log, one JSON event a line.
    pub fn audit_log(&self) -> PathBuf {
        self.folder.join("audit.log")
    }

    /// `kubectl` as the administrator.
    pub fn kubectl(&self) -> Command {
        let mut kubectl = command(self.folder.join("kubectl"), ["--kubeconfig"]);
        kubectl.arg(self.kubeconfig());
        kubectl
    }

    /// It as a cluster of a platform, to be given to [`Platform`].
    ///
    /// [`Platform`]: crate::platform::Platform
    pub fn registered(&self, name: &str) -> Registered {
        Registered {
            name: name.to_owned(),
            host: "127.0.0.1".to_owned(),
            port: self.port,
            advertised: "127.0.0.1".to_owned(),
            kubernetes: KubernetesVersion::default().to_string(),
            dns_ip: "10.96.0.10".to_owned(),
            machine: format!("{name}-cp-1"),
            kubeconfig: self.kubeconfig(),
            token: Some(self.token.clone()),
        }
    }

    /// Makes it the global cluster of a platform with this registry and these other clusters; the
    /// VIP is this machine. Others may join later.
    pub async fn seed_platform(
        &self,
        registry: &TestRegistry,
        workloads: Vec<Registered>,
    ) -> Result<()> {
        let platform = Platform {
            kubectl: self.folder.join("kubectl"),
            vip: "127.0.0.1".to_owned(),
            registry: KnownRegistry {
                address: registry.address().to_owned(),
                authority: registry.authority().to_owned(),
                credentials: registry.credentials().clone(),
            },
            global: self.registered(api::names::GLOBAL),
            workloads,
        };
        platform.seed().await
    }

    /// The ids of its processes that run now.
    pub fn processes(&self) -> Vec<u32> {
        let others = self.controllers.iter().flatten().chain(&self.kwok).chain(&self.api_server);
        others.chain(&self.etcd).map(Companion::id).collect()
    }

    /// Kills the API server, as an outage; etcd keeps what was written.
    pub fn cut(&mut self) {
        self.api_server = None;
    }

    /// Starts the API server again at the same address and waits until it is ready.
    pub async fn resume(&mut self) -> Result<()> {
        let storage = access::Storage { port: self.etcd_port, prefix: &self.prefix };
        let arguments =
            access::api_server(&self.folder, self.port, storage, self.programs.controllers)?;
        let (program, log) = (self.folder.join("kube-apiserver"), self.log("kube-apiserver"));
        self.api_server = Some(Companion::start(&program, &arguments, &log)?);
        wait_until("the API server to be ready", Duration::from_secs(60), || async {
            let mut ready = self.kubectl();
            ready.args(["get", "--raw", "/readyz", "--request-timeout=5s"]);
            run(&mut ready, Duration::from_secs(10)).await?;
            // The first namespaces and the priority levels come after readiness.
            let mut default = self.kubectl();
            default.args(["get", "namespace", "default", "kube-system", "--request-timeout=5s"]);
            run(&mut default, Duration::from_secs(10)).await?;
            Ok(true)
        })
        .await
        .with_context(|| tail_of(&log))
    }

    fn log(&self, program: &str) -> PathBuf {
        self.folder.join("log").join(format!("{program}.log"))
    }

    async fn start_others(&mut self) -> Result<()> {
        if self.programs.controllers {
            let arguments = access::controllers(&self.folder, free_port()?)?;
            let program = self.folder.join("kube-controller-manager");
            let log = self.log("kube-controller-manager");
            let manager = Companion::start(&program, &arguments, &log)?;
            let arguments = access::scheduler(&self.folder, free_port()?)?;
            let program = self.folder.join("kube-scheduler");
            let scheduler = Companion::start(&program, &arguments, &self.log("kube-scheduler"))?;
            self.controllers = Some([manager, scheduler]);
            let limit = Duration::from_secs(60);
            wait_until("the controllers to make the default account", limit, || async {
                let mut account = self.kubectl();
                account.args(["get", "serviceaccount", "default", "-n", "default"]);
                run(&mut account, Duration::from_secs(10)).await?;
                Ok(true)
            })
            .await
            .with_context(|| tail_of(&log))?;
        }
        if let Some(kwok) = self.programs.kwok.clone() {
            self.start_kwok(&kwok).await?;
        }
        Ok(())
    }

    async fn start_kwok(&mut self, kwok: &Path) -> Result<()> {
        let stages = self.folder.join("kwok.yaml");
        fs::write(&stages, access::KWOK_STAGES)?;
        let kubeconfig = self.kubeconfig();
        let arguments = [
            format!("--kubeconfig={}", text(&kubeconfig)?),
            format!("--config={}", text(&stages)?),
            "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake".to_owned(),
            // Without a heartbeat the controllers take the node, and its Pods, for lost after 40 s.
            "--node-lease-duration-seconds=40".to_owned(),
            format!("--server-address=127.0.0.1:{}", free_port()?),
        ];
        let log = self.log("kwok");
        self.kwok = Some(Companion::start(kwok, &arguments, &log)?);
        let mut node = self.kubectl();
        node.args(["create", "-f", "-"]);
        let limit = Duration::from_secs(20);
        crate::process::run_with_input(&mut node, access::NODE.as_bytes(), limit).await?;
        wait_until("the simulated node to be Ready", Duration::from_secs(60), || async {
            let mut get = self.kubectl();
            get.args(["get", "node", "node-1", "-o"]);
            get.arg("jsonpath={.status.conditions[?(@.type=='Ready')].status}");
            Ok(run(&mut get, Duration::from_secs(10)).await? == "True")
        })
        .await
        .with_context(|| tail_of(&log))
    }
}

/// The folder of a control plane, with its programs under their names.
fn link_programs(folder: &Path, programs: &Programs) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    for program in
        ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl"]
    {
        let link = folder.join(program);
        if !link.exists() {
            std::os::unix::fs::symlink(&programs.kube, &link)
                .with_context(|| format!("cannot link {}", link.display()))?;
        }
    }
    Ok(())
}
