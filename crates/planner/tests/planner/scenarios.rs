//! One scenario a file in `scenarios/`: a world, rounds with edits, and all that is planned and
//! said in them, kept as a snapshot beside it.

use crate::world::World;
use api::StalledReason;
use planner::{Plan, Step, StepResult};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Scenario {
    /// What it is about, in a sentence.
    about: String,
    #[serde(default)]
    given: Value,
    rounds: Vec<RoundSpec>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct RoundSpec {
    /// Seconds that pass before the round.
    after: i64,
    edit: Value,
    /// A version that is asked for; empty: the wish is withdrawn.
    ask: Option<String>,
    publish: Option<String>,
    /// What steps come to, by subject; all others are done.
    outcomes: BTreeMap<String, OutcomeSpec>,
    /// Rounds of a second each, of which only the last is shown whole.
    repeat: usize,
}

#[derive(Deserialize, Clone)]
enum OutcomeSpec {
    Waiting(String),
    Blocked(StalledReason, String),
    BlockedUntil(StalledReason, String, String),
}

impl RoundSpec {
    fn result(&self, step: &Step) -> StepResult {
        match self.outcomes.get(step.subject()) {
            None => StepResult::Done,
            Some(OutcomeSpec::Waiting(message)) => StepResult::Waiting(message.clone()),
            Some(OutcomeSpec::Blocked(reason, message)) => blocked(*reason, message, ""),
            Some(OutcomeSpec::BlockedUntil(reason, message, remedy)) => {
                blocked(*reason, message, remedy)
            }
        }
    }

    /// Changes the world as the round says, before it.
    fn prepare(&self, world: &mut World) {
        if !self.edit.is_null() {
            world.edit(&self.edit);
        }
        if let Some(version) = &self.ask {
            world.wish(Some(version.as_str()).filter(|v| !v.is_empty()));
        }
        if let Some(version) = &self.publish {
            world.publish(version);
        }
        world.pass(self.after);
    }
}

fn blocked(reason: StalledReason, message: &str, remedy: &str) -> StepResult {
    StepResult::Blocked { reason, message: message.to_owned(), remedy: remedy.to_owned() }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/scenarios");

fn scenario(name: &str) -> Scenario {
    let text = std::fs::read_to_string(format!("{FOLDER}/{name}.yaml")).unwrap();
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The world of a scenario after so many entries of its list of rounds.
pub(crate) fn world_after(name: &str, entries: usize) -> World {
    let scenario = scenario(name);
    let mut world = World::new();
    if !scenario.given.is_null() {
        world.edit(&scenario.given);
    }
    assert!(scenario.rounds.len() >= entries, "{name} has no {entries} entries");
    for spec in &scenario.rounds[..entries] {
        spec.prepare(&mut world);
        for left in (0..spec.repeat.max(1)).rev() {
            world.round(|step| spec.result(step));
            world.pass(i64::from(left > 0));
        }
    }
    world
}

#[test]
fn scenarios() {
    let mut names: Vec<String> = std::fs::read_dir(FOLDER)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter_map(|name| name.strip_suffix(".yaml").map(str::to_owned))
        .collect();
    names.sort();
    assert!(names.len() > 20, "the scenarios are there");
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(FOLDER);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        for name in names {
            let played = play(&scenario(&name));
            insta::assert_snapshot!(name, played);
        }
    });
}

fn play(scenario: &Scenario) -> String {
    let mut out = format!("{}\n", scenario.about);
    let mut world = World::new();
    if !scenario.given.is_null() {
        world.edit(&scenario.given);
    }
    let mut number = 0;
    for spec in &scenario.rounds {
        spec.prepare(&mut world);
        for left in (0..spec.repeat.max(1)).rev() {
            number += 1;
            let round = world.round(|step| spec.result(step));
            let wake = round.wake_at.map(|at| at.duration_since(world.snapshot.now).as_secs());
            head(&mut out, number, &round.plan, wake);
            if left == 0 {
                whole(&mut out, &world, &round.plan);
            } else {
                let status = world.status();
                let message = status.conditions.iter().find(|c| c.type_ == "Reconciling");
                writeln!(out, "  {}", message.map_or("", |c| &c.message)).unwrap();
                world.pass(1);
            }
        }
    }
    out
}

fn head(out: &mut String, number: usize, plan: &Plan, wake: Option<i64>) {
    let situation = format!("{:?}", plan.situation);
    let situation = situation.split(['(', ' ', '{']).next().unwrap_or_default();
    let wake = wake.map_or("no timer".to_owned(), |s| format!("wakes in {s} s"));
    writeln!(out, "\n--- round {number}: {situation}, {wake}").unwrap();
    for name in &plan.begins {
        writeln!(out, "  begins {name}").unwrap();
    }
    for step in &plan.steps {
        writeln!(out, "  step {}", said(step)).unwrap();
    }
    if let Some((reason, message)) = &plan.obstacle {
        writeln!(out, "  obstacle {reason}: {message}").unwrap();
    }
}

fn said(step: &Step) -> String {
    match step {
        Step::BeginModule { version } => format!("BeginModule {version}"),
        Step::Apply(s) => {
            format!("Apply {} {} of {}", s.component.name, s.component.version, s.release)
        }
        Step::ShowModule { shown } => {
            let open = match (shown.upgradable, shown.unable_upgrade_reason.as_str()) {
                (true, _) => "upgradable".to_owned(),
                (false, "") => "not upgradable".to_owned(),
                (false, why) => format!("not upgradable: {why}"),
            };
            let parts: Vec<&str> = shown.app_releases.iter().map(String::as_str).collect();
            format!("ShowModule {open}; {}", parts.join(", "))
        }
        Step::Prune { name, .. } => format!("Prune {name}"),
        Step::Remove { name, .. } => format!("Remove {name}"),
        Step::ReleasePatch { name } => format!("ReleasePatch {name}"),
        Step::ReportPatch { name, message } => format!("ReportPatch {name}: {message}"),
        Step::ReportDrift(s) => format!("ReportDrift {}", s.component.name),
        Step::HoldModule { name } => format!("HoldModule {name}"),
        Step::ReleaseModule { name } => format!("ReleaseModule {name}"),
        Step::MoveModule { name, version, .. } => format!("MoveModule {name} {version}"),
        Step::Finish { version, .. } => format!("Finish {version}"),
    }
}

fn whole(out: &mut String, world: &World, plan: &Plan) {
    let status = world.status();
    let version = |v: &Option<api::VersionImage>| {
        v.as_ref().map_or("-".to_owned(), |v| {
            let pinned = if v.digest().is_some() { "" } else { " (no digest)" };
            format!("{}{pinned}", v.version)
        })
    };
    writeln!(out, "  current {}, desired {}", version(&status.current), version(&status.desired))
        .unwrap();
    for c in &status.conditions {
        writeln!(out, "  {:14} {:7} {:19} {}", c.type_, c.status, c.reason, c.message).unwrap();
    }
    if let Some(preflight) = &status.preflight {
        checks(out, preflight, plan);
    }
    for offer in &status.available_updates {
        writeln!(out, "  offered {}", offer.version).unwrap();
    }
    for other in &status.not_offered {
        writeln!(out, "  not offered {}: {}: {}", other.version, other.reason, other.message)
            .unwrap();
    }
    for stage in &status.stages {
        writeln!(out, "  stage {} {}: {:?}", stage.priority, stage.name, stage.phase).unwrap();
        for o in &stage.operations {
            let blocker = o.blocker.as_ref().map_or(String::new(), |b| format!(" !{}", b.reason));
            writeln!(
                out,
                "    {:?} {} {} -> {}: {:?}{blocker} {}",
                o.action, o.name, o.current_version, o.target_version, o.phase, o.message
            )
            .unwrap();
        }
    }
    for h in &status.history {
        let time = |t: &Option<api::Time>| t.as_ref().map_or("-".to_owned(), |t| t.0.to_string());
        let (from, to) = (time(&h.started_time), time(&h.completion_time));
        writeln!(out, "  history {} {:?} {from} {to}", h.version, h.state).unwrap();
    }
    while out.contains(" \n") {
        *out = out.replace(" \n", "\n");
    }
}

fn checks(out: &mut String, preflight: &api::Preflight, plan: &Plan) {
    let passed = preflight.checks.iter().filter(|c| c.state == api::CheckState::Passed).count();
    let at = preflight.observed_at.as_ref().map_or(String::new(), |t| t.0.to_string());
    let kept = if plan.preflight.is_some() { "" } else { ", kept" };
    writeln!(
        out,
        "  preflight of {} at {at}{kept}: {passed} of {} Passed",
        preflight.version,
        preflight.checks.len()
    )
    .unwrap();
    let telling = preflight
        .checks
        .iter()
        .filter(|c| c.state != api::CheckState::Passed || !c.message.is_empty());
    for c in telling {
        writeln!(out, "    {} {:?} {}: {}", c.name, c.state, c.reason, c.message).unwrap();
        if !c.remedy.is_empty() {
            writeln!(out, "      > {}", c.remedy).unwrap();
        }
    }
}
