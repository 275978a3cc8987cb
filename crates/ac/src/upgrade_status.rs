//! The status of an upgrade for programs: a versioned kind whose fields stay.
//!
//! Fields are only ever added. Every field is always there; what is not known is null, what is
//! none is an empty list.

use crate::assessment::{Assessment, State, Tally};
use crate::elapsed;
use crate::failure::Failure;
use api::names::{AC_API_VERSION, UPGRADE_STATUS_KIND};
use api::{HistoryEntry, NotOffered, Preflight, Stage, Time, VersionImage};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;

/// The status of an upgrade.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeStatus {
    api_version: &'static str,
    kind: &'static str,
    /// The cluster.
    cluster: String,
    /// When it was looked at.
    observed_at: String,
    /// Where the cluster stands.
    state: State,
    /// What `--exit-code` answers.
    exit_code: u8,
    /// The verdict in words.
    verdict: String,
    /// The last completed version.
    current: Option<VersionImage>,
    /// The accepted version.
    desired: Option<VersionImage>,
    /// The version that spec asks for.
    requested: Option<String>,
    /// The version that the preflight is about.
    target: Option<String>,
    /// Whether the operator has seen the newest request.
    request_observed: bool,
    /// What wants attention, the worst first.
    attention: Vec<AttentionItem>,
    /// The preflight of the target; null: no result yet.
    preflight: Option<PreflightStatus>,
    conditions: Vec<Condition>,
    stages: Vec<Stage>,
    available_updates: Vec<VersionImage>,
    not_offered: Vec<NotOffered>,
    /// Newest first.
    history: Vec<HistoryEntry>,
    /// Words of a newer operator that this version does not know.
    unknown_words: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct AttentionItem {
    kind: &'static str,
    subject: String,
    reason: String,
    message: String,
    remedy: String,
    since: Option<Time>,
}

#[derive(Debug, Serialize)]
struct PreflightStatus {
    counts: Tally,
    #[serde(flatten)]
    result: Preflight,
}

impl UpgradeStatus {
    /// The status of an assessed cluster.
    #[must_use]
    pub fn of(assessment: &Assessment, now: Timestamp) -> Self {
        let status = assessment.status.clone();
        let attention = assessment.attention().into_iter().map(|item| AttentionItem {
            kind: item.kind.as_str(),
            subject: item.subject,
            reason: item.reason,
            message: item.message,
            remedy: item.remedy,
            since: item.since,
        });
        let preflight = assessment
            .preflight()
            .map(|found| PreflightStatus { counts: Tally::of(found), result: found.clone() });
        Self {
            api_version: AC_API_VERSION,
            kind: UPGRADE_STATUS_KIND,
            cluster: assessment.cluster.clone(),
            observed_at: elapsed::second(now),
            state: assessment.state,
            exit_code: assessment.state.exit_code(),
            verdict: assessment.verdict(now),
            current: status.current,
            desired: status.desired,
            requested: assessment.requested.clone(),
            target: assessment.target.clone(),
            request_observed: !assessment.unobserved,
            attention: attention.collect(),
            preflight,
            conditions: status.conditions,
            stages: status.stages,
            available_updates: status.available_updates,
            not_offered: status.not_offered,
            history: status.history,
            unknown_words: assessment.unknown.clone(),
        }
    }

    /// As JSON, for people too.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn json(&self) -> Result<String, Failure> {
        let text = serde_json::to_string_pretty(self).map_err(Failure::Malformed)?;
        Ok(text + "\n")
    }

    /// As JSON on one line.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn json_line(&self) -> Result<String, Failure> {
        Ok(serde_json::to_string(self).map_err(Failure::Malformed)? + "\n")
    }

    /// As YAML.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn yaml(&self) -> Result<String, Failure> {
        as_yaml(self)
    }
}

/// The statuses of many clusters.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct List<'a> {
    api_version: &'static str,
    kind: String,
    /// The worst first.
    items: &'a [UpgradeStatus],
}

impl<'a> List<'a> {
    fn of(items: &'a [UpgradeStatus]) -> Self {
        let kind = format!("{UPGRADE_STATUS_KIND}List");
        Self { api_version: AC_API_VERSION, kind, items }
    }
}

/// A list of statuses as JSON, for people too.
///
/// # Errors
/// It cannot be written down.
pub(crate) fn json(all: &[UpgradeStatus]) -> Result<String, Failure> {
    Ok(serde_json::to_string_pretty(&List::of(all)).map_err(Failure::Malformed)? + "\n")
}

/// A list of statuses as YAML.
///
/// # Errors
/// It cannot be written down.
pub(crate) fn yaml(all: &[UpgradeStatus]) -> Result<String, Failure> {
    as_yaml(&List::of(all))
}

fn as_yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| {
        Failure::refused(format!("the status cannot be written as YAML: {error}"), Vec::new())
    })
}
