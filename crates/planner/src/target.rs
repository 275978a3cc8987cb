//! The version that a round is about: which one, with which digest, from where.

use crate::snapshot::{ManifestFacts, ManifestReady, Observed, Snapshot};
use api::signature::ReleaseSignature;
use api::{Release, Version};

/// A version to which a cluster may move.
#[derive(Debug, Clone, PartialEq)]
pub struct Target {
    /// Distribution Version.
    pub version: Version,
    /// Product image with its digest; empty until it is resolved.
    pub image: String,
    /// Which key signed it, and whose keys made it trusted.
    pub signature: Option<ReleaseSignature>,
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
        let ready = match (&manifest.ready, manifest.release.or_unknown()) {
            (ManifestReady::Ready, Err(why)) if manifest.release_is_invalid => {
                ManifestReady::Failed { why }
            }
            (ready, _) => ready.clone(),
        };
        Self {
            version: manifest.version.clone(),
            image: manifest.image.clone().unwrap_or_default(),
            signature: manifest.signature.clone(),
            release: manifest.release.clone(),
            origin: Origin::ProductManifest(ready),
        }
    }

    /// A version of which nothing can be read now; its image is kept where it was known before.
    #[must_use]
    pub fn unknown(version: Version, image: String, error: &str) -> Self {
        Self {
            version,
            image,
            signature: None,
            release: Observed::Unknown(error.to_owned()),
            origin: Origin::ProductManifest(ManifestReady::Waiting { why: error.to_owned() }),
        }
    }

    /// The target of the package in hand.
    #[must_use]
    pub fn of_package(snapshot: &Snapshot) -> Option<Self> {
        let package = snapshot.package.as_ref()?;
        Some(Self {
            version: package.release.version.clone(),
            image: package.image.clone(),
            signature: package.signature.clone(),
            release: Observed::Value(package.release.clone()),
            origin: Origin::Package,
        })
    }
}

/// Why the published releases are not known; None where they are.
#[must_use]
pub fn manifests_unknown(snapshot: &Snapshot) -> Option<String> {
    snapshot.manifests.or_empty(&Vec::new()).err()
}

/// The published release of a version. One that is named otherwise than its version counts only
/// where there is none of the right name: it says what is wrong with it.
#[must_use]
pub fn manifest_of<'a>(snapshot: &'a Snapshot, version: &Version) -> Option<&'a ManifestFacts> {
    let name = api::names::product_manifest(version);
    let of_version: Vec<&ManifestFacts> =
        snapshot.manifests.value()?.iter().filter(|m| m.version == *version).collect();
    of_version.iter().find(|m| m.name == name).or(of_version.first()).copied()
}
