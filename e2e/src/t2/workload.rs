//! Workload clusters of the platform under test: each has an API server of its own.

use super::{Bench, node};
use anyhow::Result;
use sandbox::ControlPlane;
use std::time::Duration;

/// Where the Clusters are.
pub const CLUSTERS: &str = "/apis/platform.tkestack.io/v1/clusters";
/// Where the ClusterCredentials are.
pub const CREDENTIALS: &str = "/apis/platform.tkestack.io/v1/clustercredentials";
/// Where the ClusterModules are.
pub const MODULES: &str = "/apis/cluster.alauda.io/v1alpha2/clustermodules";
/// How long one answer may take.
const LIMIT: Duration = Duration::from_secs(30);

impl Bench {
    /// A cluster with an API server of its own joins the platform.
    ///
    /// # Errors
    /// When it does not start or cannot be registered.
    pub async fn joins(&self, name: &str) -> Result<ControlPlane> {
        let folder = self.folder().join(name);
        let plane = ControlPlane::start(&folder, self.plane.programs().clone()).await?;
        self.register(name, &plane).await?;
        Ok(plane)
    }

    /// The same, but for the etcd: its objects are kept in that of the platform, under a prefix of
    /// their own.
    ///
    /// # Errors
    /// When it does not start or cannot be registered.
    pub async fn joins_beside(&self, name: &str) -> Result<ControlPlane> {
        let folder = self.folder().join(name);
        let plane = self.plane.start_beside(&folder, &format!("/registry-{name}")).await?;
        self.register(name, &plane).await?;
        Ok(plane)
    }

    /// A cluster leaves the platform; what is kept of it goes a moment later.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn leaves(&self, name: &str) -> Result<()> {
        // What the platform keeps of it goes with the first.
        for collection in [CLUSTERS, CREDENTIALS, MODULES] {
            let delete = self.client.delete(format!("{}{collection}/{name}", self.plane.url()));
            let answer = delete.bearer_auth(self.plane.token()).timeout(LIMIT).send().await?;
            // Read to its end: then the next one comes over the same connection.
            answer.error_for_status()?.bytes().await?;
        }
        Ok(())
    }

    async fn register(&self, name: &str, plane: &ControlPlane) -> Result<()> {
        node::make(plane).await?;
        self.plane.seed_platform(&self.registry, vec![plane.registered(name)]).await
    }
}
