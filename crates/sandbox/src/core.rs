//! Installs Core on the platform of a sandbox as an administrator does: from a core package, by
//! `upgrade.sh`, by a request on the ClusterVersionShadow, and by waiting until it is Ready.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::lifecycle::{GLOBAL, Sandbox};
use crate::narration::Narrator;
use crate::process::{command, run};

/// How long `upgrade.sh` may take.
const PREPARE_LIMIT: Duration = Duration::from_secs(600);
/// How long the installation may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
const CALL_LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(500);

/// Installs Core from an extracted package where nothing is installed yet, on the global cluster
/// first and then on all others at once; safe to run twice.
pub async fn install(sandbox: &Sandbox, package: &Path, narrator: &Narrator) -> Result<()> {
    let installed = object(sandbox, &["get", "prdb", api::names::PRODUCT_BASE]).await?;
    let version = text(&installed, "/status/version");
    if version.is_empty() {
        let mut upgrade = command("bash", ["upgrade.sh"]);
        upgrade.current_dir(package).env("KUBECONFIG", sandbox.kubeconfig(GLOBAL)?);
        narrator.during("bash upgrade.sh", run(&mut upgrade, PREPARE_LIMIT)).await?;
        narrator.during("installing Core", request_and_wait(sandbox, GLOBAL)).await?;
    } else {
        narrator.say(&format!("Core {version} is installed"));
    }
    let clusters = sandbox.status().await?.clusters;
    let others: Vec<String> =
        clusters.into_iter().map(|c| c.name).filter(|name| name != GLOBAL).collect();
    if others.is_empty() {
        return Ok(());
    }
    let what = format!("installing Core on {}", others.join(", "));
    let all = others.iter().map(|name| async move {
        let installed = request_and_wait(sandbox, name).await;
        installed.with_context(|| format!("cluster {name}"))
    });
    narrator.during(&what, futures::future::try_join_all(all)).await?;
    Ok(())
}

async fn request_and_wait(sandbox: &Sandbox, cluster: &str) -> Result<()> {
    let cvsh = ["-n", api::names::NAMESPACE, "get", "cvsh", cluster, "--ignore-not-found"];
    let deadline = Instant::now() + INSTALL_LIMIT;
    let mut asked = false;
    loop {
        let found = object(sandbox, &cvsh).await?;
        let offered = text(&found, "/status/availableUpdates/0/version");
        if !asked && !offered.is_empty() {
            let wish = serde_json::json!({ "spec": { "desiredUpdate": { "version": offered } } });
            let mut patch = sandbox.kubectl(GLOBAL)?;
            patch.args(["-n", api::names::NAMESPACE, "patch", "cvsh", cluster]);
            patch.args(["--type", "merge", "-p", &wish.to_string()]);
            run(&mut patch, CALL_LIMIT).await?;
            asked = true;
        }
        if condition(&found, "Ready").is_some_and(|c| text(c, "/status") == "True") {
            ensure!(!text(&found, "/status/current/version").is_empty(), "Ready without a version");
            return Ok(());
        }
        let stalled = condition(&found, "Stalled").filter(|c| text(c, "/status") == "True");
        if let Some(stalled) =
            stalled.filter(|c| text(c, "/reason") == api::StalledReason::PreflightFailed.as_str())
        {
            bail!("Core cannot be installed here: {}", text(stalled, "/message"));
        }
        if Instant::now() > deadline {
            let waits = ["Reconciling", "Stalled"].map(|kind| {
                condition(&found, kind).map(|c| text(c, "/message")).unwrap_or_default()
            });
            bail!(
                "Core was not installed within {} s: {}",
                INSTALL_LIMIT.as_secs(),
                waits.join("; ")
            );
        }
        sleep(POLL).await;
    }
}

async fn object(sandbox: &Sandbox, arguments: &[&str]) -> Result<Value> {
    let mut get = sandbox.kubectl(GLOBAL)?;
    get.args(arguments).args(["-o", "json"]);
    let answer = run(&mut get, CALL_LIMIT).await?;
    if answer.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&answer).context("kubectl gave no JSON")
}

fn condition<'a>(object: &'a Value, kind: &str) -> Option<&'a Value> {
    let all = object.pointer("/status/conditions")?.as_array()?;
    all.iter().find(|c| text(c, "/type") == kind)
}

fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
