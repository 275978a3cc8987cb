//! Workload clusters: they follow global and never pass it, side by side, and none holds up
//! another.

use crate::t2_invariants::says_what_status_says;
use crate::t2_signature::{key, record, signer};
use anyhow::{Context as _, Result, ensure};
use api::names::GLOBAL;
use e2e::fake::{FakeServer, Manner, Model};
use e2e::t2::{
    Bench, MODULES, check, condition, is_completed_at, make_static_pod, set_runtime, text,
};
use sandbox::ControlPlane;
use sandbox::platform::Registered;
use sandbox::process::{run, run_with_input, wait_until};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

const LIMIT: Duration = Duration::from_secs(60);
/// From what global has reached to the offer.
const OFFERED: Duration = Duration::from_secs(5);
/// How long an upgrade takes that nothing holds up, on a busy machine.
const UNDISTURBED: Duration = Duration::from_secs(60);
const A: &str = "workload-a";
/// How long each answer of a slow cluster takes.
const SLOW: Duration = Duration::from_secs(3);

/// Whether a version is not offered for this reason.
fn not_offered(cvsh: &Value, version: &str, reason: &str) -> bool {
    let all = cvsh.pointer("/status/notOffered").and_then(Value::as_array);
    let all = all.into_iter().flatten();
    all.into_iter().any(|o| text(o, "/version") == version && text(o, "/reason") == reason)
}

/// Installs 4.2.1 on a cluster that just joined.
async fn installed(bench: &Bench, name: &str) -> Result<()> {
    let of = bench.of(name);
    of.offered("4.2.1").await?;
    of.ask_for("4.2.1").await?;
    of.completed("4.2.1").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workload_cluster_follows_global() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let plane = bench.joins(A).await?;
    let of = bench.of(A);
    installed(&bench, A).await.with_context(|| operator.said())?;
    // Whoever takes away what is kept of it gets it again, with what is installed.
    bench.kubectl(&["-n", "cpaas-system", "delete", "cvsh", A]).await?;
    let kept = |c: &Value| text(c, "/status/current/version") == "4.2.1";
    of.cvsh_until("what is kept of it to be there again", LIMIT, kept).await?;
    let deployed =
        plane.kubectl().args(["get", "apprelease", "-n", "cpaas-system"]).output().await?;
    ensure!(String::from_utf8_lossy(&deployed.stdout).contains("coredns"), "{deployed:?}");
    // Nobody makes a platform of its own of it, whatever is named.
    let shell = bench.shell_with(&plane.kubeconfig());
    for flags in ["--preflight", "--skip-sync-image", "--registry=127.0.0.1:1"] {
        let said = shell.run(&format!("bash upgrade.sh {flags}"), LIMIT).await?;
        said.expect(1)?.containing("this is not the global cluster: it is workload-a")?;
    }
    // 4.3.0 is published: global may move, the others wait for it.
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    let waits = |c: &Value| not_offered(c, "4.3.0", "GlobalNotReached");
    of.cvsh_until("4.3.0 to wait for global", LIMIT, waits).await?;
    let said = bench.run(&format!("ac adm upgrade --cluster={A} --to=4.3.0")).await?;
    ensure!(said.code != 0, "{said:?}");
    said.containing("waits until every global cluster has completed 4.3.0")?;
    let preflight = format!("bash upgrade.sh --preflight --cluster={A}");
    let said = bench.run(&preflight).await?.expect(1)?;
    let said = said.containing("GlobalNotReached")?.containing(A)?;
    // Whoever asks all the same waits, and it is said for what.
    stands_in_the_way(&plane).await?;
    of.ask_for("4.3.0").await?;
    of.check_becomes("ClusterVersionUpgradeable", "Failed", "GlobalNotReached").await?;
    looks_at_itself(&bench, &preflight).await?;
    goes_out_of_the_way(&plane).await?;
    for (name, _) in IN_THE_WAY {
        of.check_becomes(name, "Passed", "AsExpected").await?;
    }
    let cvsh = of.cvsh().await?;
    for name in ["KubernetesVersionSupported", "DockerRuntimeUnsupported", "ClusterRunning"] {
        let state = text(check(&cvsh, name), "/state").to_owned();
        ensure!(state == "Passed", "{name}: {state}");
        ensure!(said.text.contains(name), "{said:?}");
    }
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await?;
    let began = Instant::now();
    let moves = |c: &Value| text(c, "/status/desired/version") == "4.3.0";
    // As a release after it may do: the key of 4.3.0 is gone, which global has installed already.
    record(&bench, &[key(&signer("of-a-later-release", 9), "2030-01-01")]).await?;
    of.cvsh_until("the wish that stands to be taken up", LIMIT, moves).await?;
    ensure!(began.elapsed() < OFFERED, "taken up after {:?}", began.elapsed());
    of.completed("4.3.0").await.with_context(|| operator.said())?;
    let is_kept = |module: &Value| {
        let (status, parts) = (&module["status"], &module["status"]["base"]["appReleases"]);
        let parts = parts.as_array().map_or(&[][..], Vec::as_slice);
        status["upgradable"] == false
            && text(status, "/base/version") == "4.3.0"
            && parts.iter().any(|part| part == "coredns")
            && !parts.iter().any(|part| part == "legacy-dashboard")
    };
    let what = "the ClusterModule to name the components of 4.3.0";
    bench.until(&format!("{MODULES}/{A}"), what, LIMIT, is_kept).await?;
    let said = bench.must("ac adm upgrade status -A && ac get clusters").await?;
    ensure!(said.contains("2 clusters: 2 at target"), "{said}");
    let status = bench.must(&format!("ac adm upgrade status --cluster={A}")).await?;
    ensure!(status.contains("Cluster workload-a is at 4.3.0"), "{status}");
    // A customisation on it is applied there.
    customised(&plane).await
}

/// The checks of what runs on a cluster, and why they fail once that stands in the way.
const IN_THE_WAY: [(&str, &str); 4] = [
    ("DockerRuntimeUnsupported", "DockerFound"),
    ("ControlPlaneStaticPodsPresent", "StaticPodsMissing"),
    ("CRIUpgradePodsAbsent", "UpgradePodsFound"),
    ("CustomEtcdBackupCronJobsAbsent", "CustomBackupFound"),
];

/// Everything on a cluster that these checks find.
async fn stands_in_the_way(plane: &ControlPlane) -> Result<()> {
    set_runtime(plane, "docker://24.0.7").await?;
    on(plane, "-n kube-system delete pod etcd-node-1 --now").await?;
    on(plane, "-n default run cri-upgrade-node-1 --image=example.invalid/it:1").await?;
    let job = "-n default create cronjob backup --image=example.invalid/it:1 --schedule=@yearly";
    on(plane, &format!("{job} -- etcdctl snapshot save /x")).await
}

async fn goes_out_of_the_way(plane: &ControlPlane) -> Result<()> {
    set_runtime(plane, "containerd://2.2.0").await?;
    make_static_pod(plane, "etcd").await?;
    on(plane, "-n default delete pod cri-upgrade-node-1 --now").await?;
    on(plane, "-n default delete cronjob backup").await
}

/// Runs kubectl on a cluster.
async fn on(plane: &ControlPlane, words: &str) -> Result<()> {
    run(plane.kubectl().args(words.split(' ')), LIMIT).await.map(drop)
}

/// What the checks look at is that cluster, not global.
async fn looks_at_itself(bench: &Bench, preflight: &str) -> Result<()> {
    for (name, reason) in IN_THE_WAY {
        let row = bench.of(A).check_becomes(name, "Failed", reason).await?;
        let said = bench.run(preflight).await?.expect(1)?.containing(reason)?;
        ensure!(said.text.contains(text(&row, "/message")), "{row:#} {said:?}");
        let global = bench.cvsh().await?;
        let state = text(check(&global, name), "/state");
        ensure!(state == "Passed", "{name}: global has nothing of it, and says {state}");
    }
    Ok(())
}

async fn customised(plane: &ControlPlane) -> Result<()> {
    let patch = json!({
        "apiVersion": "operator.alauda.io/v1alpha1", "kind": "ResourcePatch",
        "metadata": { "name": "rp-a" },
        "spec": {
            "release": "kube-system/coredns",
            "target": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "coredns",
                "namespace": "kube-system",
            },
            "jsonPatch": [{ "op": "replace", "path": "/spec/replicas", "value": 3 }],
        },
    });
    let mut apply = plane.kubectl();
    apply.args(["apply", "-f", "-"]);
    run_with_input(&mut apply, patch.to_string().as_bytes(), LIMIT).await?;
    wait_until("three replicas", LIMIT, || async {
        let mut get = plane.kubectl();
        get.args(["-n", "kube-system", "get", "deployment", "coredns", "-o"]);
        get.arg("jsonpath={.spec.replicas}");
        Ok(run(&mut get, LIMIT).await? == "3")
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_gone_holds_up_nobody() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let _a = bench.joins(A).await?;
    let mut b = bench.joins("workload-b").await?;
    // One that was never reachable, one without credentials, and one of another kind.
    for (name, kind) in [("nowhere", "Baremetal"), ("foreign", "Imported")] {
        let cluster = json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": name },
            "spec": { "type": kind, "tenantID": "default", "version": "1.33.13" },
        });
        bench.apply(&cluster.to_string()).await?;
        let address = json!({ "host": "127.0.0.1", "port": 1, "type": "Advertise" });
        let status = json!({ "phase": "Running", "addresses": [address] });
        bench.set_status(&["clusters.platform.tkestack.io", name], &status).await?;
    }
    for name in [A, "workload-b"] {
        installed(&bench, name).await.with_context(|| operator.said())?;
    }
    let strange = Strange::join(&bench, &b).await?;
    let not_ours = |c: &Value| text(condition(c, "Ready"), "/reason") == "NotUpgradable";
    bench.of("foreign").cvsh_until("it to be none of ours", LIMIT, not_ours).await?;
    for name in ["nowhere", "silent", "rubbish", "babbling"] {
        unknown(&bench, name).await?;
    }
    // KubernetesVersionSupported of global asks all of them.
    bench.disable(&["KubernetesVersionSupported"]).await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await?;
    bench.of("workload-b").offered("4.3.0").await?;
    bench.of("workload-b").ask_for("4.3.0").await?;
    let runs = |c: &Value| text(condition(c, "Reconciling"), "/reason") == "Upgrading";
    bench.of("workload-b").cvsh_until("its upgrade to run", LIMIT, runs).await?;
    b.cut();
    bench.of(A).offered("4.3.0").await?;
    bench.of(A).ask_for("4.3.0").await?;
    let began = Instant::now();
    bench.of(A).completed("4.3.0").await.with_context(|| operator.said())?;
    ensure!(began.elapsed() < UNDISTURBED, "beside a cluster that is gone: {:?}", began.elapsed());
    let said = |c: &Value| {
        let reconciling = condition(c, "Reconciling");
        text(reconciling, "/status") == "True"
            && text(reconciling, "/message").contains("ClusterUnreachable")
            || c["status"]["stages"].to_string().contains("\"ClusterUnreachable\"")
    };
    let cvsh =
        bench.of("workload-b").cvsh_until("it to say what it waits for", LIMIT, said).await?;
    ensure!(!is_completed_at(&cvsh, "4.3.0"), "{cvsh:#}");
    let all = bench.run("ac adm upgrade status -A --exit-code").await?;
    ensure!(all.code == 3, "what cannot be reached is asked again: {}", all.text);
    all.containing("ClusterUnreachable")?;
    revoked(&bench).await?;
    b.resume().await?;
    bench.of("workload-b").completed("4.3.0").await.with_context(|| operator.said())?;
    strange.recover(&bench).await.with_context(|| operator.said())?;
    // One that leaves takes what is kept of it along.
    bench.kubectl(&["delete", "clusters.platform.tkestack.io", "nowhere"]).await?;
    let path =
        "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/nowhere";
    bench.until(path, "what is kept of it to go", LIMIT, Value::is_null).await?;
    Ok(())
}

/// Clusters that do not answer as one should; they end with this value.
struct Strange {
    babbling: FakeServer,
    slow: FakeServer,
    _silent: JoinHandle<std::io::Error>,
    _rubbish: JoinHandle<std::io::Error>,
}

impl Strange {
    /// One that takes every connection and says nothing, one that answers with something else, and
    /// behind the certificate that is expected one that shows a page instead of answers, and one of
    /// which every answer takes seconds, in the middle of its installation.
    async fn join(bench: &Bench, like: &ControlPlane) -> Result<Self> {
        let silent = TcpListener::bind(("127.0.0.1", 0)).await?;
        let rubbish = TcpListener::bind(("127.0.0.1", 0)).await?;
        for (name, listener) in [("silent", &silent), ("rubbish", &rubbish)] {
            let port = listener.local_addr()?.port();
            let registered = Registered { port, ..like.registered(name) };
            bench.plane.seed_platform(&bench.registry, vec![registered]).await?;
        }
        let model = Model::of(bench).await?;
        let (babbling, slow) = (FakeServer::start(&model).await?, FakeServer::start(&model).await?);
        babbling.behave(Manner::Rubbish);
        for (name, server) in [("babbling", &babbling), ("slow", &slow)] {
            let registered = Registered { port: server.port(), ..bench.plane.registered(name) };
            bench.plane.seed_platform(&bench.registry, vec![registered]).await?;
        }
        bench.of("slow").offered("4.2.1").await?;
        slow.behave(Manner::Slow(SLOW));
        bench.of("slow").ask_for("4.2.1").await?;
        Ok(Self {
            babbling,
            slow,
            _silent: tokio::spawn(says(silent, None)),
            _rubbish: tokio::spawn(says(rubbish, Some("<html>"))),
        })
    }

    /// Those that are well again go on where they were.
    async fn recover(&self, bench: &Bench) -> Result<()> {
        let cvsh = bench.of("slow").cvsh().await?;
        ensure!(!is_completed_at(&cvsh, "4.2.1"), "it was to be slow: {cvsh:#}");
        self.babbling.behave(Manner::Prompt);
        self.slow.behave(Manner::Prompt);
        bench.of("slow").completed("4.2.1").await?;
        let is_known = |c: &Value| text(condition(c, "PreflightReady"), "/status") != "Unknown";
        bench.of("babbling").cvsh_until("its checks to be known", LIMIT, is_known).await?;
        Ok(())
    }
}

/// Nothing is known of a cluster that does not answer as one, and it is said why.
async fn unknown(bench: &Bench, name: &str) -> Result<()> {
    let lost = |c: &Value| {
        text(condition(c, "PreflightReady"), "/status") == "Unknown"
            && text(condition(c, "Reconciling"), "/status") == "True"
    };
    let cvsh = bench.of(name).cvsh_until("it to be unknown", LIMIT, lost).await?;
    let message = text(condition(&cvsh, "Reconciling"), "/message");
    eprintln!("{name}: {message}");
    ensure!(!message.is_empty(), "{name}: {cvsh:#}");
    Ok(())
}

/// Takes every connection, says this on it or nothing, and leaves it open.
async fn says(listener: TcpListener, words: Option<&str>) -> std::io::Error {
    let mut open = Vec::new();
    loop {
        match listener.accept().await {
            Ok((mut connection, _)) => {
                if let Some(words) = words {
                    // Who was there may be gone by now, which is no matter of this test.
                    let _gone = connection.write_all(words.as_bytes()).await;
                }
                open.push(connection);
            }
            Err(error) => return error,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn clusters_join_and_leave_in_the_middle_of_an_upgrade() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let _a = bench.joins(A).await?;
    let leaving = bench.joins("leaving").await?;
    for name in [A, "leaving"] {
        installed(&bench, name).await.with_context(|| operator.said())?;
    }
    bench.disable(&["KubernetesVersionSupported"]).await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    // Until a Pod may run again, global is on its way.
    bench.must("kubectl cordon node-1").await?;
    bench.ask_for("4.3.0").await?;
    let runs = |c: &Value| text(condition(c, "Reconciling"), "/reason") == "Upgrading";
    bench.of(GLOBAL).cvsh_until("global to move", LIMIT, runs).await?;
    // One that joins while global moves is taken up like any other.
    let _joining = bench.joins("joining").await?;
    ensure!(runs(&bench.cvsh().await?), "global was to move still: {:#}", bench.cvsh().await?);
    bench.must("kubectl uncordon node-1").await?;
    bench.completed("4.3.0").await.with_context(|| operator.said())?;
    for name in [A, "leaving", "joining"] {
        bench.of(name).offered("4.3.0").await?;
    }
    for name in ["leaving", "joining"] {
        bench.of(name).ask_for("4.3.0").await?;
    }
    let passed = |c: &Value| {
        text(c, "/status/preflight/version") == "4.3.0"
            && text(condition(c, "PreflightReady"), "/status") == "True"
    };
    bench.of(A).cvsh_until("its checks to pass", LIMIT, passed).await?;
    says_what_status_says(&bench, A, 0).await?;
    let said = bench.must(&format!("ac adm upgrade --cluster={A} --to=4.3.0")).await?;
    ensure!(said.contains("4.3.0") && said.contains(A), "{said}");
    bench.of("leaving").cvsh_until("it to move", LIMIT, runs).await?;
    bench.kubectl(&["delete", "clusters.platform.tkestack.io", "leaving"]).await?;
    drop(leaving);
    let path =
        "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/leaving";
    bench.until(path, "what is kept of it to go", LIMIT, Value::is_null).await?;
    for name in [A, "joining"] {
        bench.of(name).completed("4.3.0").await.with_context(|| operator.said())?;
    }
    let said = bench.must("ac adm upgrade status -A").await?;
    ensure!(said.contains("3 clusters: 3 at target"), "{said}");
    Ok(())
}

/// A credential that is taken away is not used on; given back, it is taken up.
async fn revoked(bench: &Bench) -> Result<()> {
    let path = "/apis/platform.tkestack.io/v1/clustercredentials/workload-b";
    let mut credential = bench.get(path).await?;
    if let Some(metadata) = credential["metadata"].as_object_mut() {
        metadata.retain(|key, _| key == "name");
    }
    bench.kubectl(&["delete", "clustercredentials.platform.tkestack.io", "workload-b"]).await?;
    let noticed = |c: &Value| c["status"].to_string().contains("there is no ClusterCredential of");
    let of = bench.of("workload-b");
    of.cvsh_until("the credential to be missed", LIMIT, noticed).await?;
    bench.apply(&credential.to_string()).await
}
