//! Objects of the platform, which others write, with contents that nobody would write by accident:
//! the operator lives, and says nothing that moves a terminal.

use crate::fault_hostile::{CONTROL, DEEP, LONG, lives, nested};
use anyhow::{Result, ensure};
use e2e::t2::{Bench, Operator};
use serde_json::{Value, json};
use std::time::Duration;

/// How long the operator is given to read a change, and to read it again.
const READ: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(30);

/// What an API server takes, whatever stands in it.
const TAKEN: [&str; 7] = [
    "appreleases",
    "clustercredentials",
    "clusters",
    "moduleinfoes",
    "moduleplugins",
    "moduleconfigs",
    "configmaps",
];

/// An object that is made for the test.
struct Made {
    resource: &'static str,
    collection: &'static str,
    object: Value,
}

impl Made {
    /// Below a path of a group and version.
    fn of(path: &'static str, kind: &str, rest: Value) -> Self {
        let (group, resource) = path.rsplit_once('/').unwrap_or_default();
        let group = group.trim_start_matches("/apis/").trim_start_matches("/api/");
        let api_version = group.split("/namespaces/").next().unwrap_or_default();
        let mut object = json!({
            "apiVersion": api_version, "kind": kind, "metadata": { "name": "hostile" },
        });
        if let (Value::Object(object), Value::Object(rest)) = (&mut object, rest) {
            object.extend(rest);
        }
        Self { resource, collection: path, object }
    }
}

/// With a word in one field of each object, and another one in the others: an object has its size.
fn made(word: &str, other: &str) -> Vec<Made> {
    let release = json!({
        "version": word, "release": other, "releaseImage": other, "path": other,
        "lifecycle": "Agnostic",
        "destination": { "cluster": "global", "namespace": other },
        "source": {
            "repoURL": other,
            "charts": [{ "name": other, "releaseName": other, "targetRevision": other }],
        },
    });
    let cluster = json!({
        "type": other, "displayName": word, "version": other,
        "clusterCredentialRef": { "name": "hostile" },
    });
    let credential = json!({ "clusterName": other, "token": word, "caCert": "aG9zdGlsZQ==" });
    let config = json!({ "version": other, "targetClusterVersions": [word] });
    vec![
        Made::of(
            "/apis/operator.alauda.io/v1alpha1/namespaces/cpaas-system/appreleases",
            "AppRelease",
            json!({ "spec": release }),
        ),
        Made::of(
            "/apis/platform.tkestack.io/v1/clustercredentials",
            "ClusterCredential",
            credential,
        ),
        Made::of("/apis/platform.tkestack.io/v1/clusters", "Cluster", json!({ "spec": cluster })),
        Made::of(
            "/apis/cluster.alauda.io/v1alpha1/moduleinfoes",
            "ModuleInfo",
            json!({ "spec": { "version": word } }),
        ),
        Made::of(
            "/apis/cluster.alauda.io/v1alpha1/moduleplugins",
            "ModulePlugin",
            json!({ "spec": { "name": word } }),
        ),
        Made::of(
            "/apis/cluster.alauda.io/v1alpha1/moduleconfigs",
            "ModuleConfig",
            json!({ "spec": config }),
        ),
        Made::of(
            "/api/v1/namespaces/cpaas-system/configmaps",
            "ConfigMap",
            json!({ "data": { "preflight": word } }),
        ),
    ]
}

/// With settings that are nested without end, where an object takes settings of any form.
fn deep() -> Vec<Made> {
    let nested = nested(DEEP);
    vec![
        Made::of(
            "/apis/operator.alauda.io/v1alpha1/namespaces/cpaas-system/appreleases",
            "AppRelease",
            json!({ "spec": { "version": "1.0.0", "values": { "deep": nested } } }),
        ),
        Made::of(
            "/apis/cluster.alauda.io/v1alpha1/moduleinfoes",
            "ModuleInfo",
            json!({ "spec": { "version": "1.0.0", "config": { "deep": nested } } }),
        ),
        Made::of(
            "/apis/cluster.alauda.io/v1alpha1/moduleconfigs",
            "ModuleConfig",
            json!({ "spec": { "version": "1.0.0", "config": { "deep": nested } } }),
        ),
    ]
}

/// Parts of objects that are there already, put back afterwards: path, pointer and merge patch.
fn changed(word: &str) -> Vec<(&'static str, &'static str, Value)> {
    vec![
        (
            "/apis/product.alauda.io/v1alpha2/productbases/base",
            "/spec",
            json!({ "spec": { "registry": { "address": word } } }),
        ),
        (
            "/apis/cluster.alauda.io/v1alpha1/clustermodules/global",
            "/spec",
            json!({ "spec": { "version": word } }),
        ),
        (
            "/api/v1/namespaces/cpaas-system/configmaps/release-keys",
            "/data",
            json!({ "data": { "signing-keys": word } }),
        ),
        (
            "/apis/platform.tkestack.io/v1/clusters/global",
            "/spec",
            json!({ "spec": { "displayName": word, "version": word } }),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_objects_of_others_are_survived() -> Result<()> {
    let (bench, mut operator) = Bench::installed().await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    for (word, other) in [(CONTROL.to_owned(), CONTROL), ("x".repeat(LONG), "x")] {
        let taken = come_and_go(&bench, &mut operator, made(&word, other)).await?;
        let missing: Vec<_> = TAKEN.iter().filter(|r| !taken.contains(r)).collect();
        ensure!(missing.is_empty(), "the API server refused {missing:?}: nothing was proved");
        replaced(&bench, &mut operator, &word).await?;
        bench.set_runtime(word.get(..1000).unwrap_or(&word)).await?;
        shows_plainly(&bench, &mut operator).await?;
        bench.set_runtime("containerd://2.2.0").await?;
        told_by_the_status(&bench, &mut operator, &word).await?;
    }
    let taken = come_and_go(&bench, &mut operator, deep()).await?;
    ensure!(taken.len() == deep().len(), "only {taken:?} were taken: nothing was proved");
    bench.all_pass("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await?;
    lives(&bench, &mut operator).await
}

/// Makes each object, looks, and takes it away; gives those that the API server took.
async fn come_and_go(
    bench: &Bench,
    operator: &mut Operator,
    all: Vec<Made>,
) -> Result<Vec<&'static str>> {
    let mut taken = Vec::new();
    for Made { resource, collection, object } in all {
        if let Err(error) = bench.create(collection, &object).await {
            let said = format!("{error:#}");
            eprintln!("{resource}: refused: {}", said.get(..200).unwrap_or(&said));
            continue;
        }
        taken.push(resource);
        shows_plainly(bench, operator).await?;
        let mut words = vec!["delete", resource, "hostile", "--wait=false"];
        if collection.contains("/namespaces/") {
            words.extend(["-n", "cpaas-system"]);
        }
        bench.kubectl(&words).await?;
    }
    Ok(taken)
}

async fn replaced(bench: &Bench, operator: &mut Operator, word: &str) -> Result<()> {
    for (path, pointer, change) in changed(word) {
        let before = bench.get(path).await?;
        if let Err(error) = bench.merge(path, &change).await {
            let said = format!("{error:#}");
            eprintln!("{path}: refused: {}", said.get(..200).unwrap_or(&said));
            continue;
        }
        shows_plainly(bench, operator).await?;
        let part = pointer.trim_start_matches('/');
        bench.merge(path, &json!({ part: before[part] })).await?;
    }
    Ok(())
}

/// A status that somebody else wrote: what the operator says of itself is put right.
async fn told_by_the_status(bench: &Bench, operator: &mut Operator, word: &str) -> Result<()> {
    let path = "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/global/status";
    let other = json!([{ "version": word, "image": word }]);
    let checks = json!([{
        "name": word, "policy": "Always", "state": "Failed", "reason": "AsExpected",
        "message": word, "remedy": word,
    }]);
    let change = json!({ "status": {
        "availableUpdates": other,
        "preflight": { "version": word, "image": word, "checks": checks },
    } });
    match bench.merge(path, &change).await {
        Ok(_) => {}
        Err(error) => {
            let said = format!("{error:#}");
            eprintln!("status: refused: {}", said.get(..300).unwrap_or(&said));
        }
    }
    bench.nudge().await?;
    bench.all_pass("4.3.0").await?;
    shows_plainly(bench, operator).await
}

async fn shows_plainly(bench: &Bench, operator: &mut Operator) -> Result<()> {
    bench.nudge().await?;
    tokio::time::sleep(READ).await;
    lives(bench, operator).await?;
    for command in ["ac adm upgrade status --verbose", "bash upgrade.sh --preflight"] {
        let said = bench.shell().silent().run(command, LIMIT).await?;
        ensure!(!said.text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{command}: {}", said.text);
    }
    let (_, page) = operator.page("/metrics").await?;
    ensure!(!page.contains('\u{1b}'), "{page}");
    Ok(())
}
