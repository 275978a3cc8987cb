//! The order of one round about the plugins of a cluster: observe, plan, execute, and the status of
//! each ModuleInfo that changed. On the global cluster also what the catalogue says. Knows nothing
//! of timers, Leases or registries.

use crate::call::CallError;
use crate::execute::{Contents, Executor, Kinds};
use crate::observe::{self, Catalogue};
use crate::render::Renderer;
use crate::round::{ROUND_LIMIT, execute_all};
use crate::server::{ApiServer, PatchBody};
use api::names::GLOBAL;
use api::objects::{
    ModuleConfig, ModuleConfigStatus, ModuleInfo, ModulePlugin, ObjectRef, object_ref,
};
use jiff::Timestamp;
use planner::modules::{self, ConfigFacts, InfoFacts, ModulePlan, Situation, World};
use planner::snapshot::Observed;
use planner::{Outcome, Step, StepResult};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tokio::time::Instant;

/// What a round about plugins is made with.
pub struct ModulesRound<'a, A, R, C> {
    /// The global cluster, where ModuleInfos and the catalogue are.
    pub home: &'a A,
    /// The cluster that the round is about; for the global cluster itself, the same.
    pub server: &'a A,
    /// Renders charts.
    pub renderer: &'a R,
    /// Gives the charts of plugins.
    pub charts: &'a C,
    /// Name of the cluster.
    pub cluster: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// How often ModuleInfos are planned in one round at most: what begins says so, is held and is
/// applied.
const AT_ONCE: usize = 3;

/// What came of planning once.
struct Pass {
    due: Option<Timestamp>,
    applied: bool,
    /// ModuleInfos that this pass made others than those that were read: the next says how far
    /// they are.
    begun: BTreeSet<String>,
}

/// What came of a round about plugins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModulesEnded {
    /// When the next is due if nothing changes before.
    pub due: Option<Timestamp>,
    /// Whether a part of a plugin was brought to what it is to be, its customisations included.
    pub applied: bool,
}

impl<A: ApiServer, R: Renderer, C: Contents> ModulesRound<'_, A, R, C> {
    /// Makes the round.
    ///
    /// # Errors
    /// When ModuleInfos cannot be read or their statuses not be written.
    pub async fn run(&self) -> Result<ModulesEnded, CallError> {
        let deadline = Instant::now() + ROUND_LIMIT;
        let found = observe::world(self.home, self.server, self.cluster, self.now).await?;
        let Some(mut world) = found else { return Ok(ModulesEnded::default()) };
        let mut pass = self.about(&world, deadline, None).await?;
        let mut ended = ModulesEnded { due: pass.due, applied: pass.applied };
        // What was said goes on at once; but for the ModuleInfos it is as it was read a moment ago.
        for _ in 1..AT_ONCE {
            if pass.begun.is_empty() {
                return Ok(ended);
            }
            for name in &pass.begun {
                let now = observe::module_info(self.home, self.cluster, name).await?;
                let at = world.infos.iter().position(|info| info.name == *name);
                if let Some(at) = at {
                    world.infos.splice(at..=at, now);
                }
            }
            pass = self.about(&world, deadline, Some(&pass.begun)).await?;
            ended.due = [ended.due, pass.due].into_iter().flatten().min();
            ended.applied |= pass.applied;
        }
        if !pass.begun.is_empty() {
            ended.due = Some(self.now);
        }
        Ok(ended)
    }

    /// Plans, executes and says what came of it, for all ModuleInfos or only for some.
    async fn about(
        &self,
        world: &World,
        until: Instant,
        only: Option<&BTreeSet<String>>,
    ) -> Result<Pass, CallError> {
        let mut plans = modules::plan(world);
        plans.retain(|plan| only.is_none_or(|only| only.contains(&plan.info)));
        let steps: Vec<Step> =
            plans.iter().flat_map(|plan| plan.steps.iter().chain(&plan.looks)).cloned().collect();
        let executor = Executor {
            home: self.home,
            server: self.server,
            renderer: self.renderer,
            contents: self.charts,
            cluster: &world.cluster,
            now: self.now,
            kinds: Kinds::default(),
        };
        let outcomes = execute_all(&executor, &steps, until).await;
        let (mut failed, mut again, mut begun) = (None, None, BTreeSet::new());
        for plan in &plans {
            let info = world.infos.iter().find(|info| info.name == plan.info);
            let Some(info) = info else { continue };
            let own: Vec<Outcome> = outcomes
                .iter()
                .filter(|o| plan.steps.iter().any(|step| step.subject() == o.subject))
                .cloned()
                .collect();
            if is_another_now(plan, &own) {
                begun.insert(plan.info.clone());
                continue;
            }
            let next = modules::status(world, info, plan, &own);
            if next == info.status {
                continue;
            }
            let (object, version) = (info_ref(info), info.resource_version.as_deref());
            match write(self.home, &object, version, &info.status, &next).await {
                Ok(()) if plan.situation == Situation::Begin => {
                    begun.insert(plan.info.clone());
                }
                Ok(()) => {}
                // It was changed, or another one has its name: that one is read first.
                Err(CallError::Conflict(_)) => again = Some(self.now),
                // What one ModuleInfo meets holds up none of the others.
                Err(error) => failed = Some(error),
            }
        }
        let is_applied = |step: &Step| {
            matches!(step, Step::Apply(_))
                && outcomes
                    .iter()
                    .any(|o| o.subject == step.subject() && o.result == StepResult::Done)
        };
        let applied = steps.iter().any(is_applied);
        plans.retain(|plan| !begun.contains(&plan.info));
        let due = again.or(modules::due(world, &plans));
        failed.map_or(Ok(Pass { due, applied, begun }), Err)
    }
}

/// Plugins that are asked for on clusters that are not registered: nobody else says so of them.
/// Nothing is read and nothing is done but to the ModuleInfos, for there is no cluster to ask.
///
/// # Errors
/// When the status of one cannot be written; the others were.
pub async fn lost<A: ApiServer, R: Renderer, C: Contents>(
    round: &ModulesRound<'_, A, R, C>,
    catalogue: &Catalogue,
    registered: &BTreeSet<String>,
) -> Result<(), CallError> {
    let until = Instant::now() + ROUND_LIMIT;
    let mut nowhere: BTreeMap<&str, Vec<InfoFacts>> = BTreeMap::new();
    for one in &catalogue.installed {
        if one.cluster != GLOBAL && !registered.contains(&one.cluster) {
            nowhere.entry(&one.cluster).or_default().push(one.info.clone());
        }
    }
    let mut failed = None;
    for (cluster, infos) in nowhere {
        let labels = Observed::Value(None);
        let cluster = cluster.to_owned();
        let world = World { now: round.now, cluster, labels, infos, ..World::default() };
        if let Err(error) = round.about(&world, until, None).await {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Says of a published version whether it can be installed.
///
/// # Errors
/// When that cannot be written.
pub async fn judge_version<A: ApiServer>(
    home: &A,
    config: &ConfigFacts,
    verdict: Result<(), String>,
) -> Result<(), CallError> {
    let message = verdict.err().unwrap_or_default();
    let next = ModuleConfigStatus {
        ready_for_deploy: message.is_empty(),
        message,
        observed_generation: config.generation,
    };
    if config.is_observed && config.ready == next.ready_for_deploy && config.message == next.message
    {
        return Ok(());
    }
    let before = ModuleConfigStatus { message: config.message.clone(), ..next.clone() };
    write(home, &object_ref::<ModuleConfig>("", &config.name), None, &before, &next).await
}

/// Brings the status of each plugin of the catalogue up to date.
///
/// # Errors
/// When one cannot be written; the others were.
pub async fn keep_catalogue<A: ApiServer>(
    home: &A,
    catalogue: &Catalogue,
) -> Result<(), CallError> {
    let mut failed = None;
    for plugin in &catalogue.plugins {
        let name = plugin.metadata.name.as_deref().unwrap_or_default();
        let next = modules::catalogue(name, &catalogue.configs, &catalogue.installed);
        let before = plugin.status.clone().unwrap_or_default();
        let object = object_ref::<ModulePlugin>("", name);
        if before != next
            && let Err(error) = write(home, &object, None, &before, &next).await
        {
            failed = Some(error);
        }
    }
    failed.map_or(Ok(()), Err)
}

fn info_ref(info: &InfoFacts) -> ObjectRef {
    object_ref::<ModuleInfo>("", &info.name)
}

/// Whether a step of this round made the ModuleInfo another than the one that was read, or let it
/// go: the next round says how far it is.
fn is_another_now(plan: &ModulePlan, outcomes: &[Outcome]) -> bool {
    let writes = |step: &Step| {
        matches!(step, Step::HoldModule { .. } | Step::ReleaseModule { .. })
            && outcomes.iter().any(|o| o.subject == step.subject() && o.result == StepResult::Done)
    };
    plan.steps.iter().any(writes)
}

/// Writes a status, over the version that was read where that is given; what it leaves out and the
/// one before had is taken away. An object that is gone meanwhile needs none.
async fn write<A: ApiServer>(
    home: &A,
    object: &ObjectRef,
    version: Option<&str>,
    before: &impl Serialize,
    next: &impl Serialize,
) -> Result<(), CallError> {
    let (before, mut next) = (json!(before), json!(next));
    if let (Some(before), Some(next)) = (before.as_object(), next.as_object_mut()) {
        for key in before.keys() {
            next.entry(key.clone()).or_insert(Value::Null);
        }
    }
    let mut body = json!({ "status": next });
    if let Some(version) = version {
        body["metadata"] = json!({ "resourceVersion": version });
    }
    let body = PatchBody::Merge(body);
    match home.patch(object, Some("status"), &body).await {
        Ok(_) | Err(CallError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
