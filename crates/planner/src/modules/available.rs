//! To which versions a plugin may be upgraded.

use super::blocks;
use super::path::detour;
use super::world::{ConfigFacts, InfoFacts, World, is_for};
use api::Lifecycle;
use api::component_version::order;
use api::objects::AvailableVersion;
use std::cmp::Ordering;

/// The versions that can be asked for now, highest first; none of a plugin that is not installed.
pub(super) fn versions(world: &World, info: &InfoFacts) -> Vec<AvailableVersion> {
    let at = &info.status.version;
    if at.is_empty() {
        return Vec::new();
    }
    if world.installed_config(info).is_some_and(|c| c.lifecycle.0 == Lifecycle::Core) {
        // It moves with its cluster and in no other way.
        return Vec::new();
    }
    let all = || world.versions_of(&info.module).map(ConfigFacts::published);
    let platform = world.status.current.as_ref().map_or("", |current| current.version.as_str());
    let mut found: Vec<&ConfigFacts> = world
        .versions_of(&info.module)
        .filter(|c| order(&c.spec.version, at) == Some(Ordering::Greater))
        .filter(|c| c.ready && is_for(&c.spec.target_cluster_versions, platform))
        .filter(|c| blocks::affinity(world, c).is_none())
        .filter(|c| detour(all(), at, c.published()).is_none())
        .collect();
    found.sort_by(|a, b| by_version(b, a));
    found.into_iter().map(shown).collect()
}

fn by_version(a: &ConfigFacts, b: &ConfigFacts) -> Ordering {
    order(&a.spec.version, &b.spec.version).unwrap_or(Ordering::Equal)
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
