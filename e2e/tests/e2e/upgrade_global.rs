//! The job of the documents on real clusters, from 4.2.1 to 4.3.0.

use crate::documents;
use crate::late_image::late_image;
use anyhow::{Context as _, Result, ensure};
use artifacts::package::Package;
use e2e::audit;
use e2e::job::{STEPS, look_around};
use e2e::packages::Packages;
use e2e::prober::Prober;
use e2e::shell::Shell;
use e2e::site::{Site, test_options};
use e2e::turn::Turn;
use sandbox::{Narrator, Sandbox};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use xtask::rights::{self, Use};

/// How long two clusters may take to come up once their programs are built.
const UP_LIMIT: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_global() -> Result<()> {
    let _alone = Turn::alone().await;
    let narrator = Narrator::stderr();
    let options = test_options(&["global", "workload-a"])?;
    // What an earlier run left, also one that was killed.
    Sandbox::new(options.clone(), Narrator::silent()).down().await?;
    let packages = Packages::build(&narrator).await?;
    let sandbox = Sandbox::new(options.clone(), narrator.clone());
    sandbox.build().await?;
    let began = Instant::now();
    sandbox.up().await?;
    let took = began.elapsed();
    narrator.say(&format!("both clusters are up after {} s", took.as_secs()));
    ensure!(took < UP_LIMIT, "both clusters took {took:?}");
    let site = Site::up(options, packages, narrator.clone()).await?;
    let result = job(&site, &narrator).await;
    if result.is_ok() {
        site.sandbox.down().await?;
    }
    result
}

async fn job(site: &Site, narrator: &Narrator) -> Result<()> {
    let log = site.sandbox.audit_log(api::names::GLOBAL)?;
    registered(site).await?;
    let moved = site.ask(MOVED).await?;
    let prober = Prober::start(site, &site.packages.programs.join("dns-prober"))?;
    let mut seen = Vec::new();
    for (number, step) in STEPS.iter().enumerate() {
        step.announce(number + 1, site, narrator)?;
        let (_, before) = audit::read(&log, u64::MAX)?;
        seen.push((step.command, step.run(site).await?));
        if step.command.contains("--only-sync-image") || step.command.contains("--preflight") {
            changes_nothing(&log, before).with_context(|| step.command.to_owned())?;
        }
    }
    let answered = prober.all_answered().await.context("the cluster's DNS had a gap")?;
    narrator.say(&format!("cluster DNS: {answered} look-ups answered, 0 failed"));
    ensure!(answered > 500, "only {answered} look-ups were made");
    offered_in_time(&log)?;
    outcome(site, &moved).await?;
    documents::show_what_was_said(&seen)?;
    looks_around(site).await?;
    rights(&log, &site.packages.new)?;
    late_image(site).await.context("an image that comes late")
}

/// What the demo says at its end works in a shell that knows nothing of the clusters.
async fn looks_around(site: &Site) -> Result<()> {
    let typed: Vec<String> = look_around(site)?.into_iter().map(|(command, _)| command).collect();
    let nowhere = Path::new("/nonexistent");
    let shell = Shell::new(&[], nowhere, Path::new("/"), Narrator::silent());
    let script = format!("set -e\n{}", typed.join("\n"));
    let said = shell.run(&script, UP_LIMIT).await?.expect(0)?;
    said.containing("Cluster global is at 4.3.0")?.containing("release-notes")?;
    Ok(())
}

/// What shows which object it is that moves from one chart to another.
const MOVED: &str =
    "kubectl -n cpaas-system get configmap platform-info -o jsonpath='{.metadata.uid}'";

/// The workload cluster is known to global, and how to reach it.
async fn registered(site: &Site) -> Result<()> {
    let name = "workload-a";
    let credential = site
        .ask(&format!("kubectl get clusters.platform.tkestack.io {name} -o jsonpath='{{.spec.clusterCredentialRef.name}}'"))
        .await?;
    ensure!(!credential.is_empty(), "{name} has no credential");
    for (script, what) in [
        (
            format!("kubectl get clustercredentials {credential} -o jsonpath='{{.token}}'"),
            "a token",
        ),
        (
            format!(
                "kubectl get machines.platform.tkestack.io -o jsonpath='{{.items[?(@.spec.clusterName==\"{name}\")].metadata.name}}'"
            ),
            "a machine",
        ),
    ] {
        ensure!(!site.ask(&script).await?.is_empty(), "{name} has not {what}: {script}");
    }
    Ok(())
}

/// Nothing but questions was asked by upgrade.sh.
fn changes_nothing(log: &std::path::Path, from: u64) -> Result<()> {
    let (requests, _) = audit::read(log, from)?;
    let own: Vec<_> = requests.iter().filter(|r| r.user == "kubernetes-admin").collect();
    ensure!(!own.is_empty(), "the audit log shows nothing of the administrator's account");
    let changes: Vec<_> = own.iter().filter(|r| r.is_change()).collect();
    ensure!(changes.is_empty(), "the administrator's account changed something: {changes:?}");
    Ok(())
}

/// From the ProductManifest to the offer in less than five seconds, by the API server's own clock.
fn offered_in_time(log: &std::path::Path) -> Result<()> {
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
fn rights(log: &Path, package: &Path) -> Result<()> {
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

async fn outcome(site: &Site, moved: &str) -> Result<()> {
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
    for (script, expected) in OUTCOME {
        let said = site.ask(script).await?;
        ensure!(said == *expected, "'{said}', not '{expected}': {script}");
    }
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
