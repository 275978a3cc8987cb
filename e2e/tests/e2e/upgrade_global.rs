//! The job of the documents on real clusters, from 4.2.1 to 4.3.0.

use crate::late_image::late_image;
use anyhow::{Context as _, Result, ensure};
use e2e::audit;
use e2e::job::STEPS;
use e2e::packages::Packages;
use e2e::prober::Prober;
use e2e::site::{Site, test_options};
use sandbox::{Narrator, Sandbox};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_global() -> Result<()> {
    let _alone = crate::REAL_CLUSTERS.lock().await;
    let narrator = Narrator::stderr();
    let options = test_options(&["global", "workload-a"])?;
    // What an earlier run left, also one that was killed.
    Sandbox::new(options.clone(), Narrator::silent()).down().await?;
    let packages = Packages::build(&narrator).await?;
    let site = Site::up(options, packages, narrator.clone()).await?;
    let result = job(&site, &narrator).await;
    if result.is_ok() {
        site.sandbox.down().await?;
    }
    result
}

async fn job(site: &Site, narrator: &Narrator) -> Result<()> {
    let log = site.sandbox.audit_log(api::names::GLOBAL)?;
    let prober = Prober::start(site, &site.packages.programs.join("dns-prober"))?;
    for (number, step) in STEPS.iter().enumerate() {
        step.announce(number + 1, narrator);
        let (_, before) = audit::read(&log, u64::MAX)?;
        step.run(site).await?;
        if step.command.contains("--only-sync-image") || step.command.contains("--preflight") {
            changes_nothing(&log, before).with_context(|| step.command.to_owned())?;
        }
    }
    let answered = prober.all_answered().await.context("the cluster's DNS had a gap")?;
    narrator.say(&format!("cluster DNS: {answered} look-ups answered, 0 failed"));
    ensure!(answered > 500, "only {answered} look-ups were made");
    offered_in_time(&log)?;
    outcome(site).await?;
    late_image(site).await.context("an image that comes late")
}

/// Nothing but questions was asked by upgrade.sh.
fn changes_nothing(log: &std::path::Path, from: u64) -> Result<()> {
    let (requests, _) = audit::read(log, from)?;
    let changes: Vec<_> =
        requests.iter().filter(|r| r.is_change() && r.user == "kubernetes-admin").collect();
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
        .find(|r| {
            r.at > published.at && r.is_change() && r.resource == "clusterversionshadows/status"
        })
        .context("the status was never written")?;
    let took = offered.at.duration_since(published.at);
    ensure!(took.as_secs() < 5, "offered after {took}");
    Ok(())
}

async fn outcome(site: &Site) -> Result<()> {
    let cvsh: Value =
        serde_json::from_str(&site.ask("kubectl -n cpaas-system get cvsh global -o json").await?)?;
    let text = |pointer: &str| cvsh.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    ensure!(
        text("/status/current/version") == "4.3.0",
        "current is {}",
        text("/status/current/version")
    );
    ensure!(text("/status/current/image").contains("@sha256:"), "current has no digest");
    ensure!(
        text("/status/history/0/state") == "Completed"
            && text("/status/history/0/version") == "4.3.0"
    );
    let history = cvsh.pointer("/status/history").and_then(Value::as_array).map_or(0, Vec::len);
    ensure!(history == 2, "{history} entries in the history, not 2");
    for (script, expected) in [
        ("kubectl get prdb base -o jsonpath='{.spec.version} {.status.version}'", "4.3.0 4.3.0"),
        (
            "kubectl get clsm global -o jsonpath='{.spec.version} {.status.base.version} {.status.base.deployStatus}'",
            "4.3.0 4.3.0 Completed",
        ),
        ("kubectl -n cpaas-system get apprelease legacy-dashboard --ignore-not-found", ""),
        ("kubectl -n cpaas-system get deployment legacy-dashboard --ignore-not-found", ""),
        (
            "kubectl -n cpaas-system get apprelease release-notes -o jsonpath='{.status.phase}'",
            "Ready",
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
    ] {
        let said = site.ask(script).await?;
        ensure!(said == expected, "'{said}', not '{expected}': {script}");
    }
    Ok(())
}
