//! What the job comes to for plugins: installed, customised, upgraded with their cluster or alone,
//! removed, and installed again.

use crate::the_job;
use anyhow::Result;
use e2e::job;
use e2e::site::Site;

#[tokio::test(flavor = "multi_thread")]
async fn plugins() -> Result<()> {
    the_job::done().await
}

/// What is asked in the end, and the answer.
const OUTCOME: &[(&str, &str)] = &[
    (
        "kubectl get moduleinfoes -o jsonpath='{.items[*].metadata.name} {.items[*].status.phase}'",
        "workload-a-pages Running",
    ),
    (
        "kubectl get moduleplugin pages -o jsonpath='{.status.latestVersion} {.status.installed[*].cluster} {.status.installed[*].version}'",
        "1.1.0 workload-a 1.0.0",
    ),
    ("kubectl get moduleplugin node-metrics -o jsonpath='{.status.installed}'", ""),
    // Of what was removed nothing is left.
    (
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl get apprelease -A -o jsonpath='{.items[?(@.spec.moduleInfo!=\"\")].metadata.name}'",
        "pages",
    ),
    (
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl -n cpaas-plugins get daemonsets,configmaps -l cpaas.io/app-release=node-metrics --ignore-not-found",
        "",
    ),
    (
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl get resourcepatches rp-pages -o jsonpath='{.status.phase}'",
        "Active",
    ),
];

/// The one that was installed again is there, the other one is gone.
pub(crate) async fn outcome(site: &Site) -> Result<()> {
    job::holds(site, OUTCOME).await
}
