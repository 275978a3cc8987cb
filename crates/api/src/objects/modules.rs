//! ClusterModule and the plugin objects, as far as preflight and the upgrade of Core need them.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Whether an upgrade is offered.
    pub upgradable: bool,
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

/// An installed plugin.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cluster.alauda.io",
    version = "v1alpha1",
    kind = "ModuleInfo",
    plural = "moduleinfoes",
    singular = "moduleinfo",
    shortname = "minfo",
    status = "ModuleInfoStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A plugin that is installed on a cluster.",
    printcolumn(
        name = "Cluster",
        type_ = "string",
        json_path = ".metadata.labels.cpaas\\.io/cluster-name"
    ),
    printcolumn(
        name = "Module",
        type_ = "string",
        json_path = ".metadata.labels.cpaas\\.io/module-name"
    ),
    printcolumn(
        name = "Display_Name",
        type_ = "string",
        json_path = ".metadata.annotations.cpaas\\.io/display-name"
    ),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Target_Version", type_ = "string", json_path = ".spec.version"),
    printcolumn(name = "Current_Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "New_Version",
        type_ = "string",
        json_path = ".status.availableVersions[0].version"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleInfoSpec {
    /// Version that is to be installed.
    pub version: String,
}

/// What is known of an installed plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleInfoStatus {
    /// `Running` when it works.
    pub phase: String,
    /// Installed version.
    pub version: String,
}

/// A plugin of the catalogue.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cluster.alauda.io",
    version = "v1alpha1",
    kind = "ModulePlugin",
    plural = "moduleplugins",
    singular = "moduleplugin",
    shortname = "mplugin",
    status = "ModulePluginStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A plugin of the catalogue."
)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModulePluginSpec {
    /// Every field as it stands; this product does not read them yet.
    #[serde(flatten)]
    #[schemars(skip)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// What is known of a plugin of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModulePluginStatus {
    /// Every field as it stands.
    #[serde(flatten)]
    #[schemars(skip)]
    pub fields: BTreeMap<String, serde_json::Value>,
}

/// One published version of a plugin.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "cluster.alauda.io",
    version = "v1alpha1",
    kind = "ModuleConfig",
    plural = "moduleconfigs",
    singular = "moduleconfig",
    shortname = "mconfig",
    status = "ModuleConfigStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "One published version of a plugin."
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleConfigSpec {
    /// Version of the plugin.
    pub version: String,
    /// Minor lines (`4.3`) or exact versions of the platform for which it is meant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_cluster_versions: Vec<String>,
}

/// What is known of a published version of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleConfigStatus {
    /// Whether it can be installed.
    pub ready_for_deploy: bool,
}
