//! The rules that hold whatever is disabled: a Ready manifest and a pinned digest when an upgrade
//! begins, no lower version of the platform or of a component, global first. Preflight says some of
//! them too; here they cannot be switched off.

use crate::snapshot::{ManifestReady, Snapshot};
use crate::stages::{self, Installed};
use crate::target::{Origin, Target};
use api::release::{OPERATION_LIMIT, Release};
use api::{Digest, HistoryState, StalledReason, Version};

/// What holds an upgrade back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Hold {
    /// A rule is broken: a person must act.
    Broken(String),
    /// An input is not known: asked again by itself.
    Unknown(String),
}

impl Hold {
    pub(super) fn message(&self) -> &str {
        match self {
            Self::Broken(message) | Self::Unknown(message) => message,
        }
    }

    /// The reason that Stalled has, once this lasted long enough.
    pub(super) const fn reason(&self) -> StalledReason {
        match self {
            Self::Broken(_) => StalledReason::PreflightFailed,
            Self::Unknown(_) => StalledReason::PreflightUnknown,
        }
    }
}

/// Whether an upgrade to the target may begin.
pub(super) fn may_begin(snapshot: &Snapshot, target: &Target) -> Result<(), Hold> {
    match &target.origin {
        Origin::Package | Origin::ProductManifest(ManifestReady::Ready) => {}
        Origin::ProductManifest(ManifestReady::Waiting { why }) => {
            return Err(Hold::Unknown(format!("its ProductManifest is not Ready yet: {why}")));
        }
        Origin::ProductManifest(ManifestReady::Failed { why }) => {
            return Err(Hold::Broken(format!("its ProductManifest cannot be used: {why}")));
        }
    }
    if Digest::of_image(&target.image).is_none() {
        return Err(Hold::Broken("its image is not resolved to a digest".to_owned()));
    }
    never_lower(snapshot, &target.version)?;
    let release = target.release.or_unknown().map_err(Hold::Unknown)?;
    if release.version != target.version {
        return Err(Hold::Broken(format!("its image holds the release {}", release.version)));
    }
    let none = Installed::new();
    let installed = snapshot.app_releases.or_empty(&none).map_err(Hold::Unknown)?;
    components_never_lower(snapshot, release, installed)?;
    // While it is not known which plugins there are, their stage would be left out.
    let unknown =
        |error| Hold::Unknown(format!("the plugins of the cluster are not known: {error}"));
    if !snapshot.module_infos.or_empty(&Vec::new()).map_err(unknown)?.is_empty() {
        snapshot.module_configs.or_empty(&Vec::new()).map_err(unknown)?;
    }
    let operations: usize =
        stages::build(snapshot, release, installed).iter().map(|s| s.operations.len()).sum();
    if operations > OPERATION_LIMIT {
        return Err(Hold::Broken(format!(
            "it comes to {operations} operations; one status holds {OPERATION_LIMIT}"
        )));
    }
    global_first(snapshot, &target.version)
}

/// A cluster never moves below what it completed or what it has begun to move to.
pub(super) fn never_lower(snapshot: &Snapshot, version: &Version) -> Result<(), Hold> {
    let current = snapshot.installed_version().map_err(Hold::Unknown)?;
    if current.is_none() && !snapshot.is_fresh_install().map_err(Hold::Unknown)? {
        return Err(Hold::Unknown("the current version is not known".to_owned()));
    }
    let status = snapshot.status();
    let begun = status.history.first().filter(|h| h.state == HistoryState::Partial);
    let begun = begun.and_then(|h| h.version.parse::<Version>().ok());
    match current.into_iter().chain(begun).max() {
        Some(at) if *version < at => Err(Hold::Broken(format!("it is lower than {at}"))),
        Some(_) | None => Ok(()),
    }
}

/// No component ever moves to a lower version.
pub(super) fn components_never_lower(
    snapshot: &Snapshot,
    release: &Release,
    installed: &Installed,
) -> Result<(), Hold> {
    match stages::lower_component(snapshot, release, installed) {
        Some(lower) => Err(Hold::Broken(format!("no component moves to a lower version: {lower}"))),
        None => Ok(()),
    }
}

/// A workload cluster never passes the version that every global cluster has completed.
pub(super) fn global_first(snapshot: &Snapshot, version: &Version) -> Result<(), Hold> {
    if snapshot.is_global {
        return Ok(());
    }
    match snapshot.reached_by_global.or_empty(&Vec::new()) {
        Ok(reached) if reached.contains(version) => Ok(()),
        Ok(_) => Err(Hold::Broken("not every global cluster has completed it".to_owned())),
        Err(error) => Err(Hold::Unknown(format!(
            "what the global clusters have completed is not known: {error}"
        ))),
    }
}
