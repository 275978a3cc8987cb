//! A platform at rest: its operator writes nothing but renewals of its Lease, and neither memory
//! nor file descriptors grow while objects come and go.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, Operator, text};
use e2e::turn::Turn;
use serde_json::{Value, json};
use std::fmt;
use std::time::Duration;

/// How long nothing may be written.
const SILENCE: Duration = Duration::from_secs(60);
/// In soak.
const SILENCE_OF_SOAK: Duration = Duration::from_secs(600);
/// The same while a version is offered: longer than the checks rest.
const SILENCE_BESIDE_AN_OFFER: Duration = Duration::from_secs(35);
/// How many ResourcePatches come and go, after as many that do not count yet.
const CHURN: usize = 15;
/// In soak.
const CHURN_OF_SOAK: usize = 200;
/// After so many of them a cluster joins and leaves as well, and a release is published and
/// withdrawn.
const OTHERS_AFTER: usize = 5;
/// How much memory may grow over the second half, in KiB: the allocator keeps some.
const MEMORY_KIB: u64 = 6 * 1024;
/// How many file descriptors may come to it: connections open and close.
const DESCRIPTORS: usize = 6;
/// How long one ResourcePatch may take to be applied, or let go.
const LIMIT: Duration = Duration::from_secs(30);

/// What a process holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    memory_kib: u64,
    descriptors: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB and {} descriptors", self.memory_kib / 1024, self.descriptors)
    }
}

fn silence() -> Duration {
    if e2e::soak() { SILENCE_OF_SOAK } else { SILENCE }
}

fn held(operator: &Operator) -> Result<Held> {
    let folder = format!("/proc/{}", operator.id());
    let status = std::fs::read_to_string(format!("{folder}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:")).context("VmRSS")?;
    let memory_kib = line.split_whitespace().next().context("a number")?.parse()?;
    let descriptors = std::fs::read_dir(format!("{folder}/fd"))?.count();
    Ok(Held { memory_kib, descriptors })
}

#[tokio::test(flavor = "multi_thread")]
async fn at_rest_nothing_is_written_and_nothing_grows() -> Result<()> {
    let (bench, operator) = Bench::prepared_in(Turn::at_rest()).await?.install().await?;
    silent(&bench, silence()).await?;
    // A version is offered and stands against a check: what the checks look at is listed again and
    // again, and says the same.
    bench.set_runtime("docker://24.0.7").await?;
    bench.publish("4.3.0").await?;
    bench.check_becomes("DockerRuntimeUnsupported", "Failed", "DockerFound").await?;
    silent(&bench, if e2e::soak() { SILENCE_OF_SOAK } else { SILENCE_BESIDE_AN_OFFER }).await?;
    bench.set_runtime("containerd://2.2.0").await?;
    bench.kubectl(&["delete", "productmanifest", "v4.3.0"]).await?;
    churn(&bench, &operator).await
}

/// Nothing is written for so long but renewals of the operator's Lease.
async fn silent(bench: &Bench, silence: Duration) -> Result<()> {
    // What follows a change is over: drift was looked for.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let before = bench.cvsh().await?;
    let (_, from) = bench.requests(u64::MAX)?;
    tokio::time::sleep(silence).await;
    let (requests, _) = bench.requests(from)?;
    let own = requests.iter().filter(|r| r.user.ends_with(":cluster-version-operator"));
    let changes: Vec<_> = own.filter(|r| r.is_change()).collect();
    let others: Vec<_> = changes.iter().filter(|r| r.resource != "leases").collect();
    ensure!(others.is_empty(), "written at rest: {others:?}");
    let renewals = changes.iter().filter(|r| r.name == "cluster-version-operator").count();
    ensure!(renewals == changes.len(), "of another Lease: {changes:?}");
    ensure!(u64::try_from(renewals)? >= silence.as_secs(), "{renewals} renewals in {silence:?}");
    let after = bench.cvsh().await?;
    ensure!(before["metadata"]["resourceVersion"] == after["metadata"]["resourceVersion"]);
    Ok(())
}

async fn churn(bench: &Bench, operator: &Operator) -> Result<()> {
    let count = if e2e::soak() { CHURN_OF_SOAK } else { CHURN };
    turnover(bench, count).await?;
    let middle = held(operator)?;
    turnover(bench, count).await?;
    let end = held(operator)?;
    e2e::figure(&format!(
        "after {count} ResourcePatches and {} clusters and releases {middle}, after twice as many {end}; nothing written in {} s of rest",
        count / OTHERS_AFTER,
        silence().as_secs()
    ));
    ensure!(end.memory_kib <= middle.memory_kib + MEMORY_KIB, "memory: {middle:?}, then {end:?}");
    let descriptors = middle.descriptors + DESCRIPTORS;
    ensure!(end.descriptors <= descriptors, "descriptors: {middle:?}, then {end:?}");
    Ok(())
}

async fn turnover(bench: &Bench, count: usize) -> Result<()> {
    for number in 0..count {
        comes_and_goes(bench, number).await?;
        if number % OTHERS_AFTER == 0 {
            joins_and_leaves(bench).await?;
            bench.publish("4.3.0").await?;
            bench.offered("4.3.0").await?;
            bench.kubectl(&["delete", "productmanifest", "v4.3.0"]).await?;
            let none = |c: &Value| c.pointer("/status/availableUpdates/0").is_none();
            bench.cvsh_until("nothing to be offered", LIMIT, none).await?;
        }
    }
    Ok(())
}

/// A cluster whose address answers nobody: it has a task, a client and a ClusterVersionShadow.
async fn joins_and_leaves(bench: &Bench) -> Result<()> {
    let own = bench.get("/apis/platform.tkestack.io/v1/clustercredentials/global").await?;
    let group = "platform.tkestack.io/v1";
    let metadata = json!({ "name": "churn" });
    for object in [
        json!({
            "apiVersion": group, "kind": "ClusterCredential", "metadata": metadata,
            "clusterName": "churn", "token": "token-of-churn", "caCert": own["caCert"],
        }),
        json!({
            "apiVersion": group, "kind": "Cluster", "metadata": metadata,
            "spec": { "clusterCredentialRef": { "name": "churn" }, "type": "Baremetal" },
        }),
    ] {
        bench.apply(&object.to_string()).await?;
    }
    let addresses = json!({
        "addresses": [{ "type": "Advertise", "host": "127.0.0.1", "port": 1 }], "phase": "Running",
    });
    bench.set_status(&["clusters.platform.tkestack.io", "churn"], &addresses).await?;
    let path =
        "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/churn";
    let judged = |c: &Value| c.pointer("/status/conditions/0").is_some();
    bench.until(path, "the cluster to be judged", LIMIT, judged).await?;
    for kind in ["clusters.platform.tkestack.io", "clustercredentials.platform.tkestack.io"] {
        bench.kubectl(&["delete", kind, "churn"]).await?;
    }
    bench.until(path, "what is kept of it to go", LIMIT, Value::is_null).await?;
    Ok(())
}

async fn comes_and_goes(bench: &Bench, number: usize) -> Result<()> {
    bench
        .apply(&format!(
            "
apiVersion: operator.alauda.io/v1alpha1
kind: ResourcePatch
metadata: {{name: churn}}
spec:
  release: cpaas-system/platform-base
  target: {{apiVersion: v1, kind: ConfigMap, namespace: cpaas-system, name: admin-gates}}
  jsonPatch:
  - {{op: add, path: /metadata/annotations, value: {{round: 'n{number}'}}}}
"
        ))
        .await?;
    let path = "/apis/operator.alauda.io/v1alpha1/resourcepatches/churn";
    let active = |p: &Value| text(p, "/status/phase") == "Active";
    bench.until(path, "the ResourcePatch to be Active", LIMIT, active).await?;
    bench.kubectl(&["delete", "resourcepatch", "churn", "--wait=false"]).await?;
    bench.until(path, "the ResourcePatch to be gone", LIMIT, Value::is_null).await?;
    Ok(())
}
