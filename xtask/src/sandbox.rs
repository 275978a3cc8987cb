//! Decides how the sandbox is called from the command line. What a sandbox is, and how it comes up
//! and goes away, is in `crates/sandbox`.

use std::path::PathBuf;

use anyhow::Result;
use clap::Subcommand;
use sandbox::toolchain::KubernetesVersion;
use sandbox::{Narrator, Options, Sandbox, default_cache, prerequisites};

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
pub(crate) async fn run(arguments: Arguments) -> Result<()> {
    let cache = cache()?;
    let mut options = Options::new(&cache);
    match arguments.verb {
        Verb::Up { clusters, kubernetes } => {
            options.clusters = clusters.unwrap_or(options.clusters);
            options.kubernetes = kubernetes.unwrap_or_default();
            let found = prerequisites::check(&cache).await;
            prerequisites::install(&found, &Narrator::stderr()).await?;
            print!("{}", Sandbox::new(options, Narrator::stderr()).up().await?);
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

fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name);
    default_cache(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref())
}
