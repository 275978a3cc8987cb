//! AppRelease: what of a component is installed on a cluster, and how.

use crate::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most objects of one component: they all stand in one status.
pub const INVENTORY_LIMIT: usize = 1000;

/// The lifecycle of a component or plugin.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub enum Lifecycle {
    /// Moves with the cluster and in no other way.
    #[default]
    Core,
    /// Moves with the cluster, and may be upgraded alone.
    Aligned,
    /// Never moved by an upgrade of the cluster.
    Agnostic,
}

impl Lifecycle {
    /// The word as users see it, also as the value of its label.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Core => "Core",
            Self::Aligned => "Aligned",
            Self::Agnostic => "Agnostic",
        }
    }
}

/// What is to be installed.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "operator.alauda.io",
    version = "v1alpha1",
    kind = "AppRelease",
    plural = "appreleases",
    singular = "apprelease",
    category = "acp",
    namespaced,
    status = "AppReleaseStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The deploy unit between a module and its workloads, on the cluster where it is installed.",
    printcolumn(
        name = "Version",
        type_ = "string",
        json_path = ".status.version",
        description = "Installed version of the component"
    ),
    printcolumn(
        name = "Target",
        type_ = "string",
        json_path = ".spec.version",
        description = "Version that is to be installed"
    ),
    printcolumn(
        name = "Release",
        type_ = "string",
        json_path = ".status.release",
        description = "Distribution Version it was installed from"
    ),
    printcolumn(name = "Phase", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseSpec {
    /// Where the charts come from.
    #[serde(default)]
    pub source: AppReleaseSource,
    /// Where the objects go.
    #[serde(default)]
    pub destination: AppReleaseDestination,
    /// How long it may take, in seconds.
    #[serde(default)]
    pub timeout: i64,
    /// Values of the charts.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    #[schemars(schema_with = "super::open_object")]
    pub values: serde_json::Map<String, serde_json::Value>,
    /// Digest of the values, the fill-ins of the operator included.
    #[serde(default)]
    pub values_digest: String,
    /// The component's own version.
    #[serde(default)]
    pub version: String,
    /// The release it comes from: Distribution Version.
    #[serde(default)]
    pub release: String,
    /// The release it comes from: product image with its digest.
    #[serde(default)]
    pub release_image: String,
    /// Path of the content in the release.
    #[serde(default)]
    pub path: String,
    /// Core, Aligned or Agnostic.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// The ModuleInfo of which it is a part; empty: it is a component of the release.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module_info: String,
}

/// Where the charts of an AppRelease come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseSource {
    /// Registry and repository.
    #[serde(rename = "repoURL", default)]
    pub repo_url: String,
    /// The charts.
    #[serde(default)]
    pub charts: Vec<AppReleaseChart>,
}

/// One chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseChart {
    /// Name of the chart.
    pub name: String,
    /// Name of the Helm release.
    pub release_name: String,
    /// Version of the chart.
    pub target_revision: String,
}

/// Where the objects of an AppRelease go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseDestination {
    /// The cluster.
    #[serde(default)]
    pub cluster: String,
    /// The namespace.
    #[serde(default)]
    pub namespace: String,
}

/// How far an AppRelease is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum AppReleasePhase {
    /// Not begun.
    #[default]
    Pending,
    /// Being applied, or its workloads are rolling out.
    Deploying,
    /// Everything is applied and healthy.
    Ready,
    /// It cannot go on.
    Failed,
}

/// What is installed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseStatus {
    /// The generation of the spec that is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How far it is.
    #[serde(default)]
    pub phase: AppReleasePhase,
    /// What it waits for, or why it cannot go on; of one that is Ready, why edits of others cannot
    /// be looked for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Installed version of the component; empty until it was healthy once.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Distribution Version it was installed from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release: String,
    /// Product image it was installed from, with its digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub release_image: String,
    /// Digest of the values it was installed with.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub values_digest: String,
    /// By chart.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub charts: BTreeMap<String, AppReleaseChartStatus>,
    /// Hooks that succeeded for `hooksRelease`, as `<point>/<kind>/<namespace>/<name>`.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub hooks_done: BTreeSet<String>,
    /// Product image whose hooks `hooksDone` lists.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hooks_release: String,
    /// Every object of the release; before a change the union of old and new.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub inventory: BTreeSet<ObjectRef>,
    /// Objects of the inventory that the installed release no longer has; deleted at the
    /// upgrade's end.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub obsolete: BTreeSet<ObjectRef>,
    /// Objects whose fields were changed by others since, while idle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Since when drift says what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift_time: Option<Time>,
    /// Digest of the ResourcePatches that are in force.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub patches_digest: String,
    /// When the last application began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
}

/// What is installed of one chart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppReleaseChartStatus {
    /// Installed version of the chart.
    #[serde(default)]
    pub installed_revision: String,
    /// How far it is.
    #[serde(default)]
    pub phase: AppReleasePhase,
}

/// An object by kind and name.
#[derive(
    Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// `apps/v1`, `v1`.
    pub api_version: String,
    /// `Deployment`.
    pub kind: String,
    /// Empty for objects of the cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// The group of the API version; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Whether two references mean the same object; versions of one group are the same object.
    #[must_use]
    pub fn same_object(&self, other: &Self) -> bool {
        self.group() == other.group()
            && self.kind == other.kind
            && self.namespace == other.namespace
            && self.name == other.name
    }
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{} {}", self.kind, self.name)
        } else {
            write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
        }
    }
}
