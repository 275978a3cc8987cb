//! Every shell block of the documents' standard workflow, as it stands and in its order, on real
//! clusters; only the placeholder for a name is filled in. The blocks are in `e2e/seed`.

use anyhow::{Context as _, Result, ensure};
use e2e::packages::{Packages, root};
use e2e::shell::{Said, Shell};
use e2e::site::{Site, test_options};
use e2e::turn::Turn;
use sandbox::{Narrator, Sandbox};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn seed_commands() -> Result<()> {
    let _turn = Turn::beside_one().await;
    let narrator = Narrator::stderr();
    let options = test_options(&["global"])?;
    Sandbox::new(options.clone(), Narrator::silent()).down().await?;
    let packages = Packages::build(&narrator).await?;
    let site = Site::up(options, packages, narrator.clone()).await?;
    let shell = site.shell()?;
    let result = workflow(&shell, &narrator).await;
    if result.is_ok() {
        site.sandbox.down().await?;
    }
    result
}

async fn workflow(shell: &Shell, narrator: &Narrator) -> Result<()> {
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
    // What is asked for already stands in the editor: it is saved as it is.
    let editing = shell.with("EDITOR", "true");
    block(&editing, narrator, "11-edit", 0).await?.containing("no changes made")?;
    // Asking again for what is under way changes nothing and succeeds, one command after the other.
    block(shell, narrator, "06-request-ac", 0).await?.containing("4.3.0")?;
    block(shell, narrator, "07-observe", 0).await?.containing("4.2.1")?;
    let wait = "kubectl -n cpaas-system wait --for=condition=Ready cvsh/global --timeout=300s";
    shell.run(wait, LIMIT).await?.expect(0)?;
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
