//! A real API server on loopback and a registry beside it; no root is needed.

use std::time::{Duration, Instant};

use sandbox::image::{Contents, Image};
use sandbox::plane::Programs;
use sandbox::process::{Recorded, command, run, run_with_input, wait_until};
use sandbox::toolchain::{KubernetesVersion, Tool, Toolchain};
use sandbox::{ControlPlane, Narrator, TestRegistry, default_cache};

use crate::pushing::{client, push, reference};

const MINUTE: Duration = Duration::from_secs(60);

fn toolchain() -> Toolchain {
    let environment = |name: &str| std::env::var_os(name);
    let cache =
        default_cache(environment("XDG_CACHE_HOME").as_deref(), environment("HOME").as_deref());
    Toolchain::new(&cache.unwrap(), Narrator::stderr())
}

async fn programs(simulated: bool) -> Programs {
    let toolchain = toolchain();
    let kube = toolchain.build(&Tool::kube(KubernetesVersion::default())).await.unwrap();
    let kwok = if simulated { Some(toolchain.build(&Tool::kwok()).await.unwrap()) } else { None };
    Programs { kube, kwok, controllers: simulated }
}

async fn kubectl(plane: &ControlPlane, words: &[&str]) -> anyhow::Result<String> {
    run(plane.kubectl().args(words), MINUTE).await
}

#[tokio::test]
async fn an_api_server_starts_keeps_what_was_written_and_ends() {
    let folder = tempfile::tempdir().unwrap();
    let programs = programs(false).await;
    let started = Instant::now();
    let mut plane = ControlPlane::start(folder.path(), programs).await.unwrap();
    eprintln!("started in {:.1} s", started.elapsed().as_secs_f64());
    kubectl(&plane, &["create", "namespace", "cpaas-system"]).await.unwrap();

    // Only the administrator may do everything.
    let can = ["auth", "can-i", "create", "pods", "--as", "somebody"];
    let said = kubectl(&plane, &can).await.unwrap_err().to_string();
    assert!(said.contains("no"), "{said}");

    plane.cut();
    let gone = ["get", "namespace", "cpaas-system", "--request-timeout=2s"];
    assert!(kubectl(&plane, &gone).await.is_err());
    plane.resume().await.unwrap();
    kubectl(&plane, &["get", "namespace", "cpaas-system"]).await.unwrap();
    let audit = std::fs::read_to_string(plane.audit_log()).unwrap();
    let made = |line: &&str| line.contains("\"create\"") && line.contains("cpaas-system");
    assert_eq!(audit.lines().filter(made).count(), 1, "{audit}");

    let processes = plane.processes();
    assert_eq!(processes.len(), 2);
    let alive: Vec<Recorded> =
        processes.iter().map(|&pid| Recorded::of(i32::try_from(pid).unwrap()).unwrap()).collect();
    drop(plane);
    assert!(alive.iter().all(|process| !process.is_alive()));
}

const WORKLOADS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: example.invalid/web:1}]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec: {containers: [{name: agent, image: example.invalid/agent:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: good}
spec:
  template:
    spec: {restartPolicy: Never, containers: [{name: it, image: example.invalid/it:1}]}
---
apiVersion: batch/v1
kind: Job
metadata: {name: bad}
spec:
  backoffLimit: 0
  template:
    metadata: {annotations: {sandbox/outcome: Failed}}
    spec: {restartPolicy: Never, containers: [{name: it, image: example.invalid/it:1}]}
---
apiVersion: v1
kind: Pod
metadata: {name: absent, annotations: {sandbox/outcome: ImagePullBackOff}}
spec: {containers: [{name: it, image: example.invalid/absent:1}]}
";

#[tokio::test]
async fn simulated_workloads_come_to_their_ends() {
    let folder = tempfile::tempdir().unwrap();
    let plane = ControlPlane::start(folder.path(), programs(true).await).await.unwrap();
    let mut apply = plane.kubectl();
    apply.args(["apply", "-f", "-"]);
    run_with_input(&mut apply, WORKLOADS.as_bytes(), MINUTE).await.unwrap();
    let waiting = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    for (what, path, wanted) in [
        ("deployment/web", "jsonpath={.status.availableReplicas}", "2"),
        ("daemonset/agent", "jsonpath={.status.numberAvailable}", "1"),
        ("job/good", "jsonpath={.status.succeeded}", "1"),
        ("job/bad", "jsonpath={.status.failed}", "1"),
        ("pod/absent", waiting, "ImagePullBackOff"),
    ] {
        wait_until(&format!("{what} to show {wanted}"), MINUTE, || async {
            Ok(kubectl(&plane, &["get", what, "-o", path]).await? == wanted)
        })
        .await
        .unwrap();
    }
    kubectl(&plane, &["delete", "deployment", "web", "--cascade=foreground", "--timeout=30s"])
        .await
        .unwrap();
    let left = kubectl(&plane, &["get", "pods", "-l", "app=web", "-o", "name"]).await.unwrap();
    assert_eq!(left, "");
}

#[tokio::test]
async fn a_registry_of_ones_own_tells_its_two_accounts_apart() {
    let folder = tempfile::tempdir().unwrap();
    let program = toolchain().build(&Tool::registry()).await.unwrap();
    let mut registry = TestRegistry::start(&program, folder.path()).await.unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, vec![7_u8; 100_000]).unwrap();
    let image = Image::build(&Contents {
        programs: vec![("bin/it".to_owned(), file)],
        ..Contents::default()
    })
    .unwrap();
    let name = reference(&format!("{}/acp/it:1", registry.address()));
    let accounts = registry.credentials().clone();
    let trusted = || client(registry.authority());
    let refused = push(&trusted(), &name, &accounts.pull, &image).await.unwrap_err();
    assert!(format!("{refused:?}").contains("can only pull"), "{refused:?}");
    let mut wrong = accounts.push.clone();
    wrong.password.push('x');
    let refused = push(&trusted(), &name, &wrong, &image).await.unwrap_err();
    assert!(format!("{refused:?}").contains("authentication required"), "{refused:?}");
    push(&trusted(), &name, &accounts.push, &image).await.unwrap();
    // What was pushed outlives an outage, and every request was counted.
    registry.cut();
    registry.resume().await.unwrap();
    push(&client(registry.authority()), &name, &accounts.push, &image).await.unwrap();
    let log = registry.access_log().unwrap();
    let count = |status: u16| log.iter().filter(|one| one.status == status).count();
    assert!(count(401) > 0 && count(403) == 1, "{log:?}");
    // This client asks nothing first: each of its two pushes sent the layer.
    assert_eq!(log.iter().filter(|one| one.received == image.layer.len() as u64).count(), 2);
}

#[tokio::test]
async fn a_plane_can_stand_for_a_platform() {
    let folder = tempfile::tempdir().unwrap();
    let program = toolchain().build(&Tool::registry()).await.unwrap();
    let registry = TestRegistry::start(&program, &folder.path().join("registry")).await.unwrap();
    let state = folder.path().join("plane");
    let plane = ControlPlane::start(&state, programs(false).await).await.unwrap();
    plane.seed_platform(&registry, Vec::new()).await.unwrap();
    let base = ["get", "productbase", "base", "-o", "jsonpath={.status.phase} {.spec.registry}"];
    let said = kubectl(&plane, &base).await.unwrap();
    assert!(said.starts_with("Running ") && said.contains(registry.address()), "{said}");
    let version = ["get", "productbase", "base", "-o", "jsonpath={.metadata.resourceVersion}"];
    let before = kubectl(&plane, &version).await.unwrap();
    plane.seed_platform(&registry, Vec::new()).await.unwrap();
    assert_eq!(kubectl(&plane, &version).await.unwrap(), before);
}

#[tokio::test]
async fn companions_end_with_a_killed_parent() {
    // The parent is this test binary again, so that it can be killed.
    if std::env::var_os("SANDBOX_TEST_PARENT").is_some() {
        let folder = tempfile::tempdir().unwrap();
        let words = ["600".to_owned()];
        let log = folder.path().join("log");
        // From a thread that is gone when the parent is killed: only the process's end counts.
        let child = std::thread::spawn(move || {
            sandbox::companion::Companion::start("/bin/sleep".as_ref(), &words, &log).unwrap()
        });
        let child = child.join().unwrap();
        println!("companion {}", child.id());
        tokio::time::sleep(MINUTE).await;
    }
    let this = std::env::current_exe().unwrap();
    let name = "planes::companions_end_with_a_killed_parent";
    let mut parent = command(this, [name, "--exact", "--nocapture"]);
    parent.env("SANDBOX_TEST_PARENT", "1").stdout(std::process::Stdio::piped());
    let mut parent = parent.kill_on_drop(true).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(parent.stdout.take().unwrap());
    let pid = loop {
        let mut line = String::new();
        tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line).await.unwrap();
        assert!(!line.is_empty(), "the parent said nothing");
        if let Some((_, pid)) = line.split_once("companion ") {
            break pid.trim().parse::<i32>().unwrap();
        }
    };
    let companion = Recorded::of(pid).unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(companion.is_alive());
    parent.kill().await.unwrap();
    let ended = || async { Ok(!companion.is_alive()) };
    wait_until("the companion to end", Duration::from_secs(5), ended).await.unwrap();
}
