//! The removal of a plugin: why it is refused, and what is done.

use super::blocks::upgrade_of;
use super::world::{ConfigFacts, InfoFacts, World};
use super::{ModulePlan, Situation, dependencies};
use crate::plan::Step;
use api::Lifecycle;
use api::remedy::message;
use std::collections::BTreeSet;

/// What is done about a ModuleInfo that is being deleted.
pub(super) fn plan(world: &World, info: &InfoFacts) -> ModulePlan {
    let parts: Vec<&String> = world.parts_of(info).map(|(name, _)| name).collect();
    if parts.is_empty() {
        return let_go(info);
    }
    // What was begun goes on: half of a plugin is of no use to anybody.
    let is_begun = info.status.phase == api::objects::ModulePhase::Deleting.as_str();
    match refusals(world, info) {
        Ok(reasons) if reasons.is_empty() || is_begun => {}
        Ok(reasons) => return ModulePlan::of(info, Situation::RemovalPrevented(reasons)),
        Err(error) => return ModulePlan::of(info, Situation::Unknown(error)),
    }
    // Intent first: the round that begins it says so, the next one does it.
    let steps = parts.into_iter().filter(|_| is_begun);
    let steps = steps.map(|name| Step::Remove { name: name.clone(), allowed: BTreeSet::new() });
    ModulePlan { steps: steps.collect(), ..ModulePlan::of(info, Situation::Removing) }
}

/// Nothing of it is left, or its cluster is gone with what it had there.
pub(super) fn let_go(info: &InfoFacts) -> ModulePlan {
    let step = info.held.then(|| Step::ReleaseModule { name: info.name.clone() });
    ModulePlan { steps: step.into_iter().collect(), ..ModulePlan::of(info, Situation::Removing) }
}

/// Why it must stay.
fn refusals(world: &World, info: &InfoFacts) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    match world.installed_config(info) {
        Some(config) => {
            found.extend(core(world, info, config));
            found.extend(not_deleteable(info, config));
        }
        // Whether it may go is said there and nowhere else.
        None => found.push(message(
            &format!("the catalogue no longer has {} {}", info.module, info.installed_version()),
            "push its package again: violet push PACKAGE.tgz",
        )),
    }
    for (other, _) in
        dependencies::dependents(world, info, false).filter(|(other, _)| !other.deleting)
    {
        let cause = format!("{} needs {}", other.module, info.module);
        found.push(message(&cause, &format!("kubectl delete moduleinfo {}", other.name)));
    }
    let none = Vec::new();
    let standing = world.standing.get(&info.name).map(|found| found.or_empty(&none));
    let standing = standing.transpose()?.unwrap_or(&none);
    if !standing.is_empty() {
        let cause = format!("it must stay while these are there: {}", api::text::names(standing));
        found.push(message(&cause, &format!("on cluster {}: delete them first", world.cluster)));
    }
    Ok(found)
}

fn core(world: &World, info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    (config.lifecycle.0 == Lifecycle::Core).then(|| {
        let cause = format!("{} is a Core plugin and goes with its cluster only", info.module);
        message(&cause, &upgrade_of(&world.cluster))
    })
}

fn not_deleteable(info: &InfoFacts, config: &ConfigFacts) -> Option<String> {
    (!config.spec.deleteable).then(|| {
        let why = match config.spec.delete_block_description_en.as_str() {
            "" => String::new(),
            why => format!(": {why}"),
        };
        let cause = format!("{} cannot be removed{why}", info.module);
        message(&cause, "its publisher decides that: ask for another package of it")
    })
}
