//! Decides nothing itself: names the project's own commands and hands each to its file.

mod ci;
mod codegen;
mod sandbox;
mod tidy;
mod times;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
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
        Verb::Test(arguments) => ci::run(&root, &arguments),
        Verb::Tidy => tidy::run(&root),
        Verb::Codegen(arguments) => codegen::run(&root, &arguments),
        Verb::Package(arguments) => package::run(&root, &arguments).await,
        Verb::Sandbox(arguments) => sandbox::run(arguments).await,
    }
}

/// The folder of the project.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}
