//! Passwords, tokens and the licence stand in no log at trace level, no Event, no object of ours,
//! no page, no argument of a process that is started, and in nothing that a user is shown.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use e2e::t2::{Bench, Start, condition, text};
use sandbox::registry::Account;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Objects that anybody may read who may look at the platform.
const OBJECTS: &str = "cvsh,productmanifests,productbases,appreleases,resourcepatches,\
    clustermodules,moduleinfoes,configmaps,events,events.events.k8s.io,deployments,jobs,pods";

/// A cluster whose API server takes the token of its credential.
const ANSWERED: &str = "answers";
/// A cluster whose API server refuses it.
const REFUSED: &str = "refuses";
/// What the operator and a user say for a while.
const WRONG_PASSWORD: &str = "canary-of-a-wrong-password";
const LIMIT: Duration = Duration::from_secs(60);
const REFUSED_TOKEN: &str = "canary-of-a-credential-that-is-refused";

#[tokio::test(flavor = "multi_thread")]
async fn no_credential_is_ever_told() -> Result<()> {
    let bench = Bench::prepared().await?;
    let operator = bench.operator(&Start { log: "trace", ..Start::default() }).await?;
    let canaries = canaries(&bench).await?;
    let ends = AtomicBool::new(false);
    let work = async {
        let told = work(&bench).await;
        ends.store(true, Ordering::Relaxed);
        told
    };
    let (told, started) = tokio::join!(work, arguments_of_descendants(&ends));
    let mut places = told?;
    for part in [" template ", "cluster-version-operator", "bin/acp-prepare", "ac adm upgrade"] {
        ensure!(started.iter().any(|line| line.contains(part)), "no {part} was seen: {started:#?}");
    }
    places.insert("arguments of processes", started.into_iter().collect::<Vec<_>>().join("\n"));
    let log = fs::read_to_string(bench.folder().join("operator-a.log"))?;
    ensure!(log.contains("TRACE"), "the log is not that of every level");
    places.insert("the operator's log", log);
    places.insert("objects", bench.kubectl(&["get", OBJECTS, "-A", "-o", "json"]).await?);
    places.insert("metrics", operator.page("/metrics").await?.1);
    for (name, canary) in &canaries {
        for (place, text) in &places {
            ensure!(!text.is_empty(), "{place}: nothing was read");
            let at = text.find(canary.as_str());
            ensure!(at.is_none(), "{name} stands in {place}: {}", around(text, at.unwrap_or(0)));
        }
    }
    Ok(())
}

/// From nothing to 4.2.1 and what users are shown meanwhile, then an upgrade that is refused the
/// registry for a while; what was shown.
async fn work(bench: &Bench) -> Result<BTreeMap<&'static str, String>> {
    bench.publish("4.2.1").await?;
    bench.offered("4.2.1").await?;
    bench.ask_for("4.2.1").await?;
    bench.completed("4.2.1").await?;
    register(bench, REFUSED, REFUSED_TOKEN).await?;
    refused_the_registry(bench).await?;
    bench.offered("4.3.0").await?;
    let row = bench.check_becomes("KubernetesVersionSupported", "Retry", "InputUnknown").await?;
    ensure!(text(&row, "/message").contains(REFUSED), "its token was not sent: {row}");
    let mut shown = BTreeMap::new();
    for (name, code, script) in [
        ("preflight", 2, "RUST_LOG=trace bash upgrade.sh --preflight"),
        ("sync", 0, "RUST_LOG=trace bash upgrade.sh --only-sync-image"),
        (
            "sync with a wrong password",
            1,
            "echo canary-of-a-wrong-password | RUST_LOG=trace bash upgrade.sh --only-sync-image --username somebody --password-stdin",
        ),
        ("deploy", 1, "RUST_LOG=trace bash upgrade.sh --skip-sync-image --timeout=1s"),
        ("status", 0, "RUST_LOG=trace ac adm upgrade status --verbose"),
        ("status as json", 0, "RUST_LOG=trace ac adm upgrade status -o json"),
    ] {
        let said = bench.run(script).await?.expect(code).context(name)?;
        shown.insert(name, said.text);
    }
    Ok(shown)
}

/// 4.3.0 is published while the operator's password for the registry is wrong.
async fn refused_the_registry(bench: &Bench) -> Result<()> {
    let file = bench.folder().join("pull.json");
    let right = fs::read_to_string(&file)?;
    let wrong = right.replace(&bench.registry.credentials().pull.password, WRONG_PASSWORD);
    ensure!(wrong != right, "the password stands elsewhere");
    fs::write(&file, wrong)?;
    bench.publish("4.3.0").await?;
    let path = "/apis/product.alauda.io/v1alpha1/productmanifests/v4.3.0";
    let denied = |m: &Value| text(condition(m, "Ready"), "/reason") == "AccessDenied";
    bench.until(path, "the registry to refuse the operator", LIMIT, denied).await?;
    fs::write(&file, right)?;
    bench.nudge().await
}

/// Registers a cluster that is this API server by another name, with a credential of its own.
async fn register(bench: &Bench, name: &str, token: &str) -> Result<()> {
    let own = bench.get("/apis/platform.tkestack.io/v1/clustercredentials/global").await?;
    let group = "platform.tkestack.io/v1";
    let reference = json!({ "clusterCredentialRef": { "name": name }, "type": "Imported" });
    let metadata = json!({ "name": name });
    for object in [
        json!({
            "apiVersion": group, "kind": "ClusterCredential", "metadata": metadata,
            "clusterName": name, "token": token, "caCert": own["caCert"],
        }),
        json!({
            "apiVersion": group, "kind": "Cluster", "metadata": metadata, "spec": reference,
        }),
    ] {
        bench.apply(&object.to_string()).await?;
    }
    let global = bench.get("/apis/platform.tkestack.io/v1/clusters/global").await?;
    bench.set_status(&["clusters.platform.tkestack.io", name], &global["status"]).await
}

/// What must not be told, by name.
async fn canaries(bench: &Bench) -> Result<BTreeMap<&'static str, String>> {
    let credentials = bench.registry.credentials();
    let (push, pull) = (&credentials.push.password, &credentials.pull.password);
    let folder = bench.folder();
    let token = |file: &str| -> Result<String> {
        let text = fs::read_to_string(folder.join(file))?;
        let (_, after) = text.split_once("token: ").with_context(|| file.to_owned())?;
        let end = after.find(['}', '\n', ',']).unwrap_or(after.len());
        Ok(after[..end].trim().trim_matches('"').to_owned())
    };
    let data = |secret: &'static str, key: &'static str| async move {
        let path = format!("jsonpath={{.data.{key}}}");
        bench.kubectl(&["-n", "cpaas-system", "get", "secret", secret, "-o", &path]).await
    };
    let clusters = bench.get("/apis/platform.tkestack.io/v1/clustercredentials/global").await?;
    let answered = bench.token("cpaas-system", "default").await?;
    register(bench, ANSWERED, &answered).await?;
    let header = |account: &Account| {
        BASE64_STANDARD.encode(format!("{}:{}", account.name, account.password))
    };
    let canaries = BTreeMap::from([
        ("the header of the account to push", header(&credentials.push)),
        ("the header of the account to pull", header(&credentials.pull)),
        ("the token of the global cluster", text(&clusters, "/token").to_owned()),
        ("the token of a cluster that answers", answered),
        ("the wrong password", WRONG_PASSWORD.to_owned()),
        ("the token of a cluster that refuses it", REFUSED_TOKEN.to_owned()),
        ("the password to push", push.clone()),
        ("the password to pull", pull.clone()),
        ("the password to push, as it is stored", data("registry-admin", "password").await?),
        ("the pull secret", data("acp-registry-pull", "\\.dockerconfigjson").await?),
        ("the operator's token", token("operator.kubeconfig")?),
        ("the administrator's token", token("administrator.kubeconfig")?),
        ("the licence", data("platform-license", "license").await?),
    ]);
    for (name, canary) in &canaries {
        ensure!(canary.len() >= 8, "{name} is too short to look for: {}", canary.len());
    }
    Ok(canaries)
}

/// The arguments of every process that this one or another of them started, until the work ends;
/// the line that a user types, which bash is given, aside.
async fn arguments_of_descendants(ends: &AtomicBool) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    while !ends.load(Ordering::Relaxed) {
        seen.extend(descendants(std::process::id()));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    seen.retain(|line| !line.starts_with("bash -c "));
    seen
}

fn descendants(ancestor: u32) -> Vec<String> {
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let parents: BTreeMap<u32, u32> = processes
        .filter_map(|entry| {
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let parent =
                status.lines().find_map(|line| line.strip_prefix("PPid:\t"))?.parse().ok()?;
            Some((entry.file_name().to_str()?.parse().ok()?, parent))
        })
        .collect();
    let is_below = |process: u32| {
        let mut above = parents.get(&process);
        while let Some(&parent) = above.filter(|&&parent| parent != ancestor) {
            above = parents.get(&parent);
        }
        above.is_some()
    };
    let below = parents.keys().filter(|&&process| is_below(process));
    let arguments = below.filter_map(|process| fs::read(format!("/proc/{process}/cmdline")).ok());
    arguments.map(|bytes| String::from_utf8_lossy(&bytes).replace('\0', " ")).collect()
}

/// Where it stands, without repeating it.
fn around(text: &str, at: usize) -> String {
    let before: String = text[..at].chars().rev().take(200).collect();
    format!("after '{}'", before.chars().rev().collect::<String>())
}
