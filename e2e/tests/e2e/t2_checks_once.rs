//! The checks that are not asked again once they passed for a digest: each broken before its
//! release is offered, switched off and cleared; all are asked again by the round that begins.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use anyhow::{Result, ensure};
use api::license::{License, sign};
use e2e::t2::{Bench, Operator, Start, check, condition, text};
use serde_json::{Value, json};
use std::time::Duration;

const WAIT: Duration = Duration::from_secs(20);

/// A platform at 4.2.1 to which nothing is offered yet.
async fn adopted() -> Result<(Bench, Operator)> {
    let bench = Bench::adopted().await?;
    let operator = bench.operator(&Start::default()).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    Ok((bench, operator))
}

/// Offers a release that is like 4.3.0 but for its version.
async fn offer(bench: &Bench, version: &str) -> Result<()> {
    bench.push_release(&format!("v{version}"), |r| r.version = version.parse().unwrap()).await?;
    bench.publish(version).await?;
    bench.offered(version).await?;
    Ok(())
}

async fn passes(bench: &Bench, name: &str) -> Result<Value> {
    bench.nudge().await?;
    let what = format!("{name} to pass");
    let cvsh =
        bench.cvsh_until(&what, WAIT, |c| text(check(c, name), "/state") == "Passed").await?;
    Ok(check(&cvsh, name).clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_pass_once() -> Result<()> {
    let (bench, _operator) = adopted().await?;
    bench.set_runtime("docker://24.0.7").await?;
    offer(&bench, "4.3.0").await?;
    let name = "DockerRuntimeUnsupported";
    let failed = bench.failed_and_disabled(name, "DockerFound").await?;
    ensure!(text(&failed, "/message").contains("node-1"), "{failed}");
    // Not known is not passed.
    bench.set_runtime("").await?;
    bench.nudge().await?;
    let retry = bench.check_becomes(name, "Retry", "InputUnknown").await?;
    ensure!(text(&retry, "/message").contains("node-1"), "{retry}");
    bench.condition_becomes("PreflightReady", "Unknown", "Retrying").await?;
    bench.set_runtime("containerd://2.2.0").await?;
    passes(&bench, name).await?;
    cron_jobs(&bench).await?;
    kubernetes(&bench).await?;
    license(&bench).await?;
    path(&bench).await
}

async fn cron_jobs(bench: &Bench) -> Result<()> {
    let name = "CustomEtcdBackupCronJobsAbsent";
    // The platform's own backup is no custom one.
    for (job, labels) in [("backup", "{}"), ("own", "{cpaas.io/platform-component: etcd}")] {
        bench
            .apply(&format!(
                "
apiVersion: batch/v1
kind: CronJob
metadata: {{name: {job}, namespace: default, labels: {labels}}}
spec:
  schedule: '0 0 1 1 *'
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{{name: it, image: example.invalid/it:1, command: [sh, -c, etcdctl snapshot save /x]}}]
"
            ))
            .await?;
    }
    offer(bench, "4.3.1").await?;
    let failed = bench.failed_and_disabled(name, "CustomBackupFound").await?;
    let message = text(&failed, "/message");
    ensure!(message.contains("default/backup") && !message.contains("default/own"), "{failed}");
    bench.follow(&failed).await?;
    passes(bench, name).await?;
    Ok(())
}

async fn kubernetes(bench: &Bench) -> Result<()> {
    let name = "KubernetesVersionSupported";
    let push = async |version: &str, range: &str| {
        let change = |r: &mut api::Release| {
            r.version = version.parse().unwrap();
            r.kubernetes.compatible = range.parse().unwrap();
        };
        bench.push_release(&format!("v{version}"), change).await
    };
    push("4.3.2", ">=1.34 <1.36").await?;
    bench.publish("4.3.2").await?;
    bench.offered("4.3.2").await?;
    let failed = bench.failed_and_disabled(name, "VersionOutOfRange").await?;
    ensure!(text(&failed, "/message").contains("global runs 1.33"), "{failed}");
    // A registered cluster that does not answer, an imported one too, is asked again and named.
    let cluster = "
apiVersion: platform.tkestack.io/v1
kind: Cluster
metadata: {name: far-away}
spec: {type: Imported, clusterCredentialRef: {name: far-away}}
---
apiVersion: platform.tkestack.io/v1
kind: ClusterCredential
metadata: {name: far-away}
clusterName: far-away
token: none
";
    bench.apply(cluster).await?;
    let addresses = json!([{ "type": "Advertise", "host": "127.0.0.1", "port": 1 }]);
    let status = json!({ "phase": "Running", "addresses": addresses });
    bench.set_status(&["clusters.platform.tkestack.io", "far-away"], &status).await?;
    offer(bench, "4.3.3").await?;
    let retry = bench.check_becomes(name, "Retry", "InputUnknown").await?;
    ensure!(text(&retry, "/message").contains("far-away"), "{retry}");
    // It answers after all: it is this API server by another name.
    let own = bench.get("/apis/platform.tkestack.io/v1/clustercredentials/global").await?;
    ensure!(own["caCert"].is_string(), "global has no certificate: {own}");
    let body = json!({ "token": own["token"], "caCert": own["caCert"] }).to_string();
    let patch = ["patch", "clustercredentials", "far-away", "--type=merge", "-p", &body];
    bench.kubectl(&patch).await?;
    let own = bench.get("/apis/platform.tkestack.io/v1/clusters/global").await?;
    bench.set_status(&["clusters.platform.tkestack.io", "far-away"], &own["status"]).await?;
    passes(bench, name).await?;
    // It counts like every other.
    push("4.3.4", ">=1.34 <1.36").await?;
    bench.publish("4.3.4").await?;
    bench.offered("4.3.4").await?;
    let failed = bench.check_becomes(name, "Failed", "VersionOutOfRange").await?;
    ensure!(text(&failed, "/message").contains("far-away runs 1.33"), "{failed}");
    let both = ["delete", "clusters.platform.tkestack.io,clustercredentials", "far-away"];
    bench.kubectl(&both).await?;
    Ok(())
}

async fn license(bench: &Bench) -> Result<()> {
    let name = "PlatformLicense";
    let base = bench.get("/apis/product.alauda.io/v1alpha2/productbases/base").await?;
    let id = text(&base, "/status/globalID").to_owned();
    let write = |id: String, expires: &'static str, seed: [u8; 32]| async move {
        let license = License { global_id: id, expires: expires.parse()? };
        let text = serde_json::to_string(&sign(&license, &seed))?;
        let data = json!({ "stringData": { "license": text } }).to_string();
        let words = ["-n", "cpaas-system", "patch", "secret", "platform-license", "-p", &data];
        bench.kubectl(&words).await
    };
    let seed = sandbox::platform::LICENSE_SEED;
    let far = "2099-01-01T00:00:00Z";
    write(id.clone(), "2020-01-01T00:00:00Z", seed).await?;
    offer(bench, "4.3.5").await?;
    bench.failed_and_disabled(name, "LicenseExpired").await?;
    write(id.clone(), far, [7; 32]).await?;
    bench.check_becomes(name, "Failed", "LicenseInvalid").await?;
    write("another".to_owned(), far, seed).await?;
    bench.check_becomes(name, "Failed", "LicenseForeign").await?;
    bench.kubectl(&["-n", "cpaas-system", "delete", "secret", "platform-license"]).await?;
    bench.check_becomes(name, "Failed", "LicenseMissing").await?;
    let create = ["-n", "cpaas-system", "create", "secret", "generic", "platform-license"];
    bench.kubectl(&create).await?;
    write(id, far, seed).await?;
    let passed = bench.check_becomes(name, "Passed", "AsExpected").await?;
    ensure!(text(&passed, "/message").contains("2099-01-01"), "{passed}");
    // No release has recorded its keys on a platform that something else installed: it is said.
    ensure!(text(&passed, "/message").contains("keys of the target"), "{passed}");
    Ok(())
}

/// Outside the path: not offered, and why; asked for all the same it fails; switched off it is
/// offered.
async fn path(bench: &Bench) -> Result<()> {
    let name = "VersionUpgradePath";
    let change = |r: &mut api::Release| {
        r.version = "4.5.0".parse().unwrap();
        r.upgrade_from.range = ">=4.3.0 <4.5.0".parse().unwrap();
    };
    bench.push_release("v4.5.0", change).await?;
    bench.publish("4.5.0").await?;
    let why = |c: &Value| {
        let of = |o: &&Value| text(o, "/version") == "4.5.0";
        let all = c.pointer("/status/notOffered").and_then(Value::as_array);
        all.and_then(|all| all.iter().find(of)).map(|o| text(o, "/reason").to_owned())
    };
    bench
        .cvsh_until("4.5.0 not to be offered", WAIT, |c| {
            why(c).as_deref() == Some("NotInUpgradePath")
        })
        .await?;
    let said = bench.run("ac adm upgrade --cluster=global --to=4.5.0").await?;
    ensure!(said.code != 0 && said.text.contains("hint:"), "{}", said.text);
    bench.ask_for("4.5.0").await?;
    let failed = bench.check_becomes(name, "Failed", "NotInUpgradePath").await?;
    ensure!(text(&failed, "/message").contains("at 4.2.1"), "{failed}");
    let message = bench.condition_becomes("Stalled", "True", "PreflightFailed").await?;
    ensure!(!message.is_empty(), "what to do is not said");
    bench.must("kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'").await?;
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    bench.disable(&[name]).await?;
    bench.offered("4.5.0").await?;
    bench.check_becomes(name, "Disabled", "DisabledInCvoConfig").await?;
    bench.configure_nothing().await?;
    bench.offered("4.3.5").await?;
    // Back at what is in the path.
    bench.check_becomes(name, "Passed", "").await?;
    Ok(())
}

/// What passed once is not asked again, until the upgrade would begin: then everything is.
#[tokio::test(flavor = "multi_thread")]
async fn the_round_that_begins_asks_everything_again() -> Result<()> {
    let (bench, _operator) = adopted().await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    bench.set_runtime("docker://24.0.7").await?;
    bench.nudge().await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cvsh = bench.cvsh().await?;
    ensure!(text(check(&cvsh, "DockerRuntimeUnsupported"), "/state") == "Passed", "asked again");
    bench.ask_for("4.3.0").await?;
    let failed = bench.check_becomes("DockerRuntimeUnsupported", "Failed", "DockerFound").await?;
    ensure!(!text(&failed, "/remedy").is_empty());
    let message = bench.condition_becomes("Stalled", "True", "PreflightFailed").await?;
    ensure!(
        message.contains("DockerRuntimeUnsupported") || message.contains("ac adm"),
        "{message}"
    );
    let cvsh = bench.cvsh().await?;
    ensure!(text(&cvsh, "/status/history/0/version") == "4.2.1", "nothing began: {cvsh}");
    ensure!(text(condition(&cvsh, "Reconciling"), "/reason") == "WaitingForPreflight", "{cvsh}");
    bench.set_runtime("containerd://2.2.0").await?;
    // Nobody asks for it again: it begins by itself.
    bench.completed("4.3.0").await?;
    Ok(())
}

/// The operator of an older release does not do what it does not know.
#[tokio::test(flavor = "multi_thread")]
async fn an_outdated_operator_is_told_so() -> Result<()> {
    let (bench, operator) = adopted().await?;
    let change = |r: &mut api::Release| {
        r.version = "4.4.0".parse().unwrap();
        r.min_cvo = "4.4.0".parse().unwrap();
        r.upgrade_from.range = ">=4.0.0 <4.4.0".parse().unwrap();
    };
    bench.push_release("v4.4.0", change).await?;
    bench.publish("4.4.0").await?;
    let name = "ClusterVersionUpgradeable";
    let failed = bench.failed_and_disabled(name, "CVOOutdated").await?;
    ensure!(text(&failed, "/remedy").contains("bash upgrade.sh --skip-sync-image"), "{failed}");
    operator.terminate().await?;
    let newer = Start {
        version: "4.4.0".to_owned(),
        identity: "operator-b".to_owned(),
        ..Start::default()
    };
    let _operator = bench.operator(&newer).await?;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    Ok(())
}
