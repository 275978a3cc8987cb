//! What the job comes to on workload clusters: they follow global side by side, and one that leaves
//! in the middle of its upgrade holds up nobody.

use crate::the_job;
use anyhow::{Context as _, Result, ensure};
use e2e::job;
use e2e::site::Site;
use std::time::Duration;

/// The workload cluster that the job moves.
pub(crate) const A: &str = "workload-a";
/// One that moves beside it, and leaves.
pub(crate) const B: &str = "workload-b";
/// The step of the job with which the first one follows.
pub(crate) const FOLLOWS: &str = "ac adm upgrade --cluster=workload-a --to-latest";
const LIMIT: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn upgrade_workload() -> Result<()> {
    the_job::done().await
}

/// A workload cluster is known to global, and how to reach it.
pub(crate) async fn registered(site: &Site, name: &str) -> Result<()> {
    let credential = site
        .ask(&format!("kubectl get clusters.platform.tkestack.io {name} -o jsonpath='{{.spec.clusterCredentialRef.name}}'"))
        .await?;
    ensure!(!credential.is_empty(), "{name} has no credential");
    for (script, what) in [
        (
            format!("kubectl get clustercredentials {credential} -o jsonpath='{{.token}}'"),
            "a token",
        ),
        (
            format!(
                "kubectl get machines.platform.tkestack.io -o jsonpath='{{.items[?(@.spec.clusterName==\"{name}\")].metadata.name}}'"
            ),
            "a machine",
        ),
    ] {
        ensure!(!site.ask(&script).await?.is_empty(), "{name} has not {what}: {script}");
    }
    Ok(())
}

/// What is typed while the first one moves: the other moves beside it and is taken off the platform
/// in the middle of that. What is kept of it goes.
const LEAVES: &[&str] = &[
    "kubectl -n cpaas-system patch cvsh workload-b --type merge -p '{\"spec\":{\"desiredUpdate\":{\"version\":\"4.3.0\"}}}'",
    "kubectl -n cpaas-system wait --for=jsonpath='{.status.history[0].version}'=4.3.0 cvsh/workload-b --timeout=60s",
    "test \"$(kubectl -n cpaas-system get cvsh workload-b -o jsonpath='{.status.history[0].state}')\" = Partial",
    "kubectl delete clusters.platform.tkestack.io workload-b --timeout=60s",
    "kubectl -n cpaas-system wait --for=delete cvsh/workload-b --timeout=60s",
];

/// The other one moves, too, and leaves.
pub(crate) async fn one_leaves(site: &Site) -> Result<()> {
    for command in LEAVES {
        site.shell()?
            .run(command, LIMIT)
            .await?
            .expect(0)
            .with_context(|| (*command).to_owned())?;
    }
    Ok(())
}

/// What is asked in the end, and the answer.
const OUTCOME: &[(&str, &str)] = &[
    (
        "kubectl -n cpaas-system get cvsh workload-a -o jsonpath='{.status.current.version} {.status.history[0].state} {.status.history[1].version}'",
        "4.3.0 Completed 4.2.1",
    ),
    (
        "kubectl get clsm workload-a -o jsonpath='{.spec.version} {.status.base.version} {.status.base.deployStatus} {.status.base.runningStatus}'",
        "4.3.0 4.3.0 Completed Healthy",
    ),
    (
        "kubectl -n cpaas-system get cvsh -o jsonpath='{.items[*].metadata.name}'",
        "global workload-a",
    ),
    (
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl -n kube-system get deployment coredns -o jsonpath='{.status.readyReplicas}'",
        "2",
    ),
    (
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl -n cpaas-system get deployment cluster-version-operator --ignore-not-found",
        "",
    ),
];

/// The first one is where global is, with everything of the release and without an operator.
pub(crate) async fn outcome(site: &Site) -> Result<()> {
    job::holds(site, OUTCOME).await
}
