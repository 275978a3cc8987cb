//! Which published versions a cluster may ask for, and why the others are not offered.

use crate::snapshot::{ManifestFacts, ManifestReady, Snapshot};
use api::conditions::NotOfferedReason;
use api::objects::{NotOffered, VersionImage};
use std::cmp::Reverse;

/// Most versions that are offered; the highest stay.
pub const AVAILABLE_LIMIT: usize = 100;
/// Most versions of which it is said why they are not offered; the highest stay.
pub const NOT_OFFERED_LIMIT: usize = 20;

/// What is offered to a cluster and what is not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Offers {
    /// Highest first.
    pub available: Vec<VersionImage>,
    /// Highest first.
    pub not_offered: Vec<NotOffered>,
}

/// Why a version is not offered.
struct Obstacle {
    reason: NotOfferedReason,
    message: String,
}

/// Sorts the published versions above the current one into offered and not offered.
///
/// None when the ProductManifests or the current version could not be read: what was offered
/// before still stands.
#[must_use]
pub fn offers(snapshot: &Snapshot) -> Option<Offers> {
    let none = Vec::new();
    let manifests = snapshot.manifests.or_empty(&none).ok()?;
    let current = snapshot.installed_version().ok()?;
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
                reason: reason.as_str().to_owned(),
                message: api::text::message(&message),
            }),
        }
    }
    limit(&mut offers);
    Some(offers)
}

/// The highest versions stay; of the others it is said how many there are.
fn limit(offers: &mut Offers) {
    offers.available.truncate(AVAILABLE_LIMIT);
    let more = offers.not_offered.len().saturating_sub(NOT_OFFERED_LIMIT);
    offers.not_offered.truncate(NOT_OFFERED_LIMIT);
    if let Some(last) = offers.not_offered.last_mut().filter(|_| more > 0) {
        let message = api::text::line(&last.message, api::text::MESSAGE_LIMIT - 64);
        last.message = format!("{message}; and {more} lower versions are not offered");
    }
}

fn obstacle(snapshot: &Snapshot, manifest: &ManifestFacts) -> Option<Obstacle> {
    let refused = |reason, message| Some(Obstacle { reason, message });
    match &manifest.ready {
        ManifestReady::Ready => {}
        ManifestReady::Waiting { why } | ManifestReady::Failed { why } => {
            return refused(
                NotOfferedReason::ManifestNotReady,
                format!("ProductManifest {} is not Ready: {why}", manifest.name),
            );
        }
    }
    let release = match manifest.release.or_unknown() {
        Ok(release) => release,
        Err(error) => return refused(NotOfferedReason::ReleaseUnreadable, error),
    };
    if let Some(current) = snapshot.current()
        && !release.upgrade_from.range.contains(&current)
        && !is_way_out(snapshot, release)
        && !path_is_disabled(snapshot)
    {
        return refused(
            NotOfferedReason::NotInUpgradePath,
            format!(
                "{} can be reached from {}; this cluster is at {current}",
                release.version, release.upgrade_from.range
            ),
        );
    }
    if snapshot.is_global {
        return None;
    }
    match snapshot.reached_by_global.or_empty(&Vec::new()) {
        Ok(reached) if reached.contains(&manifest.version) => None,
        Ok(_) => refused(
            NotOfferedReason::GlobalNotReached,
            format!("waits until every global cluster has completed {}", manifest.version),
        ),
        Err(error) => refused(
            NotOfferedReason::InputUnknown,
            format!("what the global clusters have completed is not known: {error}"),
        ),
    }
}

/// Whether the release is the way out of an upgrade that was begun and did not end.
#[must_use]
pub fn is_way_out(snapshot: &Snapshot, release: &api::Release) -> bool {
    let status = snapshot.status();
    status.history.first().is_some_and(|last| {
        last.state == api::HistoryState::Partial
            && release.upgrade_from.partial.iter().any(|v| v.to_string() == last.version)
    })
}

/// Disabling VersionUpgradePath lets a cluster be upgraded from outside the path.
fn path_is_disabled(snapshot: &Snapshot) -> bool {
    crate::preflight::config_of(snapshot).disabled.contains(&api::CheckName::VersionUpgradePath)
}
