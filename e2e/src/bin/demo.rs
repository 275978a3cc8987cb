//! `make demo`: the job on real clusters, narrated; the clusters stay up.

use anyhow::Result;
use e2e::job::STEPS;
use e2e::packages::Packages;
use e2e::site::{Site, demo_options};
use sandbox::{Narrator, prerequisites};
use std::time::Instant;

#[tokio::main]
async fn main() -> Result<()> {
    // A demo is read from top to bottom: everything goes to one stream.
    #[expect(clippy::print_stdout, reason = "this program talks to a person")]
    let narrator = Narrator::new(|line| println!("{line}"));
    let started = Instant::now();
    let options = demo_options()?;
    let found = prerequisites::check(&options.cache).await;
    prerequisites::install(&found, &narrator).await?;
    narrator.say("== Building the core packages 4.2.1 and 4.3.0");
    let packages = Packages::build(&narrator).await?;
    narrator.say("== Bringing up the clusters global and workload-a, with Core 4.2.1");
    let site = Site::up(options, packages, narrator.clone()).await?;
    let version = site.ask("kubectl get prdb base -o jsonpath='{.status.version}'").await?;
    if version != "4.2.1" {
        narrator.say(&format!("The platform is at {version} already; to see the job again:"));
        narrator.say("  make sandbox-down && make demo");
        return Ok(());
    }
    for (number, step) in STEPS.iter().enumerate() {
        step.announce(number + 1, &narrator);
        step.run(&site).await?;
    }
    let kubeconfig = site.sandbox.kubeconfig(api::names::GLOBAL)?;
    narrator.say("");
    narrator.say(&format!("== Done in {} s. The clusters stay up:", started.elapsed().as_secs()));
    narrator.say(&format!("  export PATH={}:$PATH", site.sandbox.bin().display()));
    narrator.say(&format!("  export KUBECONFIG={}", kubeconfig.display()));
    narrator.say("  ac adm upgrade status --verbose        what was done");
    narrator.say("  kubectl get apprelease -A              what is installed");
    narrator.say("  cargo xtask sandbox status             every cluster and its kubeconfig");
    narrator.say("  make sandbox-down                      takes everything down");
    Ok(())
}
