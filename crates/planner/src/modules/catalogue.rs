//! What is said of the plugins of the catalogue: their versions, and where they are installed.

use super::world::{ConfigFacts, InfoFacts};
use api::component_version::order;
use api::objects::{InstalledModule, ModulePluginStatus, PublishedVersion};
use std::cmp::Ordering;

/// A ModuleInfo with the cluster that its label names.
#[derive(Debug, Clone, PartialEq)]
pub struct Catalogued {
    /// The cluster.
    pub cluster: String,
    /// The ModuleInfo.
    pub info: InfoFacts,
}

/// The status of the ModulePlugin of this name.
#[must_use]
pub fn catalogue(
    module: &str,
    configs: &[ConfigFacts],
    installed: &[Catalogued],
) -> ModulePluginStatus {
    let mut versions: Vec<&ConfigFacts> = configs.iter().filter(|c| c.module == module).collect();
    let by_version = |a: &&ConfigFacts, b: &&ConfigFacts| {
        let order = order(&b.spec.version, &a.spec.version).unwrap_or(Ordering::Equal);
        order.then_with(|| a.name.cmp(&b.name))
    };
    versions.sort_by(by_version);
    let mut installed: Vec<InstalledModule> = installed
        .iter()
        .filter(|one| one.info.module == module)
        .map(|Catalogued { cluster, info }| InstalledModule {
            cluster: cluster.clone(),
            name: info.name.clone(),
            phase: info.status.phase.clone(),
            version: info.status.version.clone(),
        })
        .collect();
    installed.sort_by(|a, b| (&a.cluster, &a.name).cmp(&(&b.cluster, &b.name)));
    let latest = versions.iter().find(|config| config.ready);
    ModulePluginStatus {
        latest_version: latest.map(|c| c.spec.version.clone()).unwrap_or_default(),
        installed,
        module_configs: versions
            .into_iter()
            .map(|config| PublishedVersion {
                name: config.name.clone(),
                version: config.spec.version.clone(),
                ready_for_deploy: config.ready,
                target_cluster_versions: config.spec.target_cluster_versions.clone(),
                affinity: config.spec.affinity.clone(),
            })
            .collect(),
    }
}
