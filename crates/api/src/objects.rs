//! The objects of the API: types, columns and schemas of their CRDs.

mod app_release;
mod cvsh;
mod modules;
mod platform;
mod plugins;
mod product_base;
mod product_manifest;
mod resource_patch;

pub use app_release::*;
pub use cvsh::*;
pub use modules::*;
pub use platform::*;
pub use plugins::*;
pub use product_base::*;
pub use product_manifest::*;
pub use resource_patch::*;

/// A schema that keeps fields it does not know; the platform's objects carry more than we read.
fn open_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}

/// Any value at all.
fn any_value(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A kind as the API serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServedKind {
    /// `product.alauda.io/v1alpha1`.
    pub api_version: String,
    /// `ClusterVersionShadow`.
    pub kind: String,
    /// `clusterversionshadows`.
    pub plural: String,
    /// Whether its objects live in a namespace.
    pub namespaced: bool,
}

/// The kind of a type of this crate.
#[must_use]
pub fn served<K: kube::Resource<DynamicType = ()>>(namespaced: bool) -> ServedKind {
    ServedKind {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        plural: K::plural(&()).into_owned(),
        namespaced,
    }
}

/// Every kind of this crate.
#[must_use]
pub fn served_kinds() -> Vec<ServedKind> {
    vec![
        served::<ClusterVersionShadow>(true),
        served::<ProductManifest>(false),
        served::<ProductBase>(false),
        served::<AppRelease>(true),
        served::<ResourcePatch>(false),
        served::<ClusterModule>(false),
        served::<ModulePlugin>(false),
        served::<ModuleConfig>(false),
        served::<ModuleInfo>(false),
        served::<Cluster>(false),
        served::<ClusterCredential>(false),
        served::<Machine>(false),
    ]
}

/// The reference of an object of this crate.
#[must_use]
pub fn object_ref<K: kube::Resource<DynamicType = ()>>(namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        api_version: K::api_version(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
