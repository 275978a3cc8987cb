//! Objects of our kinds with contents that nobody would write by accident: control characters, a
//! mebibyte where a word belongs, nesting without end. The operator lives, says what is wrong in
//! plain text, and goes on once it is gone.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, Operator, Start, condition, text};
use sandbox::process::wait_until;
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(30);
/// Colours, a bell, a line of its own, and what moves the cursor up.
pub(crate) const CONTROL: &str = "4.3.0\u{1b}[31mred\u{7}\n\tline\r\u{9b}2A\u{202e}";
/// Levels of nesting.
pub(crate) const DEEP: usize = 400;
/// A long word, in bytes.
pub(crate) const LONG: usize = 1024 * 1024;
/// Largest memory of the operator, in KiB.
const MEMORY_KIB: u64 = 400 * 1024;
/// Longest text of a status, in bytes.
const TEXT: usize = 1024;
const CVSH: &str =
    "/apis/product.alauda.io/v1alpha1/namespaces/cpaas-system/clusterversionshadows/global";
const CONFIG_MAPS: &str = "/api/v1/namespaces/cpaas-system/configmaps";
const PATCHES: &str = "/apis/operator.alauda.io/v1alpha1/resourcepatches";
const MANIFESTS: &str = "/apis/product.alauda.io/v1alpha1/productmanifests";

pub(crate) fn nested(levels: usize) -> Value {
    (0..levels).fold(json!("end"), |inner, _| json!([inner]))
}

/// No text of ours moves a terminal, and none is long.
fn plain(value: &Value) -> Result<()> {
    match value {
        Value::String(text) => {
            let foreign = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
            ensure!(!text.contains(foreign), "control characters: {text:?}");
            ensure!(text.len() <= TEXT, "{} bytes: {:?}", text.len(), text.get(..80));
            Ok(())
        }
        Value::Array(all) => all.iter().try_for_each(plain),
        Value::Object(all) => all.values().try_for_each(plain),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}

/// The operator runs, has not grown without measure, and still makes rounds.
pub(crate) async fn lives(bench: &Bench, operator: &mut Operator) -> Result<()> {
    ensure!(!operator.has_ended(), "it died: {}", operator.said());
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.id()))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("VmHWM")?;
    let peak: u64 = peak.split_whitespace().next().context("a number")?.parse()?;
    ensure!(peak < MEMORY_KIB, "{peak} KiB");
    plain(&bench.cvsh().await?["status"])
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_objects_are_survived_and_named() -> Result<()> {
    let bench = Bench::adopted().await?;
    let mut operator = bench.operator(&Start::default()).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    wishes(&bench, &mut operator).await?;
    manifests(&bench, &mut operator).await?;
    settings(&bench, &mut operator).await?;
    patches(&bench, &mut operator).await?;
    // It still does its work.
    bench.all_pass("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await?;
    deep_customisation(&bench).await?;
    lives(&bench, &mut operator).await
}

/// Each wish is read and refused, and shown without what moves a terminal.
async fn wishes(bench: &Bench, operator: &mut Operator) -> Result<()> {
    for version in [json!(CONTROL), json!("9".repeat(LONG)), json!("4.".repeat(LONG / 2))] {
        let wish = json!({ "spec": { "desiredUpdate": { "version": version } } });
        let wished = bench.merge(CVSH, &wish).await?;
        let generation = wished.pointer("/metadata/generation").context("a generation")?;
        let refused = |cvsh: &Value| {
            cvsh.pointer("/status/observedGeneration") == Some(generation)
                && text(condition(cvsh, "Stalled"), "/reason") == "RequestRefused"
        };
        bench.cvsh_until("the wish to be read and refused", LIMIT, refused).await?;
        lives(bench, operator).await?;
        for command in ["ac adm upgrade status --cluster=global", "kubectl get cvsh -A -o wide"] {
            let said = bench.shell().silent().run(command, LIMIT).await?;
            ensure!(!said.text.contains(['\u{1b}', '\u{7}', '\u{9b}']), "{command}: {said:?}");
        }
    }
    bench.merge(CVSH, &json!({ "spec": { "desiredUpdate": null } })).await?;
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    Ok(())
}

async fn manifests(bench: &Bench, operator: &mut Operator) -> Result<()> {
    let mut taken = 0;
    for (name, version, image) in [
        ("v4.3.1", CONTROL.to_owned(), String::new()),
        ("v4.3.2", "8".repeat(LONG), String::new()),
        ("v4.3.3", "4.3.3".to_owned(), format!("registry/{CONTROL}@sha256:0")),
        ("v4.3.4", "4.3.4".to_owned(), format!("registry/{}", "a/".repeat(LONG / 2))),
    ] {
        let manifest = json!({
            "apiVersion": "product.alauda.io/v1alpha1", "kind": "ProductManifest",
            "metadata": { "name": name }, "spec": { "version": version, "image": image },
        });
        if let Err(error) = bench.create(MANIFESTS, &manifest).await {
            // Nobody else has to say it.
            eprintln!("{name}: the API server refuses it: {error:#}");
            continue;
        }
        taken += 1;
        let path = format!("{MANIFESTS}/{name}");
        let not_ready = |m: &Value| text(condition(m, "Ready"), "/status") == "False";
        let seen = bench.until(&path, "it not to be Ready", LIMIT, not_ready).await?;
        plain(&seen["status"])?;
        ensure!(!text(condition(&seen, "Ready"), "/message").is_empty(), "{:#}", seen["status"]);
        lives(bench, operator).await?;
        bench.kubectl(&["delete", "productmanifest", name]).await?;
    }
    ensure!(taken >= 2, "the API server took only {taken} of them: nothing was proved");
    Ok(())
}

async fn settings(bench: &Bench, operator: &mut Operator) -> Result<()> {
    let aliases: String = (1..30)
        .map(|n| format!("a{n}: &a{n} [{}]\n", vec![format!("*a{}", n - 1); 9].join(", ")))
        .collect();
    for preflight in [
        format!("disabled: [\"{CONTROL}\"]"),
        format!("disabled: {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("disabled: [{}]", "x".repeat(900_000)),
        format!("a0: &a0 [x]\n{aliases}disabled: *a29"),
        "disabled: !!binary \u{1b}[31m".replace('\u{1b}', "\\e"),
    ] {
        let config = json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "cvo-config", "namespace": "cpaas-system" },
            "data": { "preflight": preflight },
        });
        bench.create(CONFIG_MAPS, &config).await?;
        let told = |cvsh: &Value| {
            text(condition(cvsh, "PreflightReady"), "/message").contains("cvo-config")
        };
        let what = format!("cvo-config to be told: {}", preflight.get(..40).unwrap_or(&preflight));
        let seen = bench.cvsh_until(&what, LIMIT, told).await?;
        // Nothing of it switches a check off.
        ensure!(!seen["status"]["preflight"].to_string().contains("Disabled"), "{seen:#}");
        lives(bench, operator).await?;
        bench.configure_nothing().await?;
        bench.cvsh_until("it to be forgotten", LIMIT, |cvsh| !told(cvsh)).await?;
    }
    Ok(())
}

async fn patches(bench: &Bench, operator: &mut Operator) -> Result<()> {
    let mut taken = 0;
    for (name, value) in
        [("control", json!(CONTROL)), ("long", json!("x".repeat(LONG))), ("deep", nested(DEEP))]
    {
        let patch = json!({
            "apiVersion": "operator.alauda.io/v1alpha1", "kind": "ResourcePatch",
            "metadata": { "name": format!("hostile-{name}") },
            "spec": {
                "release": format!("cpaas-system/{CONTROL}"),
                "target": { "apiVersion": "v1", "kind": "ConfigMap", "name": CONTROL },
                "jsonPatch": [{ "op": "add", "path": format!("/data/{CONTROL}"), "value": value }],
            },
        });
        if let Err(error) = bench.create(PATCHES, &patch).await {
            eprintln!("hostile-{name}: the API server refuses it: {error:#}");
            continue;
        }
        taken += 1;
        tokio::time::sleep(Duration::from_secs(3)).await;
        lives(bench, operator).await?;
        let (_, page) = operator.page("/metrics").await?;
        ensure!(!page.contains('\u{1b}'), "{page}");
        let object = format!("hostile-{name}");
        bench.kubectl(&["delete", "resourcepatch", &object, "--wait=false"]).await?;
        let path = format!("{PATCHES}/{object}");
        bench.until(&path, "the ResourcePatch to be gone", LIMIT, Value::is_null).await?;
    }
    ensure!(taken >= 2, "the API server took only {taken} of them: nothing was proved");
    Ok(())
}

/// A value that cannot be read whole is not applied in part: the ResourcePatch says so.
async fn deep_customisation(bench: &Bench) -> Result<()> {
    let patch = json!({
        "apiVersion": "operator.alauda.io/v1alpha1", "kind": "ResourcePatch",
        "metadata": { "name": "deep" },
        "spec": {
            "release": "cpaas-system/release-notes",
            "target": {
                "apiVersion": "v1", "kind": "ConfigMap",
                "name": "release-notes", "namespace": "cpaas-system",
            },
            "jsonPatch": [{ "op": "add", "path": "/data/deep", "value": nested(DEEP) }],
        },
    });
    bench.create(PATCHES, &patch).await?;
    let template = "jsonpath={.status.phase} {.status.message}";
    let failed = async || {
        let said = bench.kubectl(&["get", "resourcepatches", "deep", "-o", template]).await?;
        Ok(said.starts_with("Failed ") && said.contains("nested too deeply"))
    };
    wait_until("the deep ResourcePatch to be Failed", LIMIT, failed).await?;
    bench.kubectl(&["delete", "resourcepatches", "deep"]).await?;
    Ok(())
}
