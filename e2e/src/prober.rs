//! Watches the cluster's DNS from the console of a node while something else is done.

use crate::site::Site;
use anyhow::{Context as _, Result, ensure};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The DNS service of a cluster and a name that it must know.
const QUESTION: [&str; 2] = ["10.96.0.10:53", "kubernetes.default.svc.cluster.local"];
/// After its input ended, the prober waits for one more answer at most.
const END: Duration = Duration::from_secs(10);

/// A prober that runs.
#[derive(Debug)]
pub struct Prober {
    child: tokio::process::Child,
}

impl Prober {
    /// Starts to ask on the node of global.
    ///
    /// # Errors
    /// When the prober cannot be run.
    pub fn start(site: &Site, program: &Path) -> Result<Self> {
        let program = program.to_str().context("a path that is not UTF-8")?;
        let mut command = site.sandbox.on_node(api::names::GLOBAL, program)?;
        command.args(QUESTION).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Self { child: command.kill_on_drop(true).spawn().context("the prober cannot be run")? })
    }

    /// Ends the questions: every one must have been answered.
    ///
    /// # Errors
    /// With what the prober said, if an answer did not come.
    pub async fn all_answered(mut self) -> Result<u32> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(END, self.child.wait_with_output());
        let output = ended.await.context("the prober did not end")??;
        let said = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        let (answered, failed) =
            said.trim().split_once(" answered, ").context("the prober said nothing")?;
        ensure!(failed == "0 failed", "{said}: {errors}");
        Ok(answered.parse()?)
    }
}
