//! Cluster, ClusterCredential and Machine: the registered clusters. The platform owns them.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A registered cluster.
#[derive(CustomResource, Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "platform.tkestack.io",
    version = "v1",
    kind = "Cluster",
    plural = "clusters",
    status = "ClusterStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A cluster of the platform.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.version"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterSpec {
    /// Baremetal or Imported.
    #[serde(rename = "type")]
    pub kind: String,
    /// Name for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub display_name: String,
    /// Kubernetes version it was made with.
    pub version: String,
    /// Tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// The ClusterCredential.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_credential_ref: Option<super::SecretRef>,
    /// Where its etcd runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub etcd: Option<ClusterEtcd>,
}

/// Where the etcd of a cluster runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterEtcd {
    /// Present: etcd is not a static Pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "super::any_value")]
    pub external: Option<serde_json::Value>,
}

/// What is known of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterStatus {
    /// Running, Initializing, Failed, Terminating or Upgrading.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
    /// Kubernetes version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Address of its DNS service.
    #[serde(rename = "dnsIP", skip_serializing_if = "String::is_empty")]
    pub dns_ip: String,
    /// Addresses of its API server.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<ClusterAddress>,
}

/// An address of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterAddress {
    /// `Advertise`: the VIP.
    #[serde(rename = "type")]
    pub kind: String,
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: i32,
    /// Path.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// How a cluster is reached; its fields stand beside `metadata`.
#[derive(CustomResource, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "platform.tkestack.io",
    version = "v1",
    kind = "ClusterCredential",
    plural = "clustercredentials",
    no_spec,
    derive = "PartialEq",
    derive = "Default",
    doc = "How a cluster of the platform is reached."
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct ClusterCredentialFields {
    /// The cluster.
    pub cluster_name: String,
    /// Tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// Base64 of the CA certificate (PEM).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ca_cert: String,
    /// Base64 of the client certificate (PEM).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_cert: String,
    /// Base64 of its key (PEM).
    #[serde(skip_serializing_if = "String::is_empty")]
    pub client_key: String,
    /// Bearer token.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub token: String,
}

impl std::fmt::Debug for ClusterCredentialFields {
    /// Names the cluster only: the rest is secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterCredentialFields")
            .field("cluster_name", &self.cluster_name)
            .finish_non_exhaustive()
    }
}

/// A node of a cluster.
#[derive(
    CustomResource, Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema,
)]
#[kube(
    group = "platform.tkestack.io",
    version = "v1",
    kind = "Machine",
    plural = "machines",
    status = "MachineStatus",
    derive = "PartialEq",
    derive = "Default",
    doc = "A node of a cluster of the platform.",
    printcolumn(name = "Cluster", type_ = "string", json_path = ".spec.clusterName"),
    printcolumn(name = "IP", type_ = "string", json_path = ".spec.ip"),
    printcolumn(name = "Status", type_ = "string", json_path = ".status.phase"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct MachineSpec {
    /// The cluster.
    pub cluster_name: String,
    /// Address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub ip: String,
    /// SSH port.
    pub port: i32,
    /// SSH user.
    pub username: String,
    /// Tenant.
    #[serde(rename = "tenantID")]
    pub tenant_id: String,
    /// Baremetal.
    #[serde(rename = "type")]
    pub kind: String,
}

/// What is known of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-preserve-unknown-fields" = true))]
pub struct MachineStatus {
    /// Running, Initializing, Failed or Terminating.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub phase: String,
}
