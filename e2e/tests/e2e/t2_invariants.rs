//! Invariants that only an API server's own log can show.

use anyhow::{Context as _, Result, bail, ensure};
use api::CheckName;
use api::names::GLOBAL;
use e2e::audit::Request;
use e2e::t2::{ADMINISTRATOR, Bench, Operator, Start, condition, text};
use serde_json::Value;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(120);
const SYNC: &str = "bash upgrade.sh --only-sync-image";
const PREFLIGHT: &str = "bash upgrade.sh --preflight";

/// Runs a command whose account must have asked and changed nothing; gives what it printed.
async fn only_asks(bench: &Bench, script: &str, code: i32) -> Result<String> {
    let (_, from) = bench.requests(u64::MAX)?;
    let said = bench.run(script).await?.expect(code)?;
    let (requests, _) = bench.requests(from)?;
    let own: Vec<&Request> = requests.iter().filter(|r| r.user == ADMINISTRATOR).collect();
    ensure!(!own.is_empty(), "{script} asked nothing, so it proves nothing");
    // Not even what would change something is tried.
    let changes: Vec<_> = own.iter().filter(|r| r.is_change() || r.is_try()).collect();
    ensure!(changes.is_empty(), "{script}: {changes:?}");
    Ok(said.stdout)
}

/// A check as a person reads it: name, policy, state, reason, message.
type Row = [String; 5];

/// The checks that preflight of the package in hand prints. It prints no policy: that is the
/// check's own.
fn printed(output: &str) -> Result<BTreeSet<Row>> {
    let lines = output.lines().skip_while(|line| *line != "Checks").skip(2);
    let row = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().take(3).collect();
        let [state, name, reason] = words[..] else { bail!("not a check: {line}") };
        let policy = CheckName::parse(name).with_context(|| format!("no check: {line}"))?.policy();
        let message = line.split_once(reason).map_or("", |(_, rest)| rest.trim());
        Ok([name, policy.as_str(), state, reason, message].map(str::to_owned))
    };
    lines.take_while(|line| !line.is_empty()).map(row).collect()
}

/// The checks that the status shows.
fn shown(cvsh: &Value) -> BTreeSet<Row> {
    let checks = cvsh.pointer("/status/preflight/checks").and_then(Value::as_array);
    let keys = ["/name", "/policy", "/state", "/reason", "/message"];
    let row = |check: &Value| keys.map(|key| text(check, key).trim().to_owned());
    checks.into_iter().flatten().map(row).collect()
}

/// Preflight of the package in hand ends with this code and says of each check what the status
/// of the cluster says.
pub(crate) async fn says_what_status_says(bench: &Bench, cluster: &str, code: i32) -> Result<()> {
    let preflight = format!("{PREFLIGHT} --cluster={cluster}");
    let in_hand = printed(&only_asks(bench, &preflight, code).await?)?;
    let status = shown(&bench.of(cluster).cvsh().await?);
    ensure!(in_hand.len() == CheckName::ALL.len(), "{in_hand:#?}");
    let (only, other): (Vec<_>, Vec<_>) =
        (in_hand.difference(&status).collect(), status.difference(&in_hand).collect());
    ensure!(in_hand == status, "preflight says {only:#?}\nand status says {other:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn i8_readonly_phases_change_nothing() -> Result<()> {
    // No CVO, no CRDs of ours, nothing installed.
    let bench = Bench::bare().await?;
    only_asks(&bench, PREFLIGHT, 0).await?;
    only_asks(&bench, SYNC, 0).await?;
    let crds = bench.must("kubectl get crd -o name").await?;
    ensure!(!crds.contains("clusterversionshadows"), "{crds}");
    // With a CVO, at a version, once the release is offered.
    bench.say_version("4.2.1").await?;
    bench.deploy(&bench.packages.new).await?;
    let _operator = bench.operator(&Start::default()).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    only_asks(&bench, SYNC, 0).await?;
    only_asks(&bench, PREFLIGHT, 0).await?;
    bench.publish("4.3.0").await?;
    bench.all_pass("4.3.0").await?;
    says_what_status_says(&bench, GLOBAL, 0).await?;
    // What passed once stands in both.
    bench.set_runtime("docker://24.0.7").await?;
    bench.nudge().await?;
    says_what_status_says(&bench, GLOBAL, 0).await?;
    bench.set_runtime("containerd://2.2.0").await?;
    bench
        .must("kubectl cordon node-1 && kubectl -n cpaas-system delete secret platform-license")
        .await?;
    bench.nudge().await?;
    bench.check_becomes("PlatformLicense", "Failed", "").await?;
    says_what_status_says(&bench, GLOBAL, 1).await?;
    // A request that waits for it.
    bench.ask_for("4.3.0").await?;
    bench.condition_becomes("Stalled", "True", "PreflightFailed").await?;
    let desired = bench.cvsh().await?;
    ensure!(text(&desired, "/status/preflight/version") == "4.3.0", "{desired}");
    says_what_status_says(&bench, GLOBAL, 1).await
}

/// A blob as the registry keeps it.
pub(crate) fn blob(bench: &Bench, digest: &str) -> Result<PathBuf> {
    let hex = digest.rsplit(':').next().unwrap_or_default();
    let folder = "registry/storage/docker/registry/v2/blobs/sha256";
    let path = bench.folder().join(folder).join(&hex[..2]).join(hex).join("data");
    ensure!(path.is_file(), "the registry keeps its blobs elsewhere: {}", path.display());
    Ok(path)
}

/// The layer of an image.
fn layer(bench: &Bench, image: &str) -> Result<PathBuf> {
    let manifest: Value = serde_json::from_slice(&std::fs::read(blob(bench, image)?)?)?;
    blob(bench, text(&manifest, "/layers/0/digest"))
}

/// Gives other bytes of the same length; hands back the right ones.
fn spoil(path: &Path) -> Result<Vec<u8>> {
    let right = std::fs::read(path)?;
    let mut wrong = right.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644))?;
    std::fs::write(path, wrong)?;
    Ok(right)
}

/// What the operator changed beside its own records.
pub(crate) fn applied(requests: &[Request]) -> Vec<&Request> {
    let own = [
        "leases",
        "events",
        "clusterversionshadows/status",
        "productmanifests/status",
        "appreleases/status",
        "clusterversionshadows",
        // What it shows of a cluster at rest; an upgrade begins with its spec.
        "clustermodules/status",
    ];
    requests
        .iter()
        .filter(|r| r.user.ends_with(":cluster-version-operator") && r.is_change())
        .filter(|r| !own.contains(&r.resource.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn i12_bytes_are_applied_only_after_their_digest() -> Result<()> {
    let (bench, operator) = Bench::installed().await?;
    // The digest is right and was resolved before; the bytes come to be others.
    bench.publish("4.3.0").await?;
    let cvsh = bench.offered("4.3.0").await?;
    let image = text(&cvsh, "/status/availableUpdates/0/image").to_owned();
    let operator = spoiled_before_it_begins(&bench, operator, &image).await?;
    let _operator = spoiled_in_flight(&bench, operator, &image).await?;
    // It is not taken into the platform at all.
    let pushed = bench
        .push_release("v4.3.5", |r| {
            r.version = "4.3.5".parse().unwrap();
            r.upgrade_from.range = ">=4.0.0 <4.3.5".parse().unwrap();
        })
        .await?;
    let path = layer(&bench, &pushed.digest)?;
    let right = spoil(&path)?;
    bench.publish("4.3.5").await?;
    let manifest = "/apis/product.alauda.io/v1alpha1/productmanifests/v4.3.5";
    let seen = bench
        .until(manifest, "v4.3.5 not to be Ready", LIMIT, |m| {
            text(condition(m, "Ready"), "/status") == "False"
        })
        .await?;
    let ready = condition(&seen, "Ready");
    ensure!(text(ready, "/reason") == "InvalidRelease", "{ready}");
    ensure!(text(ready, "/message").contains("sha256:"), "{ready}");
    let cvsh = bench.cvsh().await?;
    ensure!(cvsh["status"]["availableUpdates"].as_array().is_none_or(Vec::is_empty), "{cvsh}");
    std::fs::write(&path, right)?;
    bench.offered("4.3.5").await?;
    Ok(())
}

/// Nothing is remembered from before the bytes changed.
async fn restarted(bench: &Bench, operator: Operator, name: &str) -> Result<Operator> {
    operator.kill();
    let start = Start { identity: name.to_owned(), ..Start::default() };
    bench.operator(&start).await
}

async fn spoiled_before_it_begins(
    bench: &Bench,
    operator: Operator,
    image: &str,
) -> Result<Operator> {
    let path = layer(bench, image)?;
    let right = spoil(&path)?;
    let (_, from) = bench.requests(u64::MAX)?;
    let operator = restarted(bench, operator, "operator-b").await?;
    bench.ask_for("4.3.0").await?;
    let check =
        bench.check_becomes("ClusterVersionUpgradeable", "Failed", "ManifestFailed").await?;
    ensure!(text(&check, "/message").contains("sha256:"), "{check}");
    ensure!(text(&check, "/remedy").contains("bash upgrade.sh"), "{check}");
    bench.condition_becomes("PreflightReady", "False", "ChecksFailed").await?;
    let message = bench.condition_becomes("Stalled", "True", "PreflightFailed").await?;
    ensure!(message.contains("ClusterVersionUpgradeable"), "{message}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    let (requests, _) = bench.requests(from)?;
    let applied = applied(&requests);
    ensure!(applied.is_empty(), "{applied:?}");
    let cvsh = bench.cvsh().await?;
    ensure!(text(&cvsh, "/status/history/0/version") == "4.2.1", "it began: {cvsh}");
    // The wish stands: with the right bytes it begins by itself. No node: it does not end.
    bench.must("kubectl cordon node-1").await?;
    std::fs::write(&path, right)?;
    bench.condition_becomes("Reconciling", "True", "Upgrading").await?;
    Ok(operator)
}

async fn spoiled_in_flight(bench: &Bench, operator: Operator, image: &str) -> Result<Operator> {
    // It gets as far as the first component that needs a node, and was begun before.
    operator.kill();
    let path = layer(bench, image)?;
    let right = spoil(&path)?;
    let (_, from) = bench.requests(u64::MAX)?;
    let start = Start { identity: "operator-c".to_owned(), ..Start::default() };
    let operator = bench.operator(&start).await?;
    let cvsh = bench
        .cvsh_until("the upgrade to be stalled by the bytes", LIMIT, |c| {
            text(condition(c, "Stalled"), "/status") == "True"
        })
        .await?;
    let stalled = condition(&cvsh, "Stalled");
    ensure!(text(stalled, "/reason") == "ReleaseInvalid", "{stalled}");
    ensure!(text(stalled, "/message").contains("sha256:"), "{stalled}");
    ensure!(text(stalled, "/message").contains("upgrade.sh --only-sync-image"), "{stalled}");
    let (requests, _) = bench.requests(from)?;
    let applied = applied(&requests);
    ensure!(applied.is_empty(), "{applied:?}");
    std::fs::write(&path, right).context("put the right bytes back")?;
    bench.must("kubectl uncordon node-1").await?;
    bench.completed("4.3.0").await?;
    Ok(operator)
}
