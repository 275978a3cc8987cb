//! Decides how the sandbox is called from the command line. What a sandbox is, and how it comes up
//! and goes away, is in `crates/sandbox`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use sandbox::toolchain::KubernetesVersion;
use sandbox::{Narrator, Options, Sandbox, default_cache, prerequisites};
use xtask::package::{Form, PackageBuilder, Programs};

/// The release that a platform of the sandbox has.
const INSTALLED: &str = "4.2.1";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Brings up what is not up; safe to run twice.
    Up {
        /// The clusters, separated by commas.
        #[arg(long, value_delimiter = ',', value_name = "NAMES")]
        clusters: Option<Vec<String>>,
        /// What they run: 1.33.13 or 1.34.2.
        #[arg(long, value_name = "VERSION")]
        kubernetes: Option<KubernetesVersion>,
        /// Leaves Core 4.2.1 away: a platform on which nothing is installed yet.
        #[arg(long)]
        bare: bool,
    },
    /// Ends and removes everything; safe to run twice.
    Down,
    /// Says how everything stands.
    Status {
        /// For a program.
        #[arg(long)]
        json: bool,
    },
    /// Prints the path of a cluster's kubeconfig.
    Kubeconfig {
        /// The cluster.
        name: String,
    },
    /// Says in one line each what this machine has and lacks; changes nothing.
    Doctor,
}

/// Runs one verb.
pub(crate) async fn run(root: &Path, arguments: Arguments) -> Result<()> {
    let cache = cache()?;
    let mut options = Options::new(&cache);
    match arguments.verb {
        Verb::Up { clusters, kubernetes, bare } => {
            options.clusters = clusters.unwrap_or(options.clusters);
            options.kubernetes = kubernetes.unwrap_or_default();
            prepare_machine().await?;
            let sandbox = Sandbox::new(options, Narrator::stderr());
            sandbox.up().await?;
            if !bare {
                core(root, &cache, &sandbox).await?;
            }
            print!("{}", sandbox.status().await?);
        }
        Verb::Down => Sandbox::new(options, Narrator::stderr()).down().await?,
        Verb::Status { json } => {
            let status = Sandbox::new(options, Narrator::stderr()).status().await?;
            if json {
                println!("{}", serde_json::to_string_pretty(&status)?);
            } else {
                print!("{status}");
            }
        }
        Verb::Kubeconfig { name } => {
            let kubeconfig = Sandbox::new(options, Narrator::stderr()).kubeconfig(&name)?;
            println!("{}", kubeconfig.display());
        }
        Verb::Doctor => {
            let found = prerequisites::check(&cache).await;
            for finding in &found {
                println!("{finding}");
            }
            prerequisites::require(&found)?;
        }
    }
    Ok(())
}

/// Installs what the distribution has and the clusters and tests need.
pub(crate) async fn prepare_machine() -> Result<()> {
    let found = prerequisites::check(&cache()?).await;
    prerequisites::install(&found, &Narrator::stderr()).await
}

/// Core as the platform has it before the job: installed by the product from its own package.
async fn core(root: &Path, cache: &Path, sandbox: &Sandbox) -> Result<()> {
    let narrator = Narrator::stderr();
    let programs = Programs::build(root, &narrator).await?;
    sandbox.add_program("ac", &programs.ac)?;
    let builder = PackageBuilder::new(root, cache, programs, narrator.clone()).await?;
    let form = Form { archive: false, folder: true };
    let release = root.join("release").join(INSTALLED);
    let package = builder.build(&release, &root.join("target/packages"), form).await?;
    let folder = package.folder.context("the package was not extracted")?;
    sandbox::core::install(sandbox, &folder, &narrator).await
}

fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name);
    default_cache(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref())
}
