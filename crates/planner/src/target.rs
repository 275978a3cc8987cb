//! The version that a round is about: which one, with which digest, from where.

use crate::snapshot::{ManifestFacts, ManifestReady, Observed, Snapshot};
use api::{Release, Version};

/// A version to which a cluster may move.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Distribution Version.
    pub version: Version,
    /// Product image with its digest; empty until it is resolved.
    pub image: String,
    /// The release inside.
    pub release: Observed<Release>,
    /// Where it comes from.
    pub origin: Origin,
}

/// Where a target comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// A package in hand, not published yet.
    Package,
    /// A ProductManifest.
    ProductManifest(ManifestReady),
}

impl Target {
    /// The target of a published release.
    #[must_use]
    pub fn of_manifest(manifest: &ManifestFacts) -> Self {
        Self {
            version: manifest.version.clone(),
            image: manifest.image.clone().unwrap_or_default(),
            release: manifest.release.clone(),
            origin: Origin::ProductManifest(manifest.ready.clone()),
        }
    }

    /// The target of the package in hand.
    #[must_use]
    pub fn of_package(snapshot: &Snapshot) -> Option<Self> {
        let package = snapshot.package.as_ref()?;
        Some(Self {
            version: package.release.version.clone(),
            image: package.image.clone(),
            release: Observed::Value(package.release.clone()),
            origin: Origin::Package,
        })
    }
}

/// The published release of a version.
#[must_use]
pub fn manifest_of<'a>(snapshot: &'a Snapshot, version: &Version) -> Option<&'a ManifestFacts> {
    snapshot.manifests.value()?.iter().find(|m| m.version == *version)
}
