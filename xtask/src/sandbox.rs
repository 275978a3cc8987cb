//! Decides how the sandbox is called from the command line. What a sandbox is, and how it comes up
//! and goes away, is in `crates/sandbox`.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use clap::Subcommand;
use sandbox::toolchain::KubernetesVersion;
use sandbox::{Narrator, Options, Sandbox, default_cache, prerequisites};
use xtask::package::{Form, PackageBuilder, Programs};

/// The release that a platform of the sandbox has: the one that such clusters are created with.
const fn installed(kubernetes: KubernetesVersion) -> &'static str {
    match kubernetes {
        KubernetesVersion::V1_33 => "4.2.1",
        KubernetesVersion::V1_34 => "4.3.0",
    }
}

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
        /// Leaves Core away: a platform on which nothing is installed yet. Otherwise it is 4.2.1,
        /// on Kubernetes 1.34.2 it is 4.3.0.
        #[arg(long)]
        bare: bool,
    },
    /// Ends and removes everything; safe to run twice.
    Down {
        /// What a test run that died left behind, instead.
        #[arg(long)]
        tests: bool,
    },
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
            let kubernetes = kubernetes.unwrap_or_default();
            options.kubernetes = kubernetes;
            prepare_machine().await?;
            let sandbox = Sandbox::new(options, Narrator::stderr());
            sandbox.up().await?;
            if !bare {
                core(root, &cache, &sandbox, installed(kubernetes)).await?;
            }
            print!("{}", sandbox.status().await?);
        }
        Verb::Down { tests: true } => remove_remains().await?,
        Verb::Down { tests: false } => {
            Sandbox::new(options, Narrator::stderr()).down().await?;
            println!(
                "Everything of the sandbox is down. What was built stays in {}.",
                cache.display()
            );
        }
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

/// Takes down what tests left that were killed: it would be in the way of the next.
pub(crate) async fn remove_remains() -> Result<()> {
    for options in Options::of_tests(&cache()?) {
        let sandbox = Sandbox::new(options, Narrator::stderr());
        if sandbox.is_there() {
            sandbox.down().await?;
        }
    }
    Ok(())
}

/// Core as the platform has it before the job: installed by the product from its own package.
async fn core(root: &Path, cache: &Path, sandbox: &Sandbox, version: &str) -> Result<()> {
    let narrator = Narrator::stderr();
    let programs = Programs::build(root, &narrator).await?;
    sandbox.add_programs(programs.ac.parent().context("ac stands in no folder")?)?;
    let builder = PackageBuilder::new(root, cache, programs, narrator.clone()).await?;
    let form = Form { archive: false, folder: true };
    let release = root.join("release").join(version);
    let package = builder.build(&release, &root.join("target/packages"), form).await?;
    let folder = package.folder.context("the package was not extracted")?;
    sandbox::core::install(sandbox, &folder, &narrator).await
}

/// The folder for all that is kept between runs.
pub(crate) fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name);
    default_cache(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref())
}
