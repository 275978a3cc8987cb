//! The job, step by step: what is said, what is typed, how it must end. The demo shows the steps,
//! the tests `upgrade_global`, `upgrade_workload` and `plugins` hold them.

use crate::packages::root;
use crate::shell::{Said, Shell};
use crate::site::Site;
use anyhow::{Context as _, Result, ensure};
use sandbox::Narrator;
use std::path::PathBuf;
use std::time::Duration;

/// How long a step may take.
const STEP_LIMIT: Duration = Duration::from_secs(600);

/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);

/// A step of the job.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// What it is for, to a person.
    pub title: &'static str,
    /// What is typed, from the folder of the package.
    pub command: &'static str,
    /// The code with which it must end.
    pub code: i32,
    /// What it must say.
    pub says: &'static [&'static str],
}

const fn step(
    title: &'static str,
    command: &'static str,
    code: i32,
    says: &'static [&'static str],
) -> Step {
    Step { title, command, code, says }
}

/// The step of [`STEPS`], counted from 1, with which the plugins begin, and then the workload
/// cluster.
pub const PLUGINS_BEGIN: usize = 13;

/// The job of an administrator who moves global from 4.2.1 to 4.3.0, and then the other cluster
/// with its plugins.
pub const STEPS: [Step; 20] = [
    step(
        "The platform is at 4.2.1; a user has customised the cluster's DNS",
        "cat \"$JOB/resource-patch.yaml\" && kubectl apply -f \"$JOB/resource-patch.yaml\" && kubectl wait --for=jsonpath='{.status.phase}'=Active resourcepatches/rp-coredns --timeout=60s && kubectl get cvsh -n cpaas-system",
        0,
        &["rp-coredns", "4.2.1"],
    ),
    step(
        "Before anything of the package of 4.3.0 runs, the installed release verifies it",
        "cd .. && \"$INSTALLED/bin/ac\" adm release verify acp-core-4.3.0",
        0,
        &["Trusted  the keys of the installed release", "The package holds."],
    ),
    step(
        "The artifacts of 4.3.0 go into the registry; nothing changes in the cluster",
        "bash upgrade.sh --only-sync-image",
        0,
        &["Registry: "],
    ),
    step(
        "May the cluster move? Not yet",
        "bash upgrade.sh --preflight",
        1,
        &["Summary", "Checks", "UnexemptResourcePatches", "rp-coredns"],
    ),
    step(
        "The customisation was reviewed and may travel to 4.3.0",
        "kubectl annotate resourcepatches rp-coredns \\\n  config.cpaas.io/exempt-for-ver=4.3.0 \\\n  --overwrite",
        0,
        &["annotated"],
    ),
    step("Now it may", "bash upgrade.sh --preflight", 0, &["Summary", "Exempted"]),
    step(
        "The operator of 4.3.0 is deployed and the release published",
        "bash upgrade.sh --skip-sync-image",
        0,
        &["v4.3.0"],
    ),
    step(
        "4.3.0 is offered",
        "kubectl -n cpaas-system wait --for=jsonpath='{.status.availableUpdates[0].version}'=4.3.0 cvsh/global --timeout=5s && ac adm upgrade --cluster=global",
        0,
        &["4.3.0 is available"],
    ),
    step(
        "The upgrade is asked for",
        "ac adm upgrade --cluster=global --to-latest",
        0,
        &["4.2.1 -> 4.3.0"],
    ),
    step(
        "And followed to its end",
        "ac adm upgrade status --cluster=global --watch --timeout=8m",
        0,
        &["4.3.0"],
    ),
    step(
        "What became of it",
        "ac adm upgrade status --cluster=global --verbose && kubectl get cvsh -n cpaas-system",
        0,
        &["Cluster global is at 4.3.0", "6 of 6 finished"],
    ),
    step(
        "The customisation is in force",
        "kubectl get resourcepatches && kubectl -n kube-system get deployment coredns -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}{\"\\n\"}'",
        0,
        &["Active", "200Mi"],
    ),
    step(
        "Two plugins come into the catalogue, each in two versions",
        "violet push \"$PLUGINS\" && violet list",
        0,
        &["In the catalogue after", "Pushed 4 packages", "4.3.0, 4.2.0"],
    ),
    step(
        "And are installed on the workload cluster, which is still at 4.2.1",
        "kubectl apply -f \"$JOB/plugins.yaml\" && kubectl wait --for=jsonpath='{.status.phase}'=Running moduleinfoes --all --timeout=120s && kubectl get moduleinfoes",
        0,
        &["workload-a-pages", "workload-a-node-metrics"],
    ),
    step(
        "A user customises one of them there",
        "KUBECONFIG=\"$WORKLOAD_A\" kubectl apply -f \"$JOB/pages-patch.yaml\" && KUBECONFIG=\"$WORKLOAD_A\" kubectl wait --for=jsonpath='{.status.phase}'=Active resourcepatches/rp-pages --timeout=60s",
        0,
        &["rp-pages"],
    ),
    step(
        "Global is there: the workload cluster may follow",
        "ac adm upgrade --cluster=workload-a --to-latest",
        0,
        &["4.2.1 -> 4.3.0"],
    ),
    step(
        "And is followed to its end",
        "ac adm upgrade status --cluster=workload-a --watch --timeout=8m",
        0,
        &["4.3.0"],
    ),
    step(
        "The Aligned plugin moved with its cluster, the Agnostic one stayed; now it is upgraded alone",
        "kubectl get moduleinfoes -o jsonpath='{range .items[*]}{.metadata.name} is at {.status.version}{\"\\n\"}{end}' && kubectl patch moduleinfo workload-a-pages --type merge -p '{\"spec\":{\"version\":\"1.1.0\"}}' && kubectl wait --for=jsonpath='{.status.version}'=1.1.0 moduleinfo/workload-a-pages --timeout=120s && kubectl wait --for=jsonpath='{.status.phase}'=Running moduleinfo/workload-a-pages --timeout=60s",
        0,
        &["workload-a-node-metrics is at 4.3.0", "workload-a-pages is at 1.0.0", "condition met"],
    ),
    step(
        "Both are removed, pages is installed again: its customisation is in force again",
        "kubectl delete moduleinfo workload-a-node-metrics workload-a-pages --timeout=120s \\\n&& kubectl apply -f \"$JOB/plugins.yaml\" -l cpaas.io/module-name=pages && kubectl wait --for=jsonpath='{.status.phase}'=Running moduleinfo/workload-a-pages --timeout=120s \\\n&& KUBECONFIG=\"$WORKLOAD_A\" kubectl -n cpaas-plugins get deployment pages -o jsonpath='{.spec.template.spec.containers[0].resources.limits.memory}{\"\\n\"}'",
        0,
        &["deleted", "128Mi"],
    ),
    step(
        "Every cluster is at its target",
        "ac get clusters && ac adm upgrade status --all-clusters",
        0,
        &["workload-a", "2 clusters: 2 at target"],
    ),
];

/// What a person at any shell types to look at the clusters, each with what it shows.
///
/// # Errors
/// When the clusters do not run.
pub fn look_around(site: &Site) -> Result<Vec<(String, &'static str)>> {
    let kubeconfig = site.sandbox.kubeconfig(api::names::GLOBAL)?;
    Ok(vec![
        (format!("export PATH={}:$PATH", site.sandbox.bin().display()), ""),
        (format!("export KUBECONFIG={}", kubeconfig.display()), ""),
        ("ac adm upgrade status --verbose".to_owned(), "what was done"),
        ("kubectl get apprelease -A".to_owned(), "what is installed"),
    ])
}

/// What the names in commands stand for.
fn places(site: &Site) -> Result<[(&'static str, PathBuf); 4]> {
    Ok([
        ("JOB", root().join("e2e/job")),
        ("INSTALLED", site.packages.old.clone()),
        ("PLUGINS", site.packages.plugins.clone()),
        ("WORKLOAD_A", site.sandbox.kubeconfig("workload-a")?),
    ])
}

/// A user's shell in which those names stand for them.
fn shell(site: &Site) -> Result<Shell> {
    let shell = site.shell()?;
    let with = |shell: Shell, (name, value): (&str, PathBuf)| {
        shell.with(name, &value.display().to_string())
    };
    Ok(places(site)?.into_iter().fold(shell, with))
}

/// Holds what is asked to its answers.
///
/// # Errors
/// When one is another.
pub async fn holds(site: &Site, asked: &[(&str, &str)]) -> Result<()> {
    for (script, expected) in asked {
        let said = shell(site)?.silent().run(script, ANSWER_LIMIT).await?.expect(0);
        let said = said.with_context(|| (*script).to_owned())?;
        let said = said.stdout.trim();
        ensure!(said == *expected, "'{said}', not '{expected}': {script}");
    }
    Ok(())
}

impl Step {
    /// Does the step and holds it to what it must come to.
    ///
    /// # Errors
    /// When it ends otherwise or does not say what it must.
    pub async fn run(&self, site: &Site) -> Result<Said> {
        let mut said = shell(site)?
            .run(self.command, STEP_LIMIT)
            .await?
            .expect(self.code)
            .with_context(|| self.command.to_owned())?;
        for part in self.says {
            said = said.containing(part).with_context(|| self.command.to_owned())?;
        }
        Ok(said)
    }

    /// Tells a person what comes.
    ///
    /// # Errors
    /// When the clusters do not run.
    pub fn announce(&self, number: usize, site: &Site, narrator: &Narrator) -> Result<()> {
        narrator.say("");
        narrator.say(&format!("== {number}. {}", self.title));
        let mut typed = self.command.to_owned();
        for (name, value) in places(site)? {
            typed = typed.replace(&format!("\"${name}"), &format!("\"{}", value.display()));
        }
        for (at, line) in typed.lines().enumerate() {
            narrator.say(&format!("{} {line}", if at == 0 { "$" } else { ">" }));
        }
        Ok(())
    }
}
