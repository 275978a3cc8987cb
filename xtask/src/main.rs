//! Decides nothing itself: names the project's own commands and hands each to its file.

mod ci;
mod codegen;
mod long;
mod sandbox;
mod tidy;
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use xtask::{package, plugin_package};

/// The project's own commands.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Runs everything that must hold: format, lints, tidy, generated files, tests, real clusters.
    #[command(visible_alias = "ci")]
    Test(ci::Arguments),
    /// Checks the rules of STYLE.md and ARCHITECTURE.md.
    Tidy,
    /// Writes what is generated: CRDs and the reference.
    Codegen(codegen::Arguments),
    /// Shows the job of the documents, from 4.2.1 to 4.3.0, on real clusters that stay up.
    Demo,
    /// Compares the product with what a user would take instead; writes bench/RESULTS.md.
    Bench {
        /// Only these works; then nothing is written.
        works: Vec<String>,
    },
    /// Runs the tests of faults at their full size, hours; writes bench/RESULTS.md.
    Soak {
        /// Only these parts.
        parts: Vec<String>,
    },
    /// Builds the core package of a release.
    Package(package::Arguments),
    /// Builds the packages of a plugin, one a version.
    PluginPackage(plugin_package::Arguments),
    /// Real clusters on this machine, to try things on.
    Sandbox(sandbox::Arguments),
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().verb).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(verb: Verb) -> Result<()> {
    let root = root();
    match verb {
        Verb::Test(arguments) => {
            sandbox::prepare_machine().await?;
            sandbox::remove_remains().await?;
            ci::run(&root, &arguments)
        }
        Verb::Tidy => tidy::run(&root),
        Verb::Codegen(arguments) => codegen::run(&root, &arguments),
        Verb::Demo => {
            sandbox::prepare_machine().await?;
            demo(&root)
        }
        Verb::Bench { works } => {
            sandbox::prepare_machine().await?;
            long::bench(&root, &works)
        }
        Verb::Soak { parts } => {
            sandbox::prepare_machine().await?;
            long::soak(&root, &parts)
        }
        Verb::Package(arguments) => package::run(&root, &arguments).await,
        Verb::PluginPackage(arguments) => plugin_package::run(&root, &arguments).await,
        Verb::Sandbox(arguments) => sandbox::run(&root, arguments).await,
    }
}

/// The demo is a program of the end-to-end tests: they do the same job.
fn demo(root: &Path) -> Result<()> {
    let run = ["run", "--locked", "-p", "e2e", "--bin", "demo"];
    let status = xtask::cargo::cargo(root, run).status().context("start cargo")?;
    ensure!(status.success(), "the demo did not come to its end");
    Ok(())
}

/// The folder of the project.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
