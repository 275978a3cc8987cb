//! VersionUpgradePath: the current version is in the target's `upgradeFrom.range`, or is the target
//! itself, or the upgrade that did not end is listed in `upgradeFrom.partial`, or nothing is
//! installed yet.

use super::{Found, Inputs, Verdict};
use crate::offers::is_way_out;
use api::checks::CheckReason;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let snapshot = inputs.snapshot;
    if snapshot.is_fresh_install()? {
        return Ok(Verdict::passed_with(CheckReason::FreshInstall, "nothing is installed yet"));
    }
    let release = inputs.target.release.or_unknown()?;
    let current = snapshot.installed_version()?.ok_or("the current version is not known")?;
    let range = &release.upgrade_from.range;
    if range.contains(&current) || current == inputs.target.version || is_way_out(snapshot, release)
    {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::NotInUpgradePath,
        format!(
            "{} can be reached from {range}; this cluster is at {current}",
            inputs.target.version
        ),
        "upgrade to a version in between first; published ones: kubectl get productmanifests",
    ))
}
