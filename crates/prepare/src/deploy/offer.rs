//! Waits for a moment until the operator has said whether it offers the release to the global
//! cluster: whoever looks at its preflight next must not see that of the release before. Then says
//! what comes next.

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
    /// It is offered.
    Offered,
    /// It is asked for already.
    Asked,
    /// The cluster has it.
    There,
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
        let found = found.map_err(connection.failed(what))?;
        let status = found.and_then(|found| found.status).unwrap_or_default();
        match said(&status, &version) {
            Said::Offered => printer.say(&format!("Offered:  {version} to {GLOBAL}"))?,
            Said::Asked => {
                printer.say(&format!("Asked for: {version} on {GLOBAL} already"))?;
                let follow = format!("Next: ac adm upgrade status --cluster={GLOBAL} --watch");
                return printer.say(&follow);
            }
            Said::There => {
                let there = format!("Cluster {GLOBAL} is at {version}: nothing is left to ask.");
                return printer.say(&there);
            }
            Said::Not(why) => printer.say(&format!("Not offered to {GLOBAL}: {why}"))?,
            Said::Nothing if Instant::now() >= end => printer.say(&format!(
                "Not offered to {GLOBAL} yet; see: ac adm upgrade --cluster={GLOBAL}"
            ))?,
            Said::Nothing => {
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        }
        return printer.say(&format!(
            "Next: bash upgrade.sh --preflight, then ac adm upgrade --cluster={GLOBAL} --to={version}"
        ));
    }
}

fn said(status: &ClusterVersionShadowStatus, version: &str) -> Said {
    let is = |held: &Option<api::VersionImage>| held.as_ref().is_some_and(|v| v.version == version);
    let offered = status.available_updates.iter().any(|offer| offer.version == version);
    if is(&status.current) {
        return Said::There;
    }
    if is(&status.desired) {
        return Said::Asked;
    }
    if offered {
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_comes_next_depends_on_how_far_the_cluster_is() {
        let of = |status: serde_json::Value| {
            said(&serde_json::from_value(status).expect("a status"), "4.3.0")
        };
        let is = |version: &str| json!({ "version": version, "image": "r/p@sha256:1" });
        let offered = json!({ "availableUpdates": [is("4.3.0")], "current": is("4.2.1") });
        assert!(matches!(of(offered), Said::Offered));
        let asked = json!({
            "availableUpdates": [is("4.3.0")], "current": is("4.2.1"), "desired": is("4.3.0"),
        });
        assert!(matches!(of(asked), Said::Asked));
        assert!(matches!(of(json!({ "current": is("4.3.0") })), Said::There));
        let newer = json!({ "current": is("4.3.0"), "desired": is("4.4.0") });
        assert!(matches!(of(newer), Said::There), "nothing is left to ask of this version");
        let none = json!({ "notOffered": [{
            "version": "4.3.0", "reason": "NotInUpgradePath", "message": "from 4.2.0 on",
        }]});
        assert!(matches!(of(none), Said::Not(why) if why.contains("from 4.2.0 on")));
        assert!(matches!(of(json!({})), Said::Nothing));
    }
}
