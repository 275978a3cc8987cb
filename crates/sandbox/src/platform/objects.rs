//! Decides the objects of a platform before anything of Core is installed. Knows nothing of how
//! they are written.

use anyhow::{Context, Result};
use api::license::{License, sign};
use api::{
    Cluster, ClusterAddress, ClusterCredential, ClusterCredentialFields, ClusterModule,
    ClusterModuleBase, ClusterModuleSpec, ClusterModuleStatus, ClusterSpec, ClusterStatus, Machine,
    MachineSpec, MachineStatus, ProductBase, ProductBaseRegistry, ProductBaseSpec,
    ProductBaseStatus, SecretRef, names,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::{LICENSE_SEED, Registered};
use crate::registry::Account;

/// Every cluster and machine of a platform with one tenant.
const TENANT: &str = "default";
/// Clusters that the platform made.
const BAREMETAL: &str = "Baremetal";
/// When the demo's licence ends.
const LICENSE_ENDS: &str = "2099-01-01T00:00:00Z";

/// An object, and its status where that is written by itself.
#[derive(Clone, Debug)]
pub(super) struct Object {
    /// The object without its status.
    pub(super) body: Value,
    status: Option<Value>,
}

impl Object {
    fn plain(body: Value) -> Self {
        Self { body, status: None }
    }

    /// An object of one of our types; null stands for what it does not say.
    fn typed(object: &impl Serialize) -> Result<Self> {
        let mut body = serde_json::to_value(object)?;
        let fields = body.as_object_mut().context("an object is a map")?;
        let status = fields.remove("status").filter(|status| !status.is_null());
        Ok(Self { body, status })
    }

    /// What kubectl calls its kind: the name of its CRD.
    pub(super) fn resource(&self) -> Result<String> {
        let kind = self.body["kind"].as_str().unwrap_or_default();
        let crds = api::crds::platform();
        let crd = crds.into_iter().find(|crd| crd.spec.names.kind == kind);
        crd.and_then(|crd| crd.metadata.name).with_context(|| format!("no CRD of kind {kind}"))
    }

    /// What is sent to write the status.
    pub(super) fn status_body(&self) -> Option<Value> {
        let status = self.status.as_ref()?;
        Some(json!({
            "apiVersion": self.body["apiVersion"],
            "kind": self.body["kind"],
            "metadata": { "name": self.body["metadata"]["name"] },
            "status": status,
        }))
    }
}

/// The CRDs that a platform has before this product.
pub(super) fn crds() -> Result<Vec<Object>> {
    api::crds::platform().iter().map(Object::typed).collect()
}

/// The platform's namespace.
pub(super) fn namespace() -> Object {
    Object::plain(json!({
        "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": names::NAMESPACE },
    }))
}

fn secret(name: &str, kind: &str, data: &Value) -> Object {
    Object::plain(json!({
        "apiVersion": "v1", "kind": "Secret", "type": kind,
        "metadata": { "name": name, "namespace": names::NAMESPACE },
        "stringData": data,
    }))
}

/// The push credentials of the built-in registry.
pub(super) fn registry_admin(account: &Account, authority: &str) -> Object {
    let data = json!({
        names::USERNAME_KEY: account.name,
        names::PASSWORD_KEY: account.password,
        names::CA_KEY: authority,
    });
    secret(names::REGISTRY_ADMIN, "Opaque", &data)
}

/// What Pods pull with.
pub(super) fn pull_secret(registry: &str, account: &Account) -> Result<Object> {
    let (username, password) = (&account.name, &account.password);
    let auth = STANDARD.encode(format!("{username}:{password}"));
    let entry = json!({ "username": username, "password": password, "auth": auth });
    let config = serde_json::to_string(&json!({ "auths": { registry: entry } }))?;
    let data = json!({ ".dockerconfigjson": config });
    Ok(secret(names::PULL_SECRET, "kubernetes.io/dockerconfigjson", &data))
}

/// The licence of the platform with this id.
pub(super) fn license(global_id: &str) -> Result<Object> {
    let license = License { global_id: global_id.to_owned(), expires: LICENSE_ENDS.parse()? };
    let text = serde_json::to_string(&sign(&license, &LICENSE_SEED))?;
    Ok(secret(names::PLATFORM_LICENSE, "Opaque", &json!({ names::LICENSE_KEY: text })))
}

/// No gate is acknowledged yet. The gates themselves come with a release.
pub(super) fn admin_acks() -> Object {
    Object::plain(json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": names::ADMIN_ACKS, "namespace": names::NAMESPACE },
    }))
}

/// The platform's description: no version, because nothing is installed.
pub(super) fn product_base(registry: &str, vip: &str, global_id: &str) -> Result<Object> {
    let spec = ProductBaseSpec {
        platform_url: format!("https://{vip}"),
        registry: ProductBaseRegistry {
            address: registry.to_owned(),
            external: Some(false),
            secret_ref: Some(SecretRef { name: names::PULL_SECRET.to_owned() }),
            ..ProductBaseRegistry::default()
        },
        ..ProductBaseSpec::default()
    };
    let mut base = ProductBase::new(names::PRODUCT_BASE, spec);
    base.status = Some(ProductBaseStatus {
        phase: names::RUNNING.to_owned(),
        global_id: global_id.to_owned(),
        ..ProductBaseStatus::default()
    });
    Object::typed(&base)
}

/// The platform's part on a cluster: nothing yet.
pub(super) fn cluster_module(cluster: &str) -> Result<Object> {
    let mut module = ClusterModule::new(cluster, ClusterModuleSpec::default());
    module.status = Some(ClusterModuleStatus {
        base: Some(ClusterModuleBase::default()),
        ..ClusterModuleStatus::default()
    });
    Object::typed(&module)
}

/// The account through which the platform reaches a cluster, and its lasting token.
pub(super) fn access() -> Vec<Object> {
    let metadata = json!({ "name": names::K8S_ADMIN, "namespace": names::NAMESPACE });
    let mut token = metadata.clone();
    token["annotations"] = json!({ "kubernetes.io/service-account.name": names::K8S_ADMIN });
    let subject = json!({
        "kind": "ServiceAccount", "name": names::K8S_ADMIN, "namespace": names::NAMESPACE,
    });
    vec![
        Object::plain(json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata,
        })),
        Object::plain(json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": token,
            "type": "kubernetes.io/service-account-token",
        })),
        Object::plain(json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": format!("acp:{}", names::K8S_ADMIN) },
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [subject],
        })),
    ]
}

/// How the platform reaches a cluster; `authority` is base64 already.
pub(super) fn cluster_credential(
    cluster: &Registered,
    authority: &str,
    token: &str,
) -> Result<Object> {
    let fields = ClusterCredentialFields {
        cluster_name: cluster.name.clone(),
        tenant_id: TENANT.to_owned(),
        ca_cert: authority.to_owned(),
        token: token.to_owned(),
        ..ClusterCredentialFields::default()
    };
    Object::typed(&ClusterCredential::new(&cluster.name, fields))
}

/// A registered cluster that works.
pub(super) fn cluster(cluster: &Registered) -> Result<Object> {
    let version = cluster.kubernetes.trim_start_matches('v').to_owned();
    let spec = ClusterSpec {
        kind: BAREMETAL.to_owned(),
        display_name: cluster.name.clone(),
        version: version.clone(),
        tenant_id: TENANT.to_owned(),
        cluster_credential_ref: Some(SecretRef { name: cluster.name.clone() }),
        ..ClusterSpec::default()
    };
    let address = |kind: &str, host: &str| ClusterAddress {
        kind: kind.to_owned(),
        host: host.to_owned(),
        port: i32::from(cluster.port),
        path: String::new(),
    };
    let mut object = Cluster::new(&cluster.name, spec);
    object.status = Some(ClusterStatus {
        phase: names::RUNNING.to_owned(),
        version,
        dns_ip: cluster.dns_ip.clone(),
        addresses: vec![
            address(names::ADVERTISE, &cluster.advertised),
            address("Real", &cluster.host),
        ],
    });
    Object::typed(&object)
}

/// A cluster's one machine.
pub(super) fn machine(cluster: &Registered) -> Result<Object> {
    let spec = MachineSpec {
        cluster_name: cluster.name.clone(),
        ip: cluster.host.clone(),
        port: 22,
        username: "root".to_owned(),
        tenant_id: TENANT.to_owned(),
        kind: BAREMETAL.to_owned(),
    };
    let mut machine = Machine::new(&cluster.machine, spec);
    machine.status = Some(MachineStatus { phase: names::RUNNING.to_owned() });
    Object::typed(&machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_licence_is_signed_by_the_key_of_the_demo_releases() {
        let object = license("some-id").unwrap();
        let text = object.body["stringData"][names::LICENSE_KEY].as_str().unwrap();
        for release in ["4.2.1", "4.3.0"] {
            let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../release");
            let release = root.join(release).join("release.yaml");
            let release = std::fs::read_to_string(release).unwrap();
            let after = release.split_once("licenseKeys:\n").unwrap().1;
            let key = after.lines().next().unwrap().trim().trim_start_matches("- ").to_owned();
            assert_eq!(api::license::verify(text, &[key]).unwrap().global_id, "some-id");
        }
    }

    #[test]
    fn a_status_is_written_by_itself() {
        let object = product_base("10.88.0.10:11443", "10.88.0.10", "id").unwrap();
        assert!(object.body.get("status").is_none());
        let status = object.status_body().unwrap();
        assert_eq!(status["status"]["globalID"], "id");
        assert_eq!(status["metadata"]["name"], names::PRODUCT_BASE);
        assert!(status["status"].get("version").is_none());
    }
}
