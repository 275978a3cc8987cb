//! Decides how the state of a sandbox is shown to a person and to a program.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// How a sandbox stands.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The folder that holds everything.
    pub folder: PathBuf,
    /// The folder to put on PATH.
    pub bin: PathBuf,
    /// Where the platform registry is.
    pub registry: String,
    /// Whether it runs.
    pub registry_running: bool,
    /// The clusters.
    pub clusters: Vec<ClusterStatus>,
}

/// How one cluster stands.
#[derive(Clone, Debug, Serialize)]
pub struct ClusterStatus {
    /// Its name.
    pub name: String,
    /// What it runs.
    pub kubernetes: String,
    /// Its API server.
    pub address: String,
    /// The administrator's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Whether it runs.
    pub running: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.clusters.is_empty() {
            return writeln!(formatter, "No sandbox is up.");
        }
        let said = |running| if running { "running" } else { "down" };
        for cluster in &self.clusters {
            let ClusterStatus { name, kubernetes, address, running, .. } = cluster;
            writeln!(formatter, "{name:<12} {:<8} {kubernetes:<9} {address}", said(*running))?;
            writeln!(formatter, "{:12} export KUBECONFIG={}", "", cluster.kubeconfig.display())?;
        }
        writeln!(
            formatter,
            "{:<12} {:<8} https://{}",
            "registry",
            said(self.registry_running),
            self.registry
        )?;
        writeln!(formatter, "{:<12} export PATH={}:$PATH", "programs", self.bin.display())
    }
}
