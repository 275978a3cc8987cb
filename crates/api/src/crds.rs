//! The CRDs of every object, as they are generated into `deploy/crds`.

use crate::objects as o;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition as Crd;
use kube::CustomResourceExt as _;

/// The CRDs that belong to this product: deploy brings them.
#[must_use]
pub fn own() -> Vec<Crd> {
    vec![
        o::ClusterVersionShadow::crd(),
        o::ProductManifest::crd(),
        o::AppRelease::crd(),
        o::ResourcePatch::crd(),
    ]
}

/// Those of them whose objects stand on each cluster, the workload clusters included.
#[must_use]
pub fn of_each_cluster() -> Vec<Crd> {
    vec![o::AppRelease::crd(), o::ResourcePatch::crd()]
}

/// The CRDs that the platform has before this product comes.
#[must_use]
pub fn platform() -> Vec<Crd> {
    vec![
        with_v1alpha1(o::ProductBase::crd()),
        with_v1alpha1(o::ClusterModule::crd()),
        o::ModulePlugin::crd(),
        o::ModuleConfig::crd(),
        o::ModuleInfo::crd(),
        o::Cluster::crd(),
        o::ClusterCredential::crd(),
        o::Machine::crd(),
    ]
}

/// v1alpha1 is served with the same tree as v1alpha2 and stored; there is no conversion.
fn with_v1alpha1(mut crd: Crd) -> Crd {
    let mut old = crd.spec.versions.clone();
    for version in &mut old {
        version.name = "v1alpha1".to_owned();
    }
    for version in &mut crd.spec.versions {
        version.storage = false;
    }
    crd.spec.versions.splice(0..0, old);
    crd
}
