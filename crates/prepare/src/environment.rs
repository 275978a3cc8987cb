//! All that `upgrade.sh` may know of the process it runs in.
//!
//! The only place that reads environment variables, the terminal and the place of the program.

use jiff::Timestamp;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

/// The folder of the package, as `upgrade.sh` tells it.
const PACKAGE: &str = "ACP_PACKAGE";
/// Switches the sync off when it is `true`.
pub(crate) const SKIP_SYNC_IMAGE: &str = "SKIP_SYNC_IMAGE";
/// The kubeconfig of the administrator.
const KUBECONFIG: &str = "KUBECONFIG";

/// What a run may know of its process.
#[derive(Debug, Clone)]
pub struct Environment {
    /// Folder of the extracted package; none where it cannot be told.
    pub package: Option<PathBuf>,
    /// The kubeconfig files, merged in this order.
    pub kubeconfig: Vec<PathBuf>,
    /// `SKIP_SYNC_IMAGE`, where it is set.
    pub skip_sync_image: Option<OsString>,
    /// Whether progress may be drawn on standard error.
    pub is_terminal: bool,
    /// Where plugin packages are unpacked.
    pub temporary: PathBuf,
    /// Architecture of this machine, as Go names it.
    pub architecture: &'static str,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let of_program = || {
            let program = std::env::current_exe().ok()?;
            Some(program.parent()?.parent()?.to_owned())
        };
        let is_plain = set("TERM").is_some_and(|term| term == "dumb");
        Self {
            package: set(PACKAGE).map(PathBuf::from).or_else(of_program),
            kubeconfig: cluster::kubeconfig::files(set(KUBECONFIG)),
            skip_sync_image: set(SKIP_SYNC_IMAGE),
            is_terminal: std::io::stderr().is_terminal() && !is_plain,
            temporary: std::env::temp_dir(),
            architecture: architecture(),
            now: Timestamp::now,
        }
    }
}

/// As Go names it, for the package is named by it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
