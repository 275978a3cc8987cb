//! Where the tests take place: a real API server, a real registry, a platform's objects, and
//! `upgrade.sh` as a user runs it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use api::names::{GLOBAL, NAMESPACE, PRODUCT_BASE, PULL_SECRET, REGISTRY_ADMIN};
use sandbox::plane::Programs;
use sandbox::process::{command, run, run_with_input, wait_until};
use sandbox::toolchain::{KubernetesVersion, Tool, Toolchain};
use sandbox::{ControlPlane, Narrator, TestRegistry, default_cache};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};

const MINUTE: Duration = Duration::from_secs(60);
/// As whom `upgrade.sh` comes, so that the audit log tells it from the tests.
const USER: &str = "upgrader";
/// Two API servers at a time: the machine may be small, and most of the time they are waited for.
static TURN: Semaphore = Semaphore::const_new(2);

/// A run of `upgrade.sh`.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// `bash upgrade.sh` of a package.
pub(crate) async fn upgrade(
    package: &Path,
    flags: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Ended {
    let bash = command("bash", ["upgrade.sh"]);
    ended(started(bash, package, flags, variables, input).await, flags).await
}

/// A script that ends with `upgrade.sh "$@"`, among mounts that nobody else sees: they end with the
/// last process in there, whatever ends it.
pub(crate) async fn upgrade_by(script: &str, package: &Path, flags: &[&str]) -> Ended {
    let apart = ["--mount", "--propagation=private", "bash", "-ec", script, "upgrade.sh"];
    ended(started(command("unshare", apart), package, flags, &[], "").await, flags).await
}

/// Starts a run; it is killed when the value is dropped.
pub(crate) async fn started(
    mut command: Command,
    package: &Path,
    flags: &[&str],
    variables: &[(&str, &str)],
    input: &str,
) -> Child {
    command.args(flags).current_dir(package).kill_on_drop(true);
    command.env_remove("KUBECONFIG").env_remove("SKIP_SYNC_IMAGE");
    command.env("KUBECONFIG", "no-such-file").envs(variables.iter().copied());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A run that ends early leaves its input unread.
    let _unread = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    child
}

async fn ended(child: Child, flags: &[&str]) -> Ended {
    let ended = tokio::time::timeout(3 * MINUTE, child.wait_with_output()).await.unwrap().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let ended = Ended {
        code: ended.status.code().unwrap_or(-1),
        out: text(ended.stdout),
        err: text(ended.stderr),
    };
    eprintln!("$ bash upgrade.sh {}\n{}{}-> {}", flags.join(" "), ended.out, ended.err, ended.code);
    ended
}

fn toolchain() -> Toolchain {
    let environment = |name: &str| std::env::var_os(name);
    let cache =
        default_cache(environment("XDG_CACHE_HOME").as_deref(), environment("HOME").as_deref());
    Toolchain::new(&cache.unwrap(), Narrator::stderr())
}

/// The program of a registry.
pub(crate) async fn registry_program() -> PathBuf {
    toolchain().build(&Tool::registry()).await.unwrap()
}

/// A registry of one's own.
pub(crate) async fn registry(folder: &Path) -> TestRegistry {
    TestRegistry::start(&registry_program().await, folder).await.unwrap()
}

/// The flags of a sync that needs no cluster.
pub(crate) fn sync_flags(registry: &TestRegistry, address: &str) -> Vec<String> {
    let push = &registry.credentials().push;
    vec![
        "--only-sync-image".to_owned(),
        format!("--registry={address}"),
        format!("--registry-ca={}", registry.authority().display()),
        format!("--username={}", push.name),
        format!("--password={}", push.password),
    ]
}

/// A cluster.
pub(crate) struct Stage {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) plane: ControlPlane,
    kubeconfig: PathBuf,
    _turn: SemaphorePermit<'static>,
}

impl Stage {
    /// A cluster without anything; `simulated` brings controllers and Pods that run.
    pub(crate) async fn new(simulated: bool) -> Self {
        let turn = TURN.acquire().await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let toolchain = toolchain();
        let kube = toolchain.build(&Tool::kube(KubernetesVersion::default())).await.unwrap();
        let kwok = match simulated {
            true => Some(toolchain.build(&Tool::kwok()).await.unwrap()),
            false => None,
        };
        let programs = Programs { kube, kwok, controllers: simulated };
        let plane = ControlPlane::start(&folder.path().join("plane"), programs).await.unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        let stage = Self { folder, plane, kubeconfig, _turn: turn };
        let own = stage.kubeconfig_as(USER, &["system:masters"]);
        std::fs::rename(own, &stage.kubeconfig).unwrap();
        stage
    }

    /// A kubeconfig of another user.
    pub(crate) fn kubeconfig_as(&self, user: &str, groups: &[&str]) -> PathBuf {
        let text = std::fs::read_to_string(self.plane.kubeconfig()).unwrap();
        let (token, groups) = (self.plane.token(), groups.join(", "));
        let plain = format!("user: {{token: {token}}}");
        assert!(text.contains(&plain), "{text}");
        let other = format!("user: {{token: {token}, as: {user}, as-groups: [{groups}]}}");
        let path = self.folder.path().join(format!("kubeconfig-{user}"));
        std::fs::write(&path, text.replace(&plain, &other)).unwrap();
        path
    }

    /// The administrator's kubeconfig.
    pub(crate) fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// `bash upgrade.sh` with the administrator's kubeconfig.
    pub(crate) async fn upgrade(&self, package: &Path, flags: &[&str]) -> Ended {
        self.upgrade_with(package, flags, &[]).await
    }

    /// The same with other variables.
    pub(crate) async fn upgrade_with(
        &self,
        package: &Path,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Ended {
        let own = [("KUBECONFIG", self.kubeconfig.to_str().unwrap())];
        upgrade(package, flags, &[&own[..], variables].concat(), "").await
    }

    pub(crate) async fn kubectl(&self, words: &[&str]) -> String {
        run(self.plane.kubectl().args(words), MINUTE).await.unwrap()
    }

    /// Writes objects, and their status where they have one.
    pub(crate) async fn apply(&self, objects: &[Value]) {
        for options in [&[][..], &["--subresource=status"]] {
            let with_status = |o: &&Value| options.is_empty() || o.get("status").is_some();
            let items: Vec<&Value> = objects.iter().filter(with_status).collect();
            if items.is_empty() {
                continue;
            }
            let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
            let mut apply = self.plane.kubectl();
            apply.args(["apply", "--server-side", "--force-conflicts", "--validate=false"]);
            apply.args(options).args(["-f", "-"]);
            run_with_input(&mut apply, list.to_string().as_bytes(), MINUTE).await.unwrap();
        }
    }

    /// Writes the settings of preflight.
    pub(crate) async fn set_settings(&self, preflight: &str) {
        let settings = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "cvo-config", "namespace": "cpaas-system" },
            "data": { "preflight": preflight },
        });
        self.apply(&[settings]).await;
    }

    /// What a platform has before this product: its CRDs, its description, its accounts.
    pub(crate) async fn platform(&self, registry: &TestRegistry, version: &str) {
        let crds: Vec<Value> =
            api::crds::platform().iter().map(|crd| serde_json::to_value(crd).unwrap()).collect();
        self.apply(&crds).await;
        let wait = ["wait", "--for=condition=Established", "crd", "--all", "--timeout=60s"];
        self.kubectl(&wait).await;
        // A kind that was just established may still answer that its storage is not ready.
        let kinds = "productbases,clustermodules,moduleplugins,moduleconfigs,moduleinfoes,\
                     clusters.platform.tkestack.io,clustercredentials,machines";
        let served = || async {
            let mut get = self.plane.kubectl();
            Ok(run(get.args(["get", kinds]), MINUTE).await.is_ok())
        };
        wait_until("the platform's kinds to be served", MINUTE, served).await.unwrap();
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": NAMESPACE } });
        let (_, port) = registry.address().rsplit_once(':').unwrap();
        let push = &registry.credentials().push;
        let ca = std::fs::read_to_string(registry.authority()).unwrap();
        let admin = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": { "name": REGISTRY_ADMIN, "namespace": NAMESPACE },
            "stringData": { "username": push.name, "password": push.password, "ca.crt": ca },
        });
        let cluster = json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": GLOBAL }, "spec": { "type": "Baremetal" },
            "status": { "phase": "Running", "addresses": [
                { "type": "Real", "host": "10.255.255.1", "port": 6443 },
                { "type": "Advertise", "host": "127.0.0.1", "port": 6443 },
            ] },
        });
        let module = json!({
            "apiVersion": "cluster.alauda.io/v1alpha2", "kind": "ClusterModule",
            "metadata": { "name": GLOBAL }, "spec": { "version": version },
            "status": { "base": {
                "deployStatus": "Completed", "runningStatus": "Healthy", "version": version,
            } },
        });
        let address = format!("registry.local:{port}");
        let base = Self::product_base(&address, false, version);
        self.apply(&[namespace, admin, cluster, module, base]).await;
    }

    /// The platform's own description.
    pub(crate) fn product_base(address: &str, external: bool, version: &str) -> Value {
        json!({
            "apiVersion": "product.alauda.io/v1alpha2", "kind": "ProductBase",
            "metadata": { "name": PRODUCT_BASE },
            "spec": {
                "version": version, "platformURL": "https://platform.invalid",
                "registry": {
                    "address": address, "external": external, "preferPlatformURL": false,
                    "secretRef": { "name": PULL_SECRET },
                },
            },
            "status": { "phase": "Running", "version": version, "globalID": "id" },
        })
    }

    /// Requests of `upgrade.sh` so far, as `verb resource`; of a question whether something would
    /// be taken, as `try resource`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.plane.audit_log()).unwrap();
        let events = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let own = |e: &Value| e.pointer("/impersonatedUser/username") == Some(&json!(USER));
        let words = |e: Value| {
            let text = |p: &str| e.pointer(p).and_then(Value::as_str).unwrap_or("-").to_owned();
            let is_tried = text("/requestURI").contains("dryRun=All");
            let verb = if is_tried { "try".to_owned() } else { text("/verb") };
            format!("{verb} {}", text("/objectRef/resource"))
        };
        events.filter(own).map(words).collect()
    }

    /// Those of them that could change something.
    pub(crate) fn changes(&self) -> Vec<String> {
        let reads = |r: &String| {
            ["get ", "list ", "watch ", "try "].iter().any(|verb| r.starts_with(verb))
                || r.ends_with("accessreviews")
        };
        self.requests().into_iter().filter(|request| !reads(request)).collect()
    }
}
