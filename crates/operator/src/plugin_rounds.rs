//! Makes one round after the other about the plugins of a cluster, and on the global one about the
//! catalogue. They are made beside the rounds about its release, and neither waits for the other.

use crate::bells::About;
use crate::fleet::{drives_the_fleet, registered};
use crate::pace::{Made, Pace};
use crate::plugins::{PluginCharts, Shelf};
use crate::reach::Reach;
use crate::releases::{ReleaseStore, registry_address};
use crate::round::{Rounds, Shared, positive};
use cluster::modules_round::{ModulesRound, keep_catalogue, lost};
use cluster::observe::catalogue;
use cluster::render::Helm;
use cluster::{CallError, Live};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes rounds about the plugins of one cluster.
pub struct PluginRounds {
    shared: Arc<Shared>,
    reach: Arc<Reach>,
    /// Looks at the catalogue: in the rounds about the global cluster.
    shelf: Shelf,
    pace: Pace,
}

impl PluginRounds {
    /// Rounds about the plugins of a cluster.
    #[must_use]
    pub fn new(shared: Arc<Shared>, reach: Arc<Reach>) -> Self {
        let pace = shared.pace();
        Self { shared, reach, shelf: Shelf::default(), pace }
    }

    /// Gives the time until the next round is due; None: nothing is under way.
    async fn round(&mut self, now: Timestamp) -> Result<Option<Duration>, CallError> {
        let server = self.reach.server().await;
        let shared = Arc::clone(&self.shared);
        let store = &shared.store;
        let round = ModulesRound {
            home: shared.home(),
            server: &server,
            renderer: &shared.helm,
            charts: &PluginCharts { store },
            cluster: self.reach.cluster(),
            now,
        };
        let own = round.run().await;
        // What holds up one of the three holds up none of the others.
        let again = match self.reach.is_global() {
            true => about_catalogue(&round, store, &mut self.shelf).await,
            false => Ok(None),
        };
        let own = own?;
        if own.applied {
            // Customisations that are in force, or let go, are told by the other rounds.
            self.reach.bell().ring_for(About::Release);
        }
        let due = own.due.map(|at| positive(at.duration_since(now)));
        Ok([due, again?].into_iter().flatten().min())
    }
}

impl Rounds for PluginRounds {
    const ABOUT: About = About::Plugins;

    async fn run(&mut self, now: Timestamp) -> Duration {
        let started = Instant::now();
        let result = self.round(now).await;
        let made = result.map_or_else(
            |error| {
                if error != CallError::NotLeader {
                    tracing::warn!(%error, "the round about the plugins could not be made");
                }
                Made::Failed
            },
            Made::Whole,
        );
        self.pace.after(started, made)
    }

    /// A plugin that waits is looked at again by the clock, once a second: one that cannot go on
    /// must not cause round after round.
    fn is_at_work(&self) -> bool {
        false
    }
}

/// What is published, and what is asked for on clusters that are not registered.
async fn about_catalogue(
    round: &ModulesRound<'_, Live, Helm, PluginCharts<'_>>,
    store: &ReleaseStore,
    shelf: &mut Shelf,
) -> Result<Option<Duration>, CallError> {
    let catalogue = catalogue(round.home).await?;
    let again = match catalogue.configs.is_empty() {
        true => Ok(None),
        false => {
            let registry = registry_address(round.home).await;
            shelf.stock(round.home, store, registry, &catalogue).await
        }
    };
    let kept = keep_catalogue(round.home, &catalogue).await;
    if drives_the_fleet() && !catalogue.installed.is_empty() {
        let registered = registered(round.home).await?;
        lost(round, &catalogue, &registered).await?;
    }
    kept.and(again)
}
