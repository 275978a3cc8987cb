//! ClusterVersionShadow: what a cluster is asked to be, and all that is known of its way there.

use crate::checks::{CheckReason, CheckState, Policy};
use crate::image::Digest;
use crate::signature::ReleaseSignature;
use crate::{Time, stalled::StalledReason};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a cluster is asked to be.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "product.alauda.io",
    version = "v1alpha1",
    kind = "ClusterVersionShadow",
    plural = "clusterversionshadows",
    singular = "clusterversionshadow",
    shortname = "cvsh",
    category = "acp",
    namespaced,
    status = "ClusterVersionShadowStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The version of one cluster of the platform: what it has, what it is asked to have, and how the upgrade goes.",
    printcolumn(
        name = "Current",
        type_ = "string",
        json_path = ".status.current.version",
        description = "Version of the last completed upgrade"
    ),
    printcolumn(
        name = "Desired",
        type_ = "string",
        json_path = ".status.desired.version",
        description = "Version that the cluster moves to; equal to Current when idle"
    ),
    printcolumn(
        name = "Preflight",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='PreflightReady')].status"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reconciling",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Reconciling')].status"
    ),
    printcolumn(
        name = "Stalled",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Stalled')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        priority = 1,
        json_path = ".status.conditions[?(@.type=='Ready')].message"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct ClusterVersionShadowSpec {
    /// The version asked for. Absent: nothing is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired_update: Option<DesiredUpdate>,
}

/// A request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DesiredUpdate {
    /// A version of status.availableUpdates, for example 4.3.0.
    #[serde(default)]
    pub version: String,
    /// Not needed. If given, it must be the image of the ProductManifest of that version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
}

/// What is known of a cluster. Written by the cluster version operator only.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterVersionShadowStatus {
    /// The generation of the spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Counts the writes of this status; a writer that holds an older number is refused.
    #[serde(default)]
    pub revision: i64,
    /// PreflightReady, Ready, Reconciling and Stalled; all four are always present.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last completed version and its image. Absent until something is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<VersionImage>,
    /// The accepted version with its pinned image; equal to current when idle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<VersionImage>,
    /// The latest preflight. Absent: no result yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preflight: Option<Preflight>,
    /// The stages of the upgrade under way, or of the last one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stages: Vec<Stage>,
    /// Upgrades, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<HistoryEntry>,
    /// Versions that can be asked for, highest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub available_updates: Vec<VersionImage>,
    /// Versions that are published but cannot be asked for, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_offered: Vec<NotOffered>,
}

/// A version and the image it was resolved to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VersionImage {
    /// Distribution Version.
    pub version: String,
    /// Product image with its digest; empty where it was never known (installed by something else).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
}

/// A version that is published but not offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct NotOffered {
    /// Distribution Version.
    pub version: String,
    /// Why, in one word.
    pub reason: String,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
}

/// A preflight run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Preflight {
    /// The version that was judged.
    pub version: String,
    /// Its image.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// When the latest run ended whose result differed from the one before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_at: Option<Time>,
    /// Which key signed the image, and whose keys made it trusted. Absent: it is not trusted, or
    /// that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<ReleaseSignature>,
    /// One row a check.
    #[serde(default)]
    pub checks: Vec<Check>,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// The check.
    pub name: String,
    /// When it runs again.
    pub policy: Policy,
    /// Passed, Retry, Failed or Disabled.
    pub state: CheckState,
    /// Why, in one word.
    pub reason: CheckReason,
    /// Why, in a sentence.
    #[serde(default)]
    pub message: String,
    /// The command that clears it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// When its state changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_transition_time: Option<Time>,
}

/// How far a stage or an operation is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[schemars(inline)]
pub enum Phase {
    /// Not begun.
    #[default]
    Pending,
    /// Under way.
    Running,
    /// Done.
    Finished,
    /// Ended without success; tried again when its cause is gone.
    Failed,
}

impl Phase {
    /// The word as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Finished => "Finished",
            Self::Failed => "Failed",
        }
    }
}

/// What an operation does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum Action {
    /// The component is new.
    #[default]
    Install,
    /// The component changes.
    Upgrade,
    /// The release no longer has the component.
    Remove,
    /// The component stays as it is.
    Keep,
}

impl Action {
    /// The word as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Install => "Install",
            Self::Upgrade => "Upgrade",
            Self::Remove => "Remove",
            Self::Keep => "Keep",
        }
    }
}

/// A stage of the upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// Its name in the release.
    pub name: String,
    /// Lower first; equal together.
    pub priority: i32,
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// One for each component.
    #[serde(default)]
    pub operations: Vec<Operation>,
}

/// What happens to one component.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// The component or plugin.
    pub name: String,
    /// The ModuleInfo of the plugin; empty: it is a component of the release.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub module_info: String,
    /// Install, Upgrade, Remove or Keep.
    pub action: Action,
    /// Version before.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub current_version: String,
    /// Version after.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target_version: String,
    /// How far it is.
    pub phase: Phase,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When a cause that had held it up was last cleared by a person: its time counts from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resumed_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What stands in its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocker: Option<Blocker>,
}

/// What stands in the way of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Blocker {
    /// The reason that Stalled has once it lasted long enough.
    pub reason: StalledReason,
    /// What exactly.
    pub message: String,
    /// What a person does about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
    /// Since when.
    pub since: Time,
}

/// How an upgrade ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum HistoryState {
    /// Under way, or left for another version.
    #[default]
    Partial,
    /// Every stage finished.
    Completed,
}

impl HistoryState {
    /// The word as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Partial => "Partial",
            Self::Completed => "Completed",
        }
    }
}

/// One upgrade.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// Distribution Version.
    pub version: String,
    /// Product image with its digest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub image: String,
    /// Partial or Completed.
    pub state: HistoryState,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completion_time: Option<Time>,
}

impl VersionImage {
    /// The digest of the image, where it has one.
    #[must_use]
    pub fn digest(&self) -> Option<Digest> {
        Digest::of_image(&self.image)
    }
}
