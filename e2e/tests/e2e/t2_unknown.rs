//! What is not known is Retry with the reason, never Passed, and is asked for again by itself.

use anyhow::{Result, ensure};
use e2e::t2::{Bench, Start, check, text};
use std::time::Duration;

/// Rights of the operator that are taken away: API group, resource, and the checks that need it.
const RIGHTS: [(&str, &str, &[&str]); 8] = [
    ("operator.alauda.io", "resourcepatches", &["ResourcePatchUpgradeable"]),
    ("", "nodes", &["DockerRuntimeUnsupported"]),
    (
        "platform.tkestack.io",
        "clusters",
        &["ClusterRunning", "KubernetesVersionSupported", "ControlPlaneStaticPodsPresent"],
    ),
    ("cluster.alauda.io", "clustermodules", &["ClusterModuleStable"]),
    ("", "pods", &["CRIUpgradePodsAbsent"]),
    ("batch", "cronjobs", &["CustomEtcdBackupCronJobsAbsent"]),
    ("cluster.alauda.io", "moduleinfoes", &["ModuleInfoStable"]),
    ("", "secrets", &["PlatformLicense"]),
];

/// The operator's roles without these resources.
async fn take_rights(bench: &Bench) -> Result<()> {
    let group = "/apis/rbac.authorization.k8s.io/v1";
    for path in [
        "/clusterroles/acp:cluster-version-operator".to_owned(),
        "/clusterroles/acp:cluster-version-operator:v4.2.1".to_owned(),
        "/clusterroles/acp:cluster-version-operator:v4.3.0".to_owned(),
        "/namespaces/cpaas-system/roles/cluster-version-operator".to_owned(),
    ] {
        let mut role = bench.get(&format!("{group}{path}")).await?;
        let rules = role["rules"].as_array_mut().map(std::mem::take).unwrap_or_default();
        let mut kept = Vec::new();
        for mut rule in rules {
            let groups = rule["apiGroups"].clone();
            let of = |name: &str| {
                RIGHTS.iter().any(|(group, resource, _)| {
                    groups.as_array().is_some_and(|g| g.iter().any(|one| one == group))
                        && name.split('/').next() == Some(resource)
                })
            };
            if let Some(resources) = rule["resources"].as_array_mut() {
                resources.retain(|r| !r.as_str().is_some_and(of));
                if resources.is_empty() {
                    continue;
                }
            }
            kept.push(rule);
        }
        let body = serde_json::json!({ "rules": kept }).to_string();
        let (kind, name) = path.rsplit_once('/').unwrap_or_default();
        let kind = kind.rsplit('/').next().unwrap_or_default();
        let words = ["-n", "cpaas-system", "patch", kind, name, "--type=merge", "-p", &body];
        bench.kubectl(&words).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_right_is_named_and_nothing_passes_without_it() -> Result<()> {
    let bench = Bench::adopted().await?;
    let _operator = bench.operator(&Start::default()).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    take_rights(&bench).await?;
    bench.publish("4.3.0").await?;
    bench.condition_becomes("PreflightReady", "Unknown", "Retrying").await?;
    let cvsh = bench.cvsh().await?;
    for (_, resource, checks) in RIGHTS {
        for name in checks {
            let row = check(&cvsh, name);
            ensure!(text(row, "/state") == "Retry", "{name}: {row}");
            let message = text(row, "/message");
            let verb = message.contains("cannot list") || message.contains("cannot get");
            ensure!(verb && message.contains(resource), "{name}: {message}");
        }
    }
    // A request waits; it is nobody's fault yet.
    bench.ask_for("4.3.0").await?;
    bench.condition_becomes("Reconciling", "True", "WaitingForPreflight").await?;
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    bench.must("kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'").await?;
    for package in [&bench.packages.old, &bench.packages.new] {
        bench.deploy(package).await?;
    }
    bench.all_pass("4.3.0").await?;
    Ok(())
}

/// A release that cannot be read, because the registry is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_away_is_waited_for() -> Result<()> {
    let mut bench = Bench::adopted().await?;
    let operator = bench.operator(&Start::default()).await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    operator.kill();
    bench.registry.cut();
    // Nothing is remembered from before.
    let start = Start { identity: "operator-b".to_owned(), ..Start::default() };
    let _operator = bench.operator(&start).await?;
    bench.publish("4.3.9").await?;
    bench.ask_for("4.3.9").await?;
    // Until the registry was asked in vain, it says that it was not asked yet.
    bench
        .cvsh_until("the registry to be named", Duration::from_secs(30), |c| {
            let row = check(c, "ClusterVersionUpgradeable");
            text(row, "/state") == "Retry" && text(row, "/message").contains("RegistryUnavailable")
        })
        .await?;
    for name in [
        // The gates of the release; without the right to read ConfigMaps nobody is trusted either.
        "AdminAckRequired",
        "VersionUpgradePath",
        "KubernetesVersionSupported",
        "PlatformLicense",
    ] {
        let row = bench.check_becomes(name, "Retry", "InputUnknown").await?;
        ensure!(!text(&row, "/message").is_empty(), "{row}");
    }
    bench.ask_for("4.3.0").await?;
    let what = "4.3.0 to be waited for";
    bench
        .cvsh_until(what, Duration::from_secs(30), |c| {
            text(c, "/status/preflight/version") == "4.3.0"
                && text(check(c, "ResourcePatchUpgradeable"), "/state") == "Passed"
        })
        .await?;
    bench.condition_becomes("Reconciling", "True", "WaitingForPreflight").await?;
    bench.registry.resume().await?;
    bench.completed("4.3.0").await?;
    Ok(())
}
