//! What was seen of the plugins of one cluster in one round.

use super::path::Published;
use crate::snapshot::{AppReleaseFacts, Observed, ResourcePatchFacts};
use api::Lifecycle;
use api::objects::{
    ClusterVersionShadowStatus, ModuleConfigSpec, ModuleInfoSpec, ModuleInfoStatus, Phase,
};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that a round about the plugins of a cluster knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct World {
    /// When it was looked at.
    pub now: Timestamp,
    /// Name of the cluster.
    pub cluster: String,
    /// Labels of its Cluster; the inner None: no such cluster is registered.
    pub labels: Observed<Option<BTreeMap<String, String>>>,
    /// What its ClusterVersionShadow says.
    pub status: ClusterVersionShadowStatus,
    /// The ModuleInfos of the cluster.
    pub infos: Vec<InfoFacts>,
    /// The catalogue.
    pub configs: Observed<Vec<ConfigFacts>>,
    /// The registry that Pods pull from.
    pub registry: Observed<String>,
    /// What is installed on the cluster, by name of the AppRelease.
    pub app_releases: Observed<BTreeMap<String, AppReleaseFacts>>,
    /// The customisations on the cluster.
    pub resource_patches: Observed<Vec<ResourcePatchFacts>>,
    /// By ModuleInfo that is being deleted: objects for whose sake it must stay.
    pub standing: BTreeMap<String, Observed<Vec<String>>>,
}

/// What is read of a ModuleInfo.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct InfoFacts {
    /// metadata.name.
    pub name: String,
    /// Its plugin; empty where the label is missing.
    pub module: String,
    /// metadata.resourceVersion: what is said of it is said of this one.
    pub resource_version: Option<String>,
    /// metadata.generation.
    pub generation: Option<i64>,
    /// metadata.creationTimestamp.
    pub created: Option<Timestamp>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it carries our finalizer.
    pub held: bool,
    /// The version whose risk was accepted; empty: none.
    pub accepted_risk: String,
    /// spec.
    pub spec: ModuleInfoSpec,
    /// status.
    pub status: ModuleInfoStatus,
}

/// What is read of a ModuleConfig.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConfigFacts {
    /// metadata.name.
    pub name: String,
    /// Its plugin.
    pub module: String,
    /// Core, Aligned or Agnostic.
    pub lifecycle: LifecycleFact,
    /// spec.
    pub spec: ModuleConfigSpec,
    /// metadata.generation.
    pub generation: Option<i64>,
    /// Whether its status is about what its spec says now.
    pub is_observed: bool,
    /// status.readyForDeploy.
    pub ready: bool,
    /// Why it is not ready.
    pub message: String,
}

/// The lifecycle of a plugin; without its label a plugin is Agnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LifecycleFact(pub Lifecycle);

impl Default for LifecycleFact {
    fn default() -> Self {
        Self(Lifecycle::Agnostic)
    }
}

impl World {
    /// The catalogue, as far as it was read.
    #[must_use]
    pub fn catalogue(&self) -> &[ConfigFacts] {
        self.configs.value().map_or(&[], Vec::as_slice)
    }

    /// The published version of a plugin.
    #[must_use]
    pub fn config(&self, module: &str, version: &str) -> Option<&ConfigFacts> {
        self.catalogue().iter().find(|c| c.module == module && c.spec.version == version)
    }

    /// The versions of a plugin.
    pub fn versions_of<'a>(&'a self, module: &'a str) -> impl Iterator<Item = &'a ConfigFacts> {
        self.catalogue().iter().filter(move |c| c.module == module)
    }

    /// The ModuleInfo of a plugin that counts: a second one of the same plugin does not.
    #[must_use]
    pub fn info_of(&self, module: &str) -> Option<&InfoFacts> {
        let of_module = self.infos.iter().filter(|i| i.module == module);
        of_module.min_by_key(|i| (i.created, &i.name))
    }

    /// The AppReleases that are parts of a ModuleInfo.
    pub fn parts_of<'a>(
        &'a self,
        info: &'a InfoFacts,
    ) -> impl Iterator<Item = (&'a String, &'a AppReleaseFacts)> {
        let all = self.app_releases.value().into_iter().flatten();
        all.filter(move |(_, facts)| facts.spec.module_info == info.name)
    }

    /// The version to which the upgrade of the cluster that is under way moves this plugin; None:
    /// it does not, or it has.
    #[must_use]
    pub fn moved_to(&self, info: &InfoFacts) -> Option<&str> {
        let stages = self.status.stages.iter().filter(|s| s.phase != Phase::Finished);
        let mut operations = stages.flat_map(|s| &s.operations);
        let own = operations.find(|operation| operation.module_info == info.name)?;
        Some(own.target_version.as_str()).filter(|target| *target != info.status.version)
    }

    /// Whether it is that upgrade that asks for the version of this plugin.
    #[must_use]
    pub fn is_moved_by_upgrade(&self, info: &InfoFacts) -> bool {
        self.moved_to(info) == Some(info.spec.version.as_str())
    }

    /// The published version of what is installed, or of what was begun.
    #[must_use]
    pub fn installed_config(&self, info: &InfoFacts) -> Option<&ConfigFacts> {
        self.config(&info.module, info.installed_version())
    }

    /// The versions of the platform for which a plugin must be meant: that of the cluster, and the
    /// one to which an upgrade moves it.
    #[must_use]
    pub fn platform_versions(&self, info: &InfoFacts) -> Vec<&str> {
        let desired = self.status.desired.iter().filter(|_| self.is_moved_by_upgrade(info));
        let current = self.status.current.iter();
        current.chain(desired).map(|at| at.version.as_str()).collect()
    }
}

impl InfoFacts {
    /// Whether it is installed and another version is asked for.
    #[must_use]
    pub fn is_upgrade(&self) -> bool {
        !self.status.version.is_empty() && self.status.version != self.spec.version
    }

    /// Whether what it asks for was begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.status.transit_version == self.spec.version
    }

    /// The version that is installed, else the one that was begun, else the one that is asked for.
    #[must_use]
    pub fn installed_version(&self) -> &str {
        let all = [&self.status.version, &self.status.transit_version, &self.spec.version];
        all.into_iter().find(|version| !version.is_empty()).map_or("", String::as_str)
    }
}

impl ConfigFacts {
    /// What it says of the way to it.
    pub(super) fn published(&self) -> Published<'_> {
        Published {
            version: &self.spec.version,
            from: &self.spec.supported_upgrade_versions,
            must: self.spec.must_upgrade,
        }
    }
}

/// Whether a plugin version is meant for a version of the platform: by the exact version or its
/// minor line; one that names none is for any.
#[must_use]
pub fn is_for(targets: &[String], version: &str) -> bool {
    let line = version.parse::<api::Version>().map(|v| v.minor_line());
    targets.is_empty()
        || targets.iter().any(|target| target == version || line.as_ref() == Ok(target))
}
