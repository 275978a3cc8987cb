//! The API servers of the simulation: the store of a cluster behind the trait of the product, with
//! the faults of a schedule in front of it and the invariants behind every change.

use crate::faults::{Fault, Faults, error};
use crate::invariants::{Stores, Watch};
use crate::store::{Store, group_of};
use api::names::{FIELD_MANAGER, GLOBAL};
use api::objects::ObjectRef;
use cluster::CallError;
use cluster::server::{ApiServer, ApplyOptions, ListQuery, PatchBody, Right};
use planner::apply::Scopes;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Poll;

/// The stores of a platform's clusters, by name of the cluster.
pub(crate) type Clusters = BTreeMap<&'static str, Store>;
/// What is watched of each cluster, by its name.
pub(crate) type Watches = BTreeMap<&'static str, Watch>;

/// What is behind the lock: the clusters, and the process that makes rounds about them.
pub(crate) struct Inner {
    pub(crate) stores: Clusters,
    pub(crate) watches: Watches,
    pub(crate) faults: Faults,
    /// Changing requests of the whole schedule.
    pub(crate) changing: u64,
    /// The process is dead: no request of it comes through any more.
    pub(crate) is_dead: bool,
    /// Another process led meanwhile: this one changes nothing any more.
    pub(crate) is_deposed: bool,
    /// Rights that we do not have, as `delete Job`.
    pub(crate) denied: BTreeSet<String>,
    /// Every request, for a person who looks at a failure.
    pub(crate) log: Vec<String>,
}

/// The API server of a cluster, as it serves the rounds about a cluster.
#[derive(Clone)]
pub(crate) struct Server {
    inner: Arc<Mutex<Inner>>,
    /// The cluster that it is of.
    cluster: &'static str,
    /// The cluster that the rounds are about: its watch looks at what they change.
    about: &'static str,
    /// Whether they are about its plugins.
    is_about_plugins: bool,
}

impl Server {
    /// That of global, in rounds about global.
    pub(crate) fn new(stores: Clusters, watches: Watches, faults: Faults) -> Self {
        let inner = Inner {
            stores,
            watches,
            faults,
            changing: 0,
            is_dead: false,
            is_deposed: false,
            denied: BTreeSet::new(),
            log: Vec::new(),
        };
        let inner = Arc::new(Mutex::new(inner));
        Self { inner, cluster: GLOBAL, about: GLOBAL, is_about_plugins: false }
    }

    /// That of a cluster of the same platform, in rounds about a cluster.
    pub(crate) fn of(&self, cluster: &'static str, about: &'static str) -> Self {
        Self { inner: Arc::clone(&self.inner), cluster, about, is_about_plugins: false }
    }

    /// The same, in rounds about plugins.
    pub(crate) fn about_plugins(&self) -> Self {
        Self { is_about_plugins: true, ..self.clone() }
    }

    /// The cluster that the rounds are about.
    pub(crate) const fn about(&self) -> &'static str {
        self.about
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test goes on after a panic")
    }

    /// Somebody else does something to the cluster.
    pub(crate) fn outside<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        self.lock().outside(self.cluster, act)
    }

    /// Who asks whom, where it is not global about itself.
    fn whose(&self) -> String {
        match (self.cluster, self.about) {
            (GLOBAL, GLOBAL) => String::new(),
            (GLOBAL, about) => format!("for {about}: "),
            (cluster, _) => format!("at {cluster}: "),
        }
    }

    /// One request: perhaps others come first, perhaps it fails, perhaps the process dies.
    async fn call<T>(
        &self,
        what: String,
        changes: bool,
        act: impl FnOnce(&mut Store) -> Result<T, CallError>,
    ) -> Result<T, CallError> {
        let waits = self.lock().faults.waits();
        for _ in 0..waits {
            give_way().await;
        }
        let result = self.lock().serve(self, &what, changes, act);
        match result {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

impl Inner {
    pub(crate) fn store(&mut self, cluster: &str) -> &mut Store {
        self.stores.get_mut(cluster).expect("every cluster has a store")
    }

    pub(crate) fn watch(&mut self, cluster: &str) -> &mut Watch {
        self.watches.get_mut(cluster).expect("every cluster is watched")
    }

    /// Somebody else does something to a cluster.
    fn outside<T>(&mut self, cluster: &'static str, act: impl FnOnce(&mut Store) -> T) -> T {
        let result = act(self.store(cluster));
        self.look(cluster, cluster);
        result
    }

    /// None: the process is dead and learns nothing any more.
    fn serve<T>(
        &mut self,
        by: &Server,
        what: &str,
        changes: bool,
        act: impl FnOnce(&mut Store) -> Result<T, CallError>,
    ) -> Option<Result<T, CallError>> {
        if self.is_dead {
            return None;
        }
        self.changing += u64::from(changes);
        if let Some(edit) = self.faults.edit_due() {
            self.log.push("a user edits".to_owned());
            self.outside(GLOBAL, edit);
        }
        let whose = by.whose();
        let kind = what.split(' ').nth(1).unwrap_or_default().to_owned();
        // What rounds about plugins read decides about no check.
        let is_of_cluster = !changes && !by.is_about_plugins;
        let is_first =
            is_of_cluster && self.watch(by.about).withheld.asks(format!("{whose}{what}"));
        let fault = self.faults.of(self.changing, changes, &kind);
        let shown = if fault == Fault::None { String::new() } else { format!(" <- {fault:?}") };
        let number = if changes { format!("{:>4} ", self.changing) } else { "     ".to_owned() };
        if changes || fault != Fault::None {
            self.log.push(format!("{number}{whose}{what}{shown}"));
        }
        if changes && self.is_deposed {
            return Some(Err(CallError::NotLeader));
        }
        match fault {
            Fault::None | Fault::DeadAfter | Fault::Lost(_) => {}
            Fault::DeadBefore => {
                self.is_dead = true;
                return None;
            }
            Fault::Refused(code) => {
                if is_first {
                    self.watch(by.about).withheld.unread.push(what.to_owned());
                }
                return Some(Err(error(code, what)));
            }
            Fault::Late => {
                self.is_deposed = true;
                let (stores, watches) = (self.stores.clone(), std::mem::take(&mut self.watches));
                (self.stores, self.watches) = crate::world::another_leads(stores, watches);
            }
        }
        let result = act(self.store(by.cluster));
        self.watch(by.about).is_about_plugins = by.is_about_plugins;
        self.look(by.cluster, by.about);
        match fault {
            Fault::DeadAfter => {
                self.is_dead = true;
                None
            }
            Fault::Lost(code) => Some(result.and_then(|_| Err(error(code, what)))),
            _ => Some(result),
        }
    }

    /// Every change on a cluster is held against the invariants of the one that it was made for.
    pub(crate) fn look(&mut self, at: &'static str, about: &str) {
        let changes = std::mem::take(&mut self.store(at).changes);
        let stores = Stores { home: &self.stores[GLOBAL], server: &self.stores[about] };
        let watch = self.watches.get_mut(about).expect("every cluster is watched");
        for change in changes {
            watch.change(stores, at, &change);
        }
    }
}

/// Lets the others of this process go first.
async fn give_way() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn labels(selector: &str) -> Vec<(&str, &str)> {
    selector.split(',').filter_map(|pair| pair.split_once('=')).collect()
}

fn named(verb: &str, body: &Value) -> String {
    let object = crate::store::reference(body);
    format!("{verb} {object}")
}

impl ApiServer for Server {
    async fn version(&self) -> Result<String, CallError> {
        Ok("v1.33.13".to_owned())
    }

    async fn get(&self, object: &ObjectRef) -> Result<Option<Value>, CallError> {
        self.call(format!("get {object}"), false, |store| store.get(object)).await
    }

    async fn list(&self, query: &ListQuery) -> Result<Vec<Value>, CallError> {
        let namespace = query.namespace.as_deref().unwrap_or_default();
        let selector = query.labels.as_deref().unwrap_or_default();
        self.call(format!("list {} {namespace} {selector}", query.kind), false, |store| {
            let labels = labels(query.labels.as_deref().unwrap_or_default());
            store.list(&query.api_version, &query.kind, query.namespace.as_deref(), &labels)
        })
        .await
    }

    async fn apply(&self, body: &Value, options: ApplyOptions) -> Result<Value, CallError> {
        let ApplyOptions { force, dry_run } = options;
        let verb = if dry_run { "try" } else { "apply" };
        self.call(named(verb, body), !dry_run, |store| {
            store.apply(body, FIELD_MANAGER, force, dry_run)
        })
        .await
    }

    async fn create(&self, body: &Value) -> Result<Value, CallError> {
        self.call(named("create", body), true, |store| store.create(body, FIELD_MANAGER)).await
    }

    async fn delete(&self, live: &Value) -> Result<(), CallError> {
        self.call(named("delete", live), true, |store| store.delete(live, FIELD_MANAGER)).await
    }

    async fn patch(
        &self,
        object: &ObjectRef,
        subresource: Option<&str>,
        body: &PatchBody,
    ) -> Result<Value, CallError> {
        let verb = if subresource.is_some() { "status" } else { "patch" };
        self.call(format!("{verb} {object}"), true, |store| {
            store.patch(object, subresource.is_some(), body, FIELD_MANAGER)
        })
        .await
    }

    async fn scopes(&self, kinds: &[(String, String)]) -> Result<Scopes, CallError> {
        let mut inner = self.lock();
        let store = inner.store(self.cluster);
        let known = kinds.iter().filter_map(|(api_version, kind)| {
            let found = store.kind(api_version, kind).ok()?;
            Some(((group_of(api_version).0.to_owned(), kind.clone()), found.namespaced))
        });
        Ok(known.collect())
    }

    async fn api_versions(&self) -> Result<Vec<String>, CallError> {
        Ok(vec!["apps/v1".to_owned(), "v1".to_owned()])
    }

    async fn allowed(&self, right: &Right) -> Result<bool, CallError> {
        let mut inner = self.lock();
        inner.store(self.cluster).kind(&right.api_version, &right.kind)?;
        Ok(!inner.denied.contains(&format!("{} {}", right.verb, right.kind)))
    }
}
