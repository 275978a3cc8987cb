//! What the rounds need of the registry for plugins: their charts, and whether a published version
//! can be installed. Decides nothing about an installed plugin; that is the planner's.

use crate::releases::{ReleaseStore, no_content, pinned, words};
use cluster::execute::{ContentError, Contents};
use cluster::modules_round::judge_version;
use cluster::observe::Catalogue;
use cluster::{ApiServer, CallError};
use planner::modules::ConfigFacts;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How soon a version whose charts could not be read is looked at again; twice as long each time.
const RETRY: Duration = Duration::from_secs(2);
/// The longest pause between two looks.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// No look begins in a round that looks for so long already.
const BUDGET: Duration = Duration::from_secs(5);

/// The charts of plugins, by digest.
#[derive(Debug, Clone, Copy)]
pub struct PluginCharts<'a> {
    /// Reads and keeps them.
    pub store: &'a ReleaseStore,
}

impl Contents for PluginCharts<'_> {
    async fn content(&self, image: &str, _: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        let (reference, digest) = pinned(image).map_err(ContentError::Invalid)?;
        self.store.chart(&reference, &digest).await.map_err(|error| no_content(&error))
    }
}

/// Looks whether published versions can be installed, and remembers what just failed.
#[derive(Debug, Default)]
pub struct Shelf {
    /// By name: of which generation, until when it rests, and for how long next time.
    failed: BTreeMap<String, (Option<i64>, Instant, Duration)>,
}

impl Shelf {
    /// Says of each version that was not looked at yet whether its charts are in the registry;
    /// gives the time until the next look where one is needed.
    ///
    /// # Errors
    /// When what was found cannot be written.
    pub async fn stock<A: ApiServer>(
        &mut self,
        home: &A,
        store: &ReleaseStore,
        registry: Result<String, String>,
        catalogue: &Catalogue,
    ) -> Result<Option<Duration>, CallError> {
        self.failed.retain(|name, _| catalogue.configs.iter().any(|c| c.name == *name));
        let begun = Instant::now();
        for config in catalogue.configs.iter().filter(|c| !c.ready) {
            let before = self.failed.get(&config.name).filter(|f| f.0 == config.generation);
            if before.is_some_and(|(_, until, _)| begun < *until) || begun.elapsed() > BUDGET {
                continue;
            }
            let pause = before.map_or(RETRY, |(_, _, pause)| (*pause * 2).min(LONGEST_RETRY));
            let verdict = match &registry {
                Ok(registry) => look(store, registry, config).await,
                Err(why) => Err(why.clone()),
            };
            if verdict.is_ok() {
                self.failed.remove(&config.name);
            } else {
                let until = Instant::now() + pause;
                self.failed.insert(config.name.clone(), (config.generation, until, pause));
            }
            judge_version(home, config, verdict).await?;
        }
        let now = Instant::now();
        Ok(self.failed.values().map(|(_, until, _)| until.saturating_duration_since(now)).min())
    }
}

/// Whether every chart of a version is in the registry, whole.
async fn look(store: &ReleaseStore, registry: &str, config: &ConfigFacts) -> Result<(), String> {
    let charts = config.spec.app_releases.iter().flat_map(|release| &release.chart_versions);
    let mut count = 0;
    for chart in charts {
        let image = format!("{registry}/{}@{}", chart.name, chart.digest);
        let (reference, digest) = pinned(&image)?;
        store.chart(&reference, &digest).await.map_err(|error| words(&error))?;
        count += 1;
    }
    if count == 0 { Err("it has no chart".to_owned()) } else { Ok(()) }
}
