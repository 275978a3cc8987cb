//! To which versions a plugin may be upgraded.

use super::blocks;
use super::world::{ConfigFacts, InfoFacts, World, is_for};
use api::component_version::{order, parse};
use api::objects::AvailableVersion;
use std::cmp::Ordering;

/// The versions that can be asked for now, highest first; none of a plugin that is not installed.
pub(super) fn versions(world: &World, info: &InfoFacts) -> Vec<AvailableVersion> {
    let at = &info.status.version;
    if at.is_empty() {
        return Vec::new();
    }
    let is_above =
        |c: &&ConfigFacts, than: &str| order(&c.spec.version, than) == Some(Ordering::Greater);
    let above: Vec<&ConfigFacts> =
        world.versions_of(&info.module).filter(|c| is_above(c, at)).collect();
    let musts = above.iter().filter(|config| config.spec.must_upgrade);
    let first_must = musts.min_by(|a, b| by_version(a, b)).map(|c| &c.spec.version);
    let platform = world.status.current.as_ref().map_or("", |current| current.version.as_str());
    let mut found: Vec<&ConfigFacts> = above
        .into_iter()
        .filter(|c| c.ready && is_for(&c.spec.target_cluster_versions, platform))
        .filter(|c| blocks::affinity(world, c).is_none() && is_from(c, at))
        .filter(|c| first_must.is_none_or(|must| !is_above(c, must)))
        .collect();
    found.sort_by(|a, b| by_version(b, a));
    found.into_iter().map(shown).collect()
}

fn by_version(a: &ConfigFacts, b: &ConfigFacts) -> Ordering {
    order(&a.spec.version, &b.spec.version).unwrap_or(Ordering::Equal)
}

/// Whether a version may be upgraded to from the installed one.
fn is_from(config: &ConfigFacts, installed: &str) -> bool {
    let range = &config.spec.supported_upgrade_versions;
    let contains =
        |range: api::VersionRange| parse(installed).is_some_and(|at| range.contains(&at));
    range.is_empty() || range.parse().is_ok_and(contains)
}

fn shown(config: &ConfigFacts) -> AvailableVersion {
    let spec = &config.spec;
    AvailableVersion {
        version: spec.version.clone(),
        risk_level: spec.upgrade_risk_level.clone(),
        description: spec.upgrade_risk_description.clone(),
        description_en: spec.upgrade_risk_description_en.clone(),
        dependencies: spec.dependencies.clone(),
        upgrade_before: spec.upgrade_before.clone(),
    }
}
