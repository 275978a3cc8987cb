//! What was seen of the world in one round: plain data, taken once, with the time it was taken.

use crate::modules::Published;
use api::objects::{
    Affinity, AppReleaseSpec, AppReleaseStatus, ClusterVersionShadowStatus, Dependency,
    DeployStatus, Descriptor, DesiredUpdate, Lifecycle, ModuleConfigSpec, ModuleName,
    RunningStatus,
};
use api::signature::ReleaseSignature;
use api::{Release, Version};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// Something that was looked at. Unknown is never taken for empty.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub enum Observed<T> {
    /// It was read.
    Value(T),
    /// The API server has no such kind.
    KindAbsent,
    /// It could not be read, and why.
    Unknown(String),
    /// It was not looked at in this round.
    #[default]
    NotRead,
}

impl<T> Observed<T> {
    /// The value, an empty one where the kind is absent, or why it is not known.
    ///
    /// # Errors
    /// The text says why the value is not known.
    pub fn or_empty<'a>(&'a self, empty: &'a T) -> Result<&'a T, String> {
        match self {
            Self::Value(value) => Ok(value),
            Self::KindAbsent => Ok(empty),
            Self::Unknown(error) => Err(error.clone()),
            Self::NotRead => Err("not read yet".to_owned()),
        }
    }

    /// The value, where it was read.
    pub const fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::KindAbsent | Self::Unknown(_) | Self::NotRead => None,
        }
    }
}

/// Everything a round knows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Snapshot {
    /// When it was taken.
    pub now: Timestamp,
    /// Version of the operator that looks.
    pub cvo_version: Option<Version>,
    /// Name of the cluster that the round is about.
    pub cluster: String,
    /// Whether it is a global cluster.
    pub is_global: bool,
    /// Its ClusterVersionShadow; None where there is none.
    pub cvsh: Option<CvshFacts>,
    /// The ProductBase of this platform; the inner None: there is none.
    pub product_base: Observed<Option<ProductBaseFacts>>,
    /// The ClusterModule of the cluster.
    pub cluster_module: Observed<Option<ClusterModuleFacts>>,
    /// The published releases.
    pub manifests: Observed<Vec<ManifestFacts>>,
    /// A release in a package, for the preflight of `upgrade.sh`; None in the operator.
    pub package: Option<PackageFacts>,
    /// The release of `status.desired.image`, which an upgrade under way is bound to.
    pub desired_release: Observed<Release>,
    /// Whether it is not known because its bytes are not those of its digest, or no release.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub desired_release_is_invalid: bool,
    /// What is installed on the cluster, by name of the AppRelease.
    pub app_releases: Observed<BTreeMap<String, AppReleaseFacts>>,
    /// The customisations on the cluster.
    pub resource_patches: Observed<Vec<ResourcePatchFacts>>,
    /// Text of the key `preflight` of cvo-config; the inner None: not set.
    pub cvo_config: Observed<Option<String>>,
    /// Who last wrote cvo-config, where the API server tells.
    pub cvo_config_editor: Option<String>,
    /// Gates of `cpaas-system/admin-gates` of global.
    pub admin_gates: Observed<BTreeMap<String, String>>,
    /// Acknowledgements of `cpaas-system/admin-acks` of global.
    pub admin_acks: Observed<BTreeMap<String, String>>,
    /// The version that each cluster's API server answers: this one, and on global every other.
    /// Where the other clusters could not be listed, an entry of any name is Unknown.
    pub kubernetes: BTreeMap<String, Observed<String>>,
    /// The nodes of the cluster.
    pub nodes: Observed<Vec<NodeFacts>>,
    /// The Cluster object; the inner None: there is none.
    pub cluster_object: Observed<Option<ClusterObjectFacts>>,
    /// Pods of the control plane in kube-system.
    pub static_pods: Observed<Vec<StaticPodFacts>>,
    /// Every CronJob of the cluster.
    pub cron_jobs: Observed<Vec<CronJobFacts>>,
    /// Pods of container-runtime upgrades, as `namespace/name`.
    pub cri_upgrade_pods: Observed<Vec<String>>,
    /// Plugins of the cluster.
    pub module_infos: Observed<Vec<ModuleInfoFacts>>,
    /// Published plugin versions.
    pub module_configs: Observed<Vec<ModuleConfigFacts>>,
    /// The licence; the inner None: there is none.
    pub license: Observed<Option<String>>,
    /// Licence keys of the installed release; the inner None: none are recorded.
    pub release_keys: Observed<Option<Vec<String>>>,
    /// For a workload cluster: the versions that every global cluster completed.
    pub reached_by_global: Observed<Vec<Version>>,
}

/// What is read of a ClusterVersionShadow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CvshFacts {
    /// metadata.generation.
    pub generation: Option<i64>,
    /// spec.desiredUpdate.
    pub desired_update: Option<DesiredUpdate>,
    /// status.
    pub status: ClusterVersionShadowStatus,
}

/// What is read of the ProductBase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProductBaseFacts {
    /// spec.version.
    pub spec_version: String,
    /// status.version.
    pub status_version: String,
    /// status.globalID.
    pub global_id: String,
}

/// What is read of a ClusterModule.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterModuleFacts {
    /// spec.version.
    pub spec_version: String,
    /// status.base.version.
    pub base_version: String,
    /// status.base.deployStatus.
    pub deploy_status: DeployStatus,
    /// status.base.runningStatus.
    pub running_status: RunningStatus,
    /// What it shows besides; None: it says nothing of a base yet.
    pub shown: Option<ModuleShown>,
}

/// What ClusterModule shows of a cluster at rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleShown {
    /// status.upgradable: a version is offered, and its checks have passed.
    pub upgradable: bool,
    /// status.unableUpgradeReason: why the version that is offered may not be asked for.
    pub unable_upgrade_reason: String,
    /// status.base.appReleases: the components of the base.
    pub app_releases: BTreeSet<String>,
}

/// What is read of a ProductManifest, and the release that its image holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ManifestFacts {
    /// metadata.name.
    pub name: String,
    /// spec.version.
    pub version: Version,
    /// The image it is resolved to, with its digest.
    pub image: Option<String>,
    /// Its Ready condition.
    pub ready: ManifestReady,
    /// Which key signed the image, and whose keys made it trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<ReleaseSignature>,
    /// The release inside the image.
    #[serde(default)]
    pub release: Observed<Release>,
    /// The image was read and is not what its digest says, or not trusted: no waiting changes that.
    #[serde(default)]
    pub release_is_invalid: bool,
}

/// Whether a ProductManifest is Ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ManifestReady {
    /// It is.
    Ready,
    /// Not yet; tried again by itself.
    Waiting {
        /// Reason and message of the condition.
        why: String,
    },
    /// It cannot become Ready without a person.
    Failed {
        /// Reason and message of the condition.
        why: String,
    },
}

/// A release in a package that was not published yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PackageFacts {
    /// Product image with its digest, as it will be published.
    pub image: String,
    /// Which key signed it, and whose keys made it trusted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<ReleaseSignature>,
    /// The release.
    pub release: Release,
}

/// An AppRelease.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AppReleaseFacts {
    /// metadata.generation; None: it is not known.
    pub generation: Option<i64>,
    /// spec.
    pub spec: AppReleaseSpec,
    /// status.
    pub status: AppReleaseStatus,
}

impl AppReleaseFacts {
    /// Whether it is a Core component that was installed from a release of ours: no part of a
    /// plugin, and nothing that something else installed.
    #[must_use]
    pub fn is_of_release(&self) -> bool {
        self.spec.lifecycle == Lifecycle::Core
            && self.spec.module_info.is_empty()
            && !self.spec.release_image.is_empty()
    }
}

/// A ResourcePatch.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResourcePatchFacts {
    /// metadata.name.
    pub name: String,
    /// spec.release.
    pub release: String,
    /// metadata.annotations.
    pub annotations: BTreeMap<String, String>,
    /// Digest of its spec.
    pub digest: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it was ever applied: what it set may be in force.
    pub applied: bool,
    /// Why what it says now does not apply, where that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// A node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeFacts {
    /// Name.
    pub name: String,
    /// status.nodeInfo.containerRuntimeVersion.
    pub runtime: String,
    /// Whether it carries the control plane.
    pub control_plane: bool,
}

/// A Cluster object.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterObjectFacts {
    /// metadata.uid: another cluster of the same name has another.
    pub uid: String,
    /// spec.type.
    pub kind: String,
    /// status.phase.
    pub phase: String,
    /// Whether etcd runs elsewhere.
    pub external_etcd: bool,
    /// metadata.labels.
    pub labels: BTreeMap<String, String>,
}

/// A Pod of the control plane.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StaticPodFacts {
    /// Its node.
    pub node: String,
    /// Its component label.
    pub component: String,
    /// Whether it is Ready.
    pub ready: bool,
}

/// A CronJob.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CronJobFacts {
    /// `namespace/name`.
    pub name: String,
    /// Whether it carries the label of the platform's own workloads.
    pub of_platform: bool,
    /// Commands and arguments of all containers.
    pub commands: Vec<String>,
    /// Host paths and names of Secrets that it mounts.
    pub mounts: Vec<String>,
}

/// A ModuleInfo.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleInfoFacts {
    /// metadata.name.
    pub name: String,
    /// Its module.
    pub module: String,
    /// status.phase.
    pub phase: String,
    /// Its lifecycle; absent means Agnostic.
    pub lifecycle: Option<Lifecycle>,
    /// status.version.
    pub version: String,
    /// The version whose risk was accepted; empty: none.
    pub accepted_risk: String,
    /// Whether its status is about what its spec says now.
    pub is_observed: bool,
    /// Settings of the user.
    pub config: Map<String, Value>,
    /// What the user lays over the values of charts.
    pub values_override: Map<String, Value>,
    /// The newest version to which it may be upgraded by itself; empty: none.
    pub newest: String,
}

/// A ModuleConfig.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleConfigFacts {
    /// Its module.
    pub module: String,
    /// The version of the module.
    pub version: String,
    /// Its lifecycle; absent means Agnostic.
    pub lifecycle: Option<Lifecycle>,
    /// Minor lines or exact versions of the platform it is for.
    pub target_cluster_versions: Vec<String>,
    /// From which versions it may be upgraded to; empty: from any.
    pub supported_upgrade_versions: String,
    /// Whether no upgrade may leave it out.
    pub must_upgrade: bool,
    /// The plugins that it needs.
    pub dependencies: Vec<Dependency>,
    /// Risk of an upgrade to it; empty: none.
    pub risk: String,
    /// On which clusters, and beside which plugins, it may be.
    pub affinity: Option<Affinity>,
    /// The plugins that are upgraded before it.
    pub upgrade_before: Vec<ModuleName>,
    /// Its settings where the user gives none.
    pub config: Map<String, Value>,
    /// Its form.
    pub deploy_descriptors: Vec<Descriptor>,
    /// Its charts.
    pub charts: Vec<String>,
    /// Why it cannot be installed now; None: it can.
    pub not_ready: Option<String>,
}

impl ModuleConfigFacts {
    /// What a version says of itself.
    #[must_use]
    pub fn of(module: String, lifecycle: Option<Lifecycle>, spec: ModuleConfigSpec) -> Self {
        Self {
            charts: spec.charts().into_iter().map(str::to_owned).collect(),
            module,
            lifecycle,
            version: spec.version,
            target_cluster_versions: spec.target_cluster_versions,
            supported_upgrade_versions: spec.supported_upgrade_versions,
            must_upgrade: spec.must_upgrade,
            dependencies: spec.dependencies,
            risk: spec.upgrade_risk_level,
            affinity: spec.affinity,
            upgrade_before: spec.upgrade_before,
            config: spec.config,
            deploy_descriptors: spec.deploy_descriptors,
            not_ready: None,
        }
    }

    /// What it says of the way to it.
    pub(crate) fn published(&self) -> Published<'_> {
        Published {
            version: &self.version,
            from: &self.supported_upgrade_versions,
            must: self.must_upgrade,
        }
    }
}

impl Snapshot {
    /// A remedy that acts on objects of the cluster itself: of another cluster than the global one
    /// it says where its commands are typed, or they would meet objects of the same name.
    #[must_use]
    pub fn on_cluster(&self, remedy: &str) -> String {
        if self.is_global {
            return remedy.to_owned();
        }
        api::remedy::on_cluster(&self.cluster, remedy)
    }

    /// Why a workload cluster cannot be reached: what is installed on it is read there. The global
    /// cluster cannot be told so, for then its own record could not be read either.
    #[must_use]
    pub fn unreachable(&self) -> Option<&str> {
        match &self.app_releases {
            Observed::Unknown(error) if !self.is_global => Some(error),
            Observed::Unknown(_)
            | Observed::Value(_)
            | Observed::KindAbsent
            | Observed::NotRead => None,
        }
    }

    /// The status of the cluster's ClusterVersionShadow; an empty one where there is none.
    #[must_use]
    pub fn status(&self) -> ClusterVersionShadowStatus {
        self.cvsh.as_ref().map(|c| c.status.clone()).unwrap_or_default()
    }

    /// The last completed version: of the ClusterVersionShadow, else what the platform says of the
    /// cluster (ProductBase of a global one, ClusterModule of a workload cluster). None: nothing
    /// was ever completed.
    ///
    /// # Errors
    /// The text says what could not be read, or which text is no version.
    pub fn installed_version(&self) -> Result<Option<Version>, String> {
        let of_status = self.cvsh.as_ref().and_then(|c| c.status.current.as_ref());
        let text = match of_status {
            Some(current) => current.version.clone(),
            None if self.is_global => {
                let base = self.product_base.or_empty(&None)?;
                base.as_ref().map_or_else(String::new, |b| b.status_version.clone())
            }
            None => {
                let module = self.cluster_module.or_empty(&None)?;
                module.as_ref().map_or_else(String::new, |m| m.base_version.clone())
            }
        };
        if text.is_empty() {
            return Ok(None);
        }
        text.parse().map(Some).map_err(|e| format!("the current version is not known: {e}"))
    }

    /// The last completed version, where it is known and there is one.
    #[must_use]
    pub fn current(&self) -> Option<Version> {
        self.installed_version().ok().flatten()
    }

    /// Whether nothing of the platform is installed: no version was ever completed, and there is
    /// no AppRelease but those of an install of our own that has not ended.
    ///
    /// # Errors
    /// The text says what could not be read.
    pub fn is_fresh_install(&self) -> Result<bool, String> {
        let no_releases = BTreeMap::new();
        let releases = self.app_releases.or_empty(&no_releases)?;
        let completed = |h: &api::HistoryEntry| h.state == api::HistoryState::Completed;
        Ok(self.installed_version()?.is_none()
            && !self.status().history.iter().any(completed)
            && releases.values().all(|r| !r.spec.release_image.is_empty()))
    }
}

impl Observed<Release> {
    /// The release, or why it is not known; a release has no empty form.
    ///
    /// # Errors
    /// The text says why the release is not known.
    pub fn or_unknown(&self) -> Result<&Release, String> {
        match self {
            Self::Value(release) => Ok(release),
            Self::KindAbsent => Err("there is no release".to_owned()),
            Self::Unknown(error) => Err(error.clone()),
            Self::NotRead => Err("the release was not read yet".to_owned()),
        }
    }
}
