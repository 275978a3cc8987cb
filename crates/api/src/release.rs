//! The release as its product image says it: `release/release.yaml`.

use crate::config::GateKey;
use crate::image::Digest;
use crate::objects::Lifecycle;
use crate::signing_key::{self, SigningKey};
use crate::version::{Version, VersionRange};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Folder inside the layer of a product image.
pub const RELEASE_FOLDER: &str = "release";
/// The file that describes a release, below [`RELEASE_FOLDER`].
pub const RELEASE_FILE: &str = "release.yaml";
/// The format this product reads and writes.
pub const FORMAT_VERSION: u32 = 1;
/// Largest `release.yaml`, in bytes.
pub const RELEASE_FILE_LIMIT: usize = 1024 * 1024;
/// Largest product image, in bytes.
pub const PRODUCT_IMAGE_LIMIT: u64 = 64 * 1024 * 1024;
/// Most operations of a release: they all stand in one status.
pub const OPERATION_LIMIT: usize = 256;
/// Name of the stage in which Aligned and Core plugins move with their cluster.
pub const PLUGINS_STAGE: &str = "plugins";
/// Its priority: after every stage of the release.
pub const PLUGINS_PRIORITY: i32 = 999;
/// Name of the stage in which components that the target no longer has are removed.
pub const REMOVAL_STAGE: &str = "removal";
/// Its priority: after every other stage.
pub const REMOVAL_PRIORITY: i32 = 1000;

/// A release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Release {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The Distribution Version.
    pub version: Version,
    /// From where a cluster may move to it.
    pub upgrade_from: UpgradeFrom,
    /// The Kubernetes versions it runs on.
    pub kubernetes: KubernetesSupport,
    /// The oldest operator that may apply it.
    #[serde(rename = "minCVO")]
    pub min_cvo: Version,
    /// What an administrator must acknowledge first, by key `ack-<minor>-<text>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub admin_gates: BTreeMap<String, AdminGate>,
    /// Keys of licences (base64 ed25519 public keys).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub license_keys: Vec<String>,
    /// Keys that the releases after this one may be signed with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signing_keys: Vec<SigningKey>,
    /// Field managers whose fields are taken over (Helm, an older installer).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub predecessors: BTreeSet<String>,
    /// Every image of the release, by the name under which charts find it in `global.images`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub images: BTreeMap<String, ReleaseImage>,
    /// What is done, lower priority first, equal together.
    pub stages: Vec<ReleaseStage>,
}

/// From which versions a cluster may move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpgradeFrom {
    /// Completed versions.
    pub range: VersionRange,
    /// Versions that need not be complete: the way out of an upgrade that cannot be ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub partial: Vec<Version>,
}

/// The Kubernetes versions of a release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KubernetesSupport {
    /// The line that new clusters get (`1.34`).
    pub creates: String,
    /// The range on which it runs.
    pub compatible: VersionRange,
}

/// What an administrator must read and acknowledge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AdminGate {
    /// What to read and do.
    pub text: String,
    /// Which clusters it concerns.
    #[serde(default)]
    pub clusters: ClusterSelection,
    /// Only clusters that have this module.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_module: Option<String>,
}

/// Which clusters something concerns.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClusterSelection {
    /// Every cluster.
    #[default]
    All,
    /// The global cluster.
    Global,
    /// Workload clusters.
    Workload,
}

impl ClusterSelection {
    /// Whether a cluster is meant.
    #[must_use]
    pub const fn concerns(self, is_global: bool) -> bool {
        match self {
            Self::All => true,
            Self::Global => is_global,
            Self::Workload => !is_global,
        }
    }
}

/// An image of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseImage {
    /// Path below the registry.
    pub repository: String,
    /// Tag under which it is pushed.
    pub tag: String,
    /// What is pulled.
    pub digest: Digest,
}

/// One stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReleaseStage {
    /// Shown to users.
    pub name: String,
    /// Lower first; stages of equal priority run together.
    pub priority: i32,
    /// What the stage brings.
    pub components: Vec<Component>,
}

/// One component: one AppRelease, one operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Component {
    /// Name of its AppRelease and of its Helm release.
    pub name: String,
    /// The component's own version.
    pub version: String,
    /// Core, Aligned or Agnostic.
    #[serde(default)]
    pub lifecycle: Lifecycle,
    /// On which clusters it runs.
    #[serde(default)]
    pub clusters: ClusterSelection,
    /// A Helm chart below [`RELEASE_FOLDER`] (`charts/coredns-1.0.0.tgz`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart: Option<String>,
    /// Or a file of plain objects below it (`manifests/crds.yaml`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// Namespace of its objects.
    pub namespace: String,
    /// Values of the chart; `global` is filled in by the operator.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub values: serde_json::Map<String, serde_json::Value>,
    /// How long it may take to become healthy, in seconds.
    #[serde(default = "default_timeout_s")]
    pub timeout_seconds: u32,
    /// Objects of protected kinds that may be pruned all the same, as `Kind/namespace/name`; also
    /// those of a component that the release no longer has.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub prune: BTreeSet<String>,
}

/// How long anything of an upgrade may take that names no time of its own, in seconds.
pub const DEFAULT_TIMEOUT_S: u32 = 600;

const fn default_timeout_s() -> u32 {
    DEFAULT_TIMEOUT_S
}

impl Component {
    /// The path of its content below [`RELEASE_FOLDER`]; a checked release always has one.
    #[must_use]
    pub fn path(&self) -> &str {
        self.chart.as_deref().or(self.manifests.as_deref()).unwrap_or_default()
    }
}

/// Why a release is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseError {
    /// Too long.
    #[error("release.yaml is longer than {RELEASE_FILE_LIMIT} bytes")]
    TooLong,
    /// Not the YAML of a release.
    #[error("release.yaml cannot be read: {0}")]
    Malformed(String),
    /// Another format.
    #[error("release.yaml has format {0}; this product reads format {FORMAT_VERSION}")]
    Format(u32),
    /// A rule of the format is broken.
    #[error("release.yaml: {0}")]
    Rule(String),
}

impl Release {
    /// Reads and checks `release.yaml`.
    ///
    /// # Errors
    /// When it is too long, malformed, of another format or breaks a rule.
    pub fn parse(bytes: &[u8]) -> Result<Self, ReleaseError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Format {
            format_version: u32,
        }
        if bytes.len() > RELEASE_FILE_LIMIT {
            return Err(ReleaseError::TooLong);
        }
        let malformed = |e: &dyn std::fmt::Display| {
            ReleaseError::Malformed(crate::text::line(&e.to_string(), 256))
        };
        let text = std::str::from_utf8(bytes).map_err(|e| malformed(&e))?;
        let format: Format = serde_saphyr::from_str(text).map_err(|e| malformed(&e))?;
        if format.format_version != FORMAT_VERSION {
            return Err(ReleaseError::Format(format.format_version));
        }
        let release: Self = serde_saphyr::from_str(text).map_err(|e| malformed(&e))?;
        release.check()?;
        Ok(release)
    }

    /// Every component with its stage.
    pub fn components(&self) -> impl Iterator<Item = (&ReleaseStage, &Component)> {
        self.stages.iter().flat_map(|stage| stage.components.iter().map(move |c| (stage, c)))
    }

    fn check(&self) -> Result<(), ReleaseError> {
        let rule = |text: String| Err(ReleaseError::Rule(text));
        if let Err(error) = signing_key::check(&self.signing_keys) {
            return rule(format!("signingKeys: {error}"));
        }
        for (key, gate) in &self.admin_gates {
            if GateKey::parse(key).is_none() || gate.text.trim().is_empty() {
                return rule(format!("admin gate '{key}' has a malformed name or an empty text"));
            }
        }
        let mut stages = BTreeSet::new();
        let mut names = BTreeSet::new();
        for stage in &self.stages {
            let reserved = [REMOVAL_STAGE, PLUGINS_STAGE];
            if !stages.insert(&stage.name) || reserved.contains(&stage.name.as_str()) {
                return rule(format!("stage '{}' stands twice or is reserved", stage.name));
            }
            if stage.priority >= PLUGINS_PRIORITY {
                return rule(format!(
                    "stage '{}' has a priority of {PLUGINS_PRIORITY} or more",
                    stage.name
                ));
            }
        }
        for (_, component) in self.components() {
            if !names.insert(&component.name) {
                return rule(format!("component '{}' stands twice", component.name));
            }
            if component.chart.is_some() == component.manifests.is_some() {
                return rule(format!(
                    "component '{}' needs either chart or manifests",
                    component.name
                ));
            }
            let path = component.path();
            if path.starts_with('/')
                || path.split('/').any(|p| p.is_empty() || p == "." || p == "..")
            {
                return rule(format!(
                    "component '{}' has a path that leaves the release",
                    component.name
                ));
            }
        }
        if names.len() > OPERATION_LIMIT {
            return rule(format!("more than {OPERATION_LIMIT} components"));
        }
        Ok(())
    }
}
