//! What causes a round: changes of the objects that it reads. Only their metadata is watched, and
//! what the operator itself writes causes nothing.

use crate::http::Pulse;
use api::names::NAMESPACE;
use api::objects::{self as o, served_kinds};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// How long changes are gathered before a round.
const GATHER: Duration = Duration::from_millis(30);
/// How long one watch lasts before it is made anew.
const WATCH_S: u32 = 120;
/// Between two attempts at a watch that fails.
const BACKOFF: [u64; 5] = [1, 2, 5, 10, 30];

/// Tells when something changed.
pub struct Triggers {
    notify: Arc<Notify>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// Which change of an object counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counts {
    /// Any.
    Every,
    /// Not that of a status: the operator writes it itself.
    ButStatus,
}

impl Triggers {
    /// Starts to watch.
    #[must_use]
    pub fn start(client: Client, pulse: Arc<Pulse>, cluster: String) -> Self {
        let notify = Arc::new(Notify::new());
        let mut tasks = Vec::new();
        let mut watch = |resource: ApiResource, namespace: Option<&'static str>, counts: Counts| {
            let api: Api<PartialObjectMeta<DynamicObject>> = match namespace {
                Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
                None => Api::all_with(client.clone(), &resource),
            };
            let (notify, pulse) = (Arc::clone(&notify), Arc::clone(&pulse));
            tasks.push(tokio::spawn(follow(api, resource.kind, counts, notify, pulse)));
        };
        for kind in served_kinds() {
            let status_is_ours = [
                o::ClusterVersionShadow::kind(&()),
                o::ProductManifest::kind(&()),
                o::AppRelease::kind(&()),
                o::ResourcePatch::kind(&()),
            ];
            let counts = if status_is_ours.contains(&kind.kind.as_str().into()) {
                Counts::ButStatus
            } else {
                Counts::Every
            };
            let namespace = kind.namespaced.then_some(NAMESPACE);
            watch(resource(&kind.api_version, &kind.kind, &kind.plural), namespace, counts);
        }
        watch(resource("v1", "ConfigMap", "configmaps"), Some(NAMESPACE), Counts::Every);
        watch(resource("v1", "Secret", "secrets"), Some(NAMESPACE), Counts::Every);
        tracing::debug!(cluster, watches = tasks.len(), "watches");
        Self { notify, tasks }
    }

    /// Returns once something changed, with what follows at once gathered.
    pub async fn changed(&mut self) {
        self.notify.notified().await;
        tokio::time::sleep(GATHER).await;
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
                failures = 0;
                pulse.beat();
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
    }
}
