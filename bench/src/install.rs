//! Installing a plugin of 200 objects: the running operator, asked by a ModuleInfo, beside
//! `helm install` of the very same chart and the least that any program must do, on one API server.

use crate::apply::{LOOP_AND_TEMPLATE, Patches, TEMPLATE};
use crate::measure::{median, say, settle, timed};
use crate::results::{Goal, Row};
use anyhow::{Context as _, Result, ensure};
use api::names::{CVO, GLOBAL, NAMESPACE, module_info};
use e2e::audit::Request;
use e2e::t2::{Bench, Plugin, chart_of, plugin_rights};
use sandbox::process::{command, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

/// How often each is measured.
const RUNS: u32 = 3;
/// Objects of the plugin.
const OBJECTS: usize = 200;
const NAME: &str = "many";
const VERSION: &str = "1.0.0";
/// How long one program, or one removal, may take.
const LIMIT: Duration = Duration::from_secs(120);

/// The rows of this work.
///
/// # Errors
/// When a contestant does not install all objects.
pub(crate) async fn rows(helm: &Path) -> Result<Vec<Row>> {
    let (bench, operator) = Bench::installed().await?;
    bench.apply(&plugin_rights(NAME)).await?;
    let plugin = Plugin {
        template: TEMPLATE,
        more: json!({
            "config": {}, "deployDescriptors": [],
            "valuesTemplates": { (chart_of(NAME)): format!("objects: {OBJECTS}\nrevision: 0\n") },
        }),
        ..Plugin::agnostic(NAME, VERSION)
    };
    bench.bring_plugin(&plugin).await.with_context(|| operator.said())?;
    let chart = bench.folder().join("many.tgz");
    std::fs::write(&chart, plugin.chart()?)?;
    bench.kubectl(&["create", "namespace", "helm"]).await?;
    let (mut ours, mut peer, mut least) = (Vec::new(), Vec::new(), Vec::new());
    for run in 1..=RUNS {
        settle().await;
        let installed = install(&bench).await.with_context(|| operator.said())?;
        settle().await;
        let (seconds, ()) = timed(helm_install(&bench, helm, &chart)).await?;
        helm_uninstall(&bench, helm).await?;
        settle().await;
        let (template, sent) = loop_and_template(&bench, helm, &chart).await?;
        say(&format!(
            "install {run} of {RUNS}: ours {installed:.2} s, helm {seconds:.2} s, \
             template {template:.2} s, loop {sent:.2} s"
        ));
        ours.push(installed);
        peer.push(seconds);
        least.push(template + sent);
    }
    operator.terminate().await?;
    let ours = median(ours)?;
    let row = |peer, value, goal| Row {
        name: format!(
            "install of a plugin with {OBJECTS} objects, from the request to the last one"
        ),
        unit: "s",
        ours,
        peer: Some((peer, value)),
        goal,
    };
    Ok(vec![
        row("helm install", median(peer)?, Goal::TimesBetter(3.0)),
        row(LOOP_AND_TEMPLATE, median(least)?, Goal::Shown),
    ])
}

/// Seconds of a rendering, and of sending its objects to a namespace of their own; both must be
/// done by whoever renders a chart with Helm.
async fn loop_and_template(bench: &Bench, helm: &Path, chart: &Path) -> Result<(f64, f64)> {
    bench.kubectl(&["create", "namespace", "loop"]).await?;
    let mut template = command(helm, ["template", NAME]);
    template.arg(chart).args(["--namespace", "loop"]);
    template.args(["--set", &format!("objects={OBJECTS},revision=0")]);
    let (rendering, text) = timed(run(&mut template, LIMIT)).await?;
    let patches = Patches::of(&text, bench)?;
    let (sending, count) = timed(patches.send()).await?;
    ensure!(count == OBJECTS, "the loop sent {count} of {OBJECTS} objects");
    bench.kubectl(&["delete", "namespace", "loop", "--timeout=60s"]).await?;
    Ok((rendering, sending))
}

/// Seconds from the moment at which the API server has accepted the ModuleInfo until it has
/// accepted the last object; afterwards the plugin works, and is removed again.
async fn install(bench: &Bench) -> Result<f64> {
    let from = std::fs::metadata(bench.plane.audit_log())?.len();
    bench.ask_plugin(GLOBAL, NAME, VERSION, &json!({})).await?;
    bench.plugin_runs(GLOBAL, NAME, VERSION).await?;
    settle().await;
    let account = format!("system:serviceaccount:{NAMESPACE}:{CVO}");
    let (requests, _) = bench.requests(from)?;
    let of_plugin = requests.iter().filter(|r| {
        r.user == account
            && r.verb == "patch"
            && ["deployments", "configmaps"].contains(&r.resource.as_str())
            && r.name.starts_with(NAME)
    });
    let accepted: Vec<_> = of_plugin.filter(|r| (200..300).contains(&r.code)).collect();
    let objects: BTreeSet<_> = accepted.iter().map(|r| (&r.resource, &r.name)).collect();
    ensure!(objects.len() == OBJECTS, "{} of {OBJECTS} objects were accepted", objects.len());
    let is_request = |r: &&Request| {
        r.resource == "moduleinfoes" && r.is_change() && r.user != account && r.code == 201
    };
    let begin = requests.iter().find(is_request).context("no ModuleInfo was made")?.at;
    let last = accepted.iter().map(|r| r.at).max().context("nothing was accepted")?;
    let info = module_info(GLOBAL, NAME);
    bench.kubectl(&["delete", "moduleinfo", &info, "--timeout=60s"]).await?;
    let left = format!("/apis/apps/v1/namespaces/{NAME}-system/deployments");
    let is_empty = |list: &Value| list["items"].as_array().is_some_and(Vec::is_empty);
    bench.until(&left, "the plugin to be gone", LIMIT, is_empty).await?;
    Ok(last.duration_since(begin).as_secs_f64())
}

async fn helm_install(bench: &Bench, helm: &Path, chart: &Path) -> Result<()> {
    let mut install = command(helm, ["install", NAME]);
    install.arg(chart).args(["--namespace", "helm", "--kubeconfig"]);
    install.arg(bench.plane.kubeconfig());
    install.args(["--set", &format!("objects={OBJECTS},revision=0")]);
    run(&mut install, LIMIT).await.context("helm")?;
    Ok(())
}

/// Removes what Helm installed, after it was counted.
async fn helm_uninstall(bench: &Bench, helm: &Path) -> Result<()> {
    let names = bench.kubectl(&["get", "cm,deploy", "-n", "helm", "-o", "name"]).await?;
    let count = names.lines().filter(|name| name.contains(&format!("/{NAME}-"))).count();
    ensure!(count == OBJECTS, "helm installed {count} of {OBJECTS} objects");
    let mut uninstall = command(helm, ["uninstall", NAME, "--wait", "--namespace", "helm"]);
    uninstall.arg("--kubeconfig").arg(bench.plane.kubeconfig());
    run(&mut uninstall, LIMIT).await.context("helm")?;
    Ok(())
}
