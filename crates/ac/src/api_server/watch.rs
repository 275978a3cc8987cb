//! ClusterVersionShadows over time: lists, watches and begins anew by itself.

use super::ApiServer;
use super::refusals::{Call, answered, failure, unreachable_at};
use crate::failure::Failure;
use crate::foreign::plain;
use crate::shadow::Shadow;
use api::ClusterVersionShadow;
use futures::{Stream, StreamExt};
use kube::api::DynamicObject;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use std::collections::BTreeSet;
use std::time::Duration;

/// Seconds after which a watch is begun anew, so that a dead connection is noticed.
pub(super) const WATCH_SECONDS: u32 = 25;
/// Pause before a watch that failed is begun anew.
const RETRY: Duration = Duration::from_secs(2);

/// The same pause before every new attempt: a person waits for the API server to come back.
struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(RETRY)
    }
}

impl Backoff for Steady {
    fn reset(&mut self) {}
}

/// A look at an object while it is watched.
pub(crate) enum Look {
    /// It is there, as it is now.
    Now(Box<Shadow>),
    /// The one of this name is gone.
    Gone(String),
    /// All are looked at anew: what is known is a mixture of old and new until they are listed.
    Anew,
    /// Each was looked at since.
    Listed,
    /// It cannot be seen at the moment.
    Lost(Failure),
}

impl ApiServer {
    /// The ClusterVersionShadow of a cluster, or all of them, from now on; `known` are those that
    /// were seen before. Ends never; tries again by itself.
    pub(crate) fn watch_shadows(
        &self,
        cluster: Option<&str>,
        mut known: BTreeSet<String>,
    ) -> impl Stream<Item = Look> + Send + use<> {
        let mut config = watcher::Config::default().timeout(WATCH_SECONDS);
        if let Some(cluster) = cluster {
            config = config.fields(&format!("metadata.name={cluster}"));
        }
        let events = watcher(self.namespaced::<ClusterVersionShadow>(), config).backoff(Steady);
        let (server, context) = (self.server.clone(), self.context.clone());
        let mut listed = BTreeSet::new();
        events.flat_map(move |event| {
            let looks = match event {
                Ok(Event::Apply(object)) => {
                    known.insert(name_of(&object));
                    vec![look(&object)]
                }
                Ok(Event::InitApply(object)) => {
                    listed.insert(name_of(&object));
                    vec![look(&object)]
                }
                Ok(Event::Init) => {
                    listed.clear();
                    vec![Look::Anew]
                }
                Ok(Event::Delete(object)) => {
                    known.remove(&name_of(&object));
                    vec![Look::Gone(name_of(&object))]
                }
                Ok(Event::InitDone) => {
                    let before = std::mem::replace(&mut known, std::mem::take(&mut listed));
                    let gone = before.difference(&known).cloned().map(Look::Gone);
                    gone.chain([Look::Listed]).collect()
                }
                Err(error) => vec![Look::Lost(watch_failure(error, &server, &context))],
            };
            futures::stream::iter(looks)
        })
    }
}

fn name_of(object: &DynamicObject) -> String {
    plain(object.metadata.name.as_deref().unwrap_or_default())
}

fn look(object: &DynamicObject) -> Look {
    Shadow::read(object).map_or_else(Look::Lost, |shadow| Look::Now(Box::new(shadow)))
}

fn watch_failure(error: watcher::Error, server: &str, context: &str) -> Failure {
    let call = |verb| Call::of::<ClusterVersionShadow>(verb, true);
    match error {
        watcher::Error::InitialListFailed(error) => failure(error, &call("list"), server, context),
        watcher::Error::WatchStartFailed(error) | watcher::Error::WatchFailed(error) => {
            failure(error, &call("watch"), server, context)
        }
        watcher::Error::WatchError(status) => answered(&status, &call("watch"), server, context),
        error @ watcher::Error::NoResourceVersion => {
            unreachable_at(server, context, Box::new(error))
        }
    }
}
