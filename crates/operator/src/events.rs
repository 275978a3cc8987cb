//! Events: each transition of a status is announced once. The name of an Event follows from the
//! revision of the status, so that announcing it twice is refused by the API server.

use api::conditions::ConditionStatus;
use api::names::{CVO, NAMESPACE};
use api::objects::{
    ClusterVersionShadow, ClusterVersionShadowStatus, HistoryState, Phase, object_ref,
};
use cluster::CallError;
use cluster::server::ApiServer;
use jiff::Timestamp;
use serde_json::json;

/// Longest note of an Event, in bytes.
const NOTE_LIMIT: usize = 1000;

/// A transition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Whether a person should look.
    pub is_warning: bool,
    /// In one word.
    pub reason: String,
    /// In a sentence.
    pub note: String,
}

/// The transitions from one status to the next.
#[must_use]
pub fn transitions(
    before: &ClusterVersionShadowStatus,
    after: &ClusterVersionShadowStatus,
) -> Vec<Announcement> {
    let mut all = Vec::new();
    for condition in &after.conditions {
        let old = before.conditions.iter().find(|c| c.type_ == condition.type_);
        let same =
            old.is_some_and(|o| o.status == condition.status && o.reason == condition.reason);
        if same {
            continue;
        }
        let is_true = condition.status == ConditionStatus::True.as_str();
        let is_warning = condition.type_ == "Stalled" && is_true;
        all.push(Announcement {
            is_warning,
            reason: format!("{}{}", condition.type_, condition.status),
            note: format!("{}: {}", condition.reason, condition.message),
        });
    }
    for stage in &after.stages {
        let old =
            before.stages.iter().find(|s| s.name == stage.name).map_or(Phase::Pending, |s| s.phase);
        if old != stage.phase {
            all.push(Announcement {
                is_warning: stage.phase == Phase::Failed,
                reason: format!("Stage{}", stage.phase.as_str()),
                note: format!("stage {} {} {}", stage.name, stage.phase.as_str(), stage.message),
            });
        }
    }
    if let Some(entry) = after.history.first()
        && before.history.first().map(|e| (&e.version, e.state))
            != Some((&entry.version, entry.state))
    {
        let (reason, what) = match entry.state {
            HistoryState::Partial => ("UpgradeStarted", "the upgrade begins"),
            HistoryState::Completed => ("UpgradeCompleted", "the upgrade is complete"),
        };
        all.push(Announcement {
            is_warning: false,
            reason: reason.to_owned(),
            note: format!("{}: {what}", entry.version),
        });
    }
    all
}

/// Announces the transitions of a round. What cannot be announced is logged: an Event is for
/// people, the status is what counts.
pub async fn announce<A: ApiServer>(
    server: &A,
    identity: &str,
    cluster: &str,
    before: &ClusterVersionShadowStatus,
    after: &ClusterVersionShadowStatus,
    now: Timestamp,
) {
    let about = object_ref::<ClusterVersionShadow>(NAMESPACE, cluster);
    for (number, announcement) in transitions(before, after).into_iter().enumerate() {
        let body = json!({
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": format!("{cluster}.{}.{number}", after.revision + 1),
                "namespace": NAMESPACE,
            },
            "eventTime": format!("{now:.6}"),
            "reportingController": CVO,
            "reportingInstance": identity,
            "action": "Upgrade",
            "type": if announcement.is_warning { "Warning" } else { "Normal" },
            "reason": announcement.reason,
            "note": api::text::line(&announcement.note, NOTE_LIMIT),
            "regarding": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
            },
        });
        match server.create(&body).await {
            Ok(_) | Err(CallError::Conflict(_)) => {}
            Err(error) => {
                tracing::warn!(%error, reason = announcement.reason, "an Event could not be written")
            }
        }
    }
}
