//! Why plugins cannot move with their cluster although their packages are there, looked at before
//! anything begins: once they move, the same rules would hold them in the middle of an upgrade.

use super::plugins::Move;
use crate::modules::{
    apart_words, circle, circle_words, first_words, matches, misfit_words, move_before, needed,
};
use crate::snapshot::{ModuleConfigFacts, ModuleInfoFacts};
use api::plugin_values;
use std::collections::{BTreeMap, BTreeSet};

/// What is in the way, and what to do.
pub type Obstacle = (String, String);

/// The plugins of a cluster, and where its upgrade brings them.
#[derive(Debug, Clone, Copy)]
pub struct Moving<'a> {
    /// Name of the cluster.
    pub cluster: &'a str,
    /// All of its plugins.
    pub infos: &'a [ModuleInfoFacts],
    /// The catalogue.
    pub configs: &'a [ModuleConfigFacts],
    /// Those that move with it.
    pub moves: &'a [(&'a ModuleInfoFacts, Move<'a>)],
}

impl<'a> Moving<'a> {
    /// What is in the way of the plugins that move; `labels` gives those of the cluster, where they
    /// are asked for.
    ///
    /// # Errors
    /// When they are asked for and cannot be read.
    pub fn obstacle(
        self,
        labels: impl Fn() -> Result<BTreeMap<String, String>, String>,
    ) -> Result<Option<Obstacle>, String> {
        for (info, config) in self.moved() {
            if let Some(affinity) = &config.affinity
                && let Some(why) = affinity.misfit(&labels()?)
            {
                return Ok(Some(misfit_words(&config.module, self.cluster, &why)));
            }
            let own = self
                .apart(info, config)
                .or_else(|| settings(info, config, self.published(&info.module, &info.version)))
                .or_else(|| self.comes_first(config));
            if own.is_some() {
                return Ok(own);
            }
        }
        Ok(self.circle().or_else(|| self.unmet()))
    }

    fn moved(self) -> impl Iterator<Item = (&'a ModuleInfoFacts, &'a ModuleConfigFacts)> {
        self.moves.iter().filter_map(|(info, to)| match to {
            Move::To(config) => Some((*info, *config)),
            Move::Stays | Move::Missing | Move::NoWay(..) => None,
        })
    }

    /// The version to which a plugin moves.
    fn to(self, info: &ModuleInfoFacts) -> Option<&'a ModuleConfigFacts> {
        self.moved().find(|(moved, _)| moved.name == info.name).map(|(_, config)| config)
    }

    fn info(self, module: &str) -> Option<&'a ModuleInfoFacts> {
        self.infos.iter().find(|info| info.module == module)
    }

    /// A plugin that must not be on one cluster with this one, whichever of the two says so.
    fn apart(self, info: &ModuleInfoFacts, config: &ModuleConfigFacts) -> Option<Obstacle> {
        let refuses = |config: &ModuleConfigFacts, module: &str| {
            config.affinity.as_ref().is_some_and(|affinity| affinity.excludes(module))
        };
        let mut others = self.infos.iter().filter(|other| other.module != info.module);
        let met = others.find(|other| {
            let theirs = self.published(&other.module, &other.version);
            refuses(config, &other.module) || theirs.is_some_and(|c| refuses(c, &info.module))
        })?;
        Some(apart_words(&info.module, &met.module, &met.name))
    }

    fn published(self, module: &str, version: &str) -> Option<&'a ModuleConfigFacts> {
        self.configs.iter().find(|c| c.module == module && c.version == version)
    }

    /// A plugin that is upgraded before this one and does not move with the cluster.
    fn comes_first(self, config: &ModuleConfigFacts) -> Option<Obstacle> {
        let others = config.upgrade_before.iter();
        let mut others = others.filter_map(|other| self.info(&other.module_name));
        let other = others.find(|other| self.to(other).is_none() && !other.newest.is_empty())?;
        let (cause, remedy) = first_words(&other.module, &other.name, &other.newest);
        Some((format!("{} {}: {cause}", config.module, config.version), remedy))
    }

    /// Plugins each of which moves after the next.
    fn circle(self) -> Option<Obstacle> {
        let moving = |module: &str| {
            let info = self.info(module)?;
            self.to(info).map(|_| info.version.as_str())
        };
        let after = |module: &str| {
            let config = self.info(module).and_then(|info| self.to(info));
            config.map_or_else(Vec::new, |config| {
                move_before(&config.dependencies, &config.upgrade_before, moving)
            })
        };
        let found = self.moved().find_map(|(info, _)| circle(&info.module, &after))?;
        Some(circle_words(&found))
    }

    /// What the plugins that move, or that stay, need and do not have once all of them have moved.
    fn unmet(self) -> Option<Obstacle> {
        let after = |info: &'a ModuleInfoFacts| {
            self.to(info).map_or(info.version.as_str(), |config| config.version.as_str())
        };
        let is_moved = |info: &'a ModuleInfoFacts| after(info) != info.version;
        let of = |info: &'a ModuleInfoFacts| self.published(&info.module, after(info));
        for (info, config) in self.infos.iter().filter_map(|info| Some((info, of(info)?))) {
            for wanted in &config.dependencies {
                let other = self.info(&wanted.module_name);
                let version = other.map(after).unwrap_or_default();
                // What does not move and is not met today is no matter of this upgrade.
                let concerns = is_moved(info) || other.is_some_and(is_moved);
                if !concerns || other.is_some() && matches(wanted, version) {
                    continue;
                }
                let state = match other {
                    None => "which is not installed".to_owned(),
                    Some(_) => format!("and it will be at {version}"),
                };
                let needs = needed(wanted);
                let cause = format!("{} {} {needs}, {state}", config.module, config.version);
                let remedy = match other {
                    None => format!("install {} first", wanted.module_name),
                    Some(_) if is_moved(info) => format!("upgrade {} first", wanted.module_name),
                    Some(_) => format!("upgrade or remove {} first", config.module),
                };
                return Some((cause, remedy));
            }
        }
        None
    }
}

/// Values that are laid over a chart which the new version lacks, unless the user has some for
/// charts that it brings: then they are there for both.
fn overrides(
    info: &ModuleInfoFacts,
    config: &ModuleConfigFacts,
    installed: Option<&ModuleConfigFacts>,
) -> Option<String> {
    let charts: BTreeSet<&str> = config.charts.iter().map(String::as_str).collect();
    let is_new = |name: &String| {
        config.charts.contains(name) && !installed.is_some_and(|old| old.charts.contains(name))
    };
    let over = &info.values_override;
    let is_prepared = over.keys().any(is_new);
    plugin_values::without_chart(over, &charts).into_iter().next().filter(|_| !is_prepared)
}

/// What of the user's settings the new version does not take.
fn settings(
    info: &ModuleInfoFacts,
    config: &ModuleConfigFacts,
    installed: Option<&ModuleConfigFacts>,
) -> Option<Obstacle> {
    let all = plugin_values::effective(&config.config, &info.config);
    let problem = plugin_values::check(&config.deploy_descriptors, &all)
        .into_iter()
        .next()
        .or_else(|| overrides(info, config, installed))?;
    let cause = format!("the settings of {} do not do for {}", info.module, config.version);
    let problem = problem.trim_end_matches('.');
    Some((format!("{cause}: {problem}"), format!("kubectl edit moduleinfo {}", info.name)))
}
