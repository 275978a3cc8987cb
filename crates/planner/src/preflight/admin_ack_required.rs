//! AdminAckRequired: each gate of the ConfigMap `cpaas-system/admin-gates` and of the target's
//! release that names the target's line (`ack-4.3-...`) and this cluster has the value `"true"`,
//! exactly, under its key in `cpaas-system/admin-acks` of global. What the release says of a gate
//! (`clusters`, `whenModule`) decides whether it names this cluster; a gate that stands in the
//! ConfigMap only names every cluster. A malformed name blocks, and so does an empty text of the
//! target's line; both are named. Without a gate the check passes.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use api::config::{GateKey, is_acknowledged};
use api::names::{ADMIN_ACKS, NAMESPACE};
use std::collections::BTreeMap;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let empty = BTreeMap::new();
    let mut gates: BTreeMap<String, String> = inputs.snapshot.admin_gates.or_empty(&empty)?.clone();
    let release = inputs.target.release.or_unknown()?;
    for (key, gate) in &release.admin_gates {
        if gate.clusters.concerns(inputs.snapshot.is_global)
            && has_module(inputs, gate.when_module.as_deref())?
        {
            gates.insert(key.clone(), gate.text.clone());
        } else {
            // The release says more precisely than the ConfigMap whom its own gate concerns.
            gates.remove(key);
        }
    }
    let concerns = |key: &str| GateKey::parse(key).map(|g| g.concerns(&inputs.target.version));
    let invalid: Vec<String> = gates
        .iter()
        .filter(|(key, text)| match concerns(key) {
            None => true,
            Some(concerns) => concerns && text.trim().is_empty(),
        })
        .map(|(key, _)| key.clone())
        .collect();
    if let Some(first) = invalid.first() {
        return Ok(Verdict::failed(
            CheckReason::GateInvalid,
            format!("malformed name or empty text: {}", api::text::names(&invalid)),
            format!(
                "correct it: kubectl -n {NAMESPACE} edit configmap {}  # key {first}",
                api::names::ADMIN_GATES
            ),
        ));
    }
    let concerning: Vec<(&String, &String)> =
        gates.iter().filter(|(key, _)| concerns(key) == Some(true)).collect();
    if concerning.is_empty() {
        return Ok(Verdict::passed_with(CheckReason::NoGates, ""));
    }
    let acks = inputs.snapshot.admin_acks.or_empty(&empty)?;
    let open: Vec<_> = concerning.iter().filter(|(key, _)| !is_acknowledged(acks, key)).collect();
    let Some((key, _)) = open.first() else {
        return Ok(Verdict::passed());
    };
    let texts: Vec<String> = open.iter().map(|(key, text)| format!("{key}: {text}")).collect();
    Ok(Verdict::failed(
        CheckReason::AckMissing,
        format!("to be read and acknowledged: {}", api::text::names(&texts)),
        format!(
            "kubectl -n {NAMESPACE} patch configmap {ADMIN_ACKS} --type merge -p '{{\"data\":{{\"{key}\":\"true\"}}}}'"
        ),
    ))
}

fn has_module(inputs: &Inputs<'_>, module: Option<&str>) -> Result<bool, String> {
    let Some(module) = module else { return Ok(true) };
    let none = Vec::new();
    Ok(inputs.snapshot.module_infos.or_empty(&none)?.iter().any(|m| m.module == module))
}
