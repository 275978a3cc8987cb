//! What holds up an upgrade that runs: it says what, and what to do, and goes on by itself.

use anyhow::{Result, ensure};
use e2e::t2::{Bench, condition, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);

/// The Job of the hook, and its Pods.
const HOOK: &str = "platform-health-before";
const HOOK_JOB: &str = "/apis/batch/v1/namespaces/cpaas-system/jobs/platform-health-before";
const HOOK_PODS: &str =
    "/api/v1/namespaces/cpaas-system/pods?labelSelector=job-name%3Dplatform-health-before";

/// No Job may be made until this goes: the upgrade stands right before its hook.
const NO_JOBS: &str = "
apiVersion: v1
kind: ResourceQuota
metadata: {name: no-jobs, namespace: cpaas-system}
spec: {hard: {count/jobs.batch: '0'}}
";

/// Every Pod of the hook fails, as often as the Job tries again.
async fn fails(bench: &Bench) -> Result<()> {
    let begun = Instant::now();
    loop {
        let job = bench.get(HOOK_JOB).await?;
        if text(condition(&job, "Failed"), "/status") == "True" {
            return Ok(());
        }
        ensure!(begun.elapsed() < LIMIT, "the Job does not fail: {job:#}");
        let pods = bench.get(HOOK_PODS).await?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            if text(pod, "/status/phase") == "Pending" {
                let path = format!(
                    "/api/v1/namespaces/cpaas-system/pods/{}/status",
                    text(pod, "/metadata/name")
                );
                bench.merge(&path, &json!({ "status": { "phase": "Failed" } })).await?;
            }
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// A hook that fails is named with its log; deleting the Job runs it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_hook_stalls_until_its_job_is_deleted() -> Result<()> {
    let (bench, _operator) = Bench::installed().await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.apply(NO_JOBS).await?;
    let quota = "/api/v1/namespaces/cpaas-system/resourcequotas/no-jobs";
    let counts = |q: &Value| q.pointer("/status/hard").is_some();
    bench.until(quota, "the quota to hold", LIMIT, counts).await?;
    bench.ask_for("4.3.0").await?;
    let held = |c: &Value| c["status"]["stages"].to_string().contains("exceeded quota");
    bench.cvsh_until("the hook to be refused", LIMIT * 2, held).await?;
    // The Pods of the Job that the operator makes find no node, and fail before they run.
    bench.must("kubectl cordon node-1").await?;
    bench.kubectl(&["-n", "cpaas-system", "delete", "resourcequota", "no-jobs"]).await?;
    bench.until(HOOK_JOB, "the hook to be started", LIMIT, |j| !j.is_null()).await?;
    fails(&bench).await?;
    bench.must("kubectl uncordon node-1").await?;
    let message = bench.condition_becomes("Stalled", "True", "HookFailed").await?;
    ensure!(message.contains(&format!("logs job/{HOOK}")), "{message}");
    let cvsh = bench.cvsh().await?;
    ensure!(text(&cvsh, "/status/history/0/state") == "Partial", "{cvsh}");
    ensure!(text(&cvsh, "/status/current/version") == "4.2.1", "{cvsh}");
    let status = bench.run("ac adm upgrade status --cluster=global --exit-code").await?;
    status.expect(4)?.containing(HOOK)?;
    // The command stands in the message.
    let at = message.find("kubectl -n cpaas-system delete job").unwrap_or_default();
    let command = message[at..].split(';').next().unwrap_or_default();
    bench.must(command).await?;
    bench.completed("4.3.0").await?;
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    Ok(())
}

/// A component that is not healthy in its time, and is afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_takes_too_long_stalls_until_it_is_healthy() -> Result<()> {
    let (bench, _operator) = Bench::installed().await?;
    bench
        .push_release("v4.3.1", |release| {
            release.version = "4.3.1".parse().unwrap();
            let components = release.stages.iter_mut().flat_map(|s| &mut s.components);
            for component in components.filter(|c| c.name == "coredns") {
                component.timeout_seconds = 5;
            }
        })
        .await?;
    bench.publish("4.3.1").await?;
    bench.offered("4.3.1").await?;
    // New Pods find no node.
    bench.must("kubectl cordon node-1").await?;
    bench.ask_for("4.3.1").await?;
    let message = bench.condition_becomes("Stalled", "True", "TimedOut").await?;
    for part in ["coredns", "after 5 s", "; fix: ", "kubectl describe"] {
        ensure!(message.contains(part), "no '{part}': {message}");
    }
    let cvsh = bench.cvsh().await?;
    let later = cvsh["status"]["stages"].as_array().is_some_and(|stages| {
        stages.iter().any(|s| text(s, "/name") == "verification" && text(s, "/phase") == "Pending")
    });
    ensure!(later, "what comes after went on: {cvsh}");
    let said = bench.run("ac adm upgrade status --cluster=global --exit-code").await?.expect(4)?;
    said.containing("TimedOut")?.containing("coredns")?;
    bench.must("kubectl uncordon node-1").await?;
    bench.completed("4.3.1").await?;
    Ok(())
}

/// A component of the release is lower than what is installed: it fails, whatever is switched off.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_never_moves_to_a_lower_version() -> Result<()> {
    let (bench, _operator) = Bench::installed().await?;
    bench
        .push_release("v4.3.1", |release| {
            release.version = "4.3.1".parse().unwrap();
            let components = release.stages.iter_mut().flat_map(|s| &mut s.components);
            for component in components.filter(|c| c.name == "coredns") {
                component.version = "1.13.0".to_owned();
            }
        })
        .await?;
    bench.publish("4.3.1").await?;
    bench.offered("4.3.1").await?;
    let failed = bench.failed_and_disabled("ClusterVersionUpgradeable", "Downgrade").await?;
    ensure!(text(&failed, "/message").contains("coredns"), "{failed}");
    // A right that was given: a check that is switched off. The rule holds at execution too.
    bench.disable(&["ClusterVersionUpgradeable"]).await?;
    bench.condition_becomes("PreflightReady", "True", "Passed").await?;
    bench.ask_for("4.3.1").await?;
    let what = "the downgrade to be held";
    let cvsh = bench
        .cvsh_until(what, LIMIT, |c| {
            let stalled = condition(c, "Stalled");
            text(stalled, "/status") == "True" && text(stalled, "/message").contains("coredns")
        })
        .await?;
    ensure!(text(&cvsh, "/status/history/0/version") == "4.2.1", "it began: {cvsh}");
    Ok(())
}
