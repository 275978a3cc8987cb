//! What `spec.desiredUpdate` asks for, and whether it can be taken.

use crate::snapshot::Snapshot;
use crate::target::{Target, manifest_of};
use api::Version;
use api::objects::{ClusterVersionShadowStatus, HistoryEntry, HistoryState};

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Nothing is asked for, or what is asked for is there already or under way.
    None,
    /// A version to move to.
    Taken(Target),
    /// It cannot be taken, and what to do.
    Refused(String),
    /// It cannot be judged now: something is not known.
    Unknown(String),
}

/// The upgrade under way, if there is one: begun, not completed and not left.
#[must_use]
pub fn in_flight(status: &ClusterVersionShadowStatus) -> Option<&HistoryEntry> {
    let desired = status.desired.as_ref().filter(|d| !d.image.is_empty())?;
    status.history.first().filter(|entry| {
        entry.state == HistoryState::Partial
            && entry.completion_time.is_none()
            && entry.version == desired.version
    })
}

/// Judges the request.
#[must_use]
pub fn request(snapshot: &Snapshot) -> Request {
    let Some(wish) = snapshot.cvsh.as_ref().and_then(|c| c.desired_update.as_ref()) else {
        return Request::None;
    };
    if wish.version.is_empty() && wish.image.is_none() {
        return Request::None;
    }
    let version: Version = match wish.version.parse() {
        Ok(version) => version,
        Err(error) => return Request::Refused(format!("desiredUpdate: {error}")),
    };
    let status = snapshot.status();
    let under_way = in_flight(&status);
    let manifest = manifest_of(snapshot, &version);
    if let Some(refusal) =
        image_refusal(snapshot, wish.image.as_deref(), manifest.and_then(|m| m.image.as_deref()))
    {
        return Request::Refused(refusal);
    }
    if let Some(entry) = under_way {
        if entry.version == version.to_string() {
            return Request::None;
        }
    } else if snapshot.current().is_some_and(|c| c == version) {
        return Request::None;
    }
    if let Some(current) = snapshot.current().filter(|current| version < *current) {
        return Request::Refused(format!(
            "{version} is lower than the current version {current}; a cluster never moves to a lower version"
        ));
    }
    if snapshot.manifests.value().is_none() {
        return Request::Unknown("the ProductManifests could not be read".to_owned());
    }
    let Some(manifest) = manifest else {
        return Request::Refused(format!(
            "there is no ProductManifest of {version}; publish it: bash upgrade.sh, or ac adm release import-manifest --version {version}"
        ));
    };
    let target = Target::of_manifest(manifest);
    match under_way {
        Some(entry) => way_out(entry, target),
        None => Request::Taken(target),
    }
}

/// An image, if given, must be that of the ProductManifest of the version.
fn image_refusal(
    snapshot: &Snapshot,
    wished: Option<&str>,
    resolved: Option<&str>,
) -> Option<String> {
    let wished = wished.filter(|image| !image.is_empty() && Some(*image) != resolved)?;
    let wished = api::text::line(wished, 160);
    Some(format!(
        "desiredUpdate.image {wished} is not the image of that version's ProductManifest; remove it: kubectl patch cvsh {} -n {} --type json -p '[{{\"op\":\"remove\",\"path\":\"/spec/desiredUpdate/image\"}}]'",
        snapshot.cluster,
        api::names::NAMESPACE
    ))
}

/// In flight another version is refused, unless it is the way out of the version in flight.
fn way_out(entry: &HistoryEntry, target: Target) -> Request {
    let lower = entry.version.parse::<Version>().is_ok_and(|v| target.version < v);
    let listed = match target.release.or_unknown() {
        Ok(release) => release.upgrade_from.partial.iter().any(|v| v.to_string() == entry.version),
        Err(error) => return Request::Unknown(error),
    };
    if listed && !lower {
        return Request::Taken(target);
    }
    Request::Refused(format!(
        "the upgrade to {} is under way and ends first; {} is not a way out of it",
        entry.version, target.version
    ))
}
