//! The checks that run in every run, each broken, switched off and cleared on a real API server;
//! the seed's own commands show them.

use anyhow::{Result, ensure};
use e2e::t2::{Bench, MODULES, Operator, Start, condition, text};
use serde_json::Value;
use std::time::Duration;

/// The seed's command that shows one check.
const SHOW_RESOURCE_PATCHES: &str = r#"kubectl -n cpaas-system get cvsh global \
  -o jsonpath='{range .status.preflight.checks[?(@.name=="ResourcePatchUpgradeable")]}{.state}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}'"#;
/// The seed's command that shows the conditions.
const SHOW_CONDITIONS: &str = r#"kubectl -n cpaas-system get cvsh global \
  -o jsonpath='{range .status.conditions[*]}{.type}{"\t"}{.status}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}'"#;
/// The seed's command that shows all checks.
const SHOW_CHECKS: &str = r#"kubectl -n cpaas-system get cvsh global \
  -o jsonpath='{.status.preflight.observedAt}{"\n"}{range .status.preflight.checks[*]}{.name}{"\t"}{.policy}{"\t"}{.state}{"\t"}{.reason}{"\t"}{.message}{"\n"}{end}'"#;
/// The seed's command that shows the history.
const SHOW_HISTORY: &str = r#"kubectl -n cpaas-system get cvsh global \
  -o jsonpath='{range .status.history[*]}{.version}{"\t"}{.state}{"\t"}{.startedTime}{"\t"}{.completionTime}{"\n"}{end}'"#;

/// A platform at 4.2.1 to which 4.3.0 is offered.
async fn offered() -> Result<(Bench, Operator)> {
    let bench = Bench::adopted().await?;
    let operator = bench.operator(&Start::default()).await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    Ok((bench, operator))
}

#[tokio::test(flavor = "multi_thread")]
async fn checks_that_always_run() -> Result<()> {
    let (bench, _operator) = offered().await?;
    module_says(&bench, true, "").await?;
    resource_patches(&bench).await?;
    module_says(&bench, true, "").await?;
    admin_gates(&bench).await?;
    bench
        .walk(
            "ClusterRunning",
            "ClusterNotRunning",
            "kubectl patch clusters.platform.tkestack.io global --subresource=status --type=merge -p '{\"status\":{\"phase\":\"Failed\"}}'",
            "kubectl patch clusters.platform.tkestack.io global --subresource=status --type=merge -p '{\"status\":{\"phase\":\"Running\"}}'",
        )
        .await?;
    bench
        .walk(
            "ClusterModuleStable",
            "ModuleNotStable",
            "kubectl patch clustermodules global --subresource=status --type=merge -p '{\"status\":{\"base\":{\"runningStatus\":\"Abnormal\"}}}'",
            "kubectl patch clustermodules global --subresource=status --type=merge -p '{\"status\":{\"base\":{\"runningStatus\":\"Healthy\"}}}'",
        )
        .await?;
    static_pods(&bench).await?;
    left_over_pods(&bench).await?;
    modules(&bench).await
}

/// The ClusterModule says whether the version that is offered may be asked for, and why not.
async fn module_says(bench: &Bench, upgradable: bool, why: &str) -> Result<()> {
    let path = format!("{MODULES}/global");
    let is_so = |module: &Value| {
        let status = &module["status"];
        status["upgradable"] == upgradable && text(status, "/unableUpgradeReason") == why
    };
    let what = format!("the ClusterModule to be upgradable: {upgradable} {why}");
    bench.until(&path, &what, Duration::from_secs(10), is_so).await?;
    Ok(())
}

/// The seed's own story: the row, the ResourcePatch, the annotation.
async fn resource_patches(bench: &Bench) -> Result<()> {
    let patch = "
apiVersion: operator.alauda.io/v1alpha1
kind: ResourcePatch
metadata: {name: rp-web, finalizers: [resourcepatch]}
spec:
  release: kube-system/coredns
  target: {apiVersion: apps/v1, kind: Deployment, name: coredns, namespace: kube-system}
  jsonPatch: [{op: add, path: /metadata/annotations/example.com~1owner, value: dns}]
";
    bench.apply(patch).await?;
    let name = "ResourcePatchUpgradeable";
    bench.failed_and_disabled(name, "UnexemptResourcePatches").await?;
    let row = bench.must(SHOW_RESOURCE_PATCHES).await?;
    ensure!(row.starts_with("Failed\tUnexemptResourcePatches\t"), "{row}");
    ensure!(row.contains("rp-web"), "{row}");
    module_says(bench, false, "checks of 4.3.0 have failed: ResourcePatchUpgradeable").await?;
    bench.must("kubectl get resourcepatches rp-web -o yaml").await?;
    // Another version's exemption is none for this one.
    bench
        .must("kubectl annotate resourcepatches rp-web config.cpaas.io/exempt-for-ver=4.2.9")
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.check_becomes(name, "Failed", "UnexemptResourcePatches").await?;
    bench
        .must(
            "kubectl annotate resourcepatches rp-web \\
  config.cpaas.io/exempt-for-ver=4.3.0 \\
  --overwrite",
        )
        .await?;
    bench.check_becomes(name, "Passed", "Exempted").await?;
    // The remedy says the same.
    bench.must("kubectl annotate resourcepatches rp-web config.cpaas.io/exempt-for-ver-").await?;
    let failed = bench.check_becomes(name, "Failed", "UnexemptResourcePatches").await?;
    let remedy = text(&failed, "/remedy");
    for part in remedy.split("; ") {
        let at = part.find("kubectl").unwrap_or_default();
        bench.must(&part[at..]).await?;
    }
    bench.check_becomes(name, "Passed", "Exempted").await?;
    // Another key, by a setting.
    bench.configure("exemptAnnotation: example.com/may-travel-to").await?;
    bench.check_becomes(name, "Failed", "UnexemptResourcePatches").await?;
    bench.must("kubectl annotate resourcepatches rp-web example.com/may-travel-to=4.3.0").await?;
    bench.check_becomes(name, "Passed", "Exempted").await?;
    bench.configure_nothing().await?;
    bench.check_becomes(name, "Passed", "Exempted").await?;
    shown(bench).await
}

/// The seed's diagnostics show what they should, a line each.
async fn shown(bench: &Bench) -> Result<()> {
    let conditions = bench.must(SHOW_CONDITIONS).await?;
    let types: Vec<&str> = conditions.lines().filter_map(|l| l.split('\t').next()).collect();
    ensure!(types == ["PreflightReady", "Ready", "Reconciling", "Stalled"], "{conditions}");
    let checks = bench.must(SHOW_CHECKS).await?;
    let mut lines = checks.lines();
    let observed: jiff::Timestamp = lines.next().unwrap_or_default().parse()?;
    ensure!(observed <= jiff::Timestamp::now(), "{checks}");
    for (line, name) in lines.clone().zip(api::CheckName::ALL) {
        let start = format!("{name}\t{}\tPassed\t", name.policy());
        ensure!(line.starts_with(&start), "'{line}' does not start with '{start}'");
        ensure!(line.split('\t').count() == 5, "{line}");
    }
    ensure!(lines.count() == api::CheckName::ALL.len(), "{checks}");
    let history = bench.must(SHOW_HISTORY).await?;
    ensure!(history.starts_with("4.2.1\tCompleted"), "{history}");
    Ok(())
}

async fn admin_gates(bench: &Bench) -> Result<()> {
    let name = "AdminAckRequired";
    let gate = "kubectl -n cpaas-system create configmap admin-gates --from-literal=ack-4.3-read-this='Read the notes of Service Mesh first.'";
    bench.must(gate).await?;
    let failed = bench.failed_and_disabled(name, "AckMissing").await?;
    ensure!(text(&failed, "/message").contains("Read the notes of Service Mesh"), "{failed}");
    // Only the very word counts.
    bench
        .must("kubectl -n cpaas-system patch configmap admin-acks --type merge -p '{\"data\":{\"ack-4.3-read-this\":\"True\"}}'")
        .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let failed = bench.check_becomes(name, "Failed", "AckMissing").await?;
    bench.follow(&failed).await?;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    // A gate of another line asks nobody; one that is malformed blocks and is named.
    let patch = |data: &str| {
        format!(
            "kubectl -n cpaas-system patch configmap admin-gates --type merge -p '{{\"data\":{{{data}}}}}'"
        )
    };
    bench.must(&patch("\"ack-4.4-later\":\"Later.\"")).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    bench.must(&patch("\"ack-kernel\":\"Which line?\"")).await?;
    let failed = bench.check_becomes(name, "Failed", "GateInvalid").await?;
    ensure!(text(&failed, "/message").contains("ack-kernel"), "{failed}");
    ensure!(text(&failed, "/remedy").contains("ack-kernel"), "{failed}");
    bench.must(&patch("\"ack-kernel\":null")).await?;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    Ok(())
}

async fn static_pods(bench: &Bench) -> Result<()> {
    let name = "ControlPlaneStaticPodsPresent";
    let delete = "kubectl -n kube-system delete pod etcd-node-1 --wait=true";
    bench.must(delete).await?;
    bench.nudge().await?;
    let failed = bench.failed_and_disabled(name, "StaticPodsMissing").await?;
    ensure!(text(&failed, "/message").contains("etcd on node-1 is missing"), "{failed}");
    bench.follow(&failed).await?;
    // Where etcd is outside the cluster, nobody asks for its Pod.
    let etcd = |value: &str| {
        format!(
            "kubectl patch clusters.platform.tkestack.io global --type=merge -p '{{\"spec\":{{\"etcd\":{value}}}}}'"
        )
    };
    bench.must(&etcd("{\"external\":{\"endpoints\":[\"https://192.0.2.1:2379\"]}}")).await?;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    bench.must(&etcd("null")).await?;
    bench.check_becomes(name, "Failed", "StaticPodsMissing").await?;
    bench.make_static_pod("etcd").await?;
    // Nothing that is watched has changed: it is looked at again all the same.
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    Ok(())
}

async fn left_over_pods(bench: &Bench) -> Result<()> {
    let pod = "kubectl -n default run cri-upgrade-node-1 --image=example.invalid/it:1";
    bench.walk("CRIUpgradePodsAbsent", "UpgradePodsFound", pod, "").await?;
    let labelled = "kubectl -n default run runtime --image=example.invalid/it:1 --labels=cpaas.io/cri-upgrade=1";
    bench.walk("CRIUpgradePodsAbsent", "UpgradePodsFound", labelled, "").await
}

const MODULE: &str = "
apiVersion: cluster.alauda.io/v1alpha1
kind: ModuleInfo
metadata:
  name: global-0123
  labels:
    cpaas.io/cluster-name: global
    cpaas.io/module-name: logging
    cpaas.io/module-type: plugin
    cpaas.io/lifecycle-type: Aligned
spec: {version: v4.2.0}
";
const MODULE_CONFIG: &str = "
apiVersion: cluster.alauda.io/v1alpha1
kind: ModuleConfig
metadata: {name: logging-v4.3.0, labels: {cpaas.io/module-name: logging}}
spec: {version: v4.3.0, targetClusterVersions: ['4.3']}
";

async fn modules(bench: &Bench) -> Result<()> {
    let name = "ModuleInfoStable";
    bench.apply(MODULE).await?;
    let failed = bench.failed_and_disabled(name, "ModuleInfoNotRunning").await?;
    ensure!(text(&failed, "/message").contains("logging"), "{failed}");
    bench.follow(&failed).await?;
    // As the controller of the platform before this product left it.
    let status = serde_json::json!({
        "phase": "Running", "version": "v4.2.0", "observedGeneration": null,
    });
    bench.set_status(&["moduleinfoes", "global-0123"], &status).await?;
    let failed = bench.failed_and_disabled(name, "AlignedPackageMissing").await?;
    ensure!(text(&failed, "/remedy").contains("violet push"), "{failed}");
    bench.apply(MODULE_CONFIG).await?;
    let no_chart =
        |cvsh: &Value| text(e2e::t2::check(cvsh, name), "/message").contains("it has no chart");
    let limit = Duration::from_secs(30);
    bench.cvsh_until("a package without charts to be named", limit, no_chart).await?;
    bench.must("kubectl delete moduleinfo global-0123").await?;
    bench.check_becomes(name, "Passed", "AsExpected").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_wrong_switch_nothing_off() -> Result<()> {
    let (bench, _operator) = offered().await?;
    let gate = "kubectl -n cpaas-system create configmap admin-gates --from-literal=ack-4.3-x=y";
    bench.must(gate).await?;
    let name = "AdminAckRequired";
    bench.check_becomes(name, "Failed", "AckMissing").await?;
    let said = |part: &'static str| {
        move |cvsh: &Value| text(condition(cvsh, "PreflightReady"), "/message").contains(part)
    };
    bench.configure("disabled: [AdminAckRequired").await?;
    let cvsh = bench
        .cvsh_until(
            "the malformed setting to be reported",
            Duration::from_secs(10),
            said("not valid YAML"),
        )
        .await?;
    let row = e2e::t2::check(&cvsh, name);
    ensure!(text(row, "/state") == "Failed", "{row}");
    // Whoever looks is told, with what corrects it.
    for command in ["ac adm upgrade status", "bash upgrade.sh --preflight"] {
        let said = bench.run(command).await?.containing("not valid YAML")?;
        said.containing(api::config::EDIT_SETTINGS)?;
    }
    // It is an error also where every check passes.
    bench.must("kubectl -n cpaas-system delete configmap admin-gates").await?;
    bench.check_becomes(name, "Passed", "NoGates").await?;
    let wrong = bench.run("bash upgrade.sh --preflight").await?.expect(1)?;
    wrong.containing("PASSED")?.containing("error: cpaas-system/cvo-config is wrong: not valid")?;
    // An unknown name is reported; the known one beside it holds.
    bench.must(gate).await?;
    bench.disable(&["NoSuchCheck", "AdminAckRequired"]).await?;
    bench.check_becomes(name, "Disabled", "DisabledInCvoConfig").await?;
    bench
        .cvsh_until("the unknown name to be reported", Duration::from_secs(10), said("NoSuchCheck"))
        .await?;
    Ok(())
}
