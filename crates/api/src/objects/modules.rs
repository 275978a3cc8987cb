//! ClusterModule: the platform's part on one cluster.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The platform's part on one cluster.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cluster.alauda.io",
    version = "v1alpha2",
    kind = "ClusterModule",
    plural = "clustermodules",
    singular = "clustermodule",
    shortname = "clsm",
    status = "ClusterModuleStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The platform's part on one cluster."
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterModuleSpec {
    /// Distribution Version that the cluster is to have.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
}

/// What is known of the platform's part on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterModuleStatus {
    /// The base of the platform.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<ClusterModuleBase>,
    /// Whether the configuration may be edited.
    pub editable: bool,
    /// Whether a version is offered whose checks have passed.
    pub upgradable: bool,
    /// Why the version that is offered may not be asked for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub unable_upgrade_reason: String,
}

/// The state of the platform's base on a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterModuleBase {
    /// NotDeployed, Pending, Deploying, DeployFailed, Upgrading, UpgradeFailed or Completed.
    pub deploy_status: DeployStatus,
    /// NotRunning, Healthy or Abnormal.
    pub running_status: RunningStatus,
    /// Installed Distribution Version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Why it is not as it should be.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its components: names of AppReleases of the cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_releases: Vec<String>,
}

/// How far the platform's base is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words of the platform's own field")]
pub enum DeployStatus {
    #[default]
    NotDeployed,
    Pending,
    Deploying,
    DeployFailed,
    Upgrading,
    UpgradeFailed,
    Completed,
}

/// Whether the platform's base works.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
#[expect(missing_docs, reason = "the words of the platform's own field")]
pub enum RunningStatus {
    #[default]
    NotRunning,
    Healthy,
    Abnormal,
}
