//! The plugin objects: what the catalogue offers (ModulePlugin, ModuleConfig) and what is installed
//! (ModuleInfo).

use super::open_object;
use crate::checks::words;
use crate::release::ReleaseImage;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::CustomResource;
use kube::core::{Selector, SelectorExt as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
    /// Settings of the user; those that are not given have the plugin's defaults.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "open_object")]
    pub config: Map<String, Value>,
    /// Values that are laid over those of a chart, by name of the chart.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "open_object")]
    pub values_override: Map<String, Value>,
}

words! {
    /// How far an installed plugin is.
    ModulePhase {
        /// Not begun: `blockReasons` says why.
        Pending,
        /// Being installed.
        Installing,
        /// Another version or other settings are being applied.
        Upgrading,
        /// Installed as its spec says, and healthy.
        Running,
        /// It cannot go on, or took longer than it may: the Ready condition says why.
        Failed,
        /// Being removed.
        Deleting,
    }
}

/// What is known of an installed plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleInfoStatus {
    /// Pending, Installing, Upgrading, Running, Failed or Deleting.
    pub phase: String,
    /// Installed version; empty until the plugin was healthy once.
    pub version: String,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Versions to which it may be upgraded, highest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub available_versions: Vec<AvailableVersion>,
    /// Ready: whether it is as its spec says, and why not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Why what is asked for is not begun, each with what to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_reasons: Vec<String>,
    /// What it consists of on its cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_releases: Vec<ModuleAppRelease>,
    /// Whether its removal is asked for and refused.
    pub remove_is_prevented: bool,
    /// The version it is moving to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub transit_version: String,
    /// When that began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transit_timestamp: Option<crate::Time>,
}

/// A version to which a plugin may be upgraded.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AvailableVersion {
    /// The version.
    pub version: String,
    /// What the upgrade puts at risk; empty: nothing.
    pub risk_level: String,
    /// What there is to know of the risk.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// The same in English.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description_en: String,
    /// What it needs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// What is upgraded before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upgrade_before: Vec<ModuleName>,
}

/// An AppRelease of an installed plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleAppRelease {
    /// Its name.
    pub name: String,
    /// The namespace of its objects.
    pub namespace: String,
    /// Its charts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub chart_versions: Vec<ChartVersion>,
    /// Whether everything of it is applied.
    pub synced: bool,
    /// Whether it is applied and healthy.
    pub ready: bool,
    /// Whether it cannot go on.
    pub failed: bool,
    /// What it waits for, or why it cannot go on.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
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
    /// Every field as it stands, as in ModuleConfig; the newest version that was pushed wrote them.
    #[serde(flatten)]
    #[schemars(skip)]
    pub fields: BTreeMap<String, Value>,
}

/// What is known of a plugin of the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModulePluginStatus {
    /// Highest version that can be installed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub latest_version: String,
    /// Where it is installed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub installed: Vec<InstalledModule>,
    /// Its versions, highest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub module_configs: Vec<PublishedVersion>,
}

/// Where a plugin is installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct InstalledModule {
    /// The cluster.
    pub cluster: String,
    /// The ModuleInfo.
    pub name: String,
    /// Its phase.
    pub phase: String,
    /// The installed version.
    pub version: String,
}

/// A version of a plugin in the catalogue.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PublishedVersion {
    /// The ModuleConfig.
    pub name: String,
    /// The version.
    pub version: String,
    /// Whether it can be installed.
    pub ready_for_deploy: bool,
    /// Minor lines (`4.3`) or exact versions of the platform for which it is meant.
    pub target_cluster_versions: Vec<String>,
    /// The clusters for which it is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
}

/// One published version of a plugin.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
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
    /// Name of the plugin.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Version of the plugin.
    pub version: String,
    /// Minor lines (`4.3`) or exact versions of the platform for which it is meant; none: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub target_cluster_versions: Vec<String>,
    /// The clusters for which it is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// What it consists of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub app_releases: Vec<PluginRelease>,
    /// Defaults of its settings.
    #[serde(skip_serializing_if = "Map::is_empty")]
    #[schemars(schema_with = "open_object")]
    pub config: Map<String, Value>,
    /// Values of a chart as YAML, by name of the chart; `<< .MiConfig.path >>` stands for a
    /// setting.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub values_templates: BTreeMap<String, String>,
    /// The form of its settings.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deploy_descriptors: Vec<Descriptor>,
    /// Plugins that it needs on the same cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dependencies: Vec<Dependency>,
    /// Plugins of the same cluster that are upgraded before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub upgrade_before: Vec<ModuleName>,
    /// The versions from which it may be upgraded, as a range; empty: any lower one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub supported_upgrade_versions: String,
    /// Whether no upgrade may leave this version out.
    pub must_upgrade: bool,
    /// What an upgrade to it puts at risk (`High`, `Medium`), which has to be accepted; empty:
    /// nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upgrade_risk_level: String,
    /// What there is to know of the risk.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upgrade_risk_description: String,
    /// The same in English.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub upgrade_risk_description_en: String,
    /// Objects while which are there it cannot be removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources_block_remove: Vec<BlockingResource>,
    /// Whether it can be removed.
    pub deleteable: bool,
    /// Why it cannot be removed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delete_block_description_en: String,
    /// How long an installation or an upgrade may take, in seconds; 0: ten minutes.
    pub transit_timeout: i64,
    /// The images of its charts, by the name under which charts find them in `global.images`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "open_object")]
    pub images: BTreeMap<String, ReleaseImage>,
}

impl Default for ModuleConfigSpec {
    fn default() -> Self {
        Self {
            name: String::new(),
            version: String::new(),
            target_cluster_versions: Vec::new(),
            affinity: None,
            app_releases: Vec::new(),
            config: Map::new(),
            values_templates: BTreeMap::new(),
            deploy_descriptors: Vec::new(),
            dependencies: Vec::new(),
            upgrade_before: Vec::new(),
            supported_upgrade_versions: String::new(),
            must_upgrade: false,
            upgrade_risk_level: String::new(),
            upgrade_risk_description: String::new(),
            upgrade_risk_description_en: String::new(),
            resources_block_remove: Vec::new(),
            // What does not say that it must stay may go.
            deleteable: true,
            delete_block_description_en: String::new(),
            transit_timeout: 0,
            images: BTreeMap::new(),
        }
    }
}

impl ModuleConfigSpec {
    /// Its charts, as they are named in the registry.
    #[must_use]
    pub fn charts(&self) -> Vec<&str> {
        let charts = self.app_releases.iter().flat_map(|release| &release.chart_versions);
        charts.map(|chart| chart.name.as_str()).collect()
    }
}

/// The clusters for which a plugin is meant.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Affinity {
    /// Labels that the Cluster must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_affinity: Option<LabelSelector>,
    /// Labels that the Cluster must not have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_anti_affinity: Option<LabelSelector>,
    /// Plugins that must not be on the same cluster.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugin_anti_affinity: Vec<String>,
}

impl Affinity {
    /// Whether a plugin must not be on the same cluster.
    #[must_use]
    pub fn excludes(&self, plugin: &str) -> bool {
        self.plugin_anti_affinity.iter().any(|name| name == plugin)
    }

    /// Why a plugin is not meant for a cluster with these labels; None where it is. A rule that
    /// cannot be read holds for no cluster.
    #[must_use]
    pub fn misfit(&self, labels: &BTreeMap<String, String>) -> Option<String> {
        let unreadable = || Some("its rule for clusters cannot be read".to_owned());
        match self.cluster_affinity.as_ref().map(|rule| matches(rule, labels)) {
            None | Some(Some((true, _))) => {}
            Some(Some((false, text))) => return Some(format!("it must have the labels {text}")),
            Some(None) => return unreadable(),
        }
        match self.cluster_anti_affinity.as_ref().map(|rule| matches(rule, labels)) {
            None | Some(Some((false, _))) => None,
            // An empty rule names no label that a cluster could have.
            Some(Some((true, text))) if text.is_empty() => None,
            Some(Some((true, text))) => Some(format!("it must not have the labels {text}")),
            Some(None) => unreadable(),
        }
    }
}

/// Whether a rule matches, and the rule as kubectl writes it; None where it cannot be read.
fn matches(rule: &LabelSelector, labels: &BTreeMap<String, String>) -> Option<(bool, String)> {
    let selector = Selector::try_from(rule.clone()).ok()?;
    Some((selector.matches(labels), crate::text::line(&selector.to_string(), 256)))
}

/// One AppRelease of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct PluginRelease {
    /// Its name.
    pub name: String,
    /// The namespace of its objects; empty: `cpaas-system`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its chart.
    pub chart_versions: Vec<ChartVersion>,
}

/// A chart of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ChartVersion {
    /// Its repository below the registry (`acp/chart-podinfo`).
    pub name: String,
    /// Name of the Helm release; that of the AppRelease.
    pub release_name: String,
    /// Version of the chart, also its tag.
    pub version: String,
    /// The digest of its manifest in the registry: what is applied.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub digest: String,
}

/// A field of a plugin's form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// Path of the setting in the config (`ingress.host`).
    pub path: String,
    /// Its name in the form.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// What it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Its kind and rules, as `urn:alm:descriptor:com.tectonic.ui:number`.
    #[serde(rename = "x-descriptors")]
    pub x_descriptors: Vec<String>,
}

/// A plugin that another one needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Dependency {
    /// Name of the plugin.
    pub module_name: String,
    /// Ranges of its version, one of which must hold; none: any version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions_match: Vec<String>,
}

/// A plugin by its name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ModuleName {
    /// Name of the plugin.
    pub module_name: String,
}

/// Objects while which are there a plugin cannot be removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockingResource {
    /// Of their kind.
    pub api_version: String,
    /// Their kind.
    pub kind: String,
    /// One object; empty: any of the kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its namespace; empty: any.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
}

/// What is known of a published version of a plugin.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ModuleConfigStatus {
    /// Whether it can be installed: its charts are in the registry.
    pub ready_for_deploy: bool,
    /// Why it cannot.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The generation of the spec that this status is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn why(affinity: Value) -> Option<String> {
        let affinity: Affinity = serde_json::from_value(affinity).expect("it is an affinity");
        affinity.misfit(&BTreeMap::from([("region".to_owned(), "eu".to_owned())]))
    }

    #[test]
    fn a_plugin_fits_by_the_labels_of_the_cluster() {
        let labels = |region: &str| json!({ "matchLabels": { "region": region } });
        assert_eq!(why(json!({})), None);
        assert_eq!(why(json!({ "clusterAffinity": labels("eu") })), None);
        let other = why(json!({ "clusterAffinity": labels("us") }));
        assert_eq!(other.as_deref(), Some("it must have the labels region=us"));
        let not = why(json!({ "clusterAntiAffinity": labels("eu") }));
        assert_eq!(not.as_deref(), Some("it must not have the labels region=eu"));
        assert_eq!(why(json!({ "clusterAntiAffinity": {} })), None);
        let by = |operator: &str, values: Value| {
            json!({ "matchExpressions": [
                { "key": "region", "operator": operator, "values": values },
            ] })
        };
        assert!(why(json!({ "clusterAffinity": by("In", json!(["us"])) })).is_some());
        let odd = why(json!({ "clusterAffinity": by("Near", json!(["eu"])) }));
        assert_eq!(odd.as_deref(), Some("its rule for clusters cannot be read"));
    }

    #[test]
    fn a_plugin_that_works_is_running_as_a_cluster_is() {
        assert_eq!(ModulePhase::Running.as_str(), crate::names::RUNNING);
    }
}
