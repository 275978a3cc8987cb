//! What the job comes to on the global cluster, from 4.2.1 to 4.3.0.

use crate::the_job;
use anyhow::{Context as _, Result, ensure};
use artifacts::package::Package;
use e2e::audit;
use e2e::job::{self, look_around};
use e2e::shell::Shell;
use e2e::site::Site;
use sandbox::Narrator;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use xtask::rights::{self, Use};

/// How long a look around may take.
const LOOK_LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_global() -> Result<()> {
    the_job::done().await
}

/// What the demo says at its end works in a shell that knows nothing of the clusters.
pub(crate) async fn looks_around(site: &Site) -> Result<()> {
    let typed: Vec<String> = look_around(site)?.into_iter().map(|(command, _)| command).collect();
    let nowhere = Path::new("/nonexistent");
    let shell = Shell::new(&[], nowhere, Path::new("/"), Narrator::silent());
    let script = format!("set -e\n{}\nhelm version\nkubectl version", typed.join("\n"));
    let said = shell.run(&script, LOOK_LIMIT).await?.expect(0)?;
    said.containing("Cluster global is at 4.3.0")?
        .containing("release-notes")?
        .containing("version.BuildInfo")?
        .containing("Server Version: v1.33.13")?;
    // The same program as a plugin of kubectl, and who asks at the wrong cluster.
    let shell = site.shell()?.silent();
    let said = shell.run("kubectl acp adm upgrade status", LOOK_LIMIT).await?.expect(0)?;
    said.containing("Cluster global is at 4.3.0")?;
    let workload = site.sandbox.kubeconfig(crate::upgrade_workload::A)?;
    let shell = shell.with("KUBECONFIG", &workload.display().to_string());
    let said = shell.run("ac adm upgrade status", LOOK_LIMIT).await?.expect(1)?;
    said.containing("is not the global cluster of a platform")?.containing("hint: ")?;
    Ok(())
}

/// What shows which object it is that moves from one chart to another.
pub(crate) const MOVED: &str =
    "kubectl -n cpaas-system get configmap platform-info -o jsonpath='{.metadata.uid}'";

/// Nothing but questions was asked by upgrade.sh.
pub(crate) fn changes_nothing(log: &std::path::Path, from: u64) -> Result<()> {
    let (requests, _) = audit::read(log, from)?;
    let own: Vec<_> = requests.iter().filter(|r| r.user == "kubernetes-admin").collect();
    ensure!(!own.is_empty(), "the audit log shows nothing of the administrator's account");
    let changes: Vec<_> = own.iter().filter(|r| r.is_change() || r.is_try()).collect();
    ensure!(changes.is_empty(), "the administrator's account changed something: {changes:?}");
    Ok(())
}

/// From the ProductManifest to the offer in less than five seconds, by the API server's own clock.
pub(crate) fn offered_in_time(log: &std::path::Path) -> Result<()> {
    let (requests, _) = audit::read(log, 0)?;
    let published = requests
        .iter()
        .find(|r| {
            r.is_change() && r.resource == "productmanifests" && r.name == "v4.3.0" && r.code < 300
        })
        .context("the ProductManifest was never written")?;
    let offered = requests
        .iter()
        .find(|r| r.resource == "clusterversionshadows/status" && offers(&r.body, "4.3.0"))
        .context("4.3.0 was never offered")?;
    ensure!(offered.at > published.at, "offered before it was published");
    let took = offered.at.duration_since(published.at);
    ensure!(took.as_secs() < 5, "offered after {took}");
    Ok(())
}

/// Whether a change of status lists a version among those that may be requested.
fn offers(change: &Value, version: &str) -> bool {
    match change {
        Value::Object(fields) => fields.iter().any(|(name, value)| {
            let versions = || value.as_array().into_iter().flatten();
            (name == "availableUpdates" && versions().any(|v| v["version"] == version))
                || offers(value, version)
        }),
        Value::Array(all) => all.iter().any(|one| offers(one, version)),
        _ => false,
    }
}

/// What the operator is granted is what it used, but for what the table gives a reason for.
pub(crate) fn rights(log: &Path, package: &Path) -> Result<()> {
    let account = format!("system:serviceaccount:{}:{}", api::names::NAMESPACE, api::names::CVO);
    let (requests, _) = audit::read(log, 0)?;
    let mut used = BTreeSet::new();
    for r in requests.iter().filter(|r| r.user == account && r.code != 403) {
        // Whoever applies an object that is not there is asked for both rights.
        let both = r.verb == "patch" && r.code == 201;
        for verb in [Some(r.verb.as_str()), both.then_some("create")].into_iter().flatten() {
            used.insert(Use {
                resource: rights::resource_of(&r.group, &r.resource),
                verb: verb.to_owned(),
                namespace: r.namespace.clone(),
                name: r.name.clone(),
            });
        }
    }
    let granted = |roles| rights::granted(&std::fs::read_to_string(package.join(roles))?);
    let (own, of_release) = (granted(rights::OWN_ROLES)?, granted(rights::RELEASE_ROLES)?);
    let told = rights::unexplained(&own, &of_release, &used);
    ensure!(told.is_empty(), "rights of the operator: {told:#?}");
    Ok(())
}

/// The status of a condition.
fn text_of<'a>(cvsh: &'a Value, kind: &str) -> &'a str {
    e2e::t2::text(e2e::t2::condition(cvsh, kind), "/status")
}

/// What is asked in the end, and the answer.
const OUTCOME: &[(&str, &str)] = &[
    ("kubectl get prdb base -o jsonpath='{.spec.version} {.status.version}'", "4.3.0 4.3.0"),
    (
        "kubectl get clsm global -o jsonpath='{.spec.version} {.status.base.version} {.status.base.deployStatus}'",
        "4.3.0 4.3.0 Completed",
    ),
    ("kubectl -n cpaas-system get apprelease legacy-dashboard --ignore-not-found", ""),
    (
        "kubectl -n cpaas-system get deployments,services,configmaps legacy-dashboard --ignore-not-found",
        "",
    ),
    (
        "kubectl -n cpaas-system get deployment release-notes -o jsonpath='{.status.readyReplicas}'",
        "1",
    ),
    (
        "kubectl get apprelease -A -o jsonpath='{.items[*].status.phase}'",
        "Ready Ready Ready Ready Ready Ready Ready",
    ),
    (
        "kubectl get crd platformnotices.console.cpaas.io -o jsonpath='{.spec.versions[?(@.served==true)].name}'",
        "v1alpha1 v1beta1",
    ),
    (
        "kubectl -n cpaas-system get deployment cluster-version-operator -o jsonpath='{.status.readyReplicas}'",
        "2",
    ),
    (
        "kubectl get apprelease -A -o jsonpath='{.items[*].status.release}'",
        "4.3.0 4.3.0 4.3.0 4.3.0 4.3.0 4.3.0 4.3.0",
    ),
    // It moved from one chart to another and was never deleted.
    (
        "kubectl -n cpaas-system get configmap platform-info -o jsonpath='{.metadata.labels.cpaas\\.io/app-release}'",
        "release-notes",
    ),
    (
        "kubectl -n kube-system get deployment coredns -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory} {.metadata.annotations.example\\.com/owner}'",
        "200Mi team-dns",
    ),
    ("kubectl get resourcepatches rp-coredns -o jsonpath='{.status.phase}'", "Active"),
];

pub(crate) async fn outcome(site: &Site, moved: &str) -> Result<()> {
    let cvsh: Value =
        serde_json::from_str(&site.ask("kubectl -n cpaas-system get cvsh global -o json").await?)?;
    let text = |pointer: &str| cvsh.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ensure!(
        text("/status/current/version") == "4.3.0",
        "current is {}",
        text("/status/current/version")
    );
    let product = Package::read(&site.packages.new)?.product_image().digest().to_string();
    let image = text("/status/current/image");
    ensure!(image.ends_with(&format!("@{product}")), "{image} is not {product} of the package");
    ensure!(text_of(&cvsh, "Ready") == "True", "{:#}", cvsh["status"]["conditions"]);
    ensure!(
        text("/status/history/0/state") == "Completed"
            && text("/status/history/0/version") == "4.3.0"
    );
    let history = cvsh.pointer("/status/history").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(history == 2, "{history} entries in the history, not 2");
    job::holds(site, OUTCOME).await?;
    ensure!(site.ask(MOVED).await? == moved, "the object that moved was made anew");
    let holder = "kubectl -n cpaas-system get lease cluster-version-operator -o jsonpath='{.spec.holderIdentity}'";
    let pods = "kubectl -n cpaas-system get pods -l app.kubernetes.io/name=cluster-version-operator -o jsonpath='{.items[*].metadata.name}'";
    let (holder, pods) = (site.ask(holder).await?, site.ask(pods).await?);
    ensure!(pods.split(' ').any(|pod| pod == holder), "{holder} leads; there are {pods}");
    images(site).await
}

/// What runs is what the release names.
async fn images(site: &Site) -> Result<()> {
    let release = Package::read(&site.packages.new)?.release()?;
    for (name, pods) in [
        ("coredns", "kubectl -n kube-system get pods -l k8s-app=kube-dns"),
        ("node-exporter", "kubectl get pods -A -l app.kubernetes.io/name=node-exporter"),
    ] {
        let image = release.release.images.get(name).with_context(|| format!("no {name}"))?;
        let digest = image.digest.to_string();
        let running = format!("{pods} -o jsonpath='{{.items[*].spec.containers[0].image}}'");
        let running = site.ask(&running).await?;
        let right = !running.is_empty() && running.split(' ').all(|image| image.ends_with(&digest));
        ensure!(right, "{name} is {digest}; there runs {running}");
    }
    Ok(())
}
