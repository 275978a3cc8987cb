//! The job of the documents on real clusters, done once for the tests that hold its parts: the
//! global cluster from 4.2.1 to 4.3.0, workload clusters that follow it, and the life of plugins.

use crate::late_image::late_image;
use crate::{documents, plugins, upgrade_global as global, upgrade_workload as workload};
use anyhow::{Context as _, Result, anyhow, ensure};
use e2e::audit;
use e2e::job::{PLUGINS_BEGIN, STEPS};
use e2e::packages::Packages;
use e2e::prober::Prober;
use e2e::site::{Site, test_options};
use e2e::turn::Turn;
use sandbox::{Narrator, Sandbox};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long two clusters may take to come up once their programs are built.
const UP_LIMIT: Duration = Duration::from_secs(90);

/// How long plugins and workload clusters may take after global.
const MORE_LIMIT: Duration = Duration::from_secs(300);

/// What became of it.
static DONE: OnceCell<Result<(), String>> = OnceCell::const_new();

/// Does the job, if no other test has; gives what became of it.
///
/// # Errors
/// When it failed.
pub(crate) async fn done() -> Result<()> {
    let done = async || on_new_clusters().await.map_err(|error| format!("{error:?}"));
    DONE.get_or_init(done).await.clone().map_err(|error| anyhow!(error))
}

async fn on_new_clusters() -> Result<()> {
    let _turn = Turn::with_a_core().await;
    let narrator = Narrator::stderr();
    let options = test_options(&["global", workload::A])?;
    // What an earlier run left, also one that was killed.
    Sandbox::new(options.clone(), Narrator::silent()).down().await?;
    let packages = Packages::build(&narrator).await?;
    let sandbox = Sandbox::new(options, narrator.clone());
    sandbox.build().await?;
    let began = Instant::now();
    sandbox.up().await?;
    let took = began.elapsed();
    narrator.say(&format!("both clusters are up after {} s", took.as_secs()));
    ensure!(took < UP_LIMIT, "both clusters took {took:?}");
    let all = test_options(&["global", workload::A, workload::B])?;
    let site = Site::up(all, packages, narrator.clone()).await?;
    let result = job(&site, &narrator).await;
    if result.is_ok() {
        site.sandbox.down().await?;
    }
    result
}

async fn job(site: &Site, narrator: &Narrator) -> Result<()> {
    let log = site.sandbox.audit_log(api::names::GLOBAL)?;
    for name in [workload::A, workload::B] {
        workload::registered(site, name).await?;
    }
    let moved = site.ask(global::MOVED).await?;
    let prober = Prober::start(site, &site.packages.programs.join("dns-prober"))?;
    let mut seen = Vec::new();
    let mut more = Instant::now();
    for (number, step) in STEPS.iter().enumerate() {
        if number + 1 == PLUGINS_BEGIN {
            more = Instant::now();
        }
        step.announce(number + 1, site, narrator)?;
        let (_, before) = audit::read(&log, u64::MAX)?;
        seen.push((step.command, step.run(site).await?));
        if step.command.contains("--only-sync-image") || step.command.contains("--preflight") {
            global::changes_nothing(&log, before).with_context(|| step.command.to_owned())?;
        }
        if step.command == workload::FOLLOWS {
            workload::one_leaves(site).await.context("a cluster that leaves")?;
        }
    }
    let more = more.elapsed();
    narrator.say(&format!("plugins and workload clusters: {} s", more.as_secs()));
    ensure!(more < MORE_LIMIT, "plugins and workload clusters took {more:?}");
    let answered = prober.all_answered().await.context("the cluster's DNS had a gap")?;
    narrator.say(&format!("cluster DNS: {answered} look-ups answered, 0 failed"));
    ensure!(answered > 500, "only {answered} look-ups were made");
    global::offered_in_time(&log)?;
    global::outcome(site, &moved).await?;
    workload::outcome(site).await?;
    plugins::outcome(site).await?;
    documents::show_what_was_said(&seen)?;
    documents::show_what_is_answered(site).await?;
    global::looks_around(site).await?;
    global::rights(&log, &site.packages.new)?;
    late_image(site).await.context("an image that comes late")
}
