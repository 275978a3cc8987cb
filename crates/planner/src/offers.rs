//! Which published versions a cluster may ask for, and why the others are not offered.

use crate::snapshot::{ManifestFacts, ManifestReady, Observed, Snapshot};
use api::objects::{NotOffered, VersionImage};
use std::cmp::Reverse;

/// What is offered to a cluster and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// Highest first.
    pub available: Vec<VersionImage>,
    /// Highest first.
    pub not_offered: Vec<NotOffered>,
}

/// Why a version is not offered; the words are the contract of `notOffered[].reason`.
struct Obstacle {
    reason: &'static str,
    message: String,
}

/// Sorts the published versions above the current one into offered and not offered.
///
/// None when the ProductManifests could not be read: what was offered before still stands.
#[must_use]
pub fn offers(snapshot: &Snapshot) -> Option<Offers> {
    let none = Vec::new();
    let manifests = snapshot.manifests.or_empty(&none).ok()?;
    let current = snapshot.current();
    let mut above: Vec<&ManifestFacts> =
        manifests.iter().filter(|m| current.as_ref().is_none_or(|c| m.version > *c)).collect();
    above.sort_by_key(|m| Reverse(m.version.clone()));
    let mut offers = Offers::default();
    for manifest in above {
        let version = manifest.version.to_string();
        match obstacle(snapshot, manifest) {
            None => offers
                .available
                .push(VersionImage { version, image: manifest.image.clone().unwrap_or_default() }),
            Some(Obstacle { reason, message }) => offers.not_offered.push(NotOffered {
                version,
                reason: reason.to_owned(),
                message: api::text::message(&message),
            }),
        }
    }
    Some(offers)
}

fn obstacle(snapshot: &Snapshot, manifest: &ManifestFacts) -> Option<Obstacle> {
    let refused = |reason, message| Some(Obstacle { reason, message });
    match &manifest.ready {
        ManifestReady::Ready => {}
        ManifestReady::Waiting { why } | ManifestReady::Failed { why } => {
            return refused(
                "ManifestNotReady",
                format!("ProductManifest {} is not Ready: {why}", manifest.name),
            );
        }
    }
    let release = match &manifest.release {
        Observed::Value(release) => release,
        Observed::Unknown(error) => return refused("ManifestNotReady", error.clone()),
        Observed::KindAbsent | Observed::NotRead => {
            return refused("ManifestNotReady", "its release was not read yet".to_owned());
        }
    };
    if let Some(current) = snapshot.current()
        && !release.upgrade_from.range.contains(&current)
        && !is_way_out(snapshot, release)
        && !path_is_disabled(snapshot)
    {
        return refused(
            "NotInUpgradePath",
            format!(
                "{} can be reached from {}; this cluster is at {current}",
                release.version, release.upgrade_from.range
            ),
        );
    }
    if !snapshot.is_global {
        let reached = snapshot.reached_by_global.value();
        if !reached.is_some_and(|r| r.contains(&manifest.version)) {
            return refused(
                "GlobalNotReached",
                format!("waits until every global cluster has completed {}", manifest.version),
            );
        }
    }
    None
}

/// Whether the release is the way out of the upgrade under way.
fn is_way_out(snapshot: &Snapshot, release: &api::Release) -> bool {
    let status = snapshot.status();
    crate::request::in_flight(&status).is_some_and(|entry| {
        release.upgrade_from.partial.iter().any(|v| v.to_string() == entry.version)
    })
}

/// Disabling VersionUpgradePath lets a cluster be upgraded from outside the path.
fn path_is_disabled(snapshot: &Snapshot) -> bool {
    crate::preflight::config_of(snapshot).disabled.contains(&api::CheckName::VersionUpgradePath)
}
