//! What the clusters of a fleet themselves tell: at what each component is, and how much was
//! written.

use super::{Cluster, Fate, Fleet, Server};
use anyhow::{Result, ensure};
use api::names::FIELD_MANAGER;
use e2e::audit;
use e2e::t2::text;
use sandbox::process::run;
use serde_json::Value;
use std::time::Duration;

/// Where the AppReleases are on each cluster.
const RECORDS: &str = "/apis/operator.alauda.io/v1alpha1/appreleases";
/// Components of a release that workload clusters have.
const COMPONENTS: usize = 5;
/// How long one command may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How far the clusters wrote, to be compared with later.
pub(in crate::fleet) struct Written(Vec<u64>);

impl Cluster {
    async fn records(&self) -> Result<Vec<Value>> {
        let plane = match &self.server {
            Server::Fake(server) => return server.list(RECORDS),
            Server::Real(plane) => plane,
        };
        let text = run(plane.kubectl().args(["get", "--raw", RECORDS]), LIMIT).await?;
        let list: Value = serde_json::from_str(&text)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }
}

impl Fleet<'_> {
    /// Every healthy cluster has each component at `new`; those that are dead have `old`.
    ///
    /// # Errors
    /// When it is otherwise: then something else was measured.
    pub(in crate::fleet) async fn holds(&self, old: &str, new: &str) -> Result<()> {
        for cluster in &self.clusters {
            let expected = match cluster.fate {
                Fate::Healthy => new,
                Fate::Dead => old,
                Fate::Slow => continue,
            };
            let records = cluster.records().await?;
            let is_so = |record: &&Value| {
                text(record, "/status/release") == expected
                    && text(record, "/status/phase") == "Ready"
            };
            let (ready, all) = (records.iter().filter(is_so).count(), records.len());
            ensure!(
                ready == all && all == COMPONENTS,
                "{}: {ready} of {all} components are Ready at {expected}, not {COMPONENTS}",
                cluster.name
            );
        }
        Ok(())
    }

    /// How far each cluster wrote until now.
    ///
    /// # Errors
    /// When an audit log cannot be read.
    pub(in crate::fleet) fn written(&self) -> Result<Written> {
        let of = |cluster: &Cluster| {
            anyhow::Ok(match &cluster.server {
                Server::Fake(server) => u64::try_from(server.changes())?,
                Server::Real(plane) => std::fs::metadata(plane.audit_log())?.len(),
            })
        };
        Ok(Written(self.clusters.iter().map(of).collect::<Result<_>>()?))
    }

    /// How many changes the operator has asked the clusters for since then.
    ///
    /// # Errors
    /// When an audit log cannot be read.
    pub(in crate::fleet) fn written_since(&self, before: &Written) -> Result<u64> {
        let mut changes = 0;
        for (cluster, from) in self.clusters.iter().zip(&before.0) {
            changes += match &cluster.server {
                Server::Fake(server) => u64::try_from(server.changes())? - from,
                Server::Real(plane) => {
                    let (requests, _) = audit::read(&plane.audit_log(), *from)?;
                    // Others of the cluster come with the same token.
                    let is_ours = |r: &&audit::Request| r.uri.contains(FIELD_MANAGER);
                    let ours = requests.iter().filter(|r| r.is_change()).filter(is_ours);
                    u64::try_from(ours.count())?
                }
            };
        }
        Ok(changes)
    }
}
