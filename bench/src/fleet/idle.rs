//! What the operator does while nothing is asked of it and nothing changes.

use super::clusters::Fleet;
use crate::measure::{cpu_s, say, settle};
use anyhow::{Result, ensure};
use api::names::{CVO, NAMESPACE};
use e2e::t2::{Bench, Operator};
use std::time::Duration;

/// How long it is watched: longer than the time after which it looks at everything again, which is
/// 300 s as it is shipped.
const WATCHED: Duration = Duration::from_secs(310);

/// What it came to.
pub(super) struct Idle {
    /// For how long it was watched.
    pub(super) seconds: u64,
    /// Changing requests to any of the servers, those about its Lease aside.
    pub(super) changes: u32,
    /// Its time, in percent of one core.
    pub(super) percent: f64,
}

/// Watches it and a fleet at rest.
///
/// # Errors
/// When an audit log cannot be read or shows nothing of the operator.
pub(super) async fn measure(bench: &Bench, operator: &Operator, fleet: &Fleet<'_>) -> Result<Idle> {
    settle().await;
    say(&format!("idle for {} s", WATCHED.as_secs()));
    let process = operator.id().to_string();
    let (from, before) = (std::fs::metadata(bench.plane.audit_log())?.len(), fleet.written()?);
    let spent = cpu_s(&process)?;
    tokio::time::sleep(WATCHED).await;
    let spent = cpu_s(&process)? - spent;
    let account = format!("system:serviceaccount:{NAMESPACE}:{CVO}");
    let (requests, _) = bench.requests(from)?;
    let ours = requests.iter().filter(|r| r.user == account && r.is_change());
    let (leases, changes): (Vec<_>, Vec<_>) = ours.partition(|r| r.resource == "leases");
    ensure!(!leases.is_empty(), "the audit log shows no renewal of the Lease");
    for change in changes.iter().take(5) {
        say(&format!("written while idle: {} {}", change.verb, change.uri));
    }
    let elsewhere = u32::try_from(fleet.written_since(&before)?)?;
    Ok(Idle {
        seconds: WATCHED.as_secs(),
        changes: u32::try_from(changes.len())? + elsewhere,
        percent: spent / WATCHED.as_secs_f64() * 100.0,
    })
}
