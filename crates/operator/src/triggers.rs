//! Watches what rounds read, and rings when it changes. Only metadata is watched, and what the
//! operator itself writes causes nothing.

use crate::bells::{Bell, Bells, Whom};
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

/// How long one watch lasts before it is made anew.
const WATCH_S: u32 = 120;
/// How often something is listed in the time for which an answer holds: a world in which nothing
/// changes sends no event.
const LISTS_IN_TIME: u32 = 5;
/// Between two attempts at a watch that fails.
const BACKOFF: [u64; 5] = [1, 2, 5, 10, 30];

/// Watches the objects of the platform.
pub struct Triggers {
    bells: Arc<Bells>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
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
    /// Starts to watch the objects of the platform.
    #[must_use]
    pub fn start(client: Client, pulse: Arc<Pulse>) -> Self {
        let bells = Arc::<Bells>::default();
        let mut tasks = Vec::new();
        let mut watch = |resource: ApiResource, namespace: Option<&'static str>, counts: Counts| {
            let kind = resource.kind.clone();
            let api = api_of(client.clone(), &resource, namespace);
            let (bells, pulse) = (Arc::clone(&bells), Arc::clone(&pulse));
            let tell = move |changed: Option<&PartialObjectMeta<DynamicObject>>| {
                let whom = changed.map_or(Whom::Everyone, |object| Whom::of(&kind, object));
                bells.ring(&kind, &whom);
            };
            tasks.push(tokio::spawn(follow(api, resource.kind, counts, tell, pulse)));
        };
        let spec_only = [o::ClusterVersionShadow::kind(&()), o::ModulePlugin::kind(&())];
        for kind in served_kinds() {
            let status_is_ours = [o::AppRelease::kind(&()), o::ResourcePatch::kind(&())];
            let counts = if status_is_ours.contains(&kind.kind.as_str().into()) {
                Counts::ButStatus
            } else if spec_only.contains(&kind.kind.as_str().into()) {
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
        tracing::debug!(watches = tasks.len(), "watches");
        Self { bells, tasks }
    }

    /// The bells that ring when something changed.
    #[must_use]
    pub fn bells(&self) -> Arc<Bells> {
        Arc::clone(&self.bells)
    }
}

impl Drop for Triggers {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The watch of the customisations on a cluster, for as long as it is kept.
pub struct Watch(tokio::task::JoinHandle<()>);

impl Watch {
    /// Rings the bell of the cluster when a customisation on it changes.
    #[must_use]
    pub fn start(client: Client, bell: Arc<Bell>) -> Self {
        let kind = ApiResource::erase::<o::ResourcePatch>(&());
        let api = api_of(client, &kind, None);
        let tell = move |_: Option<&PartialObjectMeta<DynamicObject>>| bell.ring();
        // Whether this cluster answers says nothing of the operator.
        let pulse = Arc::new(Pulse::new(crate::http::ALIVE));
        Self(tokio::spawn(follow(api, kind.kind, Counts::ButStatus, tell, pulse)))
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn api_of(
    client: Client,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Api<PartialObjectMeta<DynamicObject>> {
    match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
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

/// Follows one kind for ever and tells which object changed, or that it is not known which; each
/// watch has a back-off of its own.
async fn follow(
    api: Api<PartialObjectMeta<DynamicObject>>,
    kind: String,
    counts: Counts,
    tell: impl Fn(Option<&PartialObjectMeta<DynamicObject>>) + Send,
    pulse: Arc<Pulse>,
) {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let mut fresh: BTreeMap<String, String> = BTreeMap::new();
    let mut failures = 0_usize;
    let config = watcher::Config::default().timeout(WATCH_S);
    let mut stream = watcher::watcher(api, config).boxed();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                // It comes before the first request is sent: nothing has succeeded yet.
                if !matches!(event, Event::Init) {
                    failures = 0;
                    pulse.beat();
                }
                let object = match &event {
                    Event::Apply(object) | Event::Delete(object) => Some(object.clone()),
                    Event::Init | Event::InitApply(_) | Event::InitDone => None,
                };
                if take(event, counts, &mut known, &mut fresh) {
                    tell(object.as_ref());
                }
            }
            Err(error) => {
                tracing::debug!(kind, %error, "a watch failed");
                let wait = BACKOFF[failures.min(BACKOFF.len() - 1)];
                failures += 1;
                tokio::time::sleep(Duration::from_secs(wait)).await;
            }
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
