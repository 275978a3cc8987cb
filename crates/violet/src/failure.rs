//! Why a run fails, and what the user does about it: a sentence, and hints with the next command.

mod hints;

pub(crate) use hints::registry;

use artifacts::plugin::PluginError;
use artifacts::registry::{GivenError, RegistryError};
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
    /// A file cannot be read or written.
    #[error("cannot {action} {path}")]
    File {
        /// `read` or `write`.
        action: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A plugin package is refused.
    #[error("{file} is refused")]
    Package {
        /// Which one.
        file: String,
        /// Why.
        source: PluginError,
    },
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
    /// The address of the command line cannot be used.
    #[error("--platform-address cannot be used: {reason}")]
    Address {
        /// Why.
        reason: String,
    },
    /// The API server did not do what it was asked for.
    #[error("cannot {action} at {server}")]
    Cluster {
        /// What it was asked for.
        action: String,
        /// Its address.
        server: String,
        /// The kubeconfig that was used; None where the command line names the address.
        kubeconfig: Option<String>,
        /// Why.
        source: CallError,
    },
    /// The registry did not do what it was asked for.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// Artifacts could not be sent.
    #[error("{failed} of {artifacts} artifacts could not be sent; nothing was published")]
    Incomplete {
        /// How many.
        failed: usize,
        /// Of how many.
        artifacts: usize,
    },
    /// Some packages of a folder could not be pushed.
    #[error("{} of {packages} packages could not be pushed: {}", failed.len(), api::text::names(failed))]
    Several {
        /// Their files.
        failed: Vec<String>,
        /// Of how many.
        packages: usize,
    },
    /// Output cannot be written.
    #[error("the output cannot be written")]
    Output(#[source] std::io::Error),
}

impl Failure {
    /// A refusal with one hint.
    pub(crate) fn refused(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Refused { message: message.into(), hints: vec![hint.into()] }
    }
}

fn shown(paths: &[PathBuf]) -> String {
    let names: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    names.join(", ")
}
