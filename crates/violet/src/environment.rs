//! All that `violet` may know of the process it runs in.
//!
//! The only place that reads environment variables and the terminal, but for the variables that
//! stand for a flag.

use jiff::Timestamp;
use std::io::IsTerminal;
use std::path::PathBuf;

/// The kubeconfig of the administrator.
const KUBECONFIG: &str = "KUBECONFIG";

/// What a run may know of its process.
#[derive(Debug, Clone)]
pub struct Environment {
    /// The kubeconfig files, merged in this order.
    pub kubeconfig: Vec<PathBuf>,
    /// Whether progress may be drawn on standard error.
    pub is_terminal: bool,
    /// Where packages are unpacked.
    pub temporary: PathBuf,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let is_plain = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            kubeconfig: cluster::kubeconfig::files(set(KUBECONFIG)),
            is_terminal: std::io::stderr().is_terminal() && !is_plain,
            temporary: std::env::temp_dir(),
            now: Timestamp::now,
        }
    }
}
