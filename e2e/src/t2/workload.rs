//! Workload clusters of the platform under test: each has an API server of its own.

use super::{Bench, node};
use anyhow::Result;
use sandbox::ControlPlane;

impl Bench {
    /// A cluster with an API server of its own joins the platform.
    ///
    /// # Errors
    /// When it does not start or cannot be registered.
    pub async fn joins(&self, name: &str) -> Result<ControlPlane> {
        let folder = self.folder().join(name);
        let plane = ControlPlane::start(&folder, self.plane.programs().clone()).await?;
        node::make(&plane).await?;
        self.plane.seed_platform(&self.registry, vec![plane.registered(name)]).await?;
        Ok(plane)
    }
}
