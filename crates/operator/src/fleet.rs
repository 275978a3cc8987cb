//! Decides about which clusters rounds are made: the global one and, where it drives the fleet,
//! every cluster that is registered on it. Each has two tasks of its own, about its release and
//! about its plugins, so that one that is dead or slow holds up nobody.

use crate::bells::Changes;
use crate::lease::Leadership;
use crate::plugin_rounds::PluginRounds;
use crate::reach::Reach;
use crate::round::{ReleaseRounds, Rounds, Shared};
use anyhow::Context as _;
use api::names::GLOBAL;
use api::objects::Cluster;
use cluster::server::{ApiServer as _, ListQuery};
use cluster::{CallError, Live};
use kube::Resource as _;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinError, JoinSet, LocalSet};
use tokio::time::Instant;

/// How often the registered clusters are listed at least.
const LOOK: Duration = Duration::from_secs(60);
/// How soon they are listed again where they could not be.
const AGAIN: Duration = Duration::from_secs(2);
/// How soon a follower looks whether it leads.
const FOLLOW: Duration = Duration::from_millis(500);

/// Makes rounds about every cluster until it is told to stop.
///
/// # Errors
/// When a task ends that should not.
pub async fn run(
    shared: Arc<Shared>,
    leadership: Leadership,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    // Rounds borrow what they share; all of them wait for servers far more than they compute.
    LocalSet::new().run_until(all(shared, leadership, stopped)).await
}

async fn all(
    shared: Arc<Shared>,
    leadership: Leadership,
    mut stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    let mut of: BTreeMap<String, [AbortHandle; 2]> = BTreeMap::new();
    let told = stopped.clone();
    let start = |name: &str, tasks: &mut JoinSet<()>| {
        let reach = Arc::new(Reach::new(shared.home().clone(), name, shared.bells()));
        let release = ReleaseRounds::new(Arc::clone(&shared), Arc::clone(&reach));
        let plugins = PluginRounds::new(Arc::clone(&shared), Arc::clone(&reach));
        let release = about(release, &reach, leadership.clone(), told.clone());
        let plugins = about(plugins, &reach, leadership.clone(), told.clone());
        [tasks.spawn_local(release), tasks.spawn_local(plugins)]
    };
    start(GLOBAL, &mut tasks);
    let mut due = Instant::now();
    while !*stopped.borrow() {
        let leads = leadership.leads();
        shared.metrics().leader(leads);
        if leads && Instant::now() >= due {
            due = match registered(shared.home()).await {
                Ok(names) => {
                    let gone: Vec<String> =
                        of.keys().filter(|name| !names.contains(*name)).cloned().collect();
                    for name in gone {
                        tracing::info!(name, "the cluster is not driven any more");
                        of.remove(&name).inspect(|tasks| tasks.iter().for_each(AbortHandle::abort));
                        shared.bells().forget(&name);
                        shared.metrics().forget(&name);
                    }
                    for name in names {
                        if let Entry::Vacant(vacant) = of.entry(name) {
                            let own = start(vacant.key(), &mut tasks);
                            vacant.insert(own);
                        }
                    }
                    Instant::now() + LOOK
                }
                Err(error) => {
                    tracing::warn!(%error, "the clusters cannot be listed");
                    Instant::now() + AGAIN
                }
            };
        }
        tokio::select! {
            // Objects of clusters change all the time: what comes at once is one change.
            () = shared.bells().fleet_changed() => due = due.min(Instant::now() + FOLLOW),
            () = tokio::time::sleep(FOLLOW) => {}
            Some(ended) = tasks.join_next() => expected(ended, *stopped.borrow())?,
            _ = stopped.changed() => break,
        }
    }
    // Each ends with its round.
    while let Some(ended) = tasks.join_next().await {
        expected(ended, true)?;
    }
    Ok(())
}

/// A task ended: of a cluster that is gone, or because it was told to; else it should not have.
fn expected(ended: Result<(), JoinError>, is_stopped: bool) -> anyhow::Result<()> {
    match ended {
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(error).context("a round ended unexpectedly"),
        Ok(()) if is_stopped => Ok(()),
        Ok(()) => anyhow::bail!("the rounds about a cluster ended unexpectedly"),
    }
}

/// Whether this global cluster drives the others. The one place that is asked.
pub(crate) const fn drives_the_fleet() -> bool {
    true
}

/// The clusters beside the global one that are driven from here.
pub(crate) async fn registered(home: &Live) -> Result<BTreeSet<String>, CallError> {
    if !drives_the_fleet() {
        return Ok(BTreeSet::new());
    }
    let mut query = ListQuery::all(&Cluster::api_version(&()), &Cluster::kind(&()));
    query.metadata_only = true;
    let all = match home.list(&query).await {
        Ok(all) => all,
        // A platform that knows no other clusters has none.
        Err(CallError::KindAbsent(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let name = |cluster: &serde_json::Value| {
        let metadata = cluster.get("metadata")?;
        let is_going = metadata.get("deletionTimestamp").is_some();
        let name = metadata.get("name")?.as_str()?.to_owned();
        (!is_going && name != GLOBAL).then_some(name)
    };
    Ok(all.iter().filter_map(name).collect())
}

/// Rounds about one thing of a cluster while this process leads.
fn about<R: Rounds>(
    mut rounds: R,
    reach: &Reach,
    leadership: Leadership,
    mut stopped: watch::Receiver<bool>,
) -> impl Future<Output = ()> + use<R> {
    let mut changes = Changes::of(Arc::clone(reach.bell()), R::ABOUT);
    async move {
        let mut due = Instant::now();
        while !*stopped.borrow() {
            tokio::select! {
                () = changes.next(rounds.is_at_work()) => {}
                () = tokio::time::sleep_until(due) => {}
                _ = stopped.changed() => break,
            }
            if !leadership.leads() {
                // A follower looks again soon: it may have become the leader.
                due = Instant::now() + FOLLOW;
                continue;
            }
            let wait = rounds.run(jiff::Timestamp::now()).await;
            due = Instant::now() + wait;
        }
    }
}
