//! Which plugins are looked at for edits of others: what is at rest, a few at a time. Nothing is
//! corrected.

use super::{ModulePlan, Situation, World, components};
use crate::plan::{ApplyStep, Step, Turn};
use api::objects::AppReleasePhase;

/// Edits of others are looked for in turn, and the pull secret in the namespaces of plugins stays
/// that of the platform.
pub(super) fn look_for(world: &World, plans: &mut [ModulePlan]) {
    let open = turn(world, plans).map_or(0..0, |turn| turn.open);
    let looks: Vec<(String, Step)> = at_rest(world, plans)
        .skip(open.start)
        .take(open.len())
        .map(|(info, step)| (info.to_owned(), Step::ReportDrift(Box::new(step.clone()))))
        .collect();
    for (info, look) in looks {
        if let Some(own) = plans.iter_mut().find(|plan| plan.info == info) {
            own.looks.push(look);
        }
    }
}

/// Whose turn it is to be looked at; None where nothing is at rest.
pub(super) fn turn(world: &World, plans: &[ModulePlan]) -> Option<Turn> {
    Turn::at(world.now, at_rest(world, plans).count())
}

/// What is installed and healthy, by ModuleInfo, of plugins that nothing is done about.
fn at_rest<'a>(
    world: &'a World,
    plans: &'a [ModulePlan],
) -> impl Iterator<Item = (&'a str, &'a ApplyStep)> {
    let is_ready = move |step: &&ApplyStep| {
        let facts = world.app_releases.value().and_then(|all| all.get(&step.component.name));
        facts.is_some_and(|facts| facts.status.phase == AppReleasePhase::Ready)
            && components::is_there(world, step)
    };
    let rests = |plan: &&ModulePlan| match plan.situation {
        // What is asked for is not begun: what is installed stays.
        Situation::Settled(_)
        | Situation::Blocked(_)
        | Situation::Waits(_)
        | Situation::RemovalPrevented(_) => plan.steps.is_empty(),
        Situation::Unknown(_) | Situation::Begin | Situation::Moving | Situation::Removing => false,
    };
    plans.iter().filter(rests).flat_map(move |plan| {
        plan.wanted.iter().filter(is_ready).map(|step| (plan.info.as_str(), step))
    })
}
