//! `make demo`: the job on real clusters, narrated; the clusters stay up.

use anyhow::{Context as _, Result};
use e2e::job::{STEPS, look_around};
use e2e::packages::Packages;
use e2e::site::{Site, demo_options};
use sandbox::Narrator;
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<()> {
    // A demo is read from top to bottom: everything goes to one stream.
    #[expect(clippy::print_stdout, reason = "this program talks to a person")]
    let narrator = Narrator::new(|line| println!("{line}"));
    let started = Instant::now();
    let options = demo_options()?;
    narrator.say("== Building the core packages 4.2.1 and 4.3.0");
    let packages = Packages::build(&narrator).await?;
    narrator.say("== Bringing up the clusters global and workload-a");
    let site = Site::up(options, packages, narrator.clone()).await?;
    let version = site.ask("kubectl get prdb base -o jsonpath='{.status.version}'").await?;
    if version != "4.2.1" {
        narrator.say(&format!("The platform is at {version} already; to see the job again:"));
        narrator.say("  make sandbox-down && make demo");
        return Ok(());
    }
    narrator.say("");
    narrator.say("== The commands are typed in the folder of the package that comes:");
    narrator.say(&format!("$ cd {}", site.packages.new.display()));
    for (number, step) in STEPS.iter().enumerate() {
        step.announce(number + 1, &site, &narrator)?;
        step.run(&site).await.context("to begin anew: make sandbox-down && make demo")?;
    }
    narrator.say("");
    narrator.say(&format!("== Done in {} s. The clusters stay up:", started.elapsed().as_secs()));
    for (command, what) in look_around(&site)? {
        narrator.say(format!("  {command:<38} {what}").trim_end());
    }
    narrator.say("  cargo xtask sandbox status             every cluster and its kubeconfig");
    narrator.say("  make sandbox-down                      takes everything down");
    Ok(())
}
