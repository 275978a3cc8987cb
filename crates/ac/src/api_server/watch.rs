//! A ClusterVersionShadow over time: lists, watches and begins anew by itself.

use super::ApiServer;
use super::refusals::{Call, answered, failure, unreachable_at};
use crate::failure::Failure;
use crate::shadow::Shadow;
use api::ClusterVersionShadow;
use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
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
    /// It is gone.
    Gone,
    /// It cannot be seen at the moment.
    Lost(Failure),
}

impl ApiServer {
    /// The ClusterVersionShadow of a cluster, from now on. Ends never; tries again by itself.
    pub(crate) fn watch_shadow(&self, cluster: &str) -> impl Stream<Item = Look> + Send + use<> {
        let fields = format!("metadata.name={cluster}");
        let config = watcher::Config::default().fields(&fields).timeout(WATCH_SECONDS);
        let events = watcher(self.namespaced::<ClusterVersionShadow>(), config).backoff(Steady);
        let (server, context) = (self.server.clone(), self.context.clone());
        let mut seen = false;
        events.filter_map(move |event| {
            let look = match event {
                Ok(Event::Apply(object) | Event::InitApply(object)) => {
                    seen = true;
                    Some(
                        Shadow::read(&object)
                            .map_or_else(Look::Lost, |shadow| Look::Now(Box::new(shadow))),
                    )
                }
                Ok(Event::Init) => {
                    seen = false;
                    None
                }
                Ok(Event::Delete(_)) => Some(Look::Gone),
                Ok(Event::InitDone) => (!seen).then_some(Look::Gone),
                Err(error) => Some(Look::Lost(watch_failure(error, &server, &context))),
            };
            std::future::ready(look)
        })
    }
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
