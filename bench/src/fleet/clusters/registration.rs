//! How a fake server becomes a cluster of the platform.

use anyhow::Result;
use api::names::{ADVERTISE, RUNNING};
use api::{ClusterModuleBase, ClusterModuleStatus};
use e2e::fake::Model;
use e2e::t2::{Bench, CLUSTERS, CREDENTIALS, MODULES};
use serde_json::json;

/// Registers the server at this port of 127.0.0.1.
///
/// # Errors
/// When an object is refused.
pub(super) async fn register(bench: &Bench, model: &Model, name: &str, port: u16) -> Result<()> {
    let metadata = json!({ "name": name });
    let credential = json!({
        "apiVersion": "platform.tkestack.io/v1", "kind": "ClusterCredential",
        "metadata": metadata, "clusterName": name, "tenantID": "default",
        "caCert": model.authority(), "token": "of-a-fake",
    });
    bench.create(CREDENTIALS, &credential).await?;
    let module = json!({
        "apiVersion": "cluster.alauda.io/v1alpha2", "kind": "ClusterModule",
        "metadata": metadata, "spec": {},
    });
    bench.create(MODULES, &module).await?;
    let base = Some(ClusterModuleBase::default());
    let status = ClusterModuleStatus { base, ..ClusterModuleStatus::default() };
    bench.merge(&format!("{MODULES}/{name}/status"), &json!({ "status": status })).await?;
    let cluster = json!({
        "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster", "metadata": metadata,
        "spec": {
            "type": "Baremetal", "tenantID": "default", "version": "1.33.13",
            "clusterCredentialRef": metadata,
        },
    });
    bench.create(CLUSTERS, &cluster).await?;
    let address = json!({ "type": ADVERTISE, "host": "127.0.0.1", "port": port });
    let status = json!({ "phase": RUNNING, "dnsIP": "10.96.0.10", "addresses": [address] });
    bench.merge(&format!("{CLUSTERS}/{name}/status"), &json!({ "status": status })).await?;
    Ok(())
}
