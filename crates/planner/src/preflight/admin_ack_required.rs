//! AdminAckRequired: each gate of `admin-gates` and of the target's release that names the target
//! line and this cluster is acknowledged with exactly `"true"`. A malformed name or an empty text
//! blocks and is named. Passes where no gate concerns the target.

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
    let invalid: Vec<String> = gates
        .iter()
        .filter(|(key, text)| GateKey::parse(key).is_none() || text.trim().is_empty())
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
    let acks = inputs.snapshot.admin_acks.or_empty(&empty)?;
    let concerning: Vec<(&String, &String)> = gates
        .iter()
        .filter(|(key, _)| GateKey::parse(key).is_some_and(|g| g.concerns(&inputs.target.version)))
        .collect();
    if concerning.is_empty() {
        return Ok(Verdict::passed_with(CheckReason::NoGates, ""));
    }
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
