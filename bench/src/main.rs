//! Compares the product, side by side in one run, with what a user would take instead. Decides
//! which work is compared; asserts no figure, but fails where a contestant is missing or wrong.

mod apply;
mod look;
mod measure;
mod push;
mod results;

use anyhow::{Context as _, Result};
use e2e::packages::{cache, root};
use e2e::t2::Bench;
use measure::say;
use sandbox::Narrator;
use sandbox::toolchain::{Tool, Toolchain};
use std::path::PathBuf;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Nothing else of this process installs one.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    match compare().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn compare() -> Result<()> {
    let toolchain = Toolchain::new(&cache()?, Narrator::stderr());
    let folder = root().join("target/bench");
    std::fs::create_dir_all(&folder)?;
    let registry = toolchain.build(&Tool::registry()).await?;
    let programs = std::env::var_os("ACP_PROGRAMS").map(PathBuf::from);
    let programs = programs.context("no programs to compare; run it with `make bench`")?;
    let mut rows = push::rows(&toolchain, &registry, &folder, &programs).await?;
    let helm = toolchain.build(&Tool::helm()).await?;
    say("a platform with a real API server");
    let bench = Bench::prepared().await?;
    rows.extend(apply::rows(&bench, &helm).await?);
    drop(bench);
    let bench = Bench::prepared().await?;
    rows.extend(look::rows(&bench).await?);
    drop(bench);
    let date = jiff::Zoned::now().date().to_string();
    results::write(&root().join("bench"), &rows, &machine()?, &date)?;
    println!("{}", results::table(&rows));
    println!("written to bench/RESULTS.md and bench/results.json");
    Ok(())
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
