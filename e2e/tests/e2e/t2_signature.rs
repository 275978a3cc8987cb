//! Only what a trusted key signed is offered, begun and applied, whatever is switched off; the keys
//! go from release to release.

use crate::t2_invariants::{applied, blob};
use anyhow::{Context as _, Result, ensure};
use api::release::{Release, ReleaseImage};
use api::signature::{FoundSignature, sign};
use api::signing_key::{Signer, SigningKey, list_text};
use api::{CheckName, Digest};
use e2e::t2::{Bench, Operator, Start, condition, demo_signer, text};
use sandbox::registry::Access;
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const KEYS: &str = "/api/v1/namespaces/cpaas-system/configmaps/release-keys";
const NO_WISH: &str = "kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'";

pub(crate) fn signer(id: &str, seed: u8) -> Signer {
    Signer::new(id, &[seed; 32])
}

pub(crate) fn key(signer: &Signer, not_after: &str) -> SigningKey {
    signer.public(not_after.parse().expect("the tests write days"))
}

/// Makes of 4.3.0 another version that lists these keys.
fn as_version(version: &str, keys: Vec<SigningKey>) -> impl FnOnce(&mut Release) {
    let version = version.to_owned();
    move |release| {
        release.version = version.parse().expect("the tests write versions");
        release.upgrade_from.range =
            format!(">=4.0.0 <{version}").parse().expect("a range of a version");
        release.signing_keys = keys;
    }
}

fn signed_by(signer: Signer) -> impl FnOnce(&ReleaseImage) -> Vec<FoundSignature> {
    move |image| vec![sign(&image.repository, &image.digest, &signer)]
}

fn manifest(version: &str) -> String {
    format!("/apis/product.alauda.io/v1alpha1/productmanifests/v{version}")
}

/// Waits until the ProductManifest is Ready or not for a reason; gives it.
async fn judged(bench: &Bench, version: &str, reason: &str) -> Result<Value> {
    let what = format!("v{version} to be {reason}");
    bench
        .until(&manifest(version), &what, LIMIT, |m| {
            text(condition(m, "Ready"), "/reason") == reason
        })
        .await
}

pub(crate) async fn record(bench: &Bench, keys: &[SigningKey]) -> Result<()> {
    let text: String = list_text(keys).lines().map(|line| format!("    {line}\n")).collect();
    bench
        .apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: release-keys, namespace: cpaas-system}}\ndata:\n  signing-keys: |\n{text}"
        ))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn i13_nothing_is_applied_without_a_trusted_signature() -> Result<()> {
    let (bench, _operator) = Bench::installed().await?;
    let all: Vec<&str> = CheckName::ALL.iter().map(|name| name.as_str()).collect();
    bench.disable(&all).await?;
    // An old key of the installed release, whose time is over.
    let old = signer("acp-demo-2019", 19);
    let expired = key(&old, "2020-01-01");
    record(&bench, &[key(&demo_signer(), "2036-12-31"), expired.clone()]).await?;
    let own = || vec![key(&signer("somebody", 9), "2099-01-01")];
    let another = |image: &ReleaseImage| {
        vec![sign(&image.repository, &Digest::of(b"another image"), &demo_signer())]
    };
    let swapped = |image: &ReleaseImage| {
        let mine = sign(&image.repository, &image.digest, &demo_signer());
        let other = sign("acp/else", &image.digest, &demo_signer());
        vec![FoundSignature { signature: other.signature, ..mine }]
    };
    let somebody = signed_by(signer("somebody", 9));
    let named = signed_by(signer("acp-demo-2026", 9));
    let untrusted = [
        bench.push_signed("v4.3.1", as_version("4.3.1", own()), |_| Vec::new()).await?,
        bench.push_signed("v4.3.2", as_version("4.3.2", own()), somebody).await?,
        bench.push_signed("v4.3.3", as_version("4.3.3", own()), another).await?,
        bench.push_signed("v4.3.4", as_version("4.3.4", own()), swapped).await?,
        bench.push_signed("v4.3.5", as_version("4.3.5", own()), named).await?,
        bench.push_signed("v4.3.6", as_version("4.3.6", vec![expired]), signed_by(old)).await?,
    ];
    let (_, from) = bench.requests(u64::MAX)?;
    let cases = [
        ("4.3.1", "SignatureMissing", "is not signed"),
        ("4.3.2", "SigningKeyUnknown", "somebody"),
        ("4.3.3", "SignatureInvalid", "another image"),
        ("4.3.4", "SignatureInvalid", "not true"),
        ("4.3.5", "SignatureInvalid", "not true"),
        ("4.3.6", "SigningKeyExpired", "2020-01-01"),
    ];
    for (version, reason, part) in cases {
        refused(&bench, version, reason, part).await?;
    }
    let (requests, _) = bench.requests(from)?;
    let applied = applied(&requests);
    ensure!(applied.is_empty(), "{applied:?}");
    for image in &untrusted {
        let read = read_of(&bench, &image.digest)?;
        ensure!(read.is_empty(), "read of an image that is not trusted: {read:?}");
    }
    // The same platform, the same settings: what the trusted key signed goes through.
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    let done = bench.completed("4.3.0").await?;
    let image = text(&done, "/status/current/image");
    ensure!(!read_of(&bench, image)?.is_empty(), "not even what was applied was read");
    Ok(())
}

/// The requests with which the registry gave out what a product image consists of.
fn read_of(bench: &Bench, image: &str) -> Result<Vec<Access>> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(blob(bench, image)?)?)?;
    let layers = manifest["layers"].as_array().into_iter().flatten();
    let parts: Vec<String> = [&manifest["config"]]
        .into_iter()
        .chain(layers)
        .map(|part| format!("/blobs/{}", text(part, "/digest")))
        .collect();
    ensure!(parts.len() > 1, "an image without layers: {manifest}");
    let mut log = bench.registry.access_log()?;
    log.retain(|r| r.method == "GET" && parts.iter().any(|part| r.path.ends_with(part)));
    Ok(log)
}

/// Published, asked for by name, and neither offered nor begun.
async fn refused(bench: &Bench, version: &str, reason: &str, part: &str) -> Result<()> {
    bench.publish(version).await?;
    let seen = judged(bench, version, reason).await?;
    let ready = condition(&seen, "Ready");
    ensure!(text(ready, "/status") == "False", "{ready}");
    ensure!(text(ready, "/message").contains(part), "{ready}");
    ensure!(seen.pointer("/status/signature").is_none(), "{seen}");
    bench.ask_for(version).await?;
    let what = format!("{version} to be held");
    let cvsh = bench
        .cvsh_until(&what, LIMIT, |c| {
            let stalled = condition(c, "Stalled");
            text(c, "/status/preflight/version") == version
                && text(stalled, "/status") == "True"
                && text(stalled, "/message").contains(reason)
        })
        .await?;
    let checks = cvsh.pointer("/status/preflight/checks").and_then(Value::as_array);
    let checks = checks.context("no checks")?;
    ensure!(checks.iter().all(|c| text(c, "/state") == "Disabled"), "{cvsh}");
    ensure!(text(&cvsh, "/status/history/0/version") == "4.2.1", "it began: {cvsh}");
    ensure!(cvsh["status"]["availableUpdates"].as_array().is_none_or(Vec::is_empty), "{cvsh}");
    bench
        .run("ac adm upgrade status --cluster=global --exit-code")
        .await?
        .expect(4)?
        .containing(reason)?;
    bench.must(NO_WISH).await?;
    bench
        .cvsh_until("the wish to be gone", LIMIT, |c| {
            text(c, "/status/desired/version") == "4.2.1"
                && text(condition(c, "Stalled"), "/status") == "False"
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_go_from_release_to_release() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let first = bench.get(&manifest("4.2.1")).await?;
    ensure!(text(&first, "/status/signature/trust") == "FirstAdoption", "{first}");
    let recorded = bench.get(KEYS).await?;
    ensure!(text(&recorded, "/data/signing-keys").contains("acp-demo-2026"), "{recorded}");
    // Signed by the old key, it hands over to a new one.
    let new = signer("acp-demo-2027", 27);
    let keys = || vec![key(&signer("acp-demo-2027", 27), "2037-12-31")];
    bench.push_signed("v4.3.1", as_version("4.3.1", keys()), signed_by(demo_signer())).await?;
    bench.publish("4.3.1").await?;
    let cvsh = bench.offered("4.3.1").await?;
    bench.all_pass("4.3.1").await?;
    ensure!(text(&cvsh, "/status/availableUpdates/0/version") == "4.3.1", "{cvsh}");
    let said = bench.run("ac adm upgrade status --cluster=global").await?;
    said.expect(0)?.containing("acp-demo-2026")?.containing("installed release")?;
    bench.ask_for("4.3.1").await?;
    let done = bench.completed("4.3.1").await?;
    let recorded = bench.get(KEYS).await?;
    ensure!(!text(&recorded, "/data/signing-keys").contains("acp-demo-2026"), "{recorded}");
    let image = text(&recorded, "/data/image").to_owned();
    ensure!(text(&done, "/status/current/image").ends_with(&image), "{recorded}");
    let operator = stays_in_force(&bench, operator).await?;
    // The next one is to be signed by the new key.
    bench.push_signed("v4.3.2", as_version("4.3.2", keys()), signed_by(demo_signer())).await?;
    bench.push_signed("v4.3.3", as_version("4.3.3", keys()), signed_by(new)).await?;
    bench.publish("4.3.2").await?;
    bench.publish("4.3.3").await?;
    judged(&bench, "4.3.2", "SigningKeyUnknown").await?;
    bench.offered("4.3.3").await?;
    keys_that_go(&bench, keys()).await?;
    bench.ask_for("4.3.3").await?;
    bench.completed("4.3.3").await?;
    drop(operator);
    Ok(())
}

/// What is installed is applied again although the key that signed it went, also by an operator
/// that remembers nothing.
async fn stays_in_force(bench: &Bench, operator: Operator) -> Result<Operator> {
    operator.kill();
    let start = Start { identity: "operator-b".to_owned(), ..Start::default() };
    let operator = bench.operator(&start).await?;
    bench
        .apply(
            "
apiVersion: operator.alauda.io/v1alpha1
kind: ResourcePatch
metadata: {name: rp-owner, annotations: {config.cpaas.io/exempt-for-ver: 4.3.3}}
spec:
  release: kube-system/coredns
  target: {apiVersion: apps/v1, kind: Deployment, name: coredns, namespace: kube-system}
  jsonPatch: [{op: add, path: /metadata/annotations/example.com~1owner, value: dns}]
",
        )
        .await?;
    let path = "/apis/operator.alauda.io/v1alpha1/resourcepatches/rp-owner";
    bench
        .until(path, "the customisation to be in force", LIMIT, |p| {
            text(p, "/status/phase") == "Active"
        })
        .await?;
    Ok(operator)
}

/// A key that goes takes what it signed with it; a record that is lost opens no door.
async fn keys_that_go(bench: &Bench, keys: Vec<SigningKey>) -> Result<()> {
    record(bench, &[]).await?;
    judged(bench, "4.3.3", "SigningKeyUnknown").await?;
    bench
        .cvsh_until("4.3.3 to be offered no more", LIMIT, |c| {
            c["status"]["availableUpdates"].as_array().is_none_or(Vec::is_empty)
        })
        .await?;
    record(bench, &keys).await?;
    judged(bench, "4.3.3", "Resolved").await?;
    bench.kubectl(&["-n", "cpaas-system", "delete", "configmap", "release-keys"]).await?;
    let own = vec![key(&signer("somebody", 9), "2099-01-01")];
    let by = signed_by(signer("somebody", 9));
    bench.push_signed("v4.3.4", as_version("4.3.4", own), by).await?;
    bench.publish("4.3.4").await?;
    let seen = judged(bench, "4.3.4", "SigningKeyUnknown").await?;
    ensure!(text(condition(&seen, "Ready"), "/message").contains("acp-demo-2027"), "{seen}");
    judged(bench, "4.3.3", "Resolved").await?;
    bench.kubectl(&["delete", "productmanifest", "v4.3.4"]).await?;
    bench.apply(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: release-keys, namespace: cpaas-system}\ndata: {signing-keys: \"- id: [\"}",
    ).await?;
    judged(bench, "4.3.3", "SigningKeysInvalid").await?;
    record(bench, &keys).await?;
    bench.offered("4.3.3").await?;
    Ok(())
}

/// A platform that something else installed records no keys: it is said whose are taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_first_adoption_says_whose_keys_count() -> Result<()> {
    let bench = Bench::adopted().await?;
    let said = bench.run("bash upgrade.sh --preflight").await?;
    said.expect(0)?.containing("Signature")?.containing("first adoption")?;
    let package = bench.packages.new.display().to_string();
    let verify = format!("ac adm release verify {package}");
    bench.run(&verify).await?.expect(0)?.containing("first adoption")?.containing("holds")?;
    let _operator = bench.operator(&Start::default()).await?;
    bench.publish("4.3.0").await?;
    let cvsh = bench.all_pass("4.3.0").await?;
    ensure!(text(&cvsh, "/status/preflight/signature/trust") == "FirstAdoption", "{cvsh}");
    ensure!(text(&cvsh, "/status/preflight/signature/key") == "acp-demo-2026", "{cvsh}");
    let said = bench.run("ac adm upgrade status --cluster=global").await?;
    said.expect(0)?.containing("first adoption")?;
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await?;
    // From now on it is the platform that says whom it trusts.
    bench.run(&verify).await?.expect(0)?.containing("installed release")?;
    let unsigned = std::path::Path::new(&package).join("SHA256SUMS.sig");
    std::fs::remove_file(unsigned)?;
    let refused = bench.run(&verify).await?;
    refused.expect(1)?.containing("SignatureMissing")?.containing("hint:")?;
    Ok(())
}
