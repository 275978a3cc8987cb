//! Decides how one real Kubernetes node comes up and goes away: kubeadm, kubelet, containerd and
//! kube-proxy in namespaces of their own. Knows nothing of the platform on top.

mod cgroups;
mod configuration;
mod images;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::process::Command;

pub(crate) use cgroups::is_version_2;
pub(crate) use images::archive;

use crate::narration::Narrator;
use crate::network::{Machine, Network};
use crate::process::{
    Recorded, children, command, open_log, run, start, tail_of, wait_until, write_atomically,
};
use crate::registry::text;
use crate::toolchain::KubernetesVersion;

/// A kubeadm run takes 15 to 40 s on two cores.
const KUBEADM_LIMIT: Duration = Duration::from_secs(300);
/// How the static Pods are asked for: etcd and the three of Kubernetes.
const CONTROL_PLANE: [&str; 3] =
    ["pods", "--namespace=kube-system", "--selector=tier=control-plane"];
const KEEPER: &str = include_str!("node/keeper.sh");

/// The folders that a node has for itself, without the leading slash.
pub(crate) const FOLDERS: [&str; 8] = [
    "etc/kubernetes",
    "etc/cni/net.d",
    "usr/libexec/kubernetes",
    "var/lib/cni",
    "var/lib/etcd",
    "var/lib/kubelet",
    "var/log/containers",
    "var/log/pods",
];

/// What a node is.
#[derive(Clone, Debug)]
pub(crate) struct Spec {
    /// The cluster, which has this one node.
    pub(crate) name: String,
    /// Its place in the network.
    pub(crate) machine: Machine,
    /// The range of Pod addresses.
    pub(crate) pods: String,
    /// The range of Service addresses.
    pub(crate) services: String,
    /// Further names and addresses of the API server.
    pub(crate) names: Vec<String>,
    /// The version it runs.
    pub(crate) kubernetes: KubernetesVersion,
    /// What its control group is called.
    pub(crate) tag: String,
}

impl Spec {
    /// The name of the machine and of the Node object.
    pub(crate) fn host_name(&self) -> String {
        format!("{}-cp-1", self.name)
    }

    /// The address of its DNS service: by kubeadm's rule the tenth of its Services.
    pub(crate) fn dns_ip(&self) -> String {
        let network = self.services.rsplit_once('.').map_or("", |(network, _)| network);
        format!("{network}.10")
    }

    fn cgroup_name(&self) -> String {
        format!("{}-{}", self.tag, self.name)
    }

    fn cgroup(&self) -> String {
        format!("/{}", self.cgroup_name())
    }
}

/// What a node needs from outside.
#[derive(Clone, Debug)]
pub(crate) struct Supplies {
    /// The folder of kubeadm, kubelet and the others.
    pub(crate) bin: PathBuf,
    /// The archive of the static Pods' images.
    pub(crate) images: PathBuf,
    /// The address of the platform registry.
    pub(crate) registry: String,
    /// The certificate that the registry's is signed by.
    pub(crate) authority: PathBuf,
}

/// The processes of a node: ending either ends everything on it.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Processes {
    /// The parent, in this machine's process namespace.
    outer: Recorded,
    /// The first process of the node's own.
    inner: Recorded,
}

/// A cluster's one node.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    spec: Spec,
    network: Network,
    folder: PathBuf,
}

impl Node {
    /// The node that keeps its state in `folder`.
    pub(crate) fn new(spec: Spec, network: &Network, folder: &Path) -> Self {
        Self { spec, network: network.clone(), folder: folder.to_owned() }
    }

    /// What it is.
    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The administrator's kubeconfig; it works from this machine and from inside.
    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig")
    }

    /// The audit log of its API server.
    pub(crate) fn audit_log(&self) -> PathBuf {
        self.folder.join("audit/audit.log")
    }

    /// The folder of its daemons' logs.
    pub(crate) fn logs(&self) -> PathBuf {
        self.folder.join("log")
    }

    /// Whether it was brought up whole and still runs.
    pub(crate) fn is_up(&self) -> Result<bool> {
        let runs = self.processes()?.is_some_and(|processes| processes.inner.is_alive());
        Ok(runs && self.kubeconfig().exists())
    }

    /// A program in the node's namespaces, as on its console.
    pub(crate) fn command(&self, program: &str) -> Result<Command> {
        let processes = self.processes()?;
        let processes = processes.filter(|processes| processes.inner.is_alive());
        let processes =
            processes.with_context(|| format!("cluster {} does not run", self.spec.name))?;
        let target = processes.inner.pid.to_string();
        let enter = ["--target", &target, "--mount", "--uts", "--net", "--pid", "--", program];
        Ok(command("nsenter", enter))
    }

    /// Brings it up unless it is; what is left of an earlier one goes first.
    pub(crate) async fn up(&self, supplies: &Supplies, narrator: &Narrator) -> Result<()> {
        if self.is_up()? {
            return Ok(());
        }
        if self.folder.exists() || self.spec.machine.exists() {
            narrator.say(&format!("cluster {}: removing what an earlier run left", self.spec.name));
        }
        self.down().await?;
        self.configure(supplies)?;
        self.network.connect(&self.spec.machine).await?;
        cgroups::make(&self.spec.cgroup_name())?;
        self.start_keeper(supplies).await?;
        let name = &self.spec.name;
        let limit = Duration::from_secs(60);
        wait_until("containerd to answer", limit, || self.containerd_answers())
            .await
            .with_context(|| tail_of(&self.logs().join("containerd.log")))?;
        narrator.during(&format!("cluster {name}: images"), self.load(supplies)).await?;
        narrator
            .during(&format!("cluster {name}: kubeadm init"), self.initialise(supplies))
            .await?;
        let ready = self.wait_ready(supplies);
        narrator.during(&format!("cluster {name}: node to be Ready"), ready).await?;
        let admin = fs::read(self.folder.join("root/etc/kubernetes/admin.conf"))?;
        write_atomically(&self.kubeconfig(), &admin)
    }

    /// Ends every process of the node, then removes its mounts, control groups, network and files.
    pub(crate) async fn down(&self) -> Result<()> {
        if let Some(processes) = self.processes()? {
            processes.inner.end(Duration::ZERO).await?;
            processes.outer.end(Duration::ZERO).await?;
        }
        // A run that died before it wrote the record left processes that only the network names.
        for pid in self.spec.machine.processes().await? {
            if let Ok(process) = Recorded::of(pid) {
                process.end(Duration::ZERO).await?;
            }
        }
        cgroups::remove(&self.spec.cgroup_name()).await?;
        self.network.disconnect(&self.spec.machine).await?;
        remove_folder(&self.folder).await
    }

    fn record(&self) -> PathBuf {
        self.folder.join("processes.json")
    }

    fn processes(&self) -> Result<Option<Processes>> {
        match fs::read(self.record()) {
            Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| self.record().display().to_string()),
        }
    }

    fn configure(&self, supplies: &Supplies) -> Result<()> {
        let (node, root) = (&self.folder, self.folder.join("root"));
        let certificates = node.join("certs.d").join(&supplies.registry);
        for folder in
            [&certificates, &node.join("audit"), &self.logs(), &root.join("etc/cni/net.d")]
        {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make {}", folder.display()))?;
        }
        fs::copy(&supplies.authority, certificates.join("ca.crt"))?;
        let authority = certificates.join("ca.crt");
        let hosts = configuration::hosts(&supplies.registry, text(&authority)?);
        fs::write(certificates.join("hosts.toml"), hosts)?;
        let images = node.join("containerd");
        let settings = configuration::containerd(text(&images)?, text(&node.join("certs.d"))?);
        fs::write(node.join("containerd.toml"), settings)?;
        fs::write(root.join("etc/cni/net.d/10-pods.conflist"), configuration::cni(&self.spec))?;
        fs::write(node.join("audit-policy.yaml"), configuration::audit_policy())?;
        fs::write(node.join("kubeadm.yaml"), configuration::kubeadm(&self.spec, text(node)?))?;
        fs::write(node.join("kube-proxy.yaml"), configuration::kube_proxy(&self.spec))?;
        // There is no name server outside: what a cluster cannot answer itself has no answer.
        let resolver = format!("nameserver {}\n", self.network.gateway());
        fs::write(node.join("resolv.conf"), resolver)?;
        fs::write(node.join("folders"), FOLDERS.join("\n") + "\n")?;
        fs::write(node.join("keeper.sh"), KEEPER)?;
        Ok(())
    }

    async fn start_keeper(&self, supplies: &Supplies) -> Result<()> {
        let (enter, keeper) = (self.spec.machine.enter(), self.folder.join("keeper.sh"));
        let host_name = self.spec.host_name();
        let mut words = vec!["nsenter", &enter, "unshare", "--mount", "--uts", "--pid", "--fork"];
        words.extend(["--kill-child", "--mount-proc", "--propagation", "private"]);
        words.extend(["bash", text(&keeper)?, text(&self.folder)?, &host_name]);
        words.push(text(&supplies.bin)?);
        let log = self.logs().join("keeper.log");
        let outer = start(&words, &log, &self.folder.join("keeper.json"))?;
        let first_child = || async { Ok(!children(outer.pid).is_empty()) };
        wait_until("the node's first process", Duration::from_secs(10), first_child)
            .await
            .with_context(|| tail_of(&log))?;
        let inner = children(outer.pid).first().copied().context("the node's process is gone")?;
        let processes = Processes { inner: Recorded::of(inner)?, outer };
        write_atomically(&self.record(), &serde_json::to_vec(&processes)?)
    }

    async fn containerd_answers(&self) -> Result<bool> {
        run(self.command("ctr")?.arg("version"), Duration::from_secs(10)).await?;
        Ok(true)
    }

    async fn load(&self, supplies: &Supplies) -> Result<()> {
        let mut import = self.command("ctr")?;
        import.args(["--namespace", "k8s.io", "images", "import"]).arg(&supplies.images);
        run(&mut import, Duration::from_secs(180)).await?;
        Ok(())
    }

    async fn initialise(&self, supplies: &Supplies) -> Result<()> {
        let log = self.logs().join("kubeadm.log");
        let output = open_log(&log)?;
        let mut init = self.command(text(&supplies.bin.join("kubeadm"))?)?;
        init.arg("init").arg("--config").arg(self.folder.join("kubeadm.yaml"));
        // The machine is no whole one: no init system, no kernel modules to ask for. The add-ons'
        // images are not to be had; cluster DNS is part of the platform's release.
        init.args(["--ignore-preflight-errors=all", "--skip-phases=addon,show-join-command"]);
        init.stdout(output.try_clone()?).stderr(output).stdin(std::process::Stdio::null());
        let ended = tokio::time::timeout(KUBEADM_LIMIT, init.kill_on_drop(true).status()).await;
        let succeeded = matches!(&ended, Ok(Ok(status)) if status.success());
        if !succeeded {
            anyhow::bail!("kubeadm init of {}: {}", self.spec.name, tail_of(&log));
        }
        Ok(())
    }

    /// Waits for the node, and for what it says of its static Pods, which comes a little later.
    async fn wait_ready(&self, supplies: &Supplies) -> Result<()> {
        let admin = self.folder.join("root/etc/kubernetes/admin.conf");
        let ready =
            "jsonpath={range .items[*]}{.status.conditions[?(@.type=='Ready')].status} {end}";
        let count = |what: &'static [&'static str]| {
            let mut get = command(supplies.bin.join("kubectl"), ["get", "-o", ready]);
            get.args(what).arg("--kubeconfig").arg(&admin);
            async move {
                let said = run(&mut get, Duration::from_secs(15)).await?;
                anyhow::Ok(said.split_whitespace().filter(|&word| word == "True").count())
            }
        };
        let limit = Duration::from_secs(120);
        wait_until("the node and its static Pods to be Ready", limit, || async {
            Ok(count(&["nodes"]).await? == 1 && count(&CONTROL_PLANE).await? == 4)
        })
        .await
        .with_context(|| tail_of(&self.logs().join("kubelet.log")))
    }
}

/// Removes a folder; a mount that is still below it goes first, so that nothing else is emptied.
async fn remove_folder(folder: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let below = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    let mut below: Vec<&str> = below.filter(|mount| Path::new(mount).starts_with(folder)).collect();
    below.sort_by_key(|mount| std::cmp::Reverse(mount.len()));
    for mount in below {
        run(&mut command("umount", [mount]), Duration::from_secs(20)).await?;
    }
    let folder = folder.to_owned();
    let removed = tokio::task::spawn_blocking(move || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    });
    removed.await?
}
