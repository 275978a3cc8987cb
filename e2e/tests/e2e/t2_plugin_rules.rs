//! The rules of plugins on a real API server: what is asked against one is not begun, and the
//! ModuleInfo says which and what to do.

use anyhow::{Context as _, Result, ensure};
use api::names::{GLOBAL, module_info};
use e2e::t2::{Bench, Plugin, condition, text};
use serde_json::{Value, json};

/// A plugin that runs, what its next version says, and why that is not begun.
fn upgrades() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "before",
            json!({ "upgradeBefore": [{ "moduleName": "pages" }] }),
            "pages is upgraded before it",
        ),
        ("range", json!({ "supportedUpgradeVersions": ">=1.5.0" }), "is upgraded to from >=1.5.0"),
        ("risky", json!({ "upgradeRiskLevel": "High" }), "High"),
        ("other", json!({ "targetClusterVersions": ["4.9"] }), "is for platform 4.9"),
        (
            "needy",
            json!({ "dependencies": [{ "moduleName": "pages", "versionsMatch": [">=2.0.0"] }] }),
            "needs pages >=2.0.0, and 1.0.0 is installed",
        ),
    ]
}

/// A plugin that is asked for, what it says, and why it is not begun.
fn installs() -> Vec<(&'static str, Value, &'static str)> {
    let needs = |other: &str| json!({ "dependencies": [{ "moduleName": other }] });
    let cluster = |rule: &str, disk: &str| {
        let labels = json!({ "matchLabels": { "disk": disk } });
        json!({ "affinity": { rule: labels } })
    };
    vec![
        ("wanting", cluster("clusterAffinity", "fast"), "it must have the labels disk=fast"),
        (
            "shunning",
            cluster("clusterAntiAffinity", "slow"),
            "it must not have the labels disk=slow",
        ),
        (
            "apart",
            json!({ "affinity": { "pluginAntiAffinity": ["pages"] } }),
            "must not be on one cluster",
        ),
        ("chicken", needs("egg"), "its dependencies form a cycle: chicken -> egg -> chicken"),
        ("egg", needs("chicken"), "its dependencies form a cycle: egg -> chicken -> egg"),
        ("lonely", needs("nobody"), "needs nobody, which is not installed"),
    ]
}

async fn says(bench: &Bench, plugin: &str, why: &str) -> Result<Value> {
    let said = |info: &Value| text(info, "/status/blockReasons/0").contains(why);
    let what = format!("{plugin} to say: {why}");
    let info = bench.plugin_until(GLOBAL, plugin, &what, said).await?;
    // With what to do.
    ensure!(text(&info, "/status/blockReasons/0").contains("fix: "), "{info:#}");
    Ok(info)
}

async fn ask(bench: &Bench, plugin: &str, version: &str) -> Result<()> {
    bench.ask_plugin(GLOBAL, plugin, version, &json!({})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_rule_of_a_plugin_holds_and_is_said() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    for version in ["1.0.0", "1.1.0"] {
        bench.bring_plugin(&Plugin::agnostic("pages", version)).await?;
    }
    ask(&bench, "pages", "1.0.0").await?;
    bench.plugin_runs(GLOBAL, "pages", "1.0.0").await.with_context(|| operator.said())?;
    not_installed(&bench).await?;
    not_upgraded(&bench).await?;
    must_not_be_left_out(&bench).await?;
    takes_too_long(&bench).await?;
    core_and_kept(&bench).await
}

/// One that takes longer than it may says so, and goes on where it was.
async fn takes_too_long(bench: &Bench) -> Result<()> {
    let more = json!({ "transitTimeout": 3 });
    bench.bring_plugin(&Plugin { more, ..Plugin::agnostic("late", "1.0.0") }).await?;
    bench.must("kubectl cordon node-1").await?;
    ask(bench, "late", "1.0.0").await?;
    let late = |info: &Value| {
        text(condition(info, "Ready"), "/reason") == "TimedOut"
            && text(info, "/status/phase") == "Failed"
    };
    bench.plugin_until(GLOBAL, "late", "it to take longer than it may", late).await?;
    bench.must("kubectl uncordon node-1").await?;
    bench.plugin_runs(GLOBAL, "late", "1.0.0").await?;
    Ok(())
}

async fn not_installed(bench: &Bench) -> Result<()> {
    for (name, more, _) in installs() {
        bench.bring_plugin(&Plugin { more, ..Plugin::agnostic(name, "1.0.0") }).await?;
    }
    let label = |value: &str| {
        format!("kubectl label --overwrite clusters.platform.tkestack.io {GLOBAL} {value}")
    };
    bench.must(&label("disk=slow")).await?;
    for (name, ..) in installs() {
        ask(bench, name, "1.0.0").await?;
    }
    for (name, _, why) in installs() {
        let info = says(bench, name, why).await?;
        ensure!(text(&info, "/status/phase") == "Pending", "{info:#}");
    }
    // The cluster is given what one plugin wants, and no more has what the other shuns.
    bench.must(&label("disk=fast")).await?;
    for name in ["wanting", "shunning"] {
        bench.plugin_runs(GLOBAL, name, "1.0.0").await?;
    }
    bench.must(&label("disk-")).await?;
    Ok(())
}

async fn not_upgraded(bench: &Bench) -> Result<()> {
    for (name, more, _) in upgrades() {
        bench.bring_plugin(&Plugin::agnostic(name, "1.0.0")).await?;
        bench.bring_plugin(&Plugin { more, ..Plugin::agnostic(name, "1.1.0") }).await?;
        ask(bench, name, "1.0.0").await?;
    }
    for (name, ..) in upgrades() {
        bench.plugin_runs(GLOBAL, name, "1.0.0").await?;
        ask(bench, name, "1.1.0").await?;
    }
    for (name, _, why) in upgrades() {
        let info = says(bench, name, why).await?;
        ensure!(text(&info, "/status/version") == "1.0.0", "{info:#}");
        ensure!(text(&info, "/status/phase") == "Running", "{info:#}");
    }
    // What it says to do about the risk is what makes it go on.
    let reason = says(bench, "risky", "High").await?;
    let (_, remedy) = api::remedy::split(text(&reason, "/status/blockReasons/0"));
    bench.must(remedy.split("accept it: ").last().unwrap_or_default()).await?;
    bench.plugin_runs(GLOBAL, "risky", "1.1.0").await?;
    // Nothing ever moves to a lower version.
    ask(bench, "risky", "1.0.0").await?;
    says(bench, "risky", "1.0.0 is lower than 1.1.0").await?;
    Ok(())
}

async fn must_not_be_left_out(bench: &Bench) -> Result<()> {
    let must =
        Plugin { more: json!({ "mustUpgrade": true }), ..Plugin::agnostic("steps", "1.1.0") };
    bench.bring_plugin(&Plugin::agnostic("steps", "1.0.0")).await?;
    bench.bring_plugin(&must).await?;
    bench.bring_plugin(&Plugin::agnostic("steps", "1.2.0")).await?;
    ask(bench, "steps", "1.0.0").await?;
    bench.plugin_runs(GLOBAL, "steps", "1.0.0").await?;
    ask(bench, "steps", "1.2.0").await?;
    says(bench, "steps", "no upgrade to 1.2.0 may leave out 1.1.0").await?;
    for version in ["1.1.0", "1.2.0"] {
        ask(bench, "steps", version).await?;
        bench.plugin_runs(GLOBAL, "steps", version).await?;
    }
    Ok(())
}

/// A Core plugin moves and goes with its cluster only; one that its publisher keeps stays.
async fn core_and_kept(bench: &Bench) -> Result<()> {
    let core = |version| Plugin { lifecycle: "Core", ..Plugin::agnostic("kernel", version) };
    let kept = Plugin { more: json!({ "deleteable": false }), ..Plugin::agnostic("kept", "1.0.0") };
    for plugin in [core("1.0.0"), core("1.1.0"), kept] {
        bench.bring_plugin(&plugin).await?;
    }
    for name in ["kernel", "kept"] {
        ask(bench, name, "1.0.0").await?;
        bench.plugin_runs(GLOBAL, name, "1.0.0").await?;
    }
    ask(bench, "kernel", "1.1.0").await?;
    let info = says(bench, "kernel", "moves with its cluster only").await?;
    let reason = text(&info, "/status/blockReasons/0");
    ensure!(reason.contains("ac adm upgrade --cluster=global --to-latest"), "{reason}");
    for (name, why) in [("kernel", "goes with its cluster only"), ("kept", "cannot be removed")] {
        let object = module_info(GLOBAL, name);
        bench.must(&format!("kubectl delete moduleinfo {object} --wait=false")).await?;
        let info = says(bench, name, why).await?;
        ensure!(info.pointer("/status/removeIsPrevented") == Some(&Value::Bool(true)), "{info:#}");
        let leads = text(&info, "/status/blockReasons/0").contains("ac adm upgrade --cluster=");
        ensure!(leads == (name == "kernel"), "{info:#}");
    }
    Ok(())
}
