//! Who is told of a change: of which clusters a round reads the object that changed, and how soon
//! that round comes.

use api::names::{
    ADMIN_ACKS, ADMIN_GATES, CLUSTER_NAME_LABEL, CVO_CONFIG, GLOBAL, PLATFORM_LICENSE, RELEASE_KEYS,
};
use api::objects as o;
use kube::api::DynamicObject;
use kube::core::PartialObjectMeta;
use kube::{Resource as _, ResourceExt as _};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long changes are gathered before a round.
const GATHER: Duration = Duration::from_millis(30);
/// The least time from a round that no request and no new release caused to the next such. Some
/// objects change all the time: the status of each cluster is probed again and again, and a round
/// asks every cluster for its version.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

/// What a round is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// The release of a cluster.
    Release,
    /// Its plugins; on the global cluster the catalogue as well.
    Plugins,
}

/// What rings when something changed that rounds about a cluster read.
#[derive(Debug, Default)]
pub struct Bell {
    release: Ear,
    plugins: Ear,
    /// Whether the way to the cluster may have changed since it was last looked at.
    way: AtomicBool,
    /// The same of what its Cluster object says of it.
    place: AtomicBool,
    /// The ClusterCredential that the way takes; None: any, for it is not known or not named.
    credential: Mutex<Option<String>>,
}

/// What those are told that make the rounds about one thing.
#[derive(Debug, Default)]
struct Ear {
    /// Of what people ask for and wait for: ClusterVersionShadows and ProductManifests.
    asked: Notify,
    /// Of anything else.
    other: Notify,
}

/// What of the way to a cluster may have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moved {
    /// Nothing.
    No,
    /// At most what its Cluster object says of it: each probe writes the status of that. Where only
    /// metadata is watched, a look at that one object tells.
    Place,
    /// Anything: a credential changed, or the way is not known.
    Way,
}

impl Bell {
    const fn ear(&self, about: About) -> &Ear {
        match about {
            About::Release => &self.release,
            About::Plugins => &self.plugins,
        }
    }

    /// Something changed that people ask for and wait for.
    fn ring_asked(&self) {
        self.release.asked.notify_one();
        self.plugins.asked.notify_one();
    }

    /// Something else changed.
    pub fn ring(&self) {
        self.ring_for(About::Release);
        self.ring_for(About::Plugins);
    }

    /// Something else changed that only these rounds read.
    pub fn ring_for(&self, about: About) {
        self.ear(about).other.notify_one();
    }

    /// The way to the cluster may have changed, or is not known.
    pub fn moved(&self) {
        self.way.store(true, Ordering::Release);
    }

    /// What the Cluster object says of the way may have changed.
    pub fn place_moved(&self) {
        self.place.store(true, Ordering::Release);
    }

    /// Which ClusterCredential the way takes: changes of others say nothing of it. None: any may.
    pub fn takes(&self, credential: Option<&str>) {
        *self.taken() = credential.map(str::to_owned);
    }

    fn may_take(&self, credential: &str) -> bool {
        self.taken().as_deref().is_none_or(|taken| taken == credential)
    }

    fn taken(&self) -> MutexGuard<'_, Option<String>> {
        self.credential.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What may have changed since this was last asked.
    pub fn take_moved(&self) -> Moved {
        let way = self.way.swap(false, Ordering::AcqRel);
        let place = self.place.swap(false, Ordering::AcqRel);
        match (way, place) {
            (true, _) => Moved::Way,
            (false, true) => Moved::Place,
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
        all.values().for_each(|bell| bell.ring_asked());
    }

    /// Rings for whom a change of an object of this kind concerns.
    pub(crate) fn ring(&self, kind: &str, whom: &Whom) {
        let is = |other: &str| kind == other;
        let is_asked =
            is(&o::ClusterVersionShadow::kind(&())) || is(&o::ProductManifest::kind(&()));
        let (is_cluster, is_credential) =
            (is(&o::Cluster::kind(&())), is(&o::ClusterCredential::kind(&())));
        let all = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        let concerned = all.iter().filter(|(name, bell)| match whom {
            Whom::Everyone => true,
            Whom::Cluster(cluster) => *name == cluster,
            Whom::Registered(cluster) => *name == cluster || *name == GLOBAL,
            Whom::Through(credential) => bell.may_take(credential) || *name == GLOBAL,
        });
        for (_, bell) in concerned {
            if is_credential {
                bell.moved();
            }
            if is_cluster {
                bell.place_moved();
            }
            if is_asked { bell.ring_asked() } else { bell.ring() }
        }
        if is_cluster {
            self.fleet.notify_one();
        }
    }
}

/// Whom a change concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whom {
    /// Every cluster.
    Everyone,
    /// One cluster.
    Cluster(String),
    /// A cluster, and the global one, which looks at all of them.
    Registered(String),
    /// Those that are reached with this ClusterCredential, and the global one.
    Through(String),
}

impl Whom {
    /// Whom a change of this object on the global cluster concerns.
    pub(crate) fn of(kind: &str, object: &PartialObjectMeta<DynamicObject>) -> Self {
        let name = object.name_any();
        let global = || Self::Cluster(GLOBAL.to_owned());
        let is = |other: &str| kind == other;
        if is(&o::ClusterVersionShadow::kind(&())) || is(&o::ClusterModule::kind(&())) {
            return Self::Cluster(name);
        }
        if is(&o::Cluster::kind(&())) {
            return Self::Registered(name);
        }
        if is(&o::ClusterCredential::kind(&())) {
            return Self::Through(name);
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
    about: About,
    /// Whether the last round was caused by anything else than what is asked for.
    was_other: bool,
    /// Until when the next such round waits.
    rests: Option<Instant>,
}

impl Changes {
    /// What a bell tells from now on.
    #[must_use]
    pub const fn of(bell: Arc<Bell>, about: About) -> Self {
        Self { bell, about, was_other: false, rests: None }
    }

    /// Returns once something changed, with what follows at once gathered; while an upgrade is at
    /// work nothing is put off. Whoever stops to wait makes a round: what was seen is not told
    /// again.
    pub async fn next(&mut self, is_at_work: bool) {
        if std::mem::take(&mut self.was_other) {
            self.rests = Some(Instant::now() + LEAST_INTERVAL);
        }
        let rests = self.rests.filter(|_| !is_at_work);
        let ear = self.bell.ear(self.about);
        let other = async {
            ear.other.notified().await;
            if let Some(until) = rests {
                tokio::time::sleep_until(until).await;
            }
        };
        let was_other = tokio::select! {
            () = ear.asked.notified() => false,
            () = other => true,
        };
        tokio::time::sleep(GATHER).await;
        self.was_other = was_other;
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
                bell.ring();
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
        let mut changes = Changes::of(Arc::default(), About::Release);
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
            ("ClusterCredential", "cc-1", None, Whom::Through("cc-1".to_owned())),
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
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::Place, Moved::No));
        assert_eq!(a.take_moved(), Moved::No, "it is asked once");
        bells.ring("ClusterCredential", &Whom::Everyone);
        bells.ring("Cluster", &Whom::Registered("workload-a".to_owned()));
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::Way, Moved::Way));
        assert_eq!((a.take_moved(), b.take_moved()), (Moved::No, Moved::No));
    }

    #[test]
    fn a_credential_rings_for_those_who_may_take_it() {
        let bells = Bells::default();
        let (a, b, c) = (bells.of("a"), bells.of("b"), bells.of("c"));
        a.takes(Some("cc-a"));
        b.takes(Some("cc-b"));
        let ring = |credential: &str| {
            bells.ring("ClusterCredential", &Whom::Through(credential.to_owned()));
            [&a, &b, &c].map(|bell| bell.take_moved() == Moved::Way)
        };
        assert_eq!(ring("cc-a"), [true, false, true]);
        a.takes(None);
        assert_eq!(ring("cc-b"), [true, true, true], "while its way is looked for, any may be it");
    }

    #[tokio::test]
    async fn a_request_does_not_wait_for_the_rest_after_a_heartbeat() {
        let mut changes = Changes::of(Arc::default(), About::Release);
        changes.bell.ring();
        changes.next(false).await;
        changes.bell.ring();
        let bell = Arc::clone(&changes.bell);
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            bell.ring_asked();
        });
        let begun = Instant::now();
        changes.next(false).await;
        assert!(begun.elapsed() < Duration::from_millis(700), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn what_one_kind_of_rounds_learns_it_tells_the_other_alone() {
        let bell = Arc::<Bell>::default();
        let of = |about| Changes::of(Arc::clone(&bell), about);
        let (mut release, mut plugins) = (of(About::Release), of(About::Plugins));
        let limit = Duration::from_millis(200);
        bell.ring_for(About::Plugins);
        assert!(tokio::time::timeout(limit, plugins.next(false)).await.is_ok());
        assert!(tokio::time::timeout(limit, release.next(false)).await.is_err());
        // What is watched is told to both.
        bell.ring_asked();
        assert!(tokio::time::timeout(limit, plugins.next(false)).await.is_ok());
        assert!(tokio::time::timeout(limit, release.next(false)).await.is_ok());
    }
}
