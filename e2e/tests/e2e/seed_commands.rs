//! Every shell block of the documents' standard workflow, as it stands and in its order, on real
//! clusters; only the placeholder for a name is filled in. The blocks are in `e2e/seed`.

use anyhow::{Context as _, Result, ensure};
use e2e::packages::{Packages, root};
use e2e::shell::{Said, Shell};
use e2e::site::{Site, test_options};
use e2e::turn::Turn;
use sandbox::process::run;
use sandbox::{Narrator, Sandbox};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);
/// The leader's own process, on the node of its Pod.
const KILL: &str = r#"
for process in /proc/[0-9]*; do
  if [ "$(cat "$process/comm" 2>/dev/null)" = cluster-version ] &&
    tr '\0' '\n' <"$process/environ" | grep -qx "HOSTNAME=$1"; then
    kill -9 "${process#/proc/}"
    exit 0
  fi
done
echo "no process of $1 is there" >&2
exit 1
"#;

#[tokio::test(flavor = "multi_thread")]
async fn seed_commands() -> Result<()> {
    let _turn = Turn::with_a_core().await;
    let narrator = Narrator::stderr();
    let options = test_options(&["global"])?;
    Sandbox::new(options.clone(), Narrator::silent()).down().await?;
    let packages = Packages::build(&narrator).await?;
    let site = Site::up(options, packages, narrator.clone()).await?;
    let shell = site.shell()?;
    let result = workflow(&site, &shell, &narrator).await;
    if result.is_ok() {
        site.sandbox.down().await?;
    }
    result
}

async fn workflow(site: &Site, shell: &Shell, narrator: &Narrator) -> Result<()> {
    let patch = root().join("e2e/job/resource-patch.yaml");
    let apply = format!(
        "kubectl apply -f '{}' && kubectl wait --for=jsonpath='{{.status.phase}}'=Active resourcepatches/rp-coredns --timeout=60s",
        patch.display()
    );
    shell.run(&apply, LIMIT).await?.expect(0)?;
    block(shell, narrator, "01-prepare", 0).await?.containing("Published v4.3.0")?;
    block(shell, narrator, "02-preflight", 1).await?.containing("UnexemptResourcePatches")?;
    let row = block(shell, narrator, "03-inspect", 0).await?;
    ensure!(
        row.stdout.starts_with("Failed\tUnexemptResourcePatches\t1 ResourcePatch"),
        "the row of the check is not shown:\n{}",
        row.stdout
    );
    block(shell, narrator, "04-exempt", 0).await?.containing("annotated")?;
    block(shell, narrator, "02-preflight", 0).await?.containing("PASSED")?;
    block(shell, narrator, "05-request", 0).await?.containing("patched")?;
    let killed =
        kill_the_leader(site, shell).await.context("the leader is killed in the middle")?;
    // What is asked for already stands in the editor: it is saved as it is.
    let editing = shell.with("EDITOR", "true");
    block(&editing, narrator, "11-edit", 0).await?.containing("no changes made")?;
    // Asking again for what is under way changes nothing and succeeds, one command after the other.
    block(shell, narrator, "06-request-ac", 0).await?.containing("4.3.0")?;
    observe(shell, narrator).await?;
    let wait = "kubectl -n cpaas-system wait --for=condition=Ready cvsh/global --timeout=300s";
    shell.run(wait, LIMIT).await?.expect(0)?;
    let restarts = format!(
        "kubectl -n cpaas-system get pod {killed} -o jsonpath='{{.status.containerStatuses[0].restartCount}}'"
    );
    let restarts = shell.run(&restarts, LIMIT).await?.expect(0)?.stdout;
    ensure!(restarts.trim() == "1", "Pod {killed} was restarted {restarts} times");
    let conditions = block(shell, narrator, "08-conditions", 0).await?.stdout;
    let types: Vec<&str> = conditions.lines().filter_map(|l| l.split('\t').next()).collect();
    ensure!(types == ["PreflightReady", "Ready", "Reconciling", "Stalled"], "{conditions}");
    ensure!(conditions.contains("Ready\tTrue\tCompleted\t"), "{conditions}");
    let checks = block(shell, narrator, "09-checks", 0).await?.stdout;
    let rows: Vec<Vec<&str>> = checks.lines().skip(1).map(|l| l.split('\t').collect()).collect();
    ensure!(
        rows.len() == api::CheckName::ALL.len()
            && rows.iter().all(|r| r.len() == 5 && r[2] == "Passed"),
        "{checks}"
    );
    let history = block(shell, narrator, "10-history", 0).await?.stdout;
    let newest: Vec<&str> = history.lines().next().context("no history")?.split('\t').collect();
    ensure!(newest[..2] == ["4.3.0", "Completed"] && newest.len() == 4, "{history}");
    ensure!(history.lines().count() == 2, "{history}");
    Ok(())
}

/// While the upgrade runs, a table shows where it is from and where it goes.
async fn observe(shell: &Shell, narrator: &Narrator) -> Result<()> {
    let table = block(shell, narrator, "07-observe", 0).await?.containing("4.2.1")?.stdout;
    let head: Vec<&str> = table.lines().next().unwrap_or_default().split_whitespace().collect();
    let shown =
        ["NAME", "CURRENT", "DESIRED", "PREFLIGHT", "READY", "RECONCILING", "STALLED", "AGE"];
    ensure!(head == shown, "{table}");
    let wide = shell.run("kubectl get cvsh -A -o wide", LIMIT).await?.expect(0)?;
    wide.containing("REASON")?.containing("MESSAGE")?.containing("Upgrading")?;
    Ok(())
}

/// Ends the process of the Pod that leads, once the upgrade is under way; gives the Pod's name.
async fn kill_the_leader(site: &Site, shell: &Shell) -> Result<String> {
    let begun =
        "kubectl -n cpaas-system wait --for=condition=Reconciling cvsh/global --timeout=60s";
    shell.run(begun, LIMIT).await?.expect(0)?;
    let leader = "kubectl -n cpaas-system get lease cluster-version-operator -o jsonpath='{.spec.holderIdentity}'";
    let leader = shell.run(leader, LIMIT).await?.expect(0)?.stdout.trim().to_owned();
    let mut kill = site.sandbox.on_node(api::names::GLOBAL, "bash")?;
    kill.args(["-c", KILL, "bash", &leader]);
    run(&mut kill, LIMIT).await?;
    Ok(leader)
}

/// Runs a block with its placeholder filled in.
async fn block(shell: &Shell, narrator: &Narrator, name: &str, code: i32) -> Result<Said> {
    let path = root().join("e2e/seed").join(format!("{name}.sh"));
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let text = text.replace("<rp-name>", "rp-coredns");
    narrator.say(&format!("\n$ {}", text.trim_end()));
    // Each command of a block must succeed, not only its last.
    let said = shell.run(&format!("set -e\n{text}"), LIMIT).await?;
    said.expect(code).with_context(|| text.clone())
}
