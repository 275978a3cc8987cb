//! The entry points of the documents, each from a platform at 4.2.1 to its end, and what else may
//! be asked for on the way.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, Operator, condition, is_completed_at, text};
use serde_json::Value;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
/// Withdraws whatever is asked for.
const NO_WISH: &str = "kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'";

/// A platform at 4.2.1 to which 4.3.0 is offered and whose preflight passes.
async fn offered() -> Result<(Bench, Operator)> {
    let (bench, operator) = Bench::installed().await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.condition_becomes("PreflightReady", "True", "Passed").await?;
    Ok((bench, operator))
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_by_kubectl_patch() -> Result<()> {
    let (bench, _operator) = offered().await?;
    bench
        .must(
            "kubectl patch cvsh global -n cpaas-system --type merge -p '{
  \"spec\": {
    \"desiredUpdate\": {
      \"version\": \"4.3.0\"
    }
  }
}'",
        )
        .await?;
    let cvsh = bench.completed("4.3.0").await?;
    ensure!(text(&cvsh, "/status/current/image").contains("@sha256:"), "{cvsh}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn entry_by_kubectl_edit() -> Result<()> {
    let (bench, _operator) = offered().await?;
    // What a person does in the editor: the minimum configuration of the documents.
    let editor = bench.folder().join("editor");
    std::fs::write(
        &editor,
        "#!/bin/sh\nsed -i 's/^spec: {}$/spec:\\n  desiredUpdate:\\n    version: 4.3.0/; \
         s/^    version: 4.2.1$/    version: 4.3.0/' \"$1\"\n",
    )?;
    bench.must(&format!("chmod +x {}", editor.display())).await?;
    let shell = bench.shell().with("EDITOR", &editor.display().to_string());
    let said = shell.run("kubectl edit cvsh global -n cpaas-system", LIMIT).await?;
    said.expect(0)?.containing("edited")?;
    bench.completed("4.3.0").await?;
    Ok(())
}

/// `--to-latest`, and while it runs: `--to-latest`, `--to=4.3.0`, `status`, one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn entry_by_to_latest() -> Result<()> {
    let (bench, _operator) = offered().await?;
    bench.must("ac adm upgrade --cluster=global --to-latest").await?;
    bench.condition_becomes("Reconciling", "True", "Upgrading").await?;
    let latest = bench.run("ac adm upgrade --cluster=global --to-latest").await?;
    let to = bench.run("ac adm upgrade --cluster=global --to=4.3.0").await?;
    let status = bench.run("ac adm upgrade status --cluster=global").await?;
    let still = bench.cvsh().await?;
    ensure!(!is_completed_at(&still, "4.3.0"), "it was over before anything could be asked");
    to.expect(0)?.containing("4.3.0")?;
    latest.expect(0)?.containing("4.3.0")?;
    status.expect(0)?.containing("4.3.0")?;
    bench.completed("4.3.0").await?;
    bench
        .run("ac adm upgrade status --cluster=global --exit-code")
        .await?
        .expect(0)?
        .containing("4.3.0")?;
    Ok(())
}

/// `--to=4.3.0`, and what may be asked for in flight and afterwards.
#[tokio::test(flavor = "multi_thread")]
async fn entry_by_to_and_what_is_asked_beside_it() -> Result<()> {
    let (bench, _operator) = offered().await?;
    bench.push_release("v4.3.1", |r| r.version = "4.3.1".parse().unwrap()).await?;
    bench.publish("4.3.1").await?;
    bench.offered("4.3.1").await?;
    before(&bench).await?;
    bench.must("ac adm upgrade --cluster=global --to=4.3.0").await?;
    bench.condition_becomes("Reconciling", "True", "Upgrading").await?;
    let begun = bench.cvsh().await?;
    // Another version is refused, whoever asks; the one in flight goes on.
    bench.ask_for("4.3.1").await?;
    let what = "another version in flight to be refused";
    let refused = bench
        .cvsh_until(what, LIMIT, |c| {
            let message = text(condition(c, "Reconciling"), "/message");
            message.contains("4.3.1") && message.contains("refused")
        })
        .await?;
    ensure!(text(&refused, "/status/desired/version") == "4.3.0", "{refused}");
    ensure!(text(condition(&refused, "Stalled"), "/status") == "False", "{refused}");
    // Without any wish it goes on as well; what withdraws it may be typed twice.
    for _ in 0..2 {
        bench.must(NO_WISH).await?;
    }
    let done = bench.completed("4.3.0").await?;
    let entries = |c: &Value| c["status"]["history"].as_array().map_or(0, Vec::len);
    ensure!(entries(&begun) == 2 && entries(&done) == 2, "{done}");
    ensure!(
        text(&begun, "/status/history/0/startedTime")
            == text(&done, "/status/history/0/startedTime"),
        "{done}"
    );
    ensure!(text(&begun, "/status/desired/image") == text(&done, "/status/current/image"));
    after(&bench).await
}

/// Before it begins: unknown, malformed and lower versions.
async fn before(bench: &Bench) -> Result<()> {
    for (version, part) in [("4.9.9", "4.9.9"), ("banana", "banana"), ("4.1.0", "4.1.0")] {
        let said = bench.run(&format!("ac adm upgrade --cluster=global --to={version}")).await?;
        ensure!(said.code != 0, "--to={version} is taken");
        said.containing("hint:")?.containing(part)?;
    }
    for (version, part) in
        [("4.1.0", "lower"), ("banana", "banana"), ("4.9.9", "no ProductManifest")]
    {
        bench.ask_for(version).await?;
        let what = format!("{version} to be refused");
        let cvsh = bench
            .cvsh_until(&what, LIMIT, |c| {
                let stalled = condition(c, "Stalled");
                text(stalled, "/reason") == "RequestRefused"
                    && text(stalled, "/message").contains(part)
            })
            .await?;
        // What to do stands there as a command; it ends the refusal.
        let message = text(condition(&cvsh, "Stalled"), "/message");
        let at = message.rfind("kubectl patch").with_context(|| message.to_owned())?;
        bench.must(&message[at..]).await?;
        bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    }
    Ok(())
}

/// Afterwards: what is current may be asked for again and changes nothing; lower never.
async fn after(bench: &Bench) -> Result<()> {
    // The round after the last one says what is offered from here on.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let revision = bench.cvsh().await?["status"]["revision"].clone();
    bench
        .run("ac adm upgrade --cluster=global --to=4.3.0")
        .await?
        .expect(0)?
        .containing("already")?;
    let unchanged = bench.cvsh().await?;
    ensure!(unchanged["status"]["revision"] == revision, "the status was written: {unchanged}");
    bench.ask_for("4.3.0").await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let cvsh = bench.cvsh().await?;
    ensure!(is_completed_at(&cvsh, "4.3.0"), "{cvsh}");
    ensure!(cvsh["status"]["history"].as_array().map_or(0, Vec::len) == 2, "{cvsh}");
    bench.ask_for("4.2.1").await?;
    let message = bench.condition_becomes("Stalled", "True", "RequestRefused").await?;
    ensure!(message.contains("lower"), "{message}");
    let cvsh = bench.cvsh().await?;
    ensure!(text(condition(&cvsh, "Ready"), "/status") == "True", "{cvsh}");
    ensure!(text(&cvsh, "/status/desired/version") == "4.3.0", "{cvsh}");
    Ok(())
}
