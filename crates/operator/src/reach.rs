//! The way to a cluster: found once, and anew when it may have changed.

use crate::bells::{Bell, Bells, Moved};
use crate::triggers::Watch;
use api::names::GLOBAL;
use cluster::Live;
use cluster::observe::{NoRoute, Route, place, route};
use std::sync::Arc;
use tokio::sync::Mutex;

/// How a cluster was reached, and the watch of its changes.
struct Reached {
    route: Route,
    server: Live,
    _watch: Option<Watch>,
}

/// The way to one cluster, for all rounds about it.
pub struct Reach {
    home: Live,
    cluster: String,
    bell: Arc<Bell>,
    /// A workload cluster, where it was reached; None: not yet, or not any more.
    reached: Mutex<Option<Reached>>,
}

impl Reach {
    /// The way from the global cluster to one of this name.
    #[must_use]
    pub fn new(home: Live, cluster: &str, bells: &Bells) -> Self {
        let (cluster, bell) = (cluster.to_owned(), bells.of(cluster));
        Self { home, cluster, bell, reached: Mutex::default() }
    }

    /// Its name.
    #[must_use]
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// Whether it is the global one.
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.cluster == GLOBAL
    }

    /// What rings when something of it changed.
    #[must_use]
    pub const fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// The API server of the cluster; where there is no way to it, one that says so.
    pub async fn server(&self) -> Live {
        if self.is_global() {
            return self.home.clone();
        }
        let mut reached = self.reached.lock().await;
        match self.find(&mut reached).await {
            Ok(server) => server,
            Err(error) => {
                self.bell.moved();
                if matches!(error, NoRoute::None(_)) {
                    *reached = None;
                }
                let known = reached.as_ref().map(|reached| reached.server.clone());
                known.unwrap_or_else(|| Live::unreachable(&error.to_string()))
            }
        }
    }

    /// Reaches the cluster, anew where the way there has changed.
    async fn find(&self, reached: &mut Option<Reached>) -> Result<Live, NoRoute> {
        let moved = self.bell.take_moved();
        if let Some(reached) = &reached {
            let stays = match moved {
                Moved::No => true,
                Moved::Place => {
                    let now = place(&self.home, &self.cluster).await?;
                    reached.route.leads_to(&now)
                }
                Moved::Way => false,
            };
            if stays {
                return Ok(reached.server.clone());
            }
        }
        // Until it is found, a change of any credential may be one of its own.
        self.bell.takes(None);
        let route = route(&self.home, &self.cluster).await?;
        self.bell.takes(route.credential());
        if let Some(reached) = reached.as_mut()
            && reached.route.is_that_of(&route)
        {
            reached.route = route;
            return Ok(reached.server.clone());
        }
        let server = route.server().map_err(NoRoute::None)?;
        let server = self.home.fenced_like(server);
        let client = server.client().ok();
        let watch = client.map(|client| Watch::start(client, Arc::clone(&self.bell)));
        *reached = Some(Reached { route, server: server.clone(), _watch: watch });
        Ok(server)
    }
}
