//! Workload clusters that cannot be spoken with as they should: each says what is wrong with it,
//! and goes on by itself once that is mended.

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::faultd::Faultd;
use e2e::t2::{Bench, CLUSTERS, CREDENTIALS, condition, text};
use sandbox::ControlPlane;
use sandbox::certificates::Identity;
use sandbox::platform::Registered;
use sandbox::process::{run, run_with_input};
use serde_json::{Value, json};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const WEAK: &str = "system:serviceaccount:default:weak";

/// An account that may do nothing, and its token.
async fn account(plane: &ControlPlane) -> Result<String> {
    run(plane.kubectl().args(["-n", "default", "create", "serviceaccount", "weak"]), LIMIT).await?;
    let mut token = plane.kubectl();
    Ok(run(token.args(["-n", "default", "create", "token", "weak"]), LIMIT)
        .await?
        .trim()
        .to_owned())
}

/// From now on the account may do this.
async fn grant(plane: &ControlPlane, verbs: &[&str]) -> Result<()> {
    let group = "rbac.authorization.k8s.io";
    let rules = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": verbs },
        { "nonResourceURLs": ["*"], "verbs": ["get"] },
    ]);
    let all = json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
            "metadata": { "name": "weak" }, "rules": rules,
        },
        {
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": "weak" },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": "weak" },
            "subjects": [{ "kind": "ServiceAccount", "name": "weak", "namespace": "default" }],
        },
    ] });
    let mut apply = plane.kubectl();
    run_with_input(apply.args(["apply", "-f", "-"]), all.to_string().as_bytes(), LIMIT).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credential_that_lacks_a_right_is_told_with_the_right() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let plane = bench.joins("weak").await?;
    let token = account(&plane).await?;
    bench.merge(&format!("{CREDENTIALS}/weak"), &json!({ "token": token })).await?;
    let of = bench.of("weak");
    let lacks = |what: &'static [&'static str]| {
        move |c: &Value| {
            let status = c["status"].to_string();
            status.contains(WEAK) && what.iter().any(|verb| status.contains(verb))
        }
    };
    of.cvsh_until(
        "it to say that nothing may be read",
        LIMIT,
        lacks(&["cannot list", "cannot get"]),
    )
    .await?;
    // It may look at everything now, and change nothing.
    grant(&plane, &["get", "list", "watch"]).await?;
    of.offered("4.2.1").await.with_context(|| operator.said())?;
    of.ask_for("4.2.1").await?;
    let writes = lacks(&["cannot create", "cannot patch"]);
    let cvsh = of.cvsh_until("it to say that nothing may be written", LIMIT, writes).await?;
    let stalled = |c: &Value| text(condition(c, "Stalled"), "/reason") == "Forbidden";
    let cvsh = if stalled(&cvsh) {
        cvsh
    } else {
        of.cvsh_until("it to be stalled for it", LIMIT * 3, stalled).await?
    };
    eprintln!("{}", text(condition(&cvsh, "Stalled"), "/message"));
    grant(&plane, &["*"]).await?;
    of.completed("4.2.1").await.with_context(|| operator.said())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_whose_certificate_has_expired_says_so() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    let plane = bench.joins("workload-a").await?;
    let folder = bench.folder().join("old-tls");
    let shown = Identity::expired_in_folder(&folder, "an authority", &["127.0.0.1"])?;
    let door = Faultd::showing(&plane, &shown.certificate, &shown.key)?;
    let registered = Registered { port: door.port(), ..plane.registered("old-tls") };
    bench.plane.seed_platform(&bench.registry, vec![registered]).await?;
    let authority = json!({ "caCert": STANDARD.encode(std::fs::read(&shown.authority)?) });
    bench.merge(&format!("{CREDENTIALS}/old-tls"), &authority).await?;
    let says = |c: &Value| {
        let reconciling = condition(c, "Reconciling");
        let message = text(reconciling, "/message");
        text(reconciling, "/status") == "True"
            && message.contains("certificate")
            && message.contains("expired")
    };
    let of = bench.of("old-tls");
    let cvsh = of.cvsh_until("it to say that its certificate has expired", LIMIT, says).await?;
    let reconciling = condition(&cvsh, "Reconciling");
    eprintln!("{} {}", text(reconciling, "/reason"), text(reconciling, "/message"));
    // It is said once and not again: nothing in it changes from one look to the next.
    let version = |c: &Value| text(c, "/metadata/resourceVersion").to_owned();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let said = of.cvsh().await?;
    tokio::time::sleep(Duration::from_secs(12)).await;
    ensure!(version(&of.cvsh().await?) == version(&said), "it is written at each look: {said:#}");
    ensure!(door.trace().is_empty(), "nothing is asked of a server that nobody vouches for");
    // The others go on at their speed.
    let other = bench.of("workload-a");
    other.offered("4.2.1").await?;
    other.ask_for("4.2.1").await?;
    other.completed("4.2.1").await.with_context(|| operator.said())?;
    // The cluster has another certificate, by its own authority.
    let right = plane.registered("old-tls");
    let mut cluster = bench.get(&format!("{CLUSTERS}/old-tls")).await?;
    for address in cluster["status"]["addresses"].as_array_mut().into_iter().flatten() {
        address["port"] = json!(right.port);
    }
    bench.set_status(&["clusters.platform.tkestack.io", "old-tls"], &cluster["status"]).await?;
    let authority = json!({ "caCert": STANDARD.encode(std::fs::read(plane.authority())?) });
    bench.merge(&format!("{CREDENTIALS}/old-tls"), &authority).await?;
    let well = |c: &Value| text(condition(c, "Reconciling"), "/status") == "False";
    of.cvsh_until("it to be spoken with", LIMIT, well).await?;
    // A token that is not taken is told, too.
    bench.merge(&format!("{CREDENTIALS}/old-tls"), &json!({ "token": "not-this-one" })).await?;
    let refused = |c: &Value| c["status"].to_string().contains("does not accept the credentials");
    of.cvsh_until("its credentials to be told of", LIMIT, refused).await?;
    Ok(())
}
