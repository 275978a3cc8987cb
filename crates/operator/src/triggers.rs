//! What causes a round: changes of the objects that it reads. Only their metadata is watched, and
//! what the operator itself writes causes nothing.

use crate::http::Pulse;
use api::names::{
    ADMIN_ACKS, ADMIN_GATES, CLUSTER_NAME_LABEL, CVO_CONFIG, GLOBAL, NAMESPACE, PLATFORM_LICENSE,
    RELEASE_KEYS,
};
use api::objects::{self as o, served_kinds};
use futures::StreamExt as _;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use kube::{Api, Client, Resource as _, ResourceExt as _};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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

/// Watches the objects of the platform.
pub struct Triggers {
    bells: Arc<Bells>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// What rings when something changed that a round about a cluster reads.
#[derive(Debug, Default)]
pub struct Bell {
    /// Of what people ask for and wait for: ClusterVersionShadows and ProductManifests.
    asked: Notify,
    /// Of anything else.
    other: Notify,
    /// Whether the way to the cluster may have changed since it was last looked at.
    way: AtomicBool,
    /// The same of its address alone.
    address: AtomicBool,
}

/// What of the way to a cluster may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Nothing.
    No,
    /// At most its address: its Cluster object changed, of which each probe writes the status.
    /// Where only metadata is watched, a look at that one object tells.
    Address,
    /// Anything: a credential changed, or the way is not known.
    Way,
}

impl Bell {
    /// The way to the cluster may have changed, or is not known.
    pub fn moved(&self) {
        self.way.store(true, Ordering::Release);
    }

    /// The address of the cluster may have changed.
    pub fn address_moved(&self) {
        self.address.store(true, Ordering::Release);
    }

    /// What may have changed since this was last asked.
    pub fn take_moved(&self) -> Moved {
        let way = self.way.swap(false, Ordering::AcqRel);
        let address = self.address.swap(false, Ordering::AcqRel);
        match (way, address) {
            (true, _) => Moved::Way,
            (false, true) => Moved::Address,
            (false, false) => Moved::No,
        }
    }
}

/// The bells of all clusters.
#[derive(Debug, Default)]
pub struct Bells {
    of: Mutex<BTreeMap<String, Arc<Bell>>>,
    /// Rings when clusters came or went.
    fleet: Notify,
}

impl Bells {
    /// The bell of a cluster.
    #[must_use]
    pub fn of(&self, cluster: &str) -> Arc<Bell> {
        let mut all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(all.entry(cluster.to_owned()).or_default())
    }

    /// A cluster is gone.
    pub fn forget(&self, cluster: &str) {
        self.of.lock().unwrap_or_else(PoisonError::into_inner).remove(cluster);
    }

    /// Returns once clusters came or went.
    pub async fn fleet_changed(&self) {
        self.fleet.notified().await;
    }

    /// What rounds about every cluster read has changed.
    pub fn ring_all(&self) {
        let all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        all.values().for_each(|bell| bell.asked.notify_one());
    }

    /// Rings for whom a change of an object of this kind concerns.
    fn ring(&self, kind: &str, whom: &Whom) {
        let is = |other: &str| kind == other;
        let is_asked =
            is(&o::ClusterVersionShadow::kind(&())) || is(&o::ProductManifest::kind(&()));
        let (is_cluster, is_credential) =
            (is(&o::Cluster::kind(&())), is(&o::ClusterCredential::kind(&())));
        let all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = all.iter().filter(|(name, _)| match whom {
            Whom::Everyone => true,
            Whom::Cluster(cluster) => *name == cluster,
            Whom::Registered(cluster) => *name == cluster || *name == GLOBAL,
        });
        for (_, bell) in concerned {
            if is_credential {
                bell.moved();
            }
            if is_cluster {
                bell.address_moved();
            }
            if is_asked { bell.asked.notify_one() } else { bell.other.notify_one() }
        }
        if is_cluster {
            self.fleet.notify_one();
        }
    }
}

/// Whom a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// Every cluster.
    Everyone,
    /// One cluster.
    Cluster(String),
    /// A cluster, and the global one, which looks at all of them.
    Registered(String),
}

impl Whom {
    /// Whom a change of this object on the global cluster concerns.
    fn of(kind: &str, object: &PartialObjectMeta<DynamicObject>) -> Self {
        let name = object.name_any();
        let global = || Self::Cluster(GLOBAL.to_owned());
        let is = |other: &str| kind == other;
        if is(&o::ClusterVersionShadow::kind(&())) || is(&o::ClusterModule::kind(&())) {
            return Self::Cluster(name);
        }
        if is(&o::Cluster::kind(&())) {
            return Self::Registered(name);
        }
        if is(&o::ModuleInfo::kind(&())) {
            let of = object.labels().get(CLUSTER_NAME_LABEL).cloned();
            // The global one keeps the catalogue, which says where a plugin is installed.
            return of.map_or(Self::Everyone, Self::Registered);
        }
        if is(&o::AppRelease::kind(&())) || is(&o::ResourcePatch::kind(&())) {
            return global();
        }
        if is("ConfigMap") || is("Secret") {
            let read = [CVO_CONFIG, ADMIN_GATES, ADMIN_ACKS, RELEASE_KEYS, PLATFORM_LICENSE];
            return if read.contains(&name.as_str()) { Self::Everyone } else { global() };
        }
        Self::Everyone
    }
}

/// What a bell told since the last round.
pub struct Changes {
    bell: Arc<Bell>,
    /// Whether the last round was caused by anything else than what is asked for.
    was_other: bool,
    /// Until when the next such round waits.
    rests: Option<Instant>,
}

impl Changes {
    /// What a bell tells from now on.
    #[must_use]
    pub const fn of(bell: Arc<Bell>) -> Self {
        Self { bell, was_other: false, rests: None }
    }

    /// Returns once something changed, with what follows at once gathered; while an upgrade is at
    /// work nothing is put off. Whoever stops to wait makes a round: what was seen is not told
    /// again.
    pub async fn next(&mut self, is_at_work: bool) {
        if std::mem::take(&mut self.was_other) {
            self.rests = Some(Instant::now() + LEAST_INTERVAL);
        }
        let rests = self.rests.filter(|_| !is_at_work);
        let other = async {
            self.bell.other.notified().await;
            if let Some(until) = rests {
                tokio::time::sleep_until(until).await;
            }
        };
        let was_other = tokio::select! {
            () = self.bell.asked.notified() => false,
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
        let tell = move |_: Option<&PartialObjectMeta<DynamicObject>>| bell.other.notify_one();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// How many rounds are made in this time while objects change all the time.
    async fn rounds(changes: &mut Changes, is_at_work: bool, during: Duration) -> usize {
        let bell = Arc::clone(&changes.bell);
        let heartbeats = tokio::spawn(async move {
            loop {
                bell.other.notify_one();
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
        let mut changes = Changes::of(Arc::default());
        let count = rounds(&mut changes, false, Duration::from_millis(2500)).await;
        // The first at once, then one a second.
        assert!((2..=3).contains(&count), "{count}");
        let count = rounds(&mut changes, true, Duration::from_secs(1)).await;
        assert!(count > 5, "an upgrade at work is not slowed down: {count}");
    }

    fn object(name: &str, cluster: Option<&str>) -> PartialObjectMeta<DynamicObject> {
        let labels: BTreeMap<&str, &str> =
            cluster.map(|cluster| (CLUSTER_NAME_LABEL, cluster)).into_iter().collect();
        let object = serde_json::json!({ "metadata": { "name": name, "labels": labels } });
        serde_json::from_value(object).unwrap()
    }

    #[test]
    fn a_change_rings_for_those_whom_it_concerns() {
        let one = |name: &str| Whom::Cluster(name.to_owned());
        for (kind, name, cluster, whom) in [
            ("ClusterVersionShadow", "workload-a", None, one("workload-a")),
            ("ClusterModule", "workload-a", None, one("workload-a")),
            ("Cluster", "workload-a", None, Whom::Registered("workload-a".to_owned())),
            ("ModuleInfo", "x", Some("workload-a"), Whom::Registered("workload-a".to_owned())),
            ("ResourcePatch", "rp-1", None, one(GLOBAL)),
            ("ConfigMap", CVO_CONFIG, None, Whom::Everyone),
            ("ConfigMap", "kube-root-ca.crt", None, one(GLOBAL)),
            ("ProductManifest", "v4.3.0", None, Whom::Everyone),
        ] {
            assert_eq!(Whom::of(kind, &object(name, cluster)), whom, "{kind} {name}");
        }
    }

    #[test]
    fn a_heartbeat_of_a_cluster_does_not_make_its_credential_be_looked_up() {
        let bells = Bells::default();
        let (a, b) = (bells.of("workload-a"), bells.of("workload-b"));
        assert_eq!(a.take_moved(), Moved::No);
        bells.ring("Cluster", &Whom::Registered("workload-a".to_owned()));
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::Address, Moved::No));
        assert_eq!(a.take_moved(), Moved::No, "it is asked once");
        bells.ring("ClusterCredential", &Whom::Everyone);
        bells.ring("Cluster", &Whom::Registered("workload-a".to_owned()));
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::Way, Moved::Way));
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::No, Moved::No));
    }

    #[tokio::test]
    async fn a_request_does_not_wait_for_the_rest_after_a_heartbeat() {
        let mut changes = Changes::of(Arc::default());
        changes.bell.other.notify_one();
        changes.next(false).await;
        changes.bell.other.notify_one();
        let bell = Arc::clone(&changes.bell);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bell.asked.notify_one();
        });
        let begun = Instant::now();
        changes.next(false).await;
        assert!(begun.elapsed() < Duration::from_millis(700), "{:?}", begun.elapsed());
    }
}
