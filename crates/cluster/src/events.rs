//! Events: every transition of a status is announced by exactly one, whoever leads and whatever is
//! killed. Decides what a transition is and what it is called; knows nothing of why it came.
//!
//! The status comes first, its Events follow. What a killed leader left unsaid is found by the next
//! one: it reads what the Events say of each subject (a condition, a stage, the history), and says
//! what the status shows beyond that. A dead leader makes no transitions, so that the present state
//! is all that can be missing. The name of an Event follows from the object, the revision of its
//! status and the subject: said twice, the API server refuses the second.

use crate::call::CallError;
use crate::server::{ApiServer, ListQuery};
use api::conditions::{ConditionStatus, ConditionType};
use api::names::{ANNOUNCES_ANNOTATION, CLUSTER_NAME_LABEL, CVO, NAMESPACE};
use api::objects::{
    ClusterVersionShadow, ClusterVersionShadowStatus, HistoryState, Phase, object_ref,
};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};

/// Group and version of Events.
const EVENTS: &str = "events.k8s.io/v1";
/// Longest note of an Event, in bytes.
const NOTE_LIMIT: usize = 1000;
/// Most Events that wait to be written; more can only come where none could be for long.
const PENDING_LIMIT: usize = 200;
/// How long rounds wait for Events that cannot be read or written, so that a kill meanwhile loses
/// none. An upgrade does not depend on Events, so it goes on without them then.
const PATIENCE: SignedDuration = SignedDuration::from_secs(30);
/// API servers keep Events for an hour by default. What is older and has no Event was announced.
const KEPT: SignedDuration = SignedDuration::from_secs(3600);

/// Something of which a status tells the state.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Subject {
    /// What it is: `Stalled`, `stage base`, `history`.
    name: String,
    /// Its state; a transition is a change of it.
    state: String,
    /// Since when, as far as the status tells.
    since: Option<Timestamp>,
    /// Whether a person should look.
    is_warning: bool,
    /// In one word.
    reason: String,
    /// In a sentence.
    note: String,
}

/// What a status says of conditions, stages and history. A stage that has not begun, and a platform
/// that something else installed, are nothing to announce.
fn subjects(status: &ClusterVersionShadowStatus) -> Vec<Subject> {
    let conditions = status.conditions.iter().map(|condition| {
        let is_true = condition.status == ConditionStatus::True.as_str();
        Subject {
            name: condition.type_.clone(),
            state: format!("{}/{}", condition.status, condition.reason),
            since: Some(condition.last_transition_time.0),
            is_warning: condition.type_ == ConditionType::Stalled.as_str() && is_true,
            reason: format!("{}{}", condition.type_, condition.status),
            note: sentence(&condition.reason, &condition.message),
        }
    });
    let upgrade = status.history.first().map_or("", |entry| entry.version.as_str());
    let begun = status.stages.iter().filter(|stage| stage.phase != Phase::Pending);
    let stages = begun.map(|stage| {
        let since = stage.completion_time.as_ref().or(stage.started_time.as_ref());
        Subject {
            name: format!("stage {}", stage.name),
            // The next upgrade has stages of the same names.
            state: format!("{upgrade}/{}", stage.phase.as_str()),
            since: since.map(|t| t.0),
            is_warning: stage.phase == Phase::Failed,
            reason: format!("Stage{}", stage.phase.as_str()),
            note: format!("stage {} {} {}", stage.name, stage.phase.as_str(), stage.message),
        }
    });
    let begun = status.history.first().filter(|entry| entry.started_time.is_some());
    let history = begun.map(|entry| {
        let (reason, what) = match entry.state {
            HistoryState::Partial => ("UpgradeStarted", "the upgrade begins"),
            HistoryState::Completed => ("UpgradeCompleted", "the upgrade is complete"),
        };
        let since = entry.completion_time.as_ref().or(entry.started_time.as_ref());
        Subject {
            name: "history".to_owned(),
            state: format!("{}/{}", entry.version, entry.state.as_str()),
            since: since.map(|t| t.0),
            is_warning: false,
            reason: reason.to_owned(),
            note: format!("{}: {what}", entry.version),
        }
    });
    conditions.chain(stages).chain(history).collect()
}

/// `reason: message`, or the reason alone.
fn sentence(reason: &str, message: &str) -> String {
    if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") }
}

/// What was said last of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    /// Revision of the status that it was said of.
    revision: i64,
    state: String,
}

/// Announces the transitions of one cluster, for as long as a process lives.
#[derive(Debug, Clone)]
pub struct Announcer {
    cluster: String,
    /// Name of this replica.
    identity: String,
    uid: String,
    /// The revision up to which everything is said or pending; None: not known.
    revision: Option<i64>,
    said: BTreeMap<String, Said>,
    /// Events that are not written yet.
    pending: VecDeque<Value>,
    /// Since when Events can be neither read nor written.
    failing_since: Option<Timestamp>,
}

impl Announcer {
    /// Of a process that has said nothing yet.
    #[must_use]
    pub fn new(cluster: &str, identity: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            identity: identity.to_owned(),
            uid: String::new(),
            revision: None,
            said: BTreeMap::new(),
            pending: VecDeque::new(),
            failing_since: None,
        }
    }

    /// Whether there are Events to write still.
    #[must_use]
    pub fn is_behind(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Before a round: says what the stored status shows and nobody said yet. Sends nothing where
    /// the status is the one that was announced last.
    ///
    /// # Errors
    /// While Events can be neither read nor written, for half a minute: no transition comes to the
    /// unsaid ones.
    pub async fn catch_up<A: ApiServer>(
        &mut self,
        server: &A,
        shadow: &ClusterVersionShadow,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let caught_up = self.try_catch_up(server, shadow, now).await;
        self.patient(caught_up, now)
    }

    /// After a write of a status that was made from the revision it carries.
    ///
    /// # Errors
    /// As [`Self::catch_up`]; what is left unsaid is said then.
    pub async fn announce<A: ApiServer>(
        &mut self,
        server: &A,
        written: &ClusterVersionShadowStatus,
        now: Timestamp,
    ) -> Result<(), CallError> {
        // Somebody else wrote in between: what it said is looked at before the next round.
        if self.revision != Some(written.revision) {
            return Ok(());
        }
        self.note(written.revision + 1, written, now);
        let flushed = self.flush(server).await;
        self.patient(flushed, now)
    }

    fn patient(&mut self, result: Result<(), CallError>, now: Timestamp) -> Result<(), CallError> {
        let Err(error) = result else {
            self.failing_since = None;
            return Ok(());
        };
        let since = *self.failing_since.get_or_insert(now);
        if error == CallError::NotLeader || now.duration_since(since) < PATIENCE {
            return Err(error);
        }
        tracing::warn!(%error, pending = self.pending.len(), "Events cannot be written");
        Ok(())
    }

    async fn try_catch_up<A: ApiServer>(
        &mut self,
        server: &A,
        shadow: &ClusterVersionShadow,
        now: Timestamp,
    ) -> Result<(), CallError> {
        let uid = shadow.metadata.uid.clone().unwrap_or_default();
        if uid != self.uid {
            *self = Self { uid, ..Self::new(&self.cluster, &self.identity) };
        }
        let empty = ClusterVersionShadowStatus::default();
        let status = shadow.status.as_ref().unwrap_or(&empty);
        if self.revision != Some(status.revision) {
            self.read(server).await?;
            self.assume_what_expired(status, now);
            self.note(status.revision, status, now);
        }
        self.flush(server).await
    }

    /// The metadata of the Events of the cluster.
    async fn all<A: ApiServer>(&self, server: &A) -> Result<Vec<Value>, CallError> {
        let labels = format!("{CLUSTER_NAME_LABEL}={}", self.cluster);
        let mut query = ListQuery::all(EVENTS, "Event").within(NAMESPACE).labelled(&labels);
        query.metadata_only = true;
        server.list(&query).await
    }

    /// What the Events say of each subject; the newest counts.
    async fn read<A: ApiServer>(&mut self, server: &A) -> Result<(), CallError> {
        for event in self.all(server).await? {
            let metadata = event.get("metadata");
            let name = name_of(&event);
            let annotations = metadata.and_then(|m| m.get("annotations"));
            let announces = annotations.and_then(|a| a.get(ANNOUNCES_ANNOTATION)?.as_str());
            let of_object = name.strip_prefix(&self.prefix());
            let revision = of_object.and_then(|rest| rest.split('.').next()?.parse().ok());
            let parts = announces.and_then(|text| text.rsplit_once('='));
            if let (Some(revision), Some((subject, state))) = (revision, parts) {
                let known = self.said.get(subject).map_or(i64::MIN, |said| said.revision);
                if known < revision {
                    let said = Said { revision, state: state.to_owned() };
                    self.said.insert(subject.to_owned(), said);
                }
            }
        }
        Ok(())
    }

    /// A restart days later tells no old news.
    fn assume_what_expired(&mut self, status: &ClusterVersionShadowStatus, now: Timestamp) {
        for subject in subjects(status) {
            let expired = subject.since.is_some_and(|since| now.duration_since(since) > KEPT);
            if expired {
                let said = Said { revision: status.revision, state: subject.state };
                self.said.entry(subject.name).or_insert(said);
            }
        }
    }

    /// Every transition since what was said last becomes an Event to be written.
    fn note(&mut self, revision: i64, status: &ClusterVersionShadowStatus, now: Timestamp) {
        for subject in subjects(status) {
            let before = self.said.get(&subject.name).map(|said| said.state.as_str());
            if before == Some(subject.state.as_str()) {
                continue;
            }
            self.pending.push_back(self.event(revision, &subject, now));
            let said = Said { revision, state: subject.state };
            self.said.insert(subject.name, said);
        }
        while self.pending.len() > PENDING_LIMIT {
            self.pending.pop_front();
        }
        self.revision = Some(revision);
    }

    fn prefix(&self) -> String {
        format!("{}.{}.", self.cluster, self.uid)
    }

    fn event(&self, revision: i64, subject: &Subject, now: Timestamp) -> Value {
        let about = object_ref::<ClusterVersionShadow>(NAMESPACE, &self.cluster);
        let digest = api::Digest::of(subject.name.as_bytes()).to_string();
        let short: String = digest.chars().skip_while(|c| *c != ':').skip(1).take(10).collect();
        json!({
            "apiVersion": EVENTS,
            "kind": "Event",
            "metadata": {
                "name": format!("{}{revision}.{short}", self.prefix()),
                "namespace": NAMESPACE,
                "labels": { CLUSTER_NAME_LABEL: self.cluster },
                "annotations": {
                    ANNOUNCES_ANNOTATION: format!("{}={}", subject.name, subject.state),
                },
            },
            "eventTime": format!("{now:.6}"),
            "reportingController": CVO,
            "reportingInstance": self.identity,
            "action": "Upgrade",
            "type": if subject.is_warning { "Warning" } else { "Normal" },
            "reason": subject.reason,
            "note": api::text::line(&subject.note, NOTE_LIMIT),
            "regarding": {
                "apiVersion": about.api_version,
                "kind": about.kind,
                "namespace": about.namespace,
                "name": about.name,
                "uid": self.uid,
            },
        })
    }

    /// Writes what is pending, in its order; what is there already was said.
    async fn flush<A: ApiServer>(&mut self, server: &A) -> Result<(), CallError> {
        while let Some(event) = self.pending.front() {
            match server.create(event).await {
                Ok(_) => {}
                // Refused for being there, or for another reason: looked at rather than believed.
                Err(error @ CallError::Conflict(_)) => {
                    let all = self.all(server).await?;
                    if !all.iter().any(|found| name_of(found) == name_of(event)) {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
            }
            self.pending.pop_front();
        }
        Ok(())
    }
}

fn name_of(event: &Value) -> &str {
    event.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default()
}
