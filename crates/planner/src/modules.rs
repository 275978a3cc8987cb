//! The life of the plugins of one cluster: what is done about each ModuleInfo and what is said of
//! it. Pure, as everything here: [`World`] in, steps and statuses out.
//!
//! A plugin is installed, configured, upgraded and removed by the same steps as a component of a
//! release. What is asked for and not begun says why, each time with what to do.

mod available;
mod blocks;
mod catalogue;
mod circle;
mod components;
mod dependencies;
mod drift;
mod path;
mod removal;
mod status;
mod world;

pub use blocks::accept;
pub(crate) use blocks::{apart_words, detour_words, first_words, misfit_words};
pub use catalogue::{Catalogued, catalogue};
pub(crate) use circle::{circle, circle_words, move_before};
pub(crate) use dependencies::{matches, needed};
pub use path::Detour;
pub(crate) use path::{Published, detour};
pub use status::{due, status};
pub use world::{ConfigFacts, InfoFacts, LifecycleFact, World, is_for};

use crate::apply::patches_digest;
use crate::plan::{ApplyStep, Step};
use crate::snapshot::AppReleaseFacts;
use api::objects::{AppReleasePhase, AvailableVersion};
use std::collections::BTreeSet;

/// In which situation a ModuleInfo is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Situation {
    /// What decides about it cannot be read now.
    Unknown(String),
    /// What it asks for is not begun, and why.
    Blocked(Vec<String>),
    /// What it asks for is not begun; the upgrade of its cluster comes to it.
    Waits(String),
    /// It begins with this round, which says so; its steps come with the next.
    Begin,
    /// It is being installed, changed or upgraded.
    Moving,
    /// It is as it asks for; with a note on what it could not be given.
    Settled(String),
    /// Its removal is asked for and refused, and why.
    RemovalPrevented(Vec<String>),
    /// It is being removed.
    Removing,
}

/// What is done about a ModuleInfo.
#[derive(Debug, Clone, PartialEq)]
pub struct ModulePlan {
    /// The ModuleInfo.
    pub info: String,
    /// In which situation it is.
    pub situation: Situation,
    /// Versions to which it may be upgraded; None: that is not known.
    pub available: Option<Vec<AvailableVersion>>,
    /// What to do.
    pub steps: Vec<Step>,
    /// Edits of others that are looked for in this round; what comes of it says nothing of how far
    /// the plugin is.
    pub looks: Vec<Step>,
    /// Its AppReleases as they are to be.
    pub wanted: Vec<ApplyStep>,
}

impl ModulePlan {
    /// A plan without steps.
    fn of(info: &InfoFacts, situation: Situation) -> Self {
        Self {
            info: info.name.clone(),
            situation,
            available: None,
            steps: Vec::new(),
            looks: Vec::new(),
            wanted: Vec::new(),
        }
    }
}

/// Plans a round about the plugins of a cluster. Of what another controller installed there is no
/// plan: what is said of it is not ours.
#[must_use]
pub fn plan(world: &World) -> Vec<ModulePlan> {
    let ours = world.infos.iter().filter(|info| !is_foreign(world, info));
    let mut plans: Vec<ModulePlan> = ours.map(|info| plan_of(world, info)).collect();
    drift::look_for(world, &mut plans);
    plans
}

fn plan_of(world: &World, info: &InfoFacts) -> ModulePlan {
    let plan = asked_for(world, info);
    match plan.situation {
        // What is installed stays, and what users customise there meanwhile comes into force.
        Situation::Blocked(_) | Situation::Waits(_) | Situation::RemovalPrevented(_) => {
            let wanted = components::installed(world, info);
            // What was begun and withdrawn goes on, or back, only as it is asked for.
            let there = wanted.iter().filter(|step| components::is_there(world, step));
            let (steps, _) = open(world, there);
            ModulePlan { steps, wanted, ..plan }
        }
        Situation::Unknown(_)
        | Situation::Begin
        | Situation::Moving
        | Situation::Settled(_)
        | Situation::Removing => plan,
    }
}

/// What comes of what a ModuleInfo asks for.
fn asked_for(world: &World, info: &InfoFacts) -> ModulePlan {
    let of = |situation| ModulePlan::of(info, situation);
    match inputs(world) {
        Ok(Inputs::Known) => {}
        Ok(Inputs::NoCluster) if info.deleting => return removal::let_go(info),
        Ok(Inputs::NoCluster) => return of(Situation::Blocked(vec![nowhere(world, info)])),
        Err(error) => return of(Situation::Unknown(error)),
    }
    let available = Some(available::versions(world, info));
    if info.deleting {
        return ModulePlan { available, ..removal::plan(world, info) };
    }
    let blocked =
        |reasons| ModulePlan { available: available.clone(), ..of(Situation::Blocked(reasons)) };
    let config = match blocks::config(world, info) {
        Ok(config) => config,
        Err(why) => return blocked(vec![why]),
    };
    // What was begun goes on: a rule that is broken meanwhile leaves no half of a plugin behind.
    if !info.is_begun() {
        let reasons = match info.status.version == info.spec.version {
            // What was begun meanwhile is not turned back.
            true => {
                blocks::never_lower(world, info).map(blocks::Reason::from).into_iter().collect()
            }
            false => blocks::all(world, info, config),
        };
        let firm: Vec<String> =
            reasons.iter().filter(|r| !r.passes).map(|r| r.text.clone()).collect();
        if !firm.is_empty() {
            return blocked(firm);
        }
        if let Some(reason) = reasons.into_iter().next() {
            return ModulePlan { available, ..of(Situation::Waits(reason.text)) };
        }
    }
    match components::components(world, info, config) {
        Err(problems) => blocked(problems),
        Ok(wanted) => {
            let unused = components::unused(info, config);
            ModulePlan { available, ..moved(world, info, wanted, unused) }
        }
    }
}

/// Why there is no cluster to install it on.
fn nowhere(world: &World, info: &InfoFacts) -> String {
    let label = api::names::CLUSTER_NAME_LABEL;
    if world.cluster.is_empty() {
        let remedy = format!("kubectl label moduleinfo {} {label}=CLUSTER", info.name);
        return api::remedy::message(
            &format!("the label {label} does not name its cluster"),
            &remedy,
        );
    }
    let cause = format!("there is no cluster {}, or it is being removed", world.cluster);
    let remedy = format!("see which there are: kubectl get {}", api::names::CLUSTERS);
    api::remedy::message(&cause, &remedy)
}

/// Whether the status of a ModuleInfo was written by another controller, which has installed what
/// it asks for. Once a version is asked for that the catalogue has, it is taken over.
fn is_foreign(world: &World, info: &InfoFacts) -> bool {
    let (spec, status) = (&info.spec, &info.status);
    let by_others = !status.phase.is_empty() && status.observed_generation.is_none() && !info.held;
    let is_change = !status.version.is_empty() && spec.version != status.version;
    by_others && !(is_change && world.config(&info.module, &spec.version).is_some())
}

enum Inputs {
    Known,
    NoCluster,
}

/// Whether what decides about the plugins of a cluster was read.
fn inputs(world: &World) -> Result<Inputs, String> {
    if world.labels.or_empty(&None)?.is_none() {
        return Ok(Inputs::NoCluster);
    }
    world.configs.or_empty(&Vec::new())?;
    world.registry.or_empty(&String::new())?;
    world.app_releases.or_empty(&Default::default())?;
    world.resource_patches.or_empty(&Vec::new())?;
    Ok(Inputs::Known)
}

/// What brings a plugin to what it asks for.
fn moved(
    world: &World,
    info: &InfoFacts,
    wanted: Vec<ApplyStep>,
    unused: Option<String>,
) -> ModulePlan {
    let is_begun = info.is_begun();
    let (mut steps, mut notes) = open(world, &wanted);
    notes.extend(unused);
    if steps.is_empty() {
        steps = surplus(world, info, &wanted);
    }
    let is_done = steps.is_empty() && info.status.version == info.spec.version && info.held;
    let situation = match (is_done, is_begun) {
        (true, _) => Situation::Settled(notes.join("; ")),
        (false, true) => Situation::Moving,
        (false, false) => Situation::Begin,
    };
    if situation == Situation::Begin {
        steps.clear();
    } else if !info.held {
        // It is held before anything of it is there.
        steps = vec![Step::HoldModule { name: info.name.clone() }];
    }
    ModulePlan { steps, wanted, ..ModulePlan::of(info, situation) }
}

/// The steps to what is not as it is to be, and notes on what is at rest all the same.
fn open<'a>(
    world: &World,
    wanted: impl IntoIterator<Item = &'a ApplyStep>,
) -> (Vec<Step>, Vec<String>) {
    let (mut steps, mut notes) = (Vec::new(), Vec::new());
    for step in wanted {
        let facts = world.app_releases.value().and_then(|all| all.get(&step.component.name));
        match facts.map(|facts| standing(world, step, facts)) {
            Some(Standing::Settled) => {}
            Some(Standing::Noted(why)) => notes.push(why),
            Some(Standing::Open) | None => steps.push(Step::Apply(Box::new(step.clone()))),
        }
    }
    (steps, notes)
}

enum Standing {
    /// As it is to be.
    Settled,
    /// The same, but for customisations that do not apply, or for edits that cannot be looked for.
    Noted(String),
    /// To be applied.
    Open,
}

/// How an AppRelease stands to what it is to be.
fn standing(world: &World, step: &ApplyStep, facts: &AppReleaseFacts) -> Standing {
    let (spec, status) = (&facts.spec, &facts.status);
    let is_that = spec.module_info == step.module_info
        && status.release_image == step.image
        && status.version == step.component.version
        && spec.values == step.component.values
        // A spec that was written is not applied yet: whoever wrote it may have died since.
        && (facts.generation.is_none() || status.observed_generation == facts.generation);
    let release = format!("{}/{}", step.component.namespace, step.component.name);
    let patches = world.resource_patches.value().into_iter().flatten();
    let patches = patches.filter(|p| p.release == release && !p.deleting);
    let (mut entries, mut refused) = (Vec::new(), None);
    for patch in patches {
        entries.push(format!("{}={}", patch.name, patch.digest));
        if let Some(why) = &patch.failure {
            refused.get_or_insert_with(|| {
                let note = api::objects::failed_patch_note(&step.component.name, &patch.name, why);
                let remedy = api::objects::failed_patch_remedy(&[patch.name.as_str()]);
                api::remedy::message(&note, &remedy)
            });
        }
    }
    let is_tried = status.patches_digest == patches_digest(&entries);
    match (is_that && is_tried, refused) {
        (true, Some(why)) => Standing::Noted(why),
        (true, None) if status.phase == AppReleasePhase::Ready => match status.message.as_str() {
            "" => Standing::Settled,
            message => Standing::Noted(format!("{}: {message}", step.component.name)),
        },
        (true | false, _) => Standing::Open,
    }
}

/// What is left of an earlier version once the new one is there.
fn surplus(world: &World, info: &InfoFacts, wanted: &[ApplyStep]) -> Vec<Step> {
    let names: BTreeSet<&String> = wanted.iter().map(|step| &step.component.name).collect();
    let parts = world.parts_of(info);
    let steps = parts.filter_map(|(name, facts)| {
        let (name, allowed) = (name.clone(), BTreeSet::new());
        if !names.contains(&name) {
            return Some(Step::Remove { name, allowed });
        }
        (!facts.status.obsolete.is_empty()).then_some(Step::Prune { name, allowed })
    });
    steps.collect()
}
