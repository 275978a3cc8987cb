//! What causes a round: changes of the objects that it reads. Only their metadata is watched, and
//! what the operator itself writes causes nothing.

use crate::http::Pulse;
use api::names::NAMESPACE;
use api::objects::{self as o, served_kinds};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long changes are gathered before a round.
const GATHER: Duration = Duration::from_millis(30);
/// The least time from a round that no request and no new release caused to the next such. Some
/// objects change all the time: the status of each cluster is probed again and again, and a round
/// asks every cluster for its version.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// How long one watch lasts before it is made anew.
const WATCH_S: u32 = 120;
/// How often something is listed in the time for which an answer holds: a world in which nothing
/// changes sends no event.
const LISTS_IN_TIME: u32 = 5;
/// Between two attempts at a watch that fails.
const BACKOFF: [u64; 5] = [1, 2, 5, 10, 30];

/// Tells when something changed.
pub struct Triggers {
    changes: Changes,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What the watches saw since the last round.
#[derive(Default)]
struct Changes {
    /// Of what people ask for and wait for: ClusterVersionShadows and ProductManifests.
    asked: Arc<Notify>,
    /// Of anything else.
    other: Arc<Notify>,
    /// Whether the last round was caused by anything else.
    was_other: bool,
    /// Until when the next such round waits.
    rests: Option<Instant>,
}

impl Changes {
    /// Returns once something changed; while an upgrade is at work nothing is put off. Whoever
    /// stops to wait makes a round: what was seen is not told again.
    async fn next(&mut self, is_at_work: bool) {
        if std::mem::take(&mut self.was_other) {
            self.rests = Some(Instant::now() + LEAST_INTERVAL);
        }
        let rests = self.rests.filter(|_| !is_at_work);
        let other = async {
            self.other.notified().await;
            if let Some(until) = rests {
                tokio::time::sleep_until(until).await;
            }
        };
        let was_other = tokio::select! {
            () = self.asked.notified() => false,
            () = other => true,
        };
        tokio::time::sleep(GATHER).await;
        self.was_other = was_other;
    }
}

/// Which change of an object counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Any.
    Every,
    /// Not that of a status: the operator writes it itself.
    ButStatus,
    /// Only that of the spec: nothing is read of its labels and annotations, and whoever edits
    /// those again and again must not cause round after round.
    Spec,
}

impl Triggers {
    /// Starts to watch.
    #[must_use]
    pub fn start(client: Client, pulse: Arc<Pulse>, cluster: String) -> Self {
        let changes = Changes::default();
        let asked = [o::ClusterVersionShadow::kind(&()), o::ProductManifest::kind(&())];
        let mut tasks = Vec::new();
        let mut watch = |resource: ApiResource, namespace: Option<&'static str>, counts: Counts| {
            let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            let is_asked = asked.contains(&resource.kind.as_str().into());
            let notify = if is_asked { &changes.asked } else { &changes.other };
            let (notify, pulse) = (Arc::clone(notify), Arc::clone(&pulse));
            tasks.push(tokio::spawn(follow(api, resource.kind, counts, notify, pulse)));
        };
        for kind in served_kinds() {
            let status_is_ours = [
                o::ProductManifest::kind(&()),
                o::AppRelease::kind(&()),
                o::ResourcePatch::kind(&()),
            ];
            let counts = if status_is_ours.contains(&kind.kind.as_str().into()) {
                Counts::ButStatus
            } else if kind.kind == o::ClusterVersionShadow::kind(&()) {
                Counts::Spec
            } else {
                Counts::Every
            };
            let namespace = kind.namespaced.then_some(NAMESPACE);
            watch(resource(&kind.api_version, &kind.kind, &kind.plural), namespace, counts);
        }
        watch(resource("v1", "ConfigMap", "configmaps"), Some(NAMESPACE), Counts::Every);
        watch(resource("v1", "Secret", "secrets"), Some(NAMESPACE), Counts::Every);
        let shadows = ApiResource::erase::<o::ClusterVersionShadow>(&());
        let shadows = Api::namespaced_with(client, NAMESPACE, &shadows);
        tasks.push(tokio::spawn(look(shadows, pulse)));
        tracing::debug!(cluster, watches = tasks.len(), "watches");
        Self { changes, tasks }
    }

    /// Returns once something changed, with what follows at once gathered. What nobody asked for
    /// rests between two rounds, unless an upgrade is at work.
    pub async fn changed(&mut self, is_at_work: bool) {
        self.changes.next(is_at_work).await;
    }
}

impl Drop for Triggers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

fn resource(api_version: &str, kind: &str, plural: &str) -> ApiResource {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        plural: plural.to_owned(),
    }
}

/// Lists one object again and again, for the pulse.
async fn look(api: Api<PartialObjectMeta<DynamicObject>>, pulse: Arc<Pulse>) {
    let every = pulse.alive() / LISTS_IN_TIME;
    let one = ListParams::default().limit(1);
    loop {
        tokio::time::sleep(every).await;
        match tokio::time::timeout(every, api.list_metadata(&one)).await {
            Ok(Ok(_)) => pulse.beat(),
            Ok(Err(error)) => tracing::debug!(%error, "nothing can be listed"),
            Err(_) => tracing::debug!("no answer to a list"),
        }
    }
}

/// Follows one kind for ever; each watch has a back-off of its own.
async fn follow(
    api: Api<PartialObjectMeta<DynamicObject>>,
    kind: String,
    counts: Counts,
    notify: Arc<Notify>,
    pulse: Arc<Pulse>,
) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut fresh: BTreeMap<String, String> = BTreeMap::new();
    let mut failures = 0_usize;
    let config = watcher::Config::default().timeout(WATCH_S);
    let mut stream = watcher::watcher(api, config).boxed();
    while let Some(event) = stream.next().await {
        let changed = match event {
            Ok(event) => {
                // It comes before the first request is sent: nothing has succeeded yet.
                if !matches!(event, Event::Init) {
                    failures = 0;
                    pulse.beat();
                }
                take(event, counts, &mut known, &mut fresh)
            }
            Err(error) => {
                tracing::debug!(kind, %error, "a watch failed");
                let wait = BACKOFF[failures.min(BACKOFF.len() - 1)];
                failures += 1;
                tokio::time::sleep(Duration::from_secs(wait)).await;
                false
            }
        };
        if changed {
            notify.notify_one();
        }
    }
}

/// Whether an event is a change that counts.
fn take(
    event: Event<PartialObjectMeta<DynamicObject>>,
    counts: Counts,
    known: &mut BTreeMap<String, String>,
    fresh: &mut BTreeMap<String, String>,
) -> bool {
    match event {
        Event::Init => {
            fresh.clear();
            false
        }
        Event::InitApply(object) => {
            fresh.insert(object.name_any(), mark(&object, counts));
            false
        }
        Event::InitDone => {
            let changed = known != fresh;
            *known = std::mem::take(fresh);
            changed
        }
        Event::Apply(object) => {
            let mark = mark(&object, counts);
            known.insert(object.name_any(), mark.clone()) != Some(mark)
        }
        Event::Delete(object) => known.remove(&object.name_any()).is_some(),
    }
}

/// What of an object's metadata changes when it changes in a way that counts.
fn mark(object: &PartialObjectMeta<DynamicObject>, counts: Counts) -> String {
    let meta = &object.metadata;
    match counts {
        Counts::Every => meta.resource_version.clone().unwrap_or_default(),
        Counts::ButStatus => format!(
            "{:?} {:?} {:?} {:?} {}",
            meta.uid,
            meta.generation,
            meta.annotations,
            meta.labels,
            meta.deletion_timestamp.is_some()
        ),
        Counts::Spec => {
            let going = meta.deletion_timestamp.is_some();
            format!("{:?} {:?} {going}", meta.uid, meta.generation)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds are made in this time while objects change all the time.
    async fn rounds(changes: &mut Changes, is_at_work: bool, during: Duration) -> usize {
        let other = Arc::clone(&changes.other);
        let heartbeats = tokio::spawn(async move {
            loop {
                other.notify_one();
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let (end, mut count) = (Instant::now() + during, 0);
        while tokio::time::timeout_at(end, changes.next(is_at_work)).await.is_ok() {
            count += 1;
        }
        heartbeats.abort();
        count
    }

    #[tokio::test]
    async fn heartbeats_of_clusters_do_not_cause_round_after_round() {
        let mut changes = Changes::default();
        let count = rounds(&mut changes, false, Duration::from_millis(2500)).await;
        // The first at once, then one a second.
        assert!((2..=3).contains(&count), "{count}");
        let count = rounds(&mut changes, true, Duration::from_secs(1)).await;
        assert!(count > 5, "an upgrade at work is not slowed down: {count}");
    }

    #[tokio::test]
    async fn a_request_does_not_wait_for_the_rest_after_a_heartbeat() {
        let mut changes = Changes::default();
        changes.other.notify_one();
        changes.next(false).await;
        changes.other.notify_one();
        let asked = Arc::clone(&changes.asked);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            asked.notify_one();
        });
        let begun = Instant::now();
        changes.next(false).await;
        assert!(begun.elapsed() < Duration::from_millis(700), "{:?}", begun.elapsed());
    }
}
