//! What holds up an upgrade that runs: it says what, and what to do, and goes on by itself.

use anyhow::{Result, ensure};
use e2e::t2::{Bench, text};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);

/// A hook that failed is named with its log; deleting the Job runs it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_hook_stalls_until_its_job_is_deleted() -> Result<()> {
    let (bench, _operator) = Bench::installed().await?;
    bench.publish("4.3.0").await?;
    let cvsh = bench.offered("4.3.0").await?;
    let image = text(&cvsh, "/status/availableUpdates/0/image");
    // The hook of this very release, found failed: it is adopted as it is.
    bench
        .apply(&format!(
            "
apiVersion: batch/v1
kind: Job
metadata:
  name: platform-health-before
  namespace: cpaas-system
  annotations: {{cpaas.io/release-digest: '{image}'}}
spec:
  backoffLimit: 0
  template:
    metadata: {{annotations: {{sandbox/outcome: Failed}}}}
    spec: {{restartPolicy: Never, containers: [{{name: check, image: example.invalid/it:1}}]}}
"
        ))
        .await?;
    bench.ask_for("4.3.0").await?;
    let message = bench.condition_becomes("Stalled", "True", "HookFailed").await?;
    ensure!(message.contains("logs job/platform-health-before"), "{message}");
    let cvsh = bench.cvsh().await?;
    ensure!(text(&cvsh, "/status/history/0/state") == "Partial", "{cvsh}");
    ensure!(text(&cvsh, "/status/current/version") == "4.2.1", "{cvsh}");
    let status = bench.run("ac adm upgrade status --cluster=global --exit-code").await?;
    status.expect(4)?.containing("platform-health-before")?;
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
    ensure!(message.contains("coredns"), "{message}");
    let cvsh = bench.cvsh().await?;
    let later = cvsh["status"]["stages"].as_array().is_some_and(|stages| {
        stages.iter().any(|s| text(s, "/name") == "verification" && text(s, "/phase") == "Pending")
    });
    ensure!(later, "what comes after went on: {cvsh}");
    let said = bench.run("ac adm upgrade status --cluster=global").await?;
    said.containing("coredns")?;
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
            let stalled = e2e::t2::condition(c, "Stalled");
            text(stalled, "/status") == "True" && text(stalled, "/message").contains("coredns")
        })
        .await?;
    ensure!(text(&cvsh, "/status/history/0/version") == "4.2.1", "it began: {cvsh}");
    Ok(())
}
