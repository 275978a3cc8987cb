//! What must hold after every change of a cluster, whoever made it and whatever went wrong. The
//! first breach is kept with the change that made it.

use crate::scope::Withheld;
use crate::store::{Change, Store};
pub(crate) use api::ClusterVersionShadowStatus as Status;
use api::conditions::{ConditionStatus, ConditionType, find};
use api::names::{
    CLUSTER_NAME_LABEL, FIELD_MANAGER, HOOK_ANNOTATION, HOOK_POINT_ANNOTATION, NAMESPACE,
    OWNER_LABEL,
};
use api::objects::{
    AppRelease, HistoryEntry, Lifecycle, ObjectRef, Phase, Preflight, ResourcePatch,
};
use api::objects::{ResourcePatchPhase, object_ref};
use api::{CheckState, HistoryState, Version};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

const STATUS_LIMIT: usize = 256 * 1024;
const MESSAGE_LIMIT: usize = 1024;

/// Where it is looked up what stands, as rounds about a cluster do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stores<'a> {
    /// Global: what is recorded of the platform and of every cluster.
    pub(crate) home: &'a Store,
    /// The cluster itself; for global, the same.
    pub(crate) server: &'a Store,
}

/// Holds every change of one cluster, and of what is recorded of it, against the invariants.
#[derive(Debug, Clone, Default)]
pub(crate) struct Watch {
    /// Its name.
    pub(crate) cluster: &'static str,
    /// The first breach.
    pub(crate) breach: Option<String>,
    /// Nothing but passing faults: a person is never called.
    pub(crate) never_stalls: bool,
    /// Hook Jobs that succeeded: name, release.
    succeeded: BTreeMap<(String, String), u32>,
    /// Transitions that were written: the words of their Events, by revision.
    transitions: BTreeMap<i64, Vec<String>>,
    /// Those of them whose Event a crash may cost.
    pub(crate) old_conditions: BTreeMap<i64, Vec<String>>,
    /// Events that were there before.
    old_events: BTreeSet<String>,
    /// What was not given in the round that is made.
    pub(crate) withheld: Withheld,
    /// Whether the write that is looked at is one of the rounds about plugins.
    pub(crate) is_about_plugins: bool,
    /// How often each value was customised and is in force, for tests that ask.
    pub(crate) customised: u32,
}

pub(crate) fn typed<T: DeserializeOwned>(value: &Value) -> T {
    serde_json::from_value(value.clone()).expect("what is stored is of its type")
}

fn status_of(value: Option<&Value>) -> Status {
    value.and_then(|v| v.get("status")).map(typed).unwrap_or_default()
}

/// The status of a cluster's ClusterVersionShadow, which stands on global.
pub(crate) fn status(home: &Store, cluster: &str) -> Status {
    let object = object_ref::<api::objects::ClusterVersionShadow>(NAMESPACE, cluster);
    status_of(home.get(&object).expect("the kind is served").as_ref())
}

/// The objects of a kind of the product; a cluster that does not serve it has none.
pub(crate) fn all_of<K: kube::Resource<DynamicType = ()> + DeserializeOwned>(
    store: &Store,
) -> Vec<K> {
    let all = store.list(&K::api_version(&()), &K::kind(&()), None, &[]);
    all.unwrap_or_default().iter().map(typed).collect()
}

impl Watch {
    /// Of a cluster as it is now.
    pub(crate) fn of(cluster: &'static str, home: &Store) -> Self {
        let old_events = events(home, cluster).into_keys().collect();
        Self { cluster, old_events, ..Self::default() }
    }

    /// The words of Events by revision: those of the transitions that were written, and those that
    /// are there.
    pub(crate) fn announced(
        &self,
        home: &Store,
    ) -> (BTreeMap<i64, Vec<String>>, BTreeMap<i64, Vec<String>>) {
        let mut found: BTreeMap<i64, Vec<String>> = BTreeMap::new();
        for (name, event) in events(home, self.cluster) {
            if !self.old_events.contains(&name) {
                let revision = name.split('.').nth(2).and_then(|r| r.parse().ok());
                let words = event["reason"].as_str().unwrap_or_default().to_owned();
                found.entry(revision.unwrap_or(-1)).or_default().push(words);
            }
        }
        found.values_mut().for_each(|words| words.sort());
        (self.transitions.clone(), found)
    }

    pub(crate) fn must(&mut self, holds: bool, breach: impl FnOnce() -> String) {
        if !holds && self.breach.is_none() {
            self.breach = Some(breach());
        }
    }

    /// What is said of the cluster.
    pub(crate) fn status(&self, stores: Stores) -> Status {
        status(stores.home, self.cluster)
    }

    /// A change on the server of a cluster.
    pub(crate) fn change(&mut self, stores: Stores, at: &str, change: &Change) {
        let of_operator = change.manager == FIELD_MANAGER;
        match change.key.1.as_str() {
            "ClusterVersionShadow" if of_operator => self.shadow(stores, change),
            "AppRelease" if of_operator => self.app_release(stores, change),
            "Job" => self.hook(stores.server, change),
            _ => {}
        }
        if of_operator {
            self.stands(at, change);
            self.follows(stores, change);
            self.owned(stores, change);
            self.scope(stores, change);
            self.given(stores, change);
            self.times(change);
        }
        self.nothing_is_left(stores, change);
        self.customisations(stores, change);
    }

    /// I3, I6 and the rules of a status, on each write of it.
    fn shadow(&mut self, stores: Stores, change: &Change) {
        let (old, new) = (status_of(change.old.as_ref()), status_of(change.new.as_ref()));
        if old == new {
            return;
        }
        self.must(new.revision == old.revision + 1, || {
            format!("revision {} follows {}", new.revision, old.revision)
        });
        let mut words = transitions(&old, &new);
        if !words.is_empty() {
            words.sort();
            self.transitions.insert(new.revision, words);
            self.old_conditions.insert(new.revision, only_other_reasons(stores.home, &old, &new));
        }
        self.conditions(&old, &new);
        let size = serde_json::to_string(&new).map_or(0, |text| text.len());
        self.must(size <= STATUS_LIMIT, || format!("a status of {size} bytes"));
        for text in messages(&new) {
            let plain = text.len() <= MESSAGE_LIMIT && !text.contains(['\n', '\t', '\r']);
            self.must(plain, || format!("no plain message: {text}"));
        }
        self.history(&old, &new);
        let version = |status: &Status| {
            status.current.as_ref().and_then(|c| c.version.parse::<Version>().ok())
        };
        self.must(version(&old) <= version(&new), || {
            format!("I11: current goes from {:?} to {:?}", old.current, new.current)
        });
    }

    fn conditions(&mut self, old: &Status, new: &Status) {
        let types: Vec<&str> = new.conditions.iter().map(|c| c.type_.as_str()).collect();
        let all: Vec<&str> = ConditionType::ALL.iter().map(|t| t.as_str()).collect();
        self.must(types == all, || format!("conditions {types:?}"));
        for condition in &new.conditions {
            let Some(before) = old.conditions.iter().find(|c| c.type_ == condition.type_) else {
                continue;
            };
            let moved = before.last_transition_time != condition.last_transition_time;
            let turned = before.status != condition.status;
            self.must(!moved || turned, || {
                format!("lastTransitionTime of {} moved, its status did not", condition.type_)
            });
        }
        let stalled = find(&new.conditions, ConditionType::Stalled)
            .is_some_and(|c| c.status == ConditionStatus::True.as_str());
        if self.never_stalls && stalled {
            let why = find(&new.conditions, ConditionType::Stalled).map(|c| c.message.clone());
            self.must(false, || format!("Stalled although every fault passes: {why:?}"));
        }
    }

    /// One entry a request; nothing that was said of it is taken back.
    fn history(&mut self, old: &Status, new: &Status) {
        let added = new.history.len().saturating_sub(old.history.len());
        self.must(added <= 1 && new.history.len() >= old.history.len(), || {
            format!("the history goes from {} to {} entries", old.history.len(), new.history.len())
        });
        for (before, after) in old.history.iter().rev().zip(new.history.iter().rev()) {
            let same = before.version == after.version
                && before.image == after.image
                && before.started_time == after.started_time
                && (before.completion_time.is_none()
                    || before.completion_time == after.completion_time)
                && (before.state == HistoryState::Partial
                    || after.state == HistoryState::Completed);
            self.must(same, || format!("I6: history entry {before:?} became {after:?}"));
        }
        let mut seen: Vec<(&str, &str)> =
            new.history.iter().map(|h| (h.version.as_str(), h.image.as_str())).collect();
        let all = seen.len();
        seen.sort_unstable();
        seen.dedup();
        self.must(seen.len() == all, || "I6: two history entries of one request".to_owned());
        let begun = new.history.first().filter(|h| added == 1 && h.state == HistoryState::Partial);
        if let Some(begun) = begun {
            self.must(is_judged(new.preflight.as_ref(), begun), || {
                format!("I3: {} begins without its passed preflight", begun.version)
            });
        } else if old.history.first().map(|h| &h.started_time)
            == new.history.first().map(|h| &h.started_time)
        {
            self.progress(old, new);
        }
    }

    fn progress(&mut self, old: &Status, new: &Status) {
        let started = |status: &Status| -> BTreeMap<String, Option<api::Time>> {
            let operations = status.stages.iter().flat_map(|stage| {
                let of_stage = stage.operations.iter();
                of_stage
                    .map(move |o| (format!("{}/{}", stage.name, o.name), o.started_time.clone()))
            });
            let stages = status.stages.iter().map(|s| (s.name.clone(), s.started_time.clone()));
            operations.chain(stages).collect()
        };
        let after = started(new);
        for (name, before) in started(old) {
            let kept = before.is_none() || after.get(&name) == Some(&before);
            self.must(kept, || format!("I6: startedTime of {name} moved"));
        }
    }

    /// I3, I7 and I11, on each write of an AppRelease.
    fn app_release(&mut self, stores: Stores, change: &Change) {
        let old: Option<AppRelease> = change.old.as_ref().map(typed);
        let Some(new) = change.new.as_ref().map(typed::<AppRelease>) else { return };
        let name = new.metadata.name.clone().unwrap_or_default();
        let is_of_cluster = new.spec.module_info.is_empty();
        self.must(new.spec.lifecycle != Lifecycle::Agnostic || !is_of_cluster, || {
            format!("I7: {name} is Agnostic and was written")
        });
        let old_spec = old.as_ref().map(|o| o.spec.clone()).unwrap_or_default();
        let old_status = old.and_then(|o| o.status).unwrap_or_default();
        let status = new.status.clone().unwrap_or_default();
        for (from, to) in
            [(&old_spec.version, &new.spec.version), (&old_status.version, &status.version)]
        {
            self.must(!is_lower(from, to), || format!("I11: {name} goes from {from} to {to}"));
        }
        self.must(status.inventory.len() <= api::objects::INVENTORY_LIMIT, || {
            format!("{name} has {} objects", status.inventory.len())
        });
        if is_of_cluster && old_spec.release_image != new.spec.release_image {
            let shadow = self.status(stores);
            let entry = shadow.history.first().cloned().unwrap_or_default();
            let open = entry.state == HistoryState::Partial
                && entry.completion_time.is_none()
                && entry.image == new.spec.release_image
                && is_judged(shadow.preflight.as_ref(), &entry);
            self.must(open, || {
                format!("I3: {name} moves to {} without a passed preflight", new.spec.release)
            });
        }
    }

    /// No hook runs a second time for a release once it succeeded.
    fn hook(&mut self, store: &Store, change: &Change) {
        let Some(shown) = change.new.as_ref().or(change.old.as_ref()) else { return };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let release = text(&shown["metadata"]["annotations"][HOOK_ANNOTATION]);
        let point = text(&shown["metadata"]["annotations"][HOOK_POINT_ANNOTATION]);
        let (namespace, name) =
            (text(&shown["metadata"]["namespace"]), text(&shown["metadata"]["name"]));
        let key = (format!("{point}/Job/{namespace}/{name}"), release);
        if key.1.is_empty() {
            return;
        }
        let Some(new) = &change.new else {
            // Who deletes a Job before its success is recorded lets it run again.
            let recorded = app_releases(store)
                .into_values()
                .any(|r| r.hooks_release == key.1 && r.hooks_done.contains(&key.0));
            if change.manager != FIELD_MANAGER && !recorded {
                self.succeeded.remove(&key);
            }
            return;
        };
        if change.old.is_none() {
            self.must(!self.succeeded.contains_key(&key), || {
                format!("hook {} runs a second time for {}", key.0, key.1)
            });
        } else if planner::health::health(new) == planner::health::Health::Healthy {
            self.succeeded.insert(key, 1);
        }
    }

    /// Objects stand in the inventory before they are written; what is not ours is left alone, and
    /// what another release has is never deleted.
    fn owned(&mut self, stores: Stores, change: &Change) {
        let owner = |value: &Option<Value>| {
            let value = value.as_ref()?;
            Some(value["metadata"]["labels"][OWNER_LABEL].as_str()?.to_owned())
        };
        let object = ObjectRef {
            api_version: if change.key.0.is_empty() {
                "v1".to_owned()
            } else {
                format!("{}/v1", change.key.0)
            },
            kind: change.key.1.clone(),
            namespace: change.key.2.clone(),
            name: change.key.3.clone(),
        };
        if owner(&change.old).as_deref() == Some(crate::platform::AGNOSTIC) {
            self.must(false, || format!("I7: {object} of an Agnostic plugin was touched"));
        }
        match (owner(&change.old), owner(&change.new), &change.new) {
            // The kinds of records are brought before there can be a record.
            (_, Some(_), _) if self.brings(change) => {}
            (_, Some(owner), _) => {
                let release = app_release(stores.server, &owner);
                let listed = release
                    .is_some_and(|r| r.inventory.iter().any(|listed| listed.same_object(&object)));
                self.must(listed, || format!("{object} is written, no inventory has it"));
            }
            (Some(_), None, None) => {
                let protected = ["CustomResourceDefinition", "Namespace", "PersistentVolumeClaim"];
                self.must(!protected.contains(&object.kind.as_str()), || {
                    format!("{object} was deleted")
                });
                let desired = self.status(stores).desired.unwrap_or_default();
                let needed = |name: &String, release: &api::objects::AppReleaseStatus| {
                    stays(&desired.version, name)
                        && release.inventory.iter().any(|o| o.same_object(&object))
                        && !release.obsolete.iter().any(|o| o.same_object(&object))
                };
                let mut all = app_releases(stores.server).into_iter();
                let by = all.find(|(name, release)| needed(name, release)).map(|(name, _)| name);
                self.must(by.is_none(), || format!("{object} was deleted; {by:?} has it"));
            }
            _ => {}
        }
    }

    /// What is Active is in force until its user takes it back.
    fn customisations(&mut self, stores: Stores, change: &Change) {
        if !["Deployment", "ConfigMap", "ResourcePatch"].contains(&change.key.1.as_str()) {
            return;
        }
        let store = stores.server;
        for patch in all_of::<ResourcePatch>(store) {
            let status = patch.status.clone().unwrap_or_default();
            let active = status.phase == ResourcePatchPhase::Active
                && status.observed_generation == patch.metadata.generation
                && patch.metadata.deletion_timestamp.is_none();
            let target = &patch.spec.target;
            let own = change.key.1 == "ResourcePatch"
                && Some(&change.key.3) == patch.metadata.name.as_ref();
            let of_target = change.key.1 == target.kind && change.key.3 == target.name;
            if !active || !(own || of_target) || change.manager != FIELD_MANAGER {
                continue;
            }
            if self.leaves(stores, &patch.spec.release) {
                continue;
            }
            let object = ObjectRef {
                api_version: target.api_version.clone(),
                kind: target.kind.clone(),
                namespace: target.namespace.clone(),
                name: target.name.clone(),
            };
            let live = store.get(&object).expect("the kind is served").unwrap_or(Value::Null);
            for operation in &patch.spec.json_patch {
                let found = live.pointer(&operation.path);
                self.must(found == operation.value.as_ref(), || {
                    format!(
                        "{} is Active and {} is {found:?}, after {:?} of {}",
                        patch.metadata.name.clone().unwrap_or_default(),
                        operation.path,
                        change.key,
                        change.manager
                    )
                });
                self.customised += 1;
            }
        }
    }
}

/// The Events of a cluster, by name.
fn events(home: &Store, cluster: &str) -> BTreeMap<String, Value> {
    let labels = [(CLUSTER_NAME_LABEL, cluster)];
    let all = home.list("events.k8s.io/v1", "Event", None, &labels).expect("the kind is served");
    let name = |e: &Value| e["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    all.into_iter().map(|event| (name(&event), event)).collect()
}

/// The words of the Events that a change of the status asks for.
fn transitions(old: &Status, new: &Status) -> Vec<String> {
    let mut words = Vec::new();
    for condition in &new.conditions {
        let before = old.conditions.iter().find(|c| c.type_ == condition.type_);
        let before = before.map(|c| (&c.status, &c.reason));
        if before != Some((&condition.status, &condition.reason)) {
            words.push(format!("{}{}", condition.type_, condition.status));
        }
    }
    for stage in &new.stages {
        let before = old.stages.iter().find(|s| s.name == stage.name).map(|s| s.phase);
        let begins =
            new.history.first().map(|h| &h.version) != old.history.first().map(|h| &h.version);
        let before = if begins { None } else { before };
        if stage.phase != Phase::Pending && before.unwrap_or_default() != stage.phase {
            words.push(format!("Stage{}", stage.phase.as_str()));
        }
    }
    let of = |status: &Status| status.history.first().map(|h| (h.version.clone(), h.state));
    if of(old) != of(new) {
        words.extend(of(new).map(|(_, state)| match state {
            HistoryState::Partial => "UpgradeStarted".to_owned(),
            HistoryState::Completed => "UpgradeCompleted".to_owned(),
        }));
    }
    words
}

/// The words of conditions that only changed their reason, an hour or more after they turned. The
/// status does not tell when that was: to the next process it is old news, of which the Event has
/// expired.
fn only_other_reasons(store: &Store, old: &Status, new: &Status) -> Vec<String> {
    let all = new.conditions.iter().filter(|condition| {
        let before = old.conditions.iter().find(|c| c.type_ == condition.type_);
        let same = before.is_some_and(|before| before.status == condition.status);
        let turned = condition.last_transition_time.0;
        // A clock may be off by ten minutes.
        same && store.now.duration_since(turned).as_secs() > 3600 - 600
    });
    all.map(|condition| format!("{}{}", condition.type_, condition.status)).collect()
}

/// Whether the desired release has a component.
fn stays(desired: &str, name: &str) -> bool {
    let release = crate::releases::release(desired);
    release.components().any(|(_, component)| component.name == name)
}

/// Whether a preflight passed for the very version and image of an entry.
pub(crate) fn is_judged(preflight: Option<&Preflight>, entry: &HistoryEntry) -> bool {
    preflight.is_some_and(|p| {
        let open = |state| matches!(state, CheckState::Passed | CheckState::Disabled);
        p.version == entry.version
            && p.image == entry.image
            && p.checks.len() == planner::preflight::CHECKS.len()
            && p.checks.iter().all(|c| open(c.state))
    })
}

pub(crate) fn is_lower(from: &str, to: &str) -> bool {
    match (from.parse::<Version>(), to.parse::<Version>()) {
        (Ok(from), Ok(to)) => to < from,
        _ => !from.is_empty() && to.is_empty(),
    }
}

fn messages(status: &Status) -> Vec<&String> {
    let operations = status.stages.iter().flat_map(|s| &s.operations);
    let blockers = operations.clone().filter_map(|o| Some(&o.blocker.as_ref()?.message));
    let checks = status.preflight.iter().flat_map(|p| &p.checks);
    let of_checks = checks.flat_map(|c| [&c.message, &c.remedy]);
    let all = status.conditions.iter().map(|c| &c.message);
    let of_stages = status.stages.iter().map(|s| &s.message);
    let of_operations = operations.map(|o| &o.message);
    all.chain(of_stages).chain(of_operations).chain(blockers).chain(of_checks).collect()
}

/// What the AppReleases record, by name.
pub(crate) fn app_releases(store: &Store) -> BTreeMap<String, api::objects::AppReleaseStatus> {
    let all = all_of::<AppRelease>(store).into_iter();
    all.map(|r| (r.metadata.name.unwrap_or_default(), r.status.unwrap_or_default())).collect()
}

/// What one AppRelease records.
pub(crate) fn app_release(store: &Store, name: &str) -> Option<api::objects::AppReleaseStatus> {
    let found = store.get(&object_ref::<AppRelease>(NAMESPACE, name)).expect("the kind is served");
    found.map(|value| typed::<AppRelease>(&value).status.unwrap_or_default())
}
