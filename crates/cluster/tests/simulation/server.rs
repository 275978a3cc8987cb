//! The API server of the simulation: the store behind the trait of the product, with the faults of
//! a schedule in front of it and the invariants behind every change.

use crate::faults::{Fault, Faults, error};
use crate::invariants::Watch;
use crate::store::{Store, group_of};
use api::names::FIELD_MANAGER;
use api::objects::ObjectRef;
use cluster::CallError;
use cluster::server::{ApiServer, ApplyOptions, ListQuery, PatchBody, Right};
use planner::apply::Scopes;
use serde_json::Value;
use std::collections::BTreeSet;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;

/// What is behind the lock.
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) faults: Faults,
    pub(crate) watch: Watch,
    /// Changing requests of the whole schedule.
    pub(crate) changing: u64,
    /// The process is dead: no request of it comes through any more.
    pub(crate) is_dead: bool,
    /// Another process led meanwhile: this one changes nothing any more.
    pub(crate) is_deposed: bool,
    /// Reads of this round.
    pub(crate) asked: BTreeSet<String>,
    /// Those of which the first answer, the one that is observed, was lost.
    pub(crate) unread: Vec<String>,
    /// Rights that we do not have, as `delete Job`.
    pub(crate) denied: BTreeSet<String>,
    /// Every request, for a person who looks at a failure.
    pub(crate) log: Vec<String>,
}

/// The API server.
pub(crate) struct Server(Mutex<Inner>);

impl Server {
    pub(crate) fn new(store: Store, faults: Faults, watch: Watch) -> Self {
        Self(Mutex::new(Inner {
            store,
            faults,
            watch,
            changing: 0,
            is_dead: false,
            is_deposed: false,
            asked: BTreeSet::new(),
            unread: Vec::new(),
            denied: BTreeSet::new(),
            log: Vec::new(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().expect("no test goes on after a panic")
    }

    /// Somebody else does something to the cluster.
    pub(crate) fn outside<T>(&self, act: impl FnOnce(&mut Store) -> T) -> T {
        let mut inner = self.lock();
        let result = act(&mut inner.store);
        inner.look();
        result
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
        let result = {
            let mut inner = self.lock();
            inner.serve(&what, changes, act)
        };
        match result {
            Some(result) => result,
            None => std::future::pending().await,
        }
    }
}

impl Inner {
    /// None: the process is dead and learns nothing any more.
    fn serve<T>(
        &mut self,
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
            edit(&mut self.store);
            self.look();
        }
        let kind = what.split(' ').nth(1).unwrap_or_default().to_owned();
        let is_first = !changes && self.asked.insert(what.to_owned());
        let fault = self.faults.of(self.changing, changes, &kind);
        let shown = if fault == Fault::None { String::new() } else { format!(" <- {fault:?}") };
        let number = if changes { format!("{:>4} ", self.changing) } else { "     ".to_owned() };
        if changes || fault != Fault::None {
            self.log.push(format!("{number}{what}{shown}"));
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
                    self.unread.push(what.to_owned());
                }
                return Some(Err(error(code, what)));
            }
            Fault::Late => {
                self.is_deposed = true;
                let (store, watch) = (self.store.clone(), std::mem::take(&mut self.watch));
                (self.store, self.watch) = crate::world::another_leads(store, watch);
            }
        }
        let result = act(&mut self.store);
        self.look();
        match fault {
            Fault::DeadAfter => {
                self.is_dead = true;
                None
            }
            Fault::Lost(code) => Some(result.and_then(|_| Err(error(code, what)))),
            _ => Some(result),
        }
    }

    /// Every change is held against the invariants.
    pub(crate) fn look(&mut self) {
        for change in std::mem::take(&mut self.store.changes) {
            self.watch.change(&self.store, &change);
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
        let inner = self.lock();
        let known = kinds.iter().filter_map(|(api_version, kind)| {
            let found = inner.store.kind(api_version, kind).ok()?;
            Some(((group_of(api_version).0.to_owned(), kind.clone()), found.namespaced))
        });
        Ok(known.collect())
    }

    async fn api_versions(&self) -> Result<Vec<String>, CallError> {
        Ok(vec!["apps/v1".to_owned(), "v1".to_owned()])
    }

    async fn allowed(&self, right: &Right) -> Result<bool, CallError> {
        let inner = self.lock();
        inner.store.kind(&right.api_version, &right.kind)?;
        Ok(!inner.denied.contains(&format!("{} {}", right.verb, right.kind)))
    }
}
