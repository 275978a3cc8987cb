//! ClusterVersionUpgradeable: the last upgrade is complete (or the target lists it under
//! `upgradeFrom.partial`, or nothing is installed yet), neither the target nor one of its
//! components is lower than what the cluster has, its ProductManifest is Ready (for a package: no
//! ProductManifest of that version has another digest), and the running operator is not older than
//! the release's `minCVO`; for a workload cluster every global cluster has completed the target.

use super::{Found, Inputs, Verdict};
use crate::offers::is_way_out;
use crate::snapshot::ManifestReady;
use crate::stages::{self, Installed};
use crate::target::{Origin, manifest_of, manifests_unknown};
use api::checks::CheckReason;
use api::objects::HistoryEntry;
use api::{Digest, HistoryState, Release, Version};

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let (snapshot, target) = (inputs.snapshot, inputs.target);
    if let Some(verdict) = manifest(inputs)? {
        return Ok(verdict);
    }
    let release = target.release.or_unknown()?;
    let cvo = snapshot.cvo_version.as_ref();
    let cvo = cvo.ok_or("the version of the operator is not known")?;
    if *cvo < release.min_cvo {
        return Ok(Verdict::failed(
            CheckReason::CVOOutdated,
            format!(
                "the cluster version operator is {cvo}; {} needs {} or later",
                target.version, release.min_cvo
            ),
            "from the package of the target: bash upgrade.sh --skip-sync-image",
        ));
    }
    if let Some(verdict) = global_first(inputs)? {
        return Ok(verdict);
    }
    if snapshot.is_fresh_install()? {
        return Ok(Verdict::passed_with(CheckReason::FreshInstall, "nothing is installed yet"));
    }
    let current = snapshot.installed_version()?.ok_or("the current version is not known")?;
    let status = snapshot.status();
    let left = status.history.first().filter(|last| last.state == HistoryState::Partial);
    if let Some(verdict) = lower(inputs, release, current, left)? {
        return Ok(verdict);
    }
    match left.filter(|_| !is_way_out(snapshot, release)) {
        Some(left) => Ok(Verdict::failed(
            CheckReason::UpgradeIncomplete,
            format!("the upgrade to {} did not complete", left.version),
            format!("see what it waits for: ac adm upgrade status --cluster={}", snapshot.cluster),
        )),
        None => Ok(Verdict::passed()),
    }
}

/// Whether the ProductManifest stands in the way.
fn manifest(inputs: &Inputs<'_>) -> Result<Option<Verdict>, String> {
    let target = inputs.target;
    let name = api::names::product_manifest(&target.version);
    let failed = |message: String| {
        let remedy = format!(
            "look: kubectl get productmanifests {name} -o yaml; then send the release again: bash upgrade.sh"
        );
        Some(Verdict::failed(CheckReason::ManifestFailed, message, remedy))
    };
    match &target.origin {
        Origin::ProductManifest(ManifestReady::Ready) => Ok(None),
        Origin::ProductManifest(ManifestReady::Waiting { why }) => {
            Ok(Some(Verdict::retry(CheckReason::ManifestNotReady, why.clone())))
        }
        Origin::ProductManifest(ManifestReady::Failed { why }) => {
            Ok(failed(format!("ProductManifest {name} cannot be used: {why}")))
        }
        Origin::Package => {
            if let Some(error) = manifests_unknown(inputs.snapshot) {
                return Err(error);
            }
            let published = manifest_of(inputs.snapshot, &target.version);
            let image = published.and_then(|m| m.image.as_deref()).unwrap_or_default();
            // The registry before it may be called by another name.
            if image.is_empty() || Digest::of_image(image) == Digest::of_image(&target.image) {
                return Ok(None);
            }
            Ok(failed(format!(
                "ProductManifest {name} was published with another image than that of the package: {image}"
            )))
        }
    }
}

/// Whether the target is lower than what the cluster completed or began, or a component of it.
fn lower(
    inputs: &Inputs<'_>,
    release: &Release,
    current: Version,
    left: Option<&HistoryEntry>,
) -> Result<Option<Verdict>, String> {
    let target = &inputs.target.version;
    let begun = left.and_then(|last| last.version.parse::<Version>().ok());
    let at = begun.map_or(current.clone(), |begun| begun.max(current));
    let remedy = if inputs.target.origin == Origin::Package {
        format!(
            "take the core package of a version above {at}; what else this preflight says is of no use"
        )
    } else {
        format!(
            "ask for a version that is not lower: ac adm upgrade --cluster={} --to-latest",
            inputs.snapshot.cluster
        )
    };
    if *target < at {
        let message = format!("{target} is lower than {at}");
        return Ok(Some(Verdict::failed(CheckReason::Downgrade, message, remedy)));
    }
    let none = Installed::new();
    let installed = inputs.snapshot.app_releases.or_empty(&none)?;
    Ok(stages::lower_component(inputs.snapshot, release, installed).map(|component| {
        let message = format!("no component moves to a lower version: {component}");
        Verdict::failed(CheckReason::Downgrade, message, remedy)
    }))
}

fn global_first(inputs: &Inputs<'_>) -> Result<Option<Verdict>, String> {
    let target = &inputs.target.version;
    let none = Vec::new();
    if inputs.snapshot.is_global
        || inputs.snapshot.reached_by_global.or_empty(&none)?.contains(target)
    {
        return Ok(None);
    }
    Ok(Some(Verdict::failed(
        CheckReason::GlobalNotReached,
        format!("not every global cluster has completed {target}"),
        format!("upgrade global first: ac adm upgrade --cluster=global --to={target}"),
    )))
}
