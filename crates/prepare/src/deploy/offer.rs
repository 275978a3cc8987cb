//! Waits for a moment until the operator has said whether it offers the release to the global
//! cluster: whoever looks at its preflight next must not see that of the release before.

use super::Arriving;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::printer::Printer;
use api::conditions::NotOfferedReason;
use api::names::{GLOBAL, NAMESPACE};
use api::objects::{ClusterVersionShadow, ClusterVersionShadowStatus};
use cluster::observe::typed;
use std::time::{Duration, Instant};

/// Longest wait: an offer comes within five seconds.
const LIMIT: Duration = Duration::from_secs(15);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What the operator says of a release.
enum Said {
    /// It is offered, or on its way, or there.
    Offered,
    /// Not offered, and why.
    Not(String),
    /// Nothing that lasts.
    Nothing,
}

/// Waits; says what the operator says. Where the cluster has nothing to be told by yet, nothing is
/// waited for.
///
/// # Errors
/// When what it says cannot be read.
pub(super) async fn wait(
    connection: &Connection,
    arriving: &Arriving,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let version = arriving.version.to_string();
    let end = Instant::now() + LIMIT;
    loop {
        let found = typed::<ClusterVersionShadow, _>(&connection.server, NAMESPACE, GLOBAL).await;
        let what = format!("read ClusterVersionShadow {GLOBAL}");
        let Some(found) = found.map_err(connection.failed(what))? else { return Ok(()) };
        match said(&found.status.unwrap_or_default(), &version) {
            Said::Offered => return printer.say(&format!("Offered:  {version} to {GLOBAL}")),
            Said::Not(why) => {
                return printer.say(&format!("Not offered to {GLOBAL}: {why}"));
            }
            Said::Nothing if Instant::now() >= end => {
                return printer.say(&format!(
                    "Not offered to {GLOBAL} yet; see: ac adm upgrade --cluster={GLOBAL}"
                ));
            }
            Said::Nothing => tokio::time::sleep(PAUSE).await,
        }
    }
}

fn said(status: &ClusterVersionShadowStatus, version: &str) -> Said {
    let is = |held: &Option<api::VersionImage>| held.as_ref().is_some_and(|v| v.version == version);
    let offered = status.available_updates.iter().any(|offer| offer.version == version);
    if offered || is(&status.desired) || is(&status.current) {
        return Said::Offered;
    }
    match status.not_offered.iter().find(|other| other.version == version) {
        Some(other) if lasts(&other.reason) => {
            Said::Not(api::text::message(&format!("{}: {}", other.reason, other.message)))
        }
        _ => Said::Nothing,
    }
}

/// Whether a reason stays until somebody acts.
fn lasts(reason: &str) -> bool {
    matches!(
        NotOfferedReason::parse(reason),
        Some(NotOfferedReason::NotInUpgradePath | NotOfferedReason::GlobalNotReached)
    )
}
