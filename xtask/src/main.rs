//! Decides nothing itself: names the project's own commands and hands each to its file.

mod ci;
mod codegen;
mod sandbox;
mod tidy;
mod times;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};
use xtask::package;

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
    /// Builds the core package of a release.
    Package(package::Arguments),
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
            ci::run(&root, &arguments)
        }
        Verb::Tidy => tidy::run(&root),
        Verb::Codegen(arguments) => codegen::run(&root, &arguments),
        Verb::Demo => demo(&root),
        Verb::Package(arguments) => package::run(&root, &arguments).await,
        Verb::Sandbox(arguments) => sandbox::run(&root, arguments).await,
    }
}

/// The demo is a program of the end-to-end tests: they do the same job.
fn demo(root: &Path) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = ["run", "--quiet", "--locked", "-p", "e2e", "--bin", "demo"];
    let status = Command::new(cargo).args(run).current_dir(root).status().context("start cargo")?;
    ensure!(status.success(), "the demo did not come to its end");
    Ok(())
}

/// The folder of the project.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
