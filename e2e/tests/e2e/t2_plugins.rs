//! Plugins: installed, configured, upgraded and removed on any cluster from global; moved with
//! their cluster or never touched by its upgrade; and everything that is asked wrongly.

use anyhow::{Context as _, Result, ensure};
use api::names::{CLUSTER_NAME_LABEL, MODULE_NAME_LABEL, module_info};
use e2e::audit::Request;
use e2e::t2::{Bench, Plugin, Start, condition, plugin_rights, text};
use sandbox::process::{run, run_with_input, wait_until};
use sandbox::{ControlPlane, Narrator};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xtask::package::Form;
use xtask::plugin_package::{PluginBuilder, versions};

const LIMIT: Duration = Duration::from_secs(60);
const A: &str = "workload-a";
const GLOBAL: &str = "global";

/// What kubectl prints of an object on a cluster.
async fn on(plane: &ControlPlane, words: &[&str]) -> Result<String> {
    run(plane.kubectl().args(words), LIMIT).await
}

fn customisation(replicas: u32) -> String {
    json!({
        "apiVersion": "operator.alauda.io/v1alpha1", "kind": "ResourcePatch",
        "metadata": { "name": "rp-pages" },
        "spec": {
            "release": "pages-system/pages",
            "target": {
                "apiVersion": "apps/v1", "kind": "Deployment", "name": "pages",
                "namespace": "pages-system",
            },
            "jsonPatch": [{ "op": "replace", "path": "/spec/replicas", "value": replicas }],
        },
    })
    .to_string()
}

async fn replicas_become(plane: &ControlPlane, expected: &str) -> Result<()> {
    let words = ["-n", "pages-system", "get", "deployment", "pages", "-o"];
    let words = [&words[..], &["jsonpath={.spec.replicas}"]].concat();
    let what = format!("{expected} replicas of pages");
    wait_until(&what, LIMIT, || async { Ok(on(plane, &words).await? == expected) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_lives_on_a_workload_cluster() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let plane = bench.joins(A).await?;
    bench.of(A).offered("4.2.1").await?;
    bench.of(A).ask_for("4.2.1").await?;
    bench.of(A).completed("4.2.1").await.with_context(|| operator.said())?;
    bench.bring_plugin(&Plugin::agnostic("pages", "1.0.0")).await?;
    let while_there = json!({ "resourcesBlockRemove": [
        { "apiVersion": "v1", "kind": "ConfigMap", "namespace": "default", "name": "keep" },
    ] });
    let later = Plugin { more: while_there, ..Plugin::agnostic("pages", "1.1.0") };
    bench.bring_plugin(&later).await?;

    bench.ask_plugin(A, "pages", "1.0.0", &json!({ "page": { "title": "a: {b}" } })).await?;
    let info = bench.plugin_runs(A, "pages", "1.0.0").await.with_context(|| operator.said())?;
    ensure!(text(&info, "/status/availableVersions/0/version") == "1.1.0", "{info:#}");
    ensure!(text(condition(&info, "Ready"), "/status") == "True", "{info:#}");
    let title = ["-n", "pages-system", "get", "configmap", "pages-settings", "-o"];
    let title = on(&plane, &[&title[..], &["jsonpath={.data.title}"]].concat()).await?;
    ensure!(title == "a: {b}", "what a user writes stays a text: {title}");
    let listed = bench
        .must("kubectl get mplugin pages -o jsonpath='{.status.installed[*].cluster} {.status.latestVersion}'")
        .await?;
    ensure!(listed.trim() == "workload-a 1.1.0", "{listed}");

    // Settings, and a customisation that outlives the plugin.
    bench.ask_plugin(A, "pages", "1.0.0", &json!({ "replicas": 2 })).await?;
    replicas_become(&plane, "2").await?;
    customise(&plane, 3).await.with_context(|| operator.said())?;
    bench.ask_plugin(A, "pages", "1.1.0", &json!({ "replicas": 2 })).await?;
    bench.plugin_runs(A, "pages", "1.1.0").await?;
    replicas_become(&plane, "3").await?;
    customised_while_refused(&bench, &plane).await.with_context(|| operator.said())?;

    let name = module_info(A, "pages");
    stays_while_something_is_there(&bench, &plane, &name).await?;
    let left = on(&plane, &["-n", "pages-system", "get", "deployments,configmaps", "-o", "name"]);
    let left = left.await?;
    ensure!(!left.contains("pages"), "{left}");
    let kept = on(&plane, &["get", "resourcepatch", "rp-pages", "-o", "name"]).await?;
    ensure!(kept.contains("rp-pages"), "{kept}");
    bench.ask_plugin(A, "pages", "1.1.0", &json!({})).await?;
    bench.plugin_runs(A, "pages", "1.1.0").await?;
    replicas_become(&plane, "3").await?;
    service_mesh_is_read_about_first(&bench).await
}

async fn customise(plane: &ControlPlane, replicas: u32) -> Result<()> {
    let mut apply = plane.kubectl();
    apply.args(["apply", "-f", "-"]);
    run_with_input(&mut apply, customisation(replicas).as_bytes(), LIMIT).await?;
    replicas_become(plane, &replicas.to_string()).await
}

/// While what is asked for is refused, a customisation of what is installed comes and goes at once.
async fn customised_while_refused(bench: &Bench, plane: &ControlPlane) -> Result<()> {
    bench.ask_plugin(A, "pages", "1.0.0", &json!({ "replicas": 2 })).await?;
    let refused = |info: &Value| text(condition(info, "Ready"), "/reason") == "Blocked";
    bench.plugin_until(A, "pages", "a lower version to be refused", refused).await?;
    on(plane, &["delete", "resourcepatch", "rp-pages", "--timeout=20s"]).await?;
    replicas_become(plane, "2").await?;
    customise(plane, 3).await?;
    bench.ask_plugin(A, "pages", "1.1.0", &json!({ "replicas": 2 })).await?;
    bench.plugin_runs(A, "pages", "1.1.0").await?;
    Ok(())
}

/// Removed it is once nothing is left on its own cluster for whose sake it must stay.
async fn stays_while_something_is_there(
    bench: &Bench,
    plane: &ControlPlane,
    name: &str,
) -> Result<()> {
    let keep = ["-n", "default", "create", "configmap", "keep"];
    on(plane, &keep).await?;
    // What is on another cluster is no matter.
    bench.kubectl(&keep).await?;
    bench.must(&format!("kubectl delete moduleinfo {name} --wait=false")).await?;
    let stays = |info: &Value| {
        info.pointer("/status/removeIsPrevented") == Some(&Value::Bool(true))
            && text(info, "/status/blockReasons/0").contains("ConfigMap default/keep")
    };
    let what = "its removal to be refused with what is there";
    let info = bench.plugin_until(A, "pages", what, stays).await?;
    ensure!(text(&info, "/status/phase") == "Running", "{info:#}");
    on(plane, &["-n", "default", "delete", "configmap", "keep"]).await?;
    bench.must(&format!("kubectl annotate moduleinfo {name} looked-at=again")).await?;
    bench.must(&format!("kubectl wait --for=delete moduleinfo/{name} --timeout=60s")).await?;
    Ok(())
}

/// Only a workload cluster that has Service Mesh v1 is held until its notes were read.
async fn service_mesh_is_read_about_first(bench: &Bench) -> Result<()> {
    bench.ask_plugin(A, "servicemesh", "1.0.0", &json!({})).await?;
    // As the controller of the platform before this product left it.
    let status = json!({ "phase": "Running", "version": "1.0.0", "observedGeneration": null });
    bench.set_status(&["moduleinfoes", &module_info(A, "servicemesh")], &status).await?;
    bench.publish("4.3.0").await?;
    bench.check_becomes("AdminAckRequired", "Passed", "NoGates").await?;
    bench.of(A).ask_for("4.3.0").await?;
    let failed = bench.of(A).check_becomes("AdminAckRequired", "Failed", "AckMissing").await?;
    ensure!(text(&failed, "/message").contains("Service Mesh v1 has upgrade notes"), "{failed}");
    let acknowledge = text(&failed, "/remedy").to_owned();
    bench.must(&acknowledge).await?;
    bench.of(A).check_becomes("AdminAckRequired", "Passed", "AsExpected").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_is_pushed_installed_and_upgraded() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let root = e2e::packages::root();
    let cache = e2e::packages::cache()?;
    let builder = PluginBuilder::new(&root, &cache, Narrator::stderr()).await?;
    let form = Form { archive: true, folder: false };
    let mut archives = Vec::new();
    for folder in versions(&root, Path::new("pages"))? {
        let built = builder.build(&folder, &root.join("target/packages"), form).await?;
        archives.push(built.archive.context("the package was not packed")?);
    }
    let [old, new] = <[PathBuf; 2]>::try_from(archives)
        .map_err(|found| anyhow::anyhow!("two versions of pages, not {found:?}"))?;
    let said = bench.must(&format!("violet push {}", old.display())).await?;
    ensure!(said.contains("In the catalogue"), "{said}");
    let said = bench.must(&format!("violet push {}", old.display())).await?;
    ensure!(said.contains("Nothing to do"), "{said}");
    helm_finds_the_chart(&bench, &old).await?;
    bench.ask_plugin(GLOBAL, "pages", "1.0.0", &json!({ "replicas": 2 })).await?;
    bench.plugin_runs(GLOBAL, "pages", "1.0.0").await.with_context(|| operator.said())?;
    bench.must(&format!("violet push {}", new.display())).await?;
    // The operator dies while the plugin moves; the next one goes on.
    bench.must("kubectl cordon node-1").await?;
    bench.ask_plugin(GLOBAL, "pages", "1.1.0", &json!({ "replicas": 2 })).await?;
    let moves = |info: &Value| text(info, "/status/phase") == "Upgrading";
    bench.plugin_until(GLOBAL, "pages", "it to move", moves).await?;
    operator.kill();
    bench.must("kubectl uncordon node-1").await?;
    let operator = bench.operator(&Start::default()).await?;
    bench.plugin_runs(GLOBAL, "pages", "1.1.0").await.with_context(|| operator.said())?;
    let listed = bench.must("violet list").await?;
    ensure!(listed.contains("pages") && listed.contains(GLOBAL), "{listed}");
    // What only looks, or sends a part, on a real platform as well.
    let old = old.display();
    for (command, says) in [
        (format!("violet show {old}"), "Lifecycle    Agnostic"),
        (format!("violet verify {old}"), "pages 1.0.0"),
        (format!("violet push {old} --skip-push"), "(--skip-push)"),
        (format!("violet push {old} --skip-crs"), "(--skip-crs)"),
        ("violet gc --dry-run".to_owned(), "pages-1.0.0"),
    ] {
        let said = bench.run(&command).await?.expect(0)?;
        said.containing(says).with_context(|| command.clone())?;
    }
    ensure!(bench.must("violet list").await? == listed, "nothing of it changed the catalogue");
    Ok(())
}

/// What was sent is an artifact of Helm: it pulls the very chart of the package.
async fn helm_finds_the_chart(bench: &Bench, package: &Path) -> Result<()> {
    let (address, account) = (bench.registry.address(), &bench.registry.credentials().pull);
    let (name, password) = (&account.name, &account.password);
    let (authority, package) = (bench.registry.authority().display(), package.display());
    let folder = bench.folder().display();
    let chart = "chart-pages-1.0.0.tgz";
    bench
        .must(&format!(
            "helm pull oci://{address}/acp/chart-pages --version 1.0.0 --ca-file {authority} \
             --username {name} --password {password} --destination {folder} && \
             tar -xzOf {package} pages-1.0.0/charts/{chart} | cmp - {folder}/{chart}"
        ))
        .await?;
    Ok(())
}

/// A plugin that moves with its cluster.
fn moving<'a>(lifecycle: &'a str, name: &'a str, version: &'a str, lines: &[&str]) -> Plugin<'a> {
    let more = json!({ "targetClusterVersions": lines });
    Plugin { lifecycle, more, ..Plugin::agnostic(name, version) }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_moves_aligned_plugins_and_touches_no_agnostic_one() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    bench.apply(&plugin_rights("tests")).await?;
    let aligned = |version, line: &str| Plugin {
        more: json!({
            "targetClusterVersions": [line],
            "dependencies": [{ "moduleName": "pages", "versionsMatch": [">=1.0.0"] }],
        }),
        ..moving("Aligned", "metrics", version, &[])
    };
    bench.bring_plugin(&Plugin::agnostic("pages", "1.0.0")).await?;
    bench.bring_plugin(&Plugin::agnostic("pages", "1.1.0")).await?;
    bench.bring_plugin(&aligned("4.2.0", "4.2")).await?;
    bench.ask_plugin(GLOBAL, "metrics", "4.2.0", &json!({})).await?;
    let waits = |info: &Value| text(info, "/status/blockReasons/0").contains("needs pages");
    bench.plugin_until(GLOBAL, "metrics", "metrics to wait for pages", waits).await?;
    bench.ask_plugin(GLOBAL, "pages", "1.0.0", &json!({})).await?;
    bench.plugin_runs(GLOBAL, "pages", "1.0.0").await.with_context(|| operator.said())?;
    bench.plugin_runs(GLOBAL, "metrics", "4.2.0").await.with_context(|| operator.said())?;
    // An Aligned plugin may also be upgraded alone.
    bench.bring_plugin(&aligned("4.2.1", "4.2")).await?;
    bench.ask_plugin(GLOBAL, "metrics", "4.2.1", &json!({})).await?;
    bench.plugin_runs(GLOBAL, "metrics", "4.2.1").await.with_context(|| operator.said())?;
    // One that is installed names the target already, whatever else was pushed; and a Core one.
    for plugin in [
        moving("Aligned", "lasting", "4.2.0", &["4.2", "4.3"]),
        moving("Aligned", "lasting", "4.3.0", &["4.3"]),
        moving("Core", "kernel", "4.2.0", &["4.2"]),
        moving("Core", "kernel", "4.3.0", &["4.3"]),
    ] {
        bench.bring_plugin(&plugin).await?;
    }
    for name in ["lasting", "kernel"] {
        bench.ask_plugin(GLOBAL, name, "4.2.0", &json!({})).await?;
        bench.plugin_runs(GLOBAL, name, "4.2.0").await.with_context(|| operator.said())?;
    }

    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.check_becomes("ModuleInfoStable", "Failed", "AlignedPackageMissing").await?;
    // Of those that are for the target the highest is taken.
    for (version, line) in [("4.3.1", "4.3"), ("4.3.0", "4.3"), ("4.4.0", "4.4")] {
        bench.bring_plugin(&aligned(version, line)).await?;
    }
    bench.check_becomes("ModuleInfoStable", "Passed", "AsExpected").await?;
    let deployment = "/apis/apps/v1/namespaces/pages-system/deployments/pages";
    let before = bench.get(deployment).await?;
    let (_, from) = bench.requests(0)?;
    bench.ask_for("4.3.0").await?;
    bench.completed("4.3.0").await.with_context(|| operator.said())?;

    for (name, version) in [("metrics", "4.3.1"), ("lasting", "4.2.0"), ("kernel", "4.3.0")] {
        bench.plugin_runs(GLOBAL, name, version).await?;
    }
    moved_last(&bench.cvsh().await?)?;
    let (requests, _) = bench.requests(from)?;
    leave_pages_alone(&requests)?;
    let after = bench.get(deployment).await?;
    let version = |o: &Value| text(o, "/metadata/resourceVersion").to_owned();
    ensure!(version(&before) == version(&after), "{after:#}");
    Ok(())
}

/// After the components of the release, plugins moved that move with their cluster.
fn moved_last(cvsh: &Value) -> Result<()> {
    let stages = cvsh.pointer("/status/stages").and_then(Value::as_array).context("stages")?;
    let plugins = stages.iter().find(|stage| text(stage, "/name") == "plugins");
    let plugins = plugins.with_context(|| format!("{stages:#?}"))?;
    let priority = |stage: &Value| stage["priority"].as_i64();
    let mut others = stages.iter().filter(|stage| text(stage, "/name") != "removal");
    others.try_for_each(|stage| {
        let is_before = text(stage, "/name") == "plugins" || priority(stage) < priority(plugins);
        is_before.then_some(()).with_context(|| format!("{stages:#?}"))
    })?;
    let operations = plugins["operations"].as_array().context("operations")?;
    let moved: BTreeSet<&str> = operations.iter().map(|one| text(one, "/name")).collect();
    ensure!(moved == BTreeSet::from(["kernel", "metrics"]), "{plugins:#}");
    Ok(())
}

/// Whatever was written meanwhile, nothing of it was the Agnostic plugin's.
fn leave_pages_alone(requests: &[Request]) -> Result<()> {
    let writes = || {
        let reads = ["get", "list", "watch"];
        requests.iter().filter(move |r| !reads.contains(&r.verb.as_str()))
    };
    let own = module_info(GLOBAL, "metrics");
    ensure!(writes().any(|r| r.name == own), "the one that moves was not written");
    let touched: Vec<_> = writes()
        .filter(|r| {
            r.namespace == "pages-system"
                || r.name == "pages" && r.resource != "moduleplugins"
                || r.name == module_info(GLOBAL, "pages")
                || r.resource.starts_with("moduleconfigs") && r.name.starts_with("pages-")
        })
        .collect();
    ensure!(touched.is_empty(), "{touched:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_named_and_changes_nothing() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    bench.bring_plugin(&Plugin::agnostic("pages", "1.0.0")).await?;
    let blocked = |what: &'static str| {
        move |info: &Value| text(info, "/status/blockReasons/0").contains(what)
    };
    bench.ask_plugin(GLOBAL, "pages", "9.9.9", &json!({})).await?;
    let unknown = blocked("the catalogue has pages 1.0.0, and not 9.9.9");
    bench.plugin_until(GLOBAL, "pages", "the version to be named", unknown).await?;
    bench.ask_plugin(GLOBAL, "nothing", "1.0.0", &json!({})).await?;
    let unknown = blocked("the catalogue has no plugin nothing");
    bench.plugin_until(GLOBAL, "nothing", "the plugin to be named", unknown).await?;
    bench.ask_plugin("nowhere", "pages", "1.0.0", &json!({})).await?;
    let unknown = blocked("there is no cluster nowhere");
    bench.plugin_until("nowhere", "pages", "the cluster to be named", unknown).await?;
    bench.ask_plugin(GLOBAL, "pages", "1.0.0", &json!({ "replicas": "many" })).await?;
    let wrong = blocked("replicas");
    bench.plugin_until(GLOBAL, "pages", "the setting to be named", wrong).await?;

    // A chart whose bytes are not in the registry, and one that is not the named digest's.
    let lost = Plugin::agnostic("lost", "1.0.0");
    let digest = api::Digest::of(b"nothing").to_string();
    bench.publish_plugin(&lost, &digest).await?;
    bench.ask_plugin(GLOBAL, "lost", "1.0.0", &json!({})).await?;
    let missing = blocked("lost-1.0.0 is not ready");
    bench.plugin_until(GLOBAL, "lost", "the chart to be missing", missing).await?;

    // A right that the operator lacks is named before anything is written.
    let mut foreign = Plugin::agnostic("rights", "1.0.0");
    foreign.more = json!({ "transitTimeout": 20 });
    bench.bring_plugin(&foreign).await?;
    let taken =
        bench.must("kubectl get clusterrole -o name | grep :cluster-version-operator:v").await?;
    for role in taken.lines() {
        bench.must(&format!("kubectl delete {role}")).await?;
    }
    bench.ask_plugin(GLOBAL, "rights", "1.0.0", &json!({})).await?;
    let forbidden = |info: &Value| {
        let ready = condition(info, "Ready");
        text(ready, "/reason") == "Forbidden" && text(ready, "/message").contains("configmaps")
    };
    let info = bench.plugin_until(GLOBAL, "rights", "the right to be named", forbidden).await;
    let info = info.with_context(|| operator.said())?;
    ensure!(text(&info, "/status/phase") == "Failed", "{info:#}");
    let said = text(condition(&info, "Ready"), "/message");
    ensure!(said.ends_with("which grants the rights: violet push PACKAGE.tgz"), "{said}");
    bench.apply(&plugin_rights("tests")).await?;
    bench.plugin_runs(GLOBAL, "rights", "1.0.0").await.with_context(|| operator.said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_installs_and_a_cluster_that_goes_in_mid_install() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    bench.apply(&plugin_rights("tests")).await?;
    let plane = bench.joins(A).await?;
    bench.of(A).offered("4.2.1").await?;
    bench.of(A).ask_for("4.2.1").await?;
    bench.of(A).completed("4.2.1").await.with_context(|| operator.said())?;
    bench.bring_plugin(&Plugin::agnostic("pages", "1.0.0")).await?;
    // The same plugin under two names: one is installed, the other says so.
    bench.ask_plugin(GLOBAL, "pages", "1.0.0", &json!({})).await?;
    let second = json!({
        "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleInfo",
        "metadata": {
            "name": "second",
            "labels": { CLUSTER_NAME_LABEL: GLOBAL, MODULE_NAME_LABEL: "pages" },
        },
        "spec": { "version": "1.0.0" },
    });
    bench.apply(&second.to_string()).await?;
    bench.plugin_runs(GLOBAL, "pages", "1.0.0").await?;
    let path = "/apis/cluster.alauda.io/v1alpha1/moduleinfoes/second";
    let refused = |i: &Value| text(i, "/status/blockReasons/0").contains("already installs pages");
    bench.until(path, "the second to be refused", LIMIT, refused).await?;
    bench.must("kubectl delete moduleinfo second --timeout=30s").await?;

    // A cluster that is deleted while a plugin is being installed on it holds nothing.
    on(&plane, &["cordon", "node-1"]).await?;
    bench.ask_plugin(A, "pages", "1.0.0", &json!({})).await?;
    let begun = |i: &Value| text(i, "/status/phase") == "Installing";
    bench.plugin_until(A, "pages", "it to begin", begun).await?;
    // As long as somebody holds it back, it is still there, and nobody drives it any more: what is
    // asked for on it is not done to global, which has the same plugin.
    let hold = |finalizers: &str| {
        format!(
            "kubectl patch clusters.platform.tkestack.io workload-a --type merge -p '{{\"metadata\":{{\"finalizers\":{finalizers}}}}}'"
        )
    };
    bench.must(&hold("[\"example.com/held\"]")).await?;
    bench.must("kubectl delete clusters.platform.tkestack.io workload-a --wait=false").await?;
    let gone = |i: &Value| text(i, "/status/blockReasons/0").contains("there is no cluster");
    bench.plugin_until(A, "pages", "the cluster to be missed", gone).await?;
    let owner = "kubectl get apprelease -n cpaas-system pages -o jsonpath='{.spec.moduleInfo}'";
    let owner = bench.must(owner).await?;
    ensure!(owner.trim() == module_info(GLOBAL, "pages"), "{owner}");
    bench.must(&hold("null")).await?;
    drop(plane);
    // One that names no cluster at all is told so.
    let nowhere = json!({
        "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleInfo",
        "metadata": { "name": "nowhere", "labels": { MODULE_NAME_LABEL: "pages" } },
        "spec": { "version": "1.0.0" },
    });
    bench.apply(&nowhere.to_string()).await?;
    let path = "/apis/cluster.alauda.io/v1alpha1/moduleinfoes/nowhere";
    let told = |i: &Value| text(i, "/status/blockReasons/0").contains("does not name its cluster");
    bench.until(path, "the one without a cluster to be told", LIMIT, told).await?;
    let name = module_info(A, "pages");
    bench.must(&format!("kubectl delete moduleinfo {name} --timeout=30s")).await?;
    Ok(())
}
