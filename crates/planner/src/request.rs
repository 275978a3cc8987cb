//! What `spec.desiredUpdate` asks for, and whether it can be taken.

use crate::snapshot::Snapshot;
use crate::target::{Target, manifest_of, manifests_unknown};
use api::Version;
use api::objects::{ClusterVersionShadowStatus, HistoryEntry, HistoryState};

/// What a request comes to.
#[derive(Debug, Clone, PartialEq)]
pub enum Request {
    /// Nothing is asked for, or what is asked for is there already or under way.
    None,
    /// A version to move to.
    Taken(Box<Target>),
    /// It cannot be taken, and what to do.
    Refused(String),
    /// In flight another version is asked for, and whether it is a way out is not known now.
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
    if wish.version.is_empty() && wish.image.as_ref().is_none_or(String::is_empty) {
        return Request::None;
    }
    let version: Version = match wish.version.parse() {
        Ok(version) => version,
        Err(error) => {
            return Request::Refused(withdraw(snapshot, &format!("desiredUpdate: {error}")));
        }
    };
    if let Some(refusal) = image_refusal(snapshot, &version, wish.image.as_deref()) {
        return Request::Refused(refusal);
    }
    let status = snapshot.status();
    let under_way = in_flight(&status);
    let at = under_way.and_then(|e| e.version.parse().ok()).or_else(|| snapshot.current());
    match at {
        Some(at) if version == at => return Request::None,
        Some(at) if version < at => return Request::Refused(lower(&version, &at)),
        Some(_) | None => {}
    }
    if let Some(error) = manifests_unknown(snapshot) {
        return unknown(snapshot, version, under_way, &error);
    }
    let Some(manifest) = manifest_of(snapshot, &version) else {
        // It may be on its way, or mistyped.
        let withdraw = api::StalledReason::RequestRefused.remedy_for(&snapshot.cluster);
        return Request::Refused(api::remedy::message(
            &format!("there is no ProductManifest of {version}"),
            &format!(
                "publish it: bash upgrade.sh, or ac adm release import-manifest --version {version}; \
                 or {withdraw}"
            ),
        ));
    };
    let target = Target::of_manifest(manifest);
    match under_way {
        Some(entry) => way_out(entry, target),
        None => Request::Taken(Box::new(target)),
    }
}

/// With what to do said here: what was asked for may hold anything.
fn withdraw(snapshot: &Snapshot, why: &str) -> String {
    let remedy = api::StalledReason::RequestRefused.remedy_for(&snapshot.cluster);
    api::remedy::message(why, &remedy)
}

fn lower(version: &Version, at: &Version) -> String {
    format!("{version} is lower than {at}; a cluster never moves to a lower version")
}

/// Nothing can be read of the version now: what was accepted before waits on, nothing is refused.
fn unknown(
    snapshot: &Snapshot,
    version: Version,
    under_way: Option<&HistoryEntry>,
    error: &str,
) -> Request {
    let error = format!("the ProductManifests could not be read: {error}");
    if under_way.is_some() {
        return Request::Unknown(error);
    }
    let known = snapshot.status().desired.filter(|d| d.version == version.to_string());
    let image = known.map(|d| d.image).unwrap_or_default();
    Request::Taken(Box::new(Target::unknown(version, image, &error)))
}

/// An image, if given, must be that of the ProductManifest of the version. It is not refused as
/// long as that image is not known.
fn image_refusal(snapshot: &Snapshot, version: &Version, wished: Option<&str>) -> Option<String> {
    let wished = wished.filter(|image| !image.is_empty())?;
    let status = snapshot.status();
    let name = version.to_string();
    let accepted = [&status.desired, &status.current].into_iter().flatten();
    let mut known: Vec<&str> =
        accepted.filter(|v| v.version == name).map(|v| v.image.as_str()).collect();
    known.extend(manifest_of(snapshot, version).and_then(|m| m.image.as_deref()));
    known.retain(|image| !image.is_empty());
    if known.is_empty() || known.contains(&wished) {
        return None;
    }
    let wished = api::text::line(wished, 160);
    Some(api::remedy::message(
        &format!(
            "desiredUpdate.image {wished} is not the image of the ProductManifest of {version}"
        ),
        &format!(
            "remove it: kubectl patch cvsh {} -n {} --type merge -p '{{\"spec\":{{\"desiredUpdate\":{{\"image\":null}}}}}}'",
            snapshot.cluster,
            api::names::NAMESPACE
        ),
    ))
}

/// In flight another version is refused, unless it is the way out of the version in flight.
fn way_out(entry: &HistoryEntry, target: Target) -> Request {
    match target.release.or_unknown() {
        Ok(release)
            if release.upgrade_from.partial.iter().any(|v| v.to_string() == entry.version) =>
        {
            Request::Taken(Box::new(target))
        }
        Ok(_) => Request::Refused(format!(
            "the upgrade to {} is under way and ends first; {} is not a way out of it",
            entry.version, target.version
        )),
        Err(error) => Request::Unknown(error),
    }
}
