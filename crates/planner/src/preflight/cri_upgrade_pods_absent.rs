//! CRIUpgradePodsAbsent: no Pod of a container-runtime upgrade is left over: none with the label
//! `cpaas.io/cri-upgrade` or a name `cri-upgrade-*`, in any namespace and any phase.

use super::{Found, Inputs, Verdict, delete_all};
use api::checks::CheckReason;
use api::names::{CRI_UPGRADE_LABEL, CRI_UPGRADE_PREFIX};
use std::collections::BTreeMap;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let pods = inputs.snapshot.cri_upgrade_pods.or_empty(&none)?;
    if pods.is_empty() {
        return Ok(Verdict::passed());
    }
    Ok(Verdict::failed(
        CheckReason::UpgradePodsFound,
        format!("left over: {}", api::text::names(pods)),
        format!("once the runtime's upgrade has ended: {}", delete_all("pod", pods)),
    ))
}

/// Whether a Pod belongs to a container-runtime upgrade.
#[must_use]
pub fn is_left_over(name: &str, labels: &BTreeMap<String, String>) -> bool {
    name.starts_with(CRI_UPGRADE_PREFIX) || labels.contains_key(CRI_UPGRADE_LABEL)
}
