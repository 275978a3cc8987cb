//! Customisations that stand in the way, on a real API server: one that does not apply, and a field
//! that somebody else owns. Nothing of the component is written, and each ends with what it names.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, text};
use serde_json::{Value, json};

const COREFILE: &str = "/api/v1/namespaces/kube-system/configmaps/coredns";
const DEPLOYMENT: &str = "/apis/apps/v1/namespaces/kube-system/deployments/coredns";
const PATCHES: &str = "/apis/operator.alauda.io/v1alpha1/resourcepatches";
/// What the team wants the DNS to do.
const THEIRS: &str = ".:1053 {\n    errors\n    ready :8181\n    forward . 10.1.2.3\n}\n";

fn patch(name: &str, kind: &str, api_version: &str, path: &str, value: &Value) -> Value {
    json!({
        "apiVersion": "operator.alauda.io/v1alpha1", "kind": "ResourcePatch",
        "metadata": {
            "name": name,
            "annotations": { "config.cpaas.io/exempt-for-ver": "4.3.0" },
        },
        "spec": {
            "release": "kube-system/coredns",
            "target": {
                "apiVersion": api_version, "kind": kind,
                "name": "coredns", "namespace": "kube-system",
            },
            "jsonPatch": [{ "op": "replace", "path": path, "value": value }],
        },
    })
}

/// The objects of the component as they are stored.
async fn versions(bench: &Bench) -> Result<[String; 2]> {
    let mut versions = [String::new(), String::new()];
    for (version, path) in versions.iter_mut().zip([COREFILE, DEPLOYMENT]) {
        // The status of a Deployment moves by itself.
        let object = bench.get(path).await?;
        *version = format!("{} {}", object["metadata"]["generation"], object["data"]);
    }
    Ok(versions)
}

/// Of several on one release, one that the API server does not take holds up the others: the new
/// one waits, and the one that is deleted stays until its value is taken back.
async fn held_up(bench: &Bench) -> Result<()> {
    let limit = std::time::Duration::from_secs(60);
    let of =
        |name: &str, value: Value| patch(name, "Deployment", "apps/v1", "/spec/replicas", &value);
    let is = |phase: &'static str| move |patch: &Value| text(patch, "/status/phase") == phase;
    let path = |name: &str| format!("{PATCHES}/{name}");
    bench.create(PATCHES, &of("rp-old", json!(3))).await?;
    bench.until(&path("rp-old"), "rp-old to be Active", limit, is("Active")).await?;
    bench.create(PATCHES, &of("rp-word", json!("many"))).await?;
    let told = bench.until(&path("rp-word"), "rp-word to be Failed", limit, is("Failed")).await?;
    ensure!(text(&told, "/status/message").contains("does not take"), "{told:#}");
    bench.create(PATCHES, &of("rp-new", json!(4))).await?;
    let told = bench.until(&path("rp-new"), "rp-new to wait", limit, is("Pending")).await?;
    ensure!(text(&told, "/status/message").contains("rp-word"), "{told:#}");
    bench.kubectl(&["delete", "resourcepatches", "rp-old", "--wait=false"]).await?;
    tokio::time::sleep(std::time::Duration::from_secs(6)).await;
    let old = bench.get(&path("rp-old")).await?;
    ensure!(!old.is_null(), "rp-old is gone, and what it set is not taken back");
    let replicas = |count: i64| move |d: &Value| d["spec"]["replicas"] == count;
    bench.until(DEPLOYMENT, "its value to stay", limit, replicas(3)).await?;
    bench.kubectl(&["delete", "resourcepatches", "rp-word", "rp-new", "--wait=false"]).await?;
    bench.until(DEPLOYMENT, "its value to be taken back", limit, replicas(2)).await?;
    for name in ["rp-old", "rp-word", "rp-new"] {
        bench.until(&path(name), &format!("{name} to go"), limit, Value::is_null).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn customisations_in_the_way_are_named_and_end_by_what_is_named() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    held_up(&bench).await.with_context(|| operator.said())?;
    // Idle, it is said of the ResourcePatch and of the cluster.
    let broken = patch("rp-broken", "Deployment", "apps/v1", "/spec/nothing", &json!(1));
    bench.create(PATCHES, &broken).await?;
    let failed = |patch: &Value| text(patch, "/status/phase") == "Failed";
    let path = format!("{PATCHES}/rp-broken");
    let limit = std::time::Duration::from_secs(60);
    let told = bench.until(&path, "rp-broken to be Failed", limit, failed).await?;
    ensure!(text(&told, "/status/message").contains("replace /spec/nothing"), "{told:#}");
    // Somebody edits a field that 4.3.0 changes.
    let theirs = json!({ "data": { "Corefile": THEIRS } }).to_string();
    let edit = ["-n", "kube-system", "patch", "configmap", "coredns", "--type=merge"];
    let edit = [&edit[..], &["--field-manager=team-dns", "-p", &theirs]].concat();
    bench.kubectl(&edit).await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    let before = versions(&bench).await?;
    bench.ask_for("4.3.0").await?;
    let message = bench.condition_becomes("Stalled", "True", "ResourcePatchFailed").await?;
    for word in ["coredns", "rp-broken", "/spec/nothing"] {
        ensure!(message.contains(word), "no {word}: {message}");
    }
    ensure!(versions(&bench).await? == before, "it was written all the same");
    // What it names goes; the next thing in the way is named.
    bench.kubectl(&["delete", "resourcepatches", "rp-broken", "--wait=false"]).await?;
    let message = bench.condition_becomes("Stalled", "True", "FieldConflict").await?;
    for word in ["coredns", "team-dns", "Corefile", "the release sets it to", "ResourcePatch"] {
        ensure!(message.contains(word), "no {word}: {message}");
    }
    ensure!(versions(&bench).await? == before, "it was written all the same");
    let status = bench.run("ac adm upgrade status --cluster=global --exit-code").await?;
    status.expect(4)?.containing("team-dns")?;
    // The second of the two ways out: their value is kept as a ResourcePatch.
    let kept = patch("rp-corefile", "ConfigMap", "v1", "/data/Corefile", &json!(THEIRS));
    bench.create(PATCHES, &kept).await?;
    bench.completed("4.3.0").await.with_context(|| operator.said())?;
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    let live = bench.get(COREFILE).await?;
    ensure!(text(&live, "/data/Corefile") == THEIRS, "their value is lost: {live:#}");
    let active = |patch: &Value| text(patch, "/status/phase") == "Active";
    bench.until(&format!("{PATCHES}/rp-corefile"), "it to be Active", limit, active).await?;
    // It came without an exemption, which stands in the way of the next release, not of this one.
    let said = bench.run("bash upgrade.sh --preflight").await?.expect(0)?;
    said.containing("Cluster global is at 4.3.0, the release of this package: nothing is to be")?;
    Ok(())
}
