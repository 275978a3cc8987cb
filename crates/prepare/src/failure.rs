//! Why a run fails, and what the user does about it: a sentence, and hints with the next command.

pub(crate) mod hints;

use artifacts::package::{PackageError, UntrustedError};
use artifacts::plugin::PluginError;
use artifacts::registry::{GivenError, RegistryError};
use artifacts::sync::{Missing, PlanError};
use cluster::CallError;
use cluster::platform::Undecided;
use std::path::PathBuf;

/// Exit status where the command line is wrong.
pub(crate) const USAGE: u8 = 64;

/// A run failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line is wrong.
    #[error("{message}")]
    Usage {
        /// What is wrong.
        message: String,
        /// What to write instead.
        hint: String,
    },
    /// What is asked for must not be done.
    #[error("{message}")]
    Refused {
        /// Why.
        message: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// Another run goes on.
    #[error("another upgrade.sh of this package runs on this host{}", of_holder(*holder))]
    Locked {
        /// Folder of the package.
        package: PathBuf,
        /// Its process.
        holder: Option<u32>,
    },
    /// No lock can be written.
    #[error("cannot lock the package with {path}")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not known where the package is.
    #[error("it is not known in which folder the package is")]
    NoPackage,
    /// The package is refused.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// The package is not trusted.
    #[error(transparent)]
    Untrusted(#[from] UntrustedError),
    /// A plugin package is refused.
    #[error("{file} is refused")]
    Plugin {
        /// Its path in the package.
        file: String,
        /// Why.
        source: PluginError,
    },
    /// The packages do not agree.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Account or certificates that the command line names cannot be read.
    #[error(transparent)]
    Given(#[from] GivenError),
    /// No registry is known.
    #[error(transparent)]
    Undecided(#[from] Undecided),
    /// No kubeconfig is there.
    #[error("no kubeconfig: {} not found; {need}", shown(paths))]
    NoKubeconfig {
        /// Where it was looked for.
        paths: Vec<PathBuf>,
        /// What it is needed for.
        need: &'static str,
    },
    /// A kubeconfig cannot be used.
    #[error("the kubeconfig {} cannot be used: {reason}", shown(paths))]
    Kubeconfig {
        /// Its files.
        paths: Vec<PathBuf>,
        /// Why; no text of theirs, which may be a token.
        reason: String,
    },
    /// The API server did not do what it was asked for.
    #[error("cannot {action} at {server}")]
    Cluster {
        /// What it was asked for.
        action: String,
        /// Its address.
        server: String,
        /// The kubeconfig that was used.
        kubeconfig: String,
        /// Why.
        source: CallError,
    },
    /// The registry did not do what it was asked for.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Artifacts could not be sent.
    #[error("{failed} of {artifacts} artifacts could not be synchronised; nothing was deployed")]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        artifacts: usize,
    },
    /// Artifacts are not in the registry.
    #[error("{} of {artifacts} artifacts are not in {registry}; nothing was published", missing.len())]
    Missing {
        /// Which ones.
        missing: Vec<Missing>,
        /// Of how many.
        artifacts: usize,
        /// Where they should be.
        registry: String,
    },
    /// Something did not come to pass in time.
    #[error("{what} within {seconds} s: {seen}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// What was seen last.
        seen: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// Output cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] std::io::Error),
}

fn of_holder(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

fn shown(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
