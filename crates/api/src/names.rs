//! Names of objects, labels, annotations, keys and repositories that users and other programs know.

/// Namespace of the platform on every cluster.
pub const NAMESPACE: &str = "cpaas-system";
/// Name of the global cluster, of its Cluster object and of its ClusterVersionShadow.
pub const GLOBAL: &str = "global";
/// Name of the only ProductBase.
pub const PRODUCT_BASE: &str = "base";
/// Deployment, ServiceAccount and Lease of the cluster version operator; also its field manager.
pub const CVO: &str = "cluster-version-operator";
/// Field manager of every object that the operator applies.
pub const FIELD_MANAGER: &str = CVO;
/// The program behind `upgrade.sh`.
pub const PREPARE: &str = "acp-prepare";
/// Field manager of `upgrade.sh` (acp-prepare deploy).
pub const PREPARE_FIELD_MANAGER: &str = PREPARE;
/// The program for plugin packages; also its field manager.
pub const VIOLET: &str = "violet";
/// Container of the operator in its Deployment.
pub const CVO_CONTAINER: &str = "operator";

/// Repository of the product image below the registry's address.
pub const PRODUCT_IMAGE_REPOSITORY: &str = "acp/product-image";
/// Repository of the operator's image below the registry's address.
pub const CVO_REPOSITORY: &str = "acp/cluster-version-operator";

/// ConfigMap with the operator's settings.
pub const CVO_CONFIG: &str = "cvo-config";
/// Key of [`CVO_CONFIG`] that holds the settings of preflight as YAML.
pub const CVO_CONFIG_PREFLIGHT: &str = "preflight";
/// ConfigMap with the admin gates that a release ships.
pub const ADMIN_GATES: &str = "admin-gates";
/// ConfigMap with the administrators' acknowledgements.
pub const ADMIN_ACKS: &str = "admin-acks";
/// The only value of an acknowledgement that counts.
pub const ACKNOWLEDGED: &str = "true";
/// Secret with the push credentials of the built-in registry.
pub const REGISTRY_ADMIN: &str = "registry-admin";
/// ConfigMap that holds the registry's CA for the operator (key [`CA_KEY`]).
pub const REGISTRY_CA: &str = "registry-ca";
/// Key of a CA certificate in [`REGISTRY_ADMIN`] and [`REGISTRY_CA`].
pub const CA_KEY: &str = "ca.crt";
/// Key of the user name in [`REGISTRY_ADMIN`].
pub const USERNAME_KEY: &str = "username";
/// Key of the password in [`REGISTRY_ADMIN`].
pub const PASSWORD_KEY: &str = "password";
/// ServiceAccount and Secret, on every cluster, through which the platform reaches it.
pub const K8S_ADMIN: &str = "k8sadmin";
/// Secret with the platform's licence.
pub const PLATFORM_LICENSE: &str = "platform-license";
/// Key of the licence in [`PLATFORM_LICENSE`].
pub const LICENSE_KEY: &str = "license";
/// ConfigMap with the keys of the installed release, written when a release completes.
pub const RELEASE_KEYS: &str = "release-keys";
/// Key of [`RELEASE_KEYS`]: licence keys, one base64 ed25519 public key a line.
pub const RELEASE_LICENSE_KEYS: &str = "license";
/// Key of [`RELEASE_KEYS`]: the list of signing keys that releases to come are verified with.
pub const RELEASE_SIGNING_KEYS: &str = "signing-keys";
/// Key of [`RELEASE_KEYS`]: the digest of the installed release's product image.
pub const RELEASE_IMAGE: &str = "image";

/// Default key of the annotation that exempts a ResourcePatch for one target version.
pub const EXEMPT_ANNOTATION: &str = "config.cpaas.io/exempt-for-ver";
/// Finalizer of a ResourcePatch that the operator honours.
pub const RESOURCE_PATCH_FINALIZER: &str = "resourcepatch";
/// Label on every applied object: the AppRelease that owns it.
pub const OWNER_LABEL: &str = "cpaas.io/app-release";
/// Annotation on every applied object: the digest of what was applied.
pub const APPLIED_ANNOTATION: &str = "cpaas.io/applied-digest";
/// Annotation on a hook Job: the digest of the release it ran for.
pub const HOOK_ANNOTATION: &str = "cpaas.io/release-digest";
/// Annotation on a hook Job: the point of the release it ran at (`Before`, `After`).
pub const HOOK_POINT_ANNOTATION: &str = "cpaas.io/hook-point";
/// Annotation on an Event: subject and state that it announces (`Stalled=False/NotStalled`).
pub const ANNOUNCES_ANNOTATION: &str = "cpaas.io/announces";
/// Label of lifecycle types (`Core`, `Aligned`; absent means Agnostic).
pub const LIFECYCLE_LABEL: &str = "cpaas.io/lifecycle-type";
/// Label: the cluster a ModuleInfo belongs to, or an Event is about.
pub const CLUSTER_NAME_LABEL: &str = "cpaas.io/cluster-name";
/// Label: the module a ModuleInfo or ModuleConfig belongs to.
pub const MODULE_NAME_LABEL: &str = "cpaas.io/module-name";
/// Label of a ModuleInfo: what kind of module it is.
pub const MODULE_TYPE_LABEL: &str = "cpaas.io/module-type";
/// Value of [`MODULE_TYPE_LABEL`] of plugins.
pub const MODULE_TYPE_PLUGIN: &str = "plugin";
/// Annotation of a ModuleInfo: its name for people.
pub const DISPLAY_NAME_ANNOTATION: &str = "cpaas.io/display-name";
/// Annotation of a ModuleInfo: the version whose risk an administrator has accepted.
pub const ACCEPTED_RISK_ANNOTATION: &str = "cpaas.io/accepted-upgrade-risk";
/// Finalizer of a ModuleInfo whose plugin is installed.
pub const MODULE_INFO_FINALIZER: &str = "cpaas.io/moduleinfo";
/// Namespace of a plugin's objects where its ModuleConfig names none.
pub const PLUGIN_NAMESPACE: &str = NAMESPACE;
/// Label of workloads that belong to the platform itself.
pub const PLATFORM_COMPONENT_LABEL: &str = "cpaas.io/platform-component";
/// Label of Pods that upgrade a container runtime.
pub const CRI_UPGRADE_LABEL: &str = "cpaas.io/cri-upgrade";
/// Prefix of the name of Pods that upgrade a container runtime.
pub const CRI_UPGRADE_PREFIX: &str = "cri-upgrade-";
/// Pull secret that is copied into the namespace of every component.
pub const PULL_SECRET: &str = "acp-registry-pull";

/// Label of the nodes of a control plane.
pub const CONTROL_PLANE_LABEL: &str = "node-role.kubernetes.io/control-plane";
/// Label of static Pods: the component's name.
pub const COMPONENT_LABEL: &str = "component";
/// The static Pods of a control-plane node; the first is absent where etcd is external.
pub const STATIC_PODS: [&str; 4] =
    ["etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// Cluster objects as kubectl is asked for them: other products have clusters too.
pub const CLUSTERS: &str = "clusters.platform.tkestack.io";
/// ClusterModule objects as kubectl is asked for them.
pub const CLUSTER_MODULES: &str = "clustermodules";
/// Address type of the global VIP in Cluster.status.addresses.
pub const ADVERTISE: &str = "Advertise";
/// Cluster.spec.type of a cluster that the platform did not make.
pub const IMPORTED: &str = "Imported";
/// Cluster.status.phase and ModuleInfo.status.phase of what works.
pub const RUNNING: &str = "Running";

/// Helm annotation of objects that are never deleted with their release.
pub const HELM_RESOURCE_POLICY: &str = "helm.sh/resource-policy";
/// Value of [`HELM_RESOURCE_POLICY`] that keeps an object.
pub const HELM_KEEP: &str = "keep";
/// Helm annotation that makes an object a hook.
pub const HELM_HOOK: &str = "helm.sh/hook";
/// Helm annotation with the weight of a hook.
pub const HELM_HOOK_WEIGHT: &str = "helm.sh/hook-weight";
/// Helm annotation with the delete policy of a hook.
pub const HELM_HOOK_DELETE_POLICY: &str = "helm.sh/hook-delete-policy";

/// apiVersion of what `ac` prints with `-o json` and `-o yaml`.
pub const AC_API_VERSION: &str = "ac.acp.io/v1";
/// Kind of what `ac adm upgrade status -o json` prints.
pub const UPGRADE_STATUS_KIND: &str = "UpgradeStatus";

/// Name of the ProductManifest of a version: `v4.3.0`.
#[must_use]
pub fn product_manifest(version: &crate::Version) -> String {
    format!("v{version}")
}

/// Name of the ModuleInfo of a plugin on a cluster: `workload-a-<hash>`. The same plugin is there
/// once, so whoever installs it a second time meets the first.
#[must_use]
pub fn module_info(cluster: &str, module: &str) -> String {
    let digest = crate::Digest::of(module.as_bytes());
    format!("{cluster}-{}", &digest.hex()[..8])
}

/// Name of the ModuleConfig of a version of a plugin: `podinfo-1.0.0`.
#[must_use]
pub fn module_config(module: &str, version: &str) -> String {
    format!("{module}-{version}")
}

/// ClusterRole and ClusterRoleBinding with the rights that the operator needs for the charts of a
/// plugin.
#[must_use]
pub fn plugin_role(module: &str) -> String {
    format!("acp:{CVO}:plugin:{module}")
}

/// Whether a text is a name as most kinds of Kubernetes want it (RFC 1123 label).
#[must_use]
pub fn is_label(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    text.len() <= 63
        && text.bytes().all(|b| plain(b) || b == b'-')
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}
