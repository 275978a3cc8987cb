//! ProductBase: the platform's own description. The platform owns it; we read a part of it and
//! write the version at the end of an upgrade.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The platform.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "product.alauda.io",
    version = "v1alpha2",
    kind = "ProductBase",
    plural = "productbases",
    singular = "productbase",
    shortname = "prdb",
    status = "ProductBaseStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "The platform: its address, its registry and its version.",
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    )
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ProductBaseSpec {
    /// Distribution Version that the platform is to have.
    pub version: String,
    /// Address of the platform.
    #[serde(rename = "platformURL")]
    pub platform_url: String,
    /// Other addresses under which the platform answers.
    #[serde(rename = "alternativeURLs", skip_serializing_if = "Vec::is_empty")]
    pub alternative_urls: Vec<String>,
    /// The registry from which Pods pull.
    pub registry: ProductBaseRegistry,
}

/// The registry of the platform.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ProductBaseRegistry {
    /// Host and port.
    pub address: String,
    /// True: the registry is not the built-in one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external: Option<bool>,
    /// Pods use the platform's address.
    #[serde(rename = "preferPlatformURL")]
    pub prefer_platform_url: bool,
    /// Secret in cpaas-system with an account that can only pull.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
}

/// A Secret by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SecretRef {
    /// Name in cpaas-system; empty: none.
    pub name: String,
}

/// What the platform is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ProductBaseStatus {
    /// Pending, Provisioning, Deleting, Failed or Running.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Installed Distribution Version; empty where nothing is installed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Identity of the platform, for its licence.
    #[serde(rename = "globalID", skip_serializing_if = "String::is_empty")]
    pub global_id: String,
}
