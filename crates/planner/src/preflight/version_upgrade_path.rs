//! VersionUpgradePath: the current version is in the target's `upgradeFrom`.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    if inputs.snapshot.is_fresh_install()? {
        return Ok(Verdict::passed_with(CheckReason::FreshInstall, "nothing is installed yet"));
    }
    let release = inputs.target.release.or_unknown()?;
    let Some(current) = inputs.snapshot.current() else {
        return Err("the current version is not known".to_owned());
    };
    let from = &release.upgrade_from;
    if from.range.contains(&current) || current == inputs.target.version {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::NotInUpgradePath,
        format!(
            "{} can be reached from {}; this cluster is at {current}",
            inputs.target.version, from.range
        ),
        "upgrade to a version in between first; published ones: kubectl get productmanifests",
    ))
}
