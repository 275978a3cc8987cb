//! Compares the product, side by side in one run, with what a user would take instead. Decides
//! which work is compared; asserts no figure, but fails where a contestant is missing or wrong.

mod apply;
mod fleet;
mod install;
mod look;
mod measure;
mod push;
mod results;

use anyhow::{Context as _, Result, ensure};
use e2e::packages::{cache, root};
use e2e::t2::Bench;
use measure::say;
use results::Row;
use sandbox::Narrator;
use sandbox::toolchain::{Tool, Toolchain};
use std::path::PathBuf;
use std::process::ExitCode;

/// The works that are compared, in their order.
const WORKS: [&str; 6] = ["push", "plugin-push", "apply", "look", "plugin-install", "fleet"];

#[tokio::main]
async fn main() -> ExitCode {
    // Nothing else of this process installs one.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    match compare(&wanted).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Compares all works, or those that are named: then nothing is written down.
async fn compare(wanted: &[String]) -> Result<()> {
    for name in wanted {
        ensure!(WORKS.contains(&name.as_str()), "no work {name}; there are: {}", WORKS.join(", "));
    }
    let site = Site::prepare().await?;
    let mut rows = Vec::new();
    for work in WORKS {
        if wanted.is_empty() || wanted.iter().any(|name| name == work) {
            say(&format!("== {work}"));
            rows.extend(site.rows(work).await.context(work)?);
        }
    }
    println!("{}", results::table(&rows));
    if !wanted.is_empty() {
        println!("not written: only some works were compared");
        return Ok(());
    }
    let date = jiff::Zoned::now().date().to_string();
    results::write(&root().join("bench"), &rows, &machine()?, &date)?;
    println!("written to bench/RESULTS.md and bench/results.json");
    Ok(())
}

/// What the works are done with.
struct Site {
    toolchain: Toolchain,
    /// For what stays from run to run.
    folder: PathBuf,
    registry: PathBuf,
    helm: PathBuf,
    /// Where our programs are.
    programs: PathBuf,
}

impl Site {
    async fn prepare() -> Result<Self> {
        let toolchain = Toolchain::new(&cache()?, Narrator::stderr());
        let folder = root().join("target/bench");
        std::fs::create_dir_all(&folder)?;
        let programs = std::env::var_os("ACP_PROGRAMS").map(PathBuf::from);
        let programs = programs.context("no programs to compare; run it with `make bench`")?;
        let registry = toolchain.build(&Tool::registry()).await?;
        let helm = toolchain.build(&Tool::helm()).await?;
        Ok(Self { toolchain, folder, registry, helm, programs })
    }

    async fn rows(&self, work: &'static str) -> Result<Vec<Row>> {
        let Self { toolchain, folder, registry, helm, programs } = self;
        match work {
            "push" => push::rows(toolchain, registry, folder, programs).await,
            "plugin-push" => push::plugin::rows(toolchain, registry, folder, programs).await,
            "apply" => apply::rows(&Bench::prepared().await?, helm).await,
            "look" => look::rows(&Bench::prepared().await?, toolchain).await,
            "plugin-install" => install::rows(helm).await,
            "fleet" => fleet::rows().await,
            other => anyhow::bail!("no work {other}"),
        }
    }
}

/// What the figures were taken on.
fn machine() -> Result<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, name)| name);
    let cores = std::thread::available_parallelism()?;
    let memory = std::fs::read_to_string("/proc/meminfo")?;
    let kib = memory.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().split_once(' '));
    let gib = kib.map_or(Ok(0), |(kib, _)| kib.parse::<u64>())? / 1024 / 1024;
    Ok(format!("{cores} cores of {model}, {gib} GiB"))
}
