//! Decides the life of a sandbox: which clusters it has, in which order they come and go, and what
//! is where in its one folder. Knows nothing of the platform on top.

mod mount_points;
mod status;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

pub use status::{ClusterStatus, Status};

use crate::narration::Narrator;
use crate::network::Network;
use crate::node::{self, Node, Spec, Supplies};
use crate::platform::{KnownRegistry, Platform, Registered};
use crate::prerequisites;
use crate::process::{command, write_atomically};
use crate::registry::{PlatformRegistry, text};
use crate::toolchain::{KubernetesVersion, Tool, Toolchain};

/// The management cluster's name.
pub const GLOBAL: &str = api::names::GLOBAL;
/// The last number of the first cluster's address; the VIP is one below.
const FIRST_NUMBER: u8 = 11;
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
}

/// The folder for all that is kept between runs, from `XDG_CACHE_HOME` and `HOME`.
pub fn default_cache(xdg: Option<&OsStr>, home: Option<&OsStr>) -> Result<PathBuf> {
    let set = |value: Option<&OsStr>| value.filter(|text| !text.is_empty()).map(PathBuf::from);
    let base = set(xdg).or_else(|| set(home).map(|home| home.join(".cache")));
    Ok(base.context("neither XDG_CACHE_HOME nor HOME is set")?.join("acp-upgrade"))
}

/// A cluster that a sandbox has or had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    name: String,
    number: u8,
    kubernetes: String,
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

    /// Puts a program of the product beside kubectl and helm.
    pub fn add_program(&self, name: &str, program: &Path) -> Result<()> {
        link(program, &self.bin().join(name))
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

    /// Brings up what is not up; safe to run twice, and cleans what a run that died left.
    pub async fn up(&self) -> Result<Status> {
        let found = prerequisites::check(&self.options.cache).await;
        prerequisites::require(&found)?;
        let toolchain = Toolchain::new(&self.options.cache, self.narrator.clone());
        let kube = toolchain.build(&Tool::kube(self.options.kubernetes)).await?;
        let registry = toolchain.build(&Tool::registry()).await?;
        let helm = toolchain.build(&Tool::helm()).await?;
        let images = node::archive(&kube, Path::new(BUSYBOX), self.options.kubernetes).await?;

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
        if let Err(error) = self.registry().down().await {
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
            Err(_) => bail!("another run of the sandbox is at work in {}", state.display()),
        }
    }

    fn known_path(&self) -> PathBuf {
        self.options.state.join("clusters.json")
    }

    fn known(&self) -> Result<Vec<Known>> {
        match fs::read(self.known_path()) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| self.known_path().display().to_string()),
            Err(_) => Ok(Vec::new()),
        }
    }

    /// Gives every new cluster its number and writes all down before anything is made.
    fn remember(&self) -> Result<Vec<Known>> {
        let mut known = self.known()?;
        for name in &self.options.clusters {
            check_name(name)?;
            let kubernetes = self.options.kubernetes.to_string();
            if let Some(one) = known.iter().find(|one| &one.name == name) {
                ensure!(
                    one.kubernetes == kubernetes,
                    "cluster {name} is there with Kubernetes {0}, not {kubernetes}: ask for {0}, or \
                     take the sandbox down first (cargo xtask sandbox down)",
                    one.kubernetes
                );
                continue;
            }
            let taken = |number: &u8| known.iter().any(|one| one.number == *number);
            let from = if name == GLOBAL { FIRST_NUMBER } else { FIRST_NUMBER + 1 };
            let number = (from..250).find(|number| !taken(number)).context("too many clusters")?;
            known.push(Known { name: name.clone(), number, kubernetes });
        }
        write_atomically(&self.known_path(), &serde_json::to_vec_pretty(&known)?)?;
        Ok(known)
    }

    fn node(&self, cluster: &str) -> Result<Node> {
        let known = self.known()?;
        let names: Vec<&str> = known.iter().map(|one| one.name.as_str()).collect();
        match known.iter().find(|one| one.name == cluster) {
            Some(known) => self.node_of(known),
            None if names.is_empty() => bail!("no sandbox is up: cargo xtask sandbox up"),
            None => bail!("no cluster {cluster}: there are {}", names.join(", ")),
        }
    }

    fn node_of(&self, known: &Known) -> Result<Node> {
        let (network, offset) = (&self.options.network, known.number.saturating_sub(FIRST_NUMBER));
        let mut names = vec![network.gateway()];
        if known.name == GLOBAL {
            names.push(self.registry().vip().to_owned());
        }
        let spec = Spec {
            name: known.name.clone(),
            machine: network.machine(&known.name, known.number),
            pods: format!("10.244.{offset}.0/24"),
            services: format!("10.{}.0.0/16", 96_u8.saturating_add(offset)),
            names,
            kubernetes: known.kubernetes.parse()?,
            tag: network.tag.clone(),
        };
        let folder = self.options.state.join("clusters").join(&known.name);
        Ok(Node::new(spec, network, &folder))
    }

    /// Every cluster that is written down, and every one whose namespace is here all the same.
    fn remains(&self) -> Result<Vec<Node>> {
        let mut known = self.known()?;
        let tag = format!("{}-", self.options.network.tag);
        let listed = fs::read_dir("/run/netns").into_iter().flatten();
        for entry in listed {
            let entry = entry?.file_name().to_string_lossy().into_owned();
            let Some(name) = entry.strip_prefix(&tag) else { continue };
            if name != "registry" && !known.iter().any(|one| one.name == name) {
                let kubernetes = self.options.kubernetes.to_string();
                known.push(Known { name: name.to_owned(), number: 0, kubernetes });
            }
        }
        known.iter().map(|one| self.node_of(one)).collect()
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

fn check_name(name: &str) -> Result<()> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fits = !name.is_empty() && name.len() <= 40 && name.chars().all(letters);
    ensure!(
        fits && !name.starts_with('-') && !name.ends_with('-') && name != "registry",
        "{name:?} is no name for a cluster: use small letters, digits and dashes"
    );
    Ok(())
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

    #[test]
    fn clusters_keep_their_numbers() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.state = folder.path().to_owned();
        options.clusters = vec!["workload-a".to_owned()];
        Sandbox::new(options.clone(), Narrator::silent()).remember().unwrap();
        options.clusters = vec!["global".to_owned(), "workload-b".to_owned()];
        let known = Sandbox::new(options, Narrator::silent()).remember().unwrap();
        let numbers: Vec<(&str, u8)> =
            known.iter().map(|one| (one.name.as_str(), one.number)).collect();
        assert_eq!(numbers, [("workload-a", 12), ("global", 11), ("workload-b", 13)]);
    }

    #[test]
    fn a_cluster_does_not_change_its_version_by_being_brought_up_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path());
        options.state = folder.path().to_owned();
        Sandbox::new(options.clone(), Narrator::silent()).remember().unwrap();
        options.kubernetes = KubernetesVersion::V1_34;
        let said = Sandbox::new(options, Narrator::silent()).remember().unwrap_err().to_string();
        assert!(said.contains("ask for v1.33.13"), "{said}");
    }

    #[test]
    fn a_name_that_would_not_fit_is_refused() {
        assert!(check_name("workload-a").is_ok());
        for name in ["", "A", "-a", "a/b", "registry"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }
}
