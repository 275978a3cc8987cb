//! Why plugins cannot move with their cluster although their packages are there, looked at before
//! anything begins: once they move, the same rules would hold them in the middle of an upgrade.

use super::plugins::Move;
use crate::modules::{circle, circle_words, first_words, matches, misfit_words, needed};
use crate::snapshot::{ModuleConfigFacts, ModuleInfoFacts};
use api::plugin_values;
use std::collections::BTreeMap;

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
            if let Some(affinity) = &config.affinity {
                if let Some(why) = affinity.misfit(&labels()?) {
                    return Ok(Some(misfit_words(&config.module, self.cluster, &why)));
                }
                let mut others = self.infos.iter().filter(|other| other.name != info.name);
                let met = others.find(|o| affinity.plugin_anti_affinity.contains(&o.module));
                if let Some(other) = met {
                    let (module, version) = (&config.module, &config.version);
                    let cause = format!("{module} {version} must not be where {} is", other.module);
                    let remedy = format!("kubectl delete moduleinfo {}", other.name);
                    return Ok(Some((cause, format!("remove one of them: {remedy}"))));
                }
            }
            let own = settings(info, config).or_else(|| self.comes_first(config));
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
        let after = |module: &str| -> Vec<String> {
            let Some(config) = self.info(module).and_then(|info| self.to(info)) else {
                return Vec::new();
            };
            let needs = config.dependencies.iter().filter(|wanted| {
                let other = self.info(&wanted.module_name);
                other.is_some_and(|other| !matches(wanted, &other.version))
            });
            let needs = needs.map(|wanted| &wanted.module_name);
            let first = config.upgrade_before.iter().map(|other| &other.module_name);
            let moves =
                |name: &&String| self.info(name).is_some_and(|other| self.to(other).is_some());
            needs.chain(first).filter(moves).cloned().collect()
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
        let of = |info: &'a ModuleInfoFacts| {
            let version = after(info);
            self.configs.iter().find(|c| c.module == info.module && c.version == version)
        };
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

/// What of the user's settings the new version does not take.
fn settings(info: &ModuleInfoFacts, config: &ModuleConfigFacts) -> Option<Obstacle> {
    let all = plugin_values::effective(&config.config, &info.config);
    let problem = plugin_values::check(&config.deploy_descriptors, &all).into_iter().next()?;
    let cause = format!("the settings of {} do not do for {}", info.module, config.version);
    let problem = problem.trim_end_matches('.');
    Some((format!("{cause}: {problem}"), format!("kubectl edit moduleinfo {}", info.name)))
}
