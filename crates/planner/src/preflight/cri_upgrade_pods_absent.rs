//! CRIUpgradePodsAbsent: no Pod of a container-runtime upgrade is left over: none with the label
//! `cpaas.io/cri-upgrade` or a name `cri-upgrade-*`, in any namespace and any phase.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use api::names::{CRI_UPGRADE_LABEL, CRI_UPGRADE_PREFIX};
use std::collections::BTreeMap;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let pods = inputs.snapshot.cri_upgrade_pods.or_empty(&none)?;
    let Some(first) = pods.first() else {
        return Ok(Verdict::passed());
    };
    let (namespace, name) = first.split_once('/').unwrap_or_default();
    Ok(Verdict::failed(
        CheckReason::UpgradePodsFound,
        format!("left over: {}", api::text::names(pods)),
        format!("once the runtime's upgrade has ended: kubectl -n {namespace} delete pod {name}"),
    ))
}

/// Whether a Pod belongs to a container-runtime upgrade.
#[must_use]
pub fn is_left_over(name: &str, labels: &BTreeMap<String, String>) -> bool {
    name.starts_with(CRI_UPGRADE_PREFIX) || labels.contains_key(CRI_UPGRADE_LABEL)
}
