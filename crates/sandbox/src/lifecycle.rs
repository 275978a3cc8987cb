//! Decides the life of a sandbox: which clusters it has, in which order they come and go, and what
//! is where in its one folder. Knows nothing of the platform on top.

mod known;
mod mount_points;
mod status;

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;

use known::FIRST_NUMBER;
pub use status::{ClusterStatus, Status};

use crate::narration::Narrator;
use crate::network::Network;
use crate::node::{self, Node, Supplies};
use crate::platform::{KnownRegistry, Platform, Registered};
use crate::prerequisites;
use crate::process::command;
use crate::registry::{PlatformRegistry, text};
use crate::toolchain::{KubernetesVersion, Tool, Toolchain};

/// The management cluster's name.
pub const GLOBAL: &str = api::names::GLOBAL;
/// Programs that a node runs, each a name of the one binary.
const NODE_PROGRAMS: [&str; 6] =
    ["etcdctl", "kube-proxy", "kubeadm", "kubectl", "kubelet", "kube-apiserver"];
/// Small, static and in the distribution: the pause image and the tests' images are made of it.
const BUSYBOX: &str = "/bin/busybox";

/// What a sandbox is.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where built tools are kept, shared by all sandboxes.
    pub cache: PathBuf,
    /// Where this sandbox keeps everything; removed by `down`.
    pub state: PathBuf,
    /// Its clusters; the platform's own is called `global`.
    pub clusters: Vec<String>,
    /// What they run.
    pub kubernetes: KubernetesVersion,
    /// Its addresses and the names of what it makes on this machine.
    pub network: Network,
    /// Whether the global cluster is made the platform's and the others are registered on it.
    pub platform: bool,
}

impl Options {
    /// The sandbox of the demo, with everything under `cache`.
    pub fn new(cache: &Path) -> Self {
        Self {
            cache: cache.to_owned(),
            state: cache.join("sandbox"),
            clusters: vec![GLOBAL.to_owned(), "workload-a".to_owned()],
            kubernetes: KubernetesVersion::default(),
            network: Network::default(),
            platform: true,
        }
    }

    /// The sandbox in which the job is tested, beside that of the demo.
    pub fn of_the_job(cache: &Path) -> Self {
        Self::beside(cache, "e2e", "10.89.0", "acpe2e")
    }

    /// The sandbox in which sandboxes are tested.
    pub fn of_sandboxes(cache: &Path) -> Self {
        Self::beside(cache, "sandbox-test", "10.90.0", "acpt")
    }

    /// All that tests bring up.
    pub fn of_tests(cache: &Path) -> [Self; 2] {
        [Self::of_the_job(cache), Self::of_sandboxes(cache)]
    }

    /// One that does not meet that of the demo.
    fn beside(cache: &Path, state: &str, prefix: &str, tag: &str) -> Self {
        Self {
            state: cache.join(state),
            network: Network { prefix: prefix.to_owned(), tag: tag.to_owned() },
            ..Self::new(cache)
        }
    }
}

/// The folder for all that is kept between runs, from `XDG_CACHE_HOME` and `HOME`.
pub fn default_cache(xdg: Option<&OsStr>, home: Option<&OsStr>) -> Result<PathBuf> {
    let set = |value: Option<&OsStr>| value.filter(|text| !text.is_empty()).map(PathBuf::from);
    let base = set(xdg).or_else(|| set(home).map(|home| home.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("acp-upgrade"))
}

/// What a sandbox consists of.
#[derive(Clone, Debug)]
pub struct Built {
    kube: PathBuf,
    registry: PathBuf,
    helm: PathBuf,
    /// The images of a node.
    images: PathBuf,
}

/// Real clusters and a registry on this machine.
#[derive(Clone, Debug)]
pub struct Sandbox {
    options: Options,
    narrator: Narrator,
}

impl Sandbox {
    /// The sandbox of these options, up or not.
    pub fn new(options: Options, narrator: Narrator) -> Self {
        Self { options, narrator }
    }

    /// The folder that holds everything of it.
    pub fn folder(&self) -> &Path {
        &self.options.state
    }

    /// The folder with kubectl and helm, for a PATH.
    pub fn bin(&self) -> PathBuf {
        self.options.state.join("bin")
    }

    /// Puts our command lines beside kubectl and helm, each a program of this folder.
    ///
    /// # Errors
    /// When they cannot be put there.
    pub fn add_programs(&self, folder: &Path) -> Result<()> {
        for (program, name) in [("ac", "ac"), ("ac", "kubectl-acp"), ("violet", "violet")] {
            link(&folder.join(program), &self.bin().join(name))?;
        }
        Ok(())
    }

    /// The programs that nodes run; clusters of several versions can stand side by side.
    fn node_bin(&self) -> PathBuf {
        self.options.state.join("node-bin").join(self.options.kubernetes.full())
    }

    /// The platform registry.
    pub fn registry(&self) -> PlatformRegistry {
        PlatformRegistry::new(&self.options.state.join("registry"), &self.options.network)
    }

    /// The administrator's kubeconfig of a cluster.
    pub fn kubeconfig(&self, cluster: &str) -> Result<PathBuf> {
        let node = self.node(cluster)?;
        ensure!(node.is_up()?, "cluster {cluster} does not run: cargo xtask sandbox up");
        Ok(node.kubeconfig())
    }

    /// The audit log of a cluster's API server, one JSON event a line.
    pub fn audit_log(&self, cluster: &str) -> Result<PathBuf> {
        Ok(self.node(cluster)?.audit_log())
    }

    /// The folder with the logs of a cluster's daemons.
    pub fn logs(&self, cluster: &str) -> Result<PathBuf> {
        Ok(self.node(cluster)?.logs())
    }

    /// A program on the console of a cluster's node, with kubectl and helm on its PATH.
    pub fn on_node(&self, cluster: &str, program: &str) -> Result<Command> {
        let mut on_node = self.node(cluster)?.command("env")?;
        let (bin, state) = (self.bin(), &self.options.state);
        let path = format!("PATH={}:/usr/sbin:/usr/bin:/sbin:/bin", text(&bin)?);
        on_node.arg(path).arg(program).current_dir(state);
        Ok(on_node)
    }

    /// `kubectl` against a cluster.
    pub fn kubectl(&self, cluster: &str) -> Result<Command> {
        let mut kubectl = command(self.bin().join("kubectl"), ["--kubeconfig"]);
        kubectl.arg(self.kubeconfig(cluster)?);
        Ok(kubectl)
    }

    /// Builds what it consists of and nobody has built yet: minutes, where [`Sandbox::up`] alone
    /// takes seconds.
    pub async fn build(&self) -> Result<Built> {
        let found = prerequisites::check(&self.options.cache).await;
        prerequisites::require(&found)?;
        let toolchain = Toolchain::new(&self.options.cache, self.narrator.clone());
        let kube = toolchain.build(&Tool::kube(self.options.kubernetes)).await?;
        let registry = toolchain.build(&Tool::registry()).await?;
        let helm = toolchain.build(&Tool::helm()).await?;
        let images = node::archive(&kube, Path::new(BUSYBOX), self.options.kubernetes).await?;
        Ok(Built { kube, registry, helm, images })
    }

    /// Brings up what is not up; safe to run twice, and cleans what a run that died left.
    pub async fn up(&self) -> Result<Status> {
        let Built { kube, registry, helm, images } = self.build().await?;

        let _held = self.lock()?;
        let known = self.remember()?;
        self.link_programs(&kube, &helm)?;
        mount_points::make(&self.options.cache)?;
        self.options.network.up().await?;
        let platform_registry = self.registry();
        let first = self.options.network.machine(GLOBAL, FIRST_NUMBER);
        platform_registry.up(&registry, &format!("{}:6443", first.address)).await?;
        let supplies = Supplies {
            bin: self.node_bin(),
            images,
            registry: platform_registry.address(),
            authority: platform_registry.authority(),
        };
        let wanted = known.iter().filter(|one| self.options.clusters.contains(&one.name));
        let nodes = wanted.map(|one| self.node_of(one)).collect::<Result<Vec<_>>>()?;
        futures::future::try_join_all(nodes.iter().map(|node| node.up(&supplies, &self.narrator)))
            .await?;
        let global = nodes.iter().find(|node| node.spec().name == GLOBAL);
        if let Some(global) = global.filter(|_| self.options.platform) {
            let platform = self.platform_of(global, &nodes)?;
            self.narrator.during("preparing the platform", platform.seed()).await?;
        }
        self.status().await
    }

    /// Whether anything of it was left behind or is up.
    pub fn is_there(&self) -> bool {
        self.options.state.exists()
    }

    /// Ends and removes everything, whatever state it is in; safe to run twice.
    pub async fn down(&self) -> Result<()> {
        let _held = self.lock()?;
        let mut problems = Vec::new();
        for node in self.remains()? {
            let name = node.spec().name.clone();
            let what = format!("cluster {name}: going down");
            if let Err(error) = self.narrator.during(&what, node.down()).await {
                problems.push(format!("cluster {name}: {error:#}"));
            }
        }
        let registry = self.registry();
        if let Err(error) = self.narrator.during("registry: going down", registry.down()).await {
            problems.push(format!("registry: {error:#}"));
        }
        if let Err(error) = self.options.network.down().await {
            problems.push(format!("network: {error:#}"));
        }
        if !problems.is_empty() {
            // The state stays, so that the next attempt knows what to end.
            bail!("not everything went away:\n{}", problems.join("\n"));
        }
        mount_points::remove(&self.options.cache)?;
        let state = &self.options.state;
        fs::remove_dir_all(state).with_context(|| format!("cannot remove {}", state.display()))
    }

    /// How everything stands.
    pub async fn status(&self) -> Result<Status> {
        let registry = self.registry();
        let mut status = Status {
            folder: self.options.state.clone(),
            bin: self.bin(),
            registry: registry.address(),
            registry_running: registry.is_running()?,
            clusters: Vec::new(),
        };
        for known in self.known()? {
            let node = self.node_of(&known)?;
            status.clusters.push(ClusterStatus {
                name: known.name,
                kubernetes: known.kubernetes,
                address: format!("https://{}:6443", node.spec().machine.address),
                kubeconfig: node.kubeconfig(),
                running: node.is_up()?,
            });
        }
        Ok(status)
    }

    fn platform_of(&self, global: &Node, nodes: &[Node]) -> Result<Platform> {
        let registry = self.registry();
        let registered = |node: &Node| {
            let spec = node.spec();
            let host = spec.machine.address.clone();
            let is_global = spec.name == GLOBAL;
            Registered {
                name: spec.name.clone(),
                advertised: if is_global { registry.vip().to_owned() } else { host.clone() },
                host,
                port: 6443,
                token: None,
                kubernetes: spec.kubernetes.to_string(),
                dns_ip: spec.dns_ip(),
                machine: spec.host_name(),
                kubeconfig: node.kubeconfig(),
            }
        };
        Ok(Platform {
            kubectl: self.bin().join("kubectl"),
            vip: registry.vip().to_owned(),
            registry: KnownRegistry {
                address: registry.address(),
                authority: registry.authority(),
                credentials: registry.credentials()?,
            },
            global: registered(global),
            workloads: nodes
                .iter()
                .filter(|one| one.spec().name != GLOBAL)
                .map(registered)
                .collect(),
        })
    }

    fn lock(&self) -> Result<File> {
        let state = &self.options.state;
        fs::create_dir_all(state).with_context(|| format!("cannot make {}", state.display()))?;
        let file = File::create(state.join("lock"))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => {
                bail!("another run of the sandbox is at work in {}", state.display())
            }
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock {}", state.display()))
            }
        }
    }

    fn link_programs(&self, kube: &Path, helm: &Path) -> Result<()> {
        let node_bin = self.node_bin();
        for folder in [&node_bin, &self.bin()] {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        for program in NODE_PROGRAMS {
            link(kube, &node_bin.join(program))?;
        }
        link(kube, &self.bin().join("kubectl"))?;
        link(helm, &self.bin().join("helm"))
    }
}

/// Makes or moves a symbolic link.
fn link(target: &Path, link: &Path) -> Result<()> {
    let mut part = link.as_os_str().to_owned();
    part.push(".part");
    let _absent = fs::remove_file(&part);
    std::os::unix::fs::symlink(target, &part)
        .and_then(|()| fs::rename(&part, link))
        .with_context(|| format!("cannot link {}", link.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_follows_the_environment() {
        let set = |text: &'static str| Some(OsStr::new(text));
        let found = |xdg, home| default_cache(xdg, home).unwrap();
        assert_eq!(found(set("/c"), set("/h")), Path::new("/c/acp-upgrade"));
        assert_eq!(found(set(""), set("/h")), Path::new("/h/.cache/acp-upgrade"));
        assert!(default_cache(None, None).is_err());
    }
}
