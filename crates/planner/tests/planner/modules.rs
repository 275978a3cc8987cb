//! The life of a plugin without a cluster: from the catalogue to its removal, and every reason for
//! which something is not begun.

use api::Lifecycle;
use api::conditions::{ConditionType, find};
use api::objects::{AppReleasePhase, ModuleInfoStatus, Operation, Phase, Stage, VersionImage};
use jiff::SignedDuration;
use planner::modules::{self, ConfigFacts, InfoFacts, LifecycleFact, Situation, World};
use planner::snapshot::{AppReleaseFacts, ResourcePatchFacts};
use planner::{Observed, Outcome, Step, StepResult};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const CLUSTER: &str = "workload-a";

pub(crate) fn config(module: &str, version: &str, more: Value) -> ConfigFacts {
    let mut spec = json!({
        "name": module,
        "version": version,
        "appReleases": [{ "name": module, "chartVersions": [{
            "name": format!("acp/chart-{module}"), "releaseName": module, "version": version,
            "digest": api::Digest::of(format!("{module}{version}").as_bytes()),
        }] }],
        "config": { "replicas": 1 },
        "deployDescriptors": [{
            "path": "replicas", "x-descriptors": ["urn:alm:descriptor:com.tectonic.ui:number"],
        }],
        "valuesTemplates": { format!("acp/chart-{module}"): "replicas: << .MiConfig.replicas >>" },
    });
    spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    ConfigFacts {
        name: api::names::module_config(module, version),
        module: module.to_owned(),
        spec: serde_json::from_value(spec).unwrap(),
        ready: true,
        is_observed: true,
        ..ConfigFacts::default()
    }
}

pub(crate) fn info(module: &str, version: &str) -> InfoFacts {
    let mut info = InfoFacts {
        name: api::names::module_info(CLUSTER, module),
        module: module.to_owned(),
        generation: Some(1),
        ..InfoFacts::default()
    };
    info.spec.version = version.to_owned();
    info
}

/// A cluster at 4.2.1 with these plugins in the catalogue, and these asked for.
pub(crate) fn world(configs: Vec<ConfigFacts>, infos: Vec<InfoFacts>) -> World {
    let mut world = World {
        now: "2026-11-26T20:00:00Z".parse().unwrap(),
        cluster: CLUSTER.to_owned(),
        labels: Observed::Value(Some(BTreeMap::from([("region".to_owned(), "north".to_owned())]))),
        infos,
        configs: Observed::Value(configs),
        registry: Observed::Value("registry.test:11443".to_owned()),
        app_releases: Observed::Value(BTreeMap::new()),
        resource_patches: Observed::Value(Vec::new()),
        ..World::default()
    };
    world.status.current = Some(VersionImage { version: "4.2.1".into(), image: "i".into() });
    world
}

pub(crate) fn installed(world: &mut World) -> &mut BTreeMap<String, AppReleaseFacts> {
    let Observed::Value(all) = &mut world.app_releases else { panic!() };
    all
}

pub(crate) fn find_info<'a>(world: &'a World, module: &str) -> &'a InfoFacts {
    world.infos.iter().find(|info| info.module == module).unwrap()
}

pub(crate) fn edit<'a>(world: &'a mut World, module: &str) -> &'a mut InfoFacts {
    let info = world.infos.iter_mut().find(|info| info.module == module).unwrap();
    info.generation = info.generation.map(|g| g + 1);
    info
}

pub(crate) fn ready(status: &ModuleInfoStatus) -> String {
    let ready = find(&status.conditions, ConditionType::Ready).unwrap();
    format!("{} {} {}", ready.status, ready.reason, ready.message)
}

/// One round in which every step comes to its end as a cluster would bring it there.
pub(crate) fn round(world: &mut World, end: impl Fn(&Step) -> StepResult) -> Vec<Step> {
    let plans = modules::plan(world);
    let before = world.clone();
    let mut gone = BTreeSet::new();
    let mut all = Vec::new();
    for plan in &plans {
        let outcomes: Vec<Outcome> = plan
            .steps
            .iter()
            .map(|step| Outcome { subject: step.subject().to_owned(), result: end(step) })
            .collect();
        for (step, outcome) in plan.steps.iter().zip(&outcomes) {
            if outcome.result == StepResult::Done {
                done(world, step, &mut gone);
            }
            all.push(step.clone());
        }
        let of = before.infos.iter().find(|info| info.name == plan.info).unwrap();
        let next = modules::status(&before, of, plan, &outcomes);
        world.infos.iter_mut().find(|info| info.name == plan.info).unwrap().status = next;
    }
    world.infos.retain(|info| !gone.contains(&info.name));
    world.now = world.now.checked_add(SignedDuration::from_secs(1)).unwrap();
    all
}

fn done(world: &mut World, step: &Step, gone: &mut BTreeSet<String>) {
    match step {
        Step::HoldModule { name } => {
            world.infos.iter_mut().find(|info| info.name == *name).unwrap().held = true;
        }
        Step::ReleaseModule { name } => drop(gone.insert(name.clone())),
        Step::Apply(step) => {
            let mut facts = AppReleaseFacts::default();
            facts.spec.module_info.clone_from(&step.module_info);
            facts.spec.version.clone_from(&step.component.version);
            facts.spec.values.clone_from(&step.component.values);
            facts.spec.lifecycle = step.component.lifecycle;
            facts.spec.release.clone_from(&step.release);
            facts.spec.release_image.clone_from(&step.image);
            step.component.path().clone_into(&mut facts.spec.path);
            facts.spec.destination.namespace.clone_from(&step.component.namespace);
            facts.spec.timeout = i64::from(step.component.timeout_seconds);
            facts.status.version.clone_from(&step.component.version);
            facts.status.release_image.clone_from(&step.image);
            facts.status.phase = AppReleasePhase::Ready;
            let release = format!("{}/{}", step.component.namespace, step.component.name);
            let patches = world.resource_patches.value().unwrap();
            let patches = patches.iter().filter(|p| p.release == release && !p.deleting);
            let entries: Vec<_> = patches.map(|p| format!("{}={}", p.name, p.digest)).collect();
            facts.status.patches_digest = planner::apply::patches_digest(&entries);
            installed(world).insert(step.component.name.clone(), facts);
        }
        Step::Remove { name, .. } => drop(installed(world).remove(name)),
        Step::Prune { name, .. } => {
            installed(world).get_mut(name).unwrap().status.obsolete.clear();
        }
        other => panic!("no step of a plugin: {other:?}"),
    }
}

/// Rounds until nothing more is to be done; the steps in their order.
pub(crate) fn settle(world: &mut World) -> Vec<String> {
    let mut said = Vec::new();
    for _ in 0..20 {
        let before = (world.infos.clone(), world.app_releases.clone());
        let steps = round(world, |_| StepResult::Done);
        said.extend(steps.iter().map(|step| match step {
            Step::Apply(step) => format!("apply {} {}", step.component.name, step.release),
            Step::Remove { name, .. } => format!("remove {name}"),
            Step::Prune { name, .. } => format!("prune {name}"),
            Step::HoldModule { .. } => "hold".to_owned(),
            Step::ReleaseModule { .. } => "release".to_owned(),
            other => format!("{other:?}"),
        }));
        if steps.is_empty() && before == (world.infos.clone(), world.app_releases.clone()) {
            return said;
        }
    }
    panic!("it does not come to rest: {said:?}");
}

/// The reasons for which the only ModuleInfo is not begun.
pub(crate) fn blocked(world: &World) -> Vec<String> {
    let plans = modules::plan(world);
    assert!(plans[0].steps.is_empty());
    match &plans[0].situation {
        Situation::Blocked(reasons) | Situation::RemovalPrevented(reasons) => reasons.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_plugin_is_installed_configured_upgraded_and_removed() {
    let configs = vec![config("pages", "1.0.0", json!({})), config("pages", "1.1.0", json!({}))];
    let mut world = world(configs, vec![info("pages", "1.0.0")]);
    // Intent first: the first round writes only what it is about to do.
    assert!(round(&mut world, |_| StepResult::Done).is_empty());
    let status = find_info(&world, "pages").status.clone();
    assert_eq!((status.phase.as_str(), status.transit_version.as_str()), ("Installing", "1.0.0"));
    assert_eq!(settle(&mut world), ["hold", "apply pages 1.0.0"]);
    let status = find_info(&world, "pages").status.clone();
    assert_eq!((status.phase.as_str(), status.version.as_str()), ("Running", "1.0.0"));
    assert_eq!(status.available_versions[0].version, "1.1.0");
    assert!(status.transit_version.is_empty() && status.app_releases[0].ready);
    assert!(settle(&mut world).is_empty(), "what is at rest stays so");

    edit(&mut world, "pages").spec.config.insert("replicas".into(), json!(3));
    assert_eq!(settle(&mut world), ["apply pages 1.0.0"]);
    assert_eq!(installed(&mut world)["pages"].spec.values["replicas"], 3);

    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert_eq!(settle(&mut world), ["apply pages 1.1.0"]);
    let status = find_info(&world, "pages").status.clone();
    assert_eq!((status.phase.as_str(), status.version.as_str()), ("Running", "1.1.0"));
    assert!(status.available_versions.is_empty());

    edit(&mut world, "pages").deleting = true;
    assert!(round(&mut world, |_| StepResult::Done).is_empty(), "its removal is said first");
    assert_eq!(find_info(&world, "pages").status.phase, "Deleting");
    assert_eq!(settle(&mut world), ["remove pages", "release"]);
    assert!(world.infos.is_empty() && installed(&mut world).is_empty());
}

pub(crate) fn running(configs: Vec<ConfigFacts>, module: &str, version: &str) -> World {
    let mut world = world(configs, vec![info(module, version)]);
    settle(&mut world);
    assert_eq!(find_info(&world, module).status.phase, "Running");
    world
}

#[test]
fn what_cannot_be_installed_says_why_and_what_to_do() {
    let one =
        |more: Value| world(vec![config("pages", "1.0.0", more)], vec![info("pages", "1.0.0")]);
    let cases = [
        (world(Vec::new(), vec![info("pages", "1.0.0")]), "the catalogue has no plugin pages"),
        (
            world(vec![config("pages", "1.1.0", json!({}))], vec![info("pages", "1.0.0")]),
            "the catalogue has pages 1.1.0, and not 1.0.0",
        ),
        (
            one(json!({ "targetClusterVersions": ["4.3"] })),
            "pages 1.0.0 is for platform 4.3, and cluster workload-a is at 4.2.1",
        ),
        (
            one(
                json!({ "affinity": { "clusterAffinity": { "matchLabels": { "region": "south" } } } }),
            ),
            "pages is not meant for cluster workload-a: it must have the labels region=south",
        ),
        (
            one(json!({ "affinity": { "clusterAntiAffinity": { "matchExpressions": [
                { "key": "region", "operator": "In", "values": ["north"] }] } } })),
            "pages is not meant for cluster workload-a: it must not have the labels region in (north)",
        ),
        (
            one(
                json!({ "dependencies": [{ "moduleName": "base", "versionsMatch": [">=2.0.0"] }] }),
            ),
            "pages 1.0.0 needs base >=2.0.0, which is not installed on workload-a",
        ),
        (
            one(json!({ "dependencies": [{ "moduleName": "pages" }] })),
            "its dependencies form a cycle: pages -> pages",
        ),
    ];
    for (mut world, expected) in cases {
        let reasons = blocked(&world);
        let (cause, remedy) = api::remedy::split(&reasons[0]);
        assert_eq!(cause, expected);
        assert!(!remedy.is_empty(), "{cause}: what is done about it?");
        settle(&mut world);
        let status = &world.infos[0].status;
        assert_eq!((status.phase.as_str(), &status.block_reasons), ("Pending", &reasons));
        assert!(ready(status).starts_with("False Blocked"), "{}", ready(status));
    }
}

#[test]
fn dependencies_are_waited_for_and_hold_what_they_need() {
    let needs =
        json!({ "dependencies": [{ "moduleName": "base", "versionsMatch": [">=1.0.0 <2.0.0"] }] });
    let configs = vec![
        config("base", "1.0.0", json!({})),
        config("base", "2.0.0", json!({})),
        config("pages", "1.0.0", needs),
    ];
    let mut world = world(configs, vec![info("pages", "1.0.0"), info("base", "1.0.0")]);
    let steps = settle(&mut world);
    assert_eq!(steps, ["hold", "apply base 1.0.0", "hold", "apply pages 1.0.0"]);

    edit(&mut world, "base").spec.version = "2.0.0".into();
    assert!(settle(&mut world).is_empty());
    let status = &find_info(&world, "base").status;
    assert_eq!((status.phase.as_str(), status.version.as_str()), ("Running", "1.0.0"));
    assert!(status.block_reasons[0].starts_with("pages 1.0.0 needs base >=1.0.0 <2.0.0"));

    edit(&mut world, "base").spec.version = "1.0.0".into();
    edit(&mut world, "base").deleting = true;
    assert!(settle(&mut world).is_empty());
    let status = &find_info(&world, "base").status;
    assert!(status.remove_is_prevented && status.block_reasons[0].starts_with("pages needs base"));
    edit(&mut world, "pages").deleting = true;
    settle(&mut world);
    assert!(world.infos.is_empty(), "both go once nothing needs the other");
}

#[test]
fn a_cycle_of_two_is_named() {
    let needs = |module: &str| json!({ "dependencies": [{ "moduleName": module }] });
    let configs = vec![config("a", "1.0.0", needs("b")), config("b", "1.0.0", needs("a"))];
    let world = world(configs, vec![info("a", "1.0.0"), info("b", "1.0.0")]);
    assert!(blocked(&world)[0].starts_with("its dependencies form a cycle: a -> b -> a"));
}

#[test]
fn no_plugin_ever_moves_to_a_lower_version() {
    let configs = vec![config("pages", "1.0.0", json!({})), config("pages", "1.1.0", json!({}))];
    let mut world = running(configs, "pages", "1.1.0");
    edit(&mut world, "pages").spec.version = "1.0.0".into();
    assert!(blocked(&world)[0].starts_with("1.0.0 is lower than 1.1.0, which is installed"));
    assert!(settle(&mut world).is_empty());
}

#[test]
fn an_upgrade_that_was_begun_is_not_turned_back() {
    let versions = ["1.0.0", "1.1.0", "1.2.0"];
    let configs = versions.map(|v| config("pages", v, json!({}))).to_vec();
    let mut world = running(configs, "pages", "1.0.0");
    edit(&mut world, "pages").spec.version = "1.2.0".into();
    round(&mut world, |_| StepResult::Done);
    round(&mut world, |_| StepResult::Waiting("its Pods".into()));
    installed(&mut world).get_mut("pages").unwrap().spec.version = "1.2.0".into();
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert!(blocked(&world)[0].starts_with("1.1.0 is lower than 1.2.0"));
    // Nor to the version that was healthy last.
    edit(&mut world, "pages").spec.version = "1.0.0".into();
    assert!(blocked(&world)[0].starts_with("1.0.0 is lower than 1.2.0"));
}

#[test]
fn upgrades_keep_to_their_path_and_their_risk_is_accepted() {
    let configs = vec![
        config("pages", "1.0.0", json!({})),
        config("pages", "1.1.0", json!({ "mustUpgrade": true })),
        config("pages", "1.2.0", json!({ "supportedUpgradeVersions": ">=1.1.0" })),
        config(
            "pages",
            "1.3.0",
            json!({ "upgradeRiskLevel": "High", "upgradeRiskDescriptionEn": "pages are gone" }),
        ),
    ];
    let mut world = running(configs, "pages", "1.0.0");
    let available = |world: &World| -> Vec<String> {
        let all = &find_info(world, "pages").status.available_versions;
        all.iter().map(|v| v.version.clone()).collect()
    };
    assert_eq!(available(&world), ["1.1.0"], "a version that must not be left out is next");
    edit(&mut world, "pages").spec.version = "1.2.0".into();
    assert!(blocked(&world)[0].starts_with("1.2.0 is upgraded to from >=1.1.0, and 1.0.0"));
    edit(&mut world, "pages").spec.version = "1.3.0".into();
    assert!(blocked(&world)[0].starts_with("no upgrade to 1.3.0 may leave out 1.1.0"));
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    settle(&mut world);
    assert_eq!(available(&world), ["1.3.0", "1.2.0"]);
    let shown = &find_info(&world, "pages").status.available_versions[0];
    assert_eq!((&*shown.risk_level, &*shown.description_en), ("High", "pages are gone"));
    edit(&mut world, "pages").spec.version = "1.3.0".into();
    let reasons = blocked(&world);
    let (cause, remedy) = api::remedy::split(&reasons[0]);
    assert_eq!(cause, "the upgrade to 1.3.0 has the risk High: pages are gone");
    assert!(remedy.ends_with("cpaas.io/accepted-upgrade-risk=1.3.0"), "{remedy}");
    edit(&mut world, "pages").accepted_risk = "1.3.0".into();
    assert_eq!(settle(&mut world), ["apply pages 1.3.0"]);
}

#[test]
fn a_plugin_is_upgraded_after_those_that_go_before_it() {
    let before = json!({ "upgradeBefore": [{ "moduleName": "base" }] });
    let configs = vec![
        config("base", "1.0.0", json!({})),
        config("base", "2.0.0", json!({})),
        config("pages", "1.0.0", json!({})),
        config("pages", "1.1.0", before),
    ];
    let mut world = world(configs, vec![info("pages", "1.0.0"), info("base", "1.0.0")]);
    settle(&mut world);
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert!(blocked(&world)[0].starts_with("base is upgraded before it"));
    edit(&mut world, "base").spec.version = "2.0.0".into();
    assert_eq!(settle(&mut world), ["apply base 2.0.0", "apply pages 1.1.0"]);
}

pub(crate) fn of_lifecycle(lifecycle: Lifecycle, version: &str, target: &str) -> ConfigFacts {
    let config = config("core", version, json!({ "targetClusterVersions": [target] }));
    ConfigFacts { lifecycle: LifecycleFact(lifecycle), ..config }
}

#[test]
fn a_core_plugin_moves_with_its_cluster_and_in_no_other_way() {
    let versions = [("1.0.0", "4.2"), ("1.1.0", "4.2"), ("2.0.0", "4.3")];
    let configs = versions.map(|(v, target)| of_lifecycle(Lifecycle::Core, v, target)).to_vec();
    let mut world = running(configs, "core", "1.0.0");
    edit(&mut world, "core").spec.version = "1.1.0".into();
    let reasons = blocked(&world);
    let (cause, remedy) = api::remedy::split(&reasons[0]);
    assert_eq!(cause, "core is a Core plugin and moves with its cluster only");
    assert!(remedy.contains("ac adm upgrade --cluster=workload-a"), "{remedy}");

    edit(&mut world, "core").spec.version = "2.0.0".into();
    assert_eq!(blocked(&world).len(), 2);
    let name = find_info(&world, "core").name.clone();
    let operation = Operation {
        name: "core".into(),
        module_info: name,
        target_version: "2.0.0".into(),
        phase: Phase::Running,
        ..Operation::default()
    };
    world.status.stages = vec![Stage { operations: vec![operation], ..Stage::default() }];
    world.status.desired = Some(VersionImage { version: "4.3.0".into(), image: "i".into() });
    assert_eq!(settle(&mut world), ["apply core 2.0.0"]);

    edit(&mut world, "core").deleting = true;
    assert!(blocked(&world)[0].starts_with("core is a Core plugin and goes with its cluster only"));
}

#[test]
fn what_must_stay_is_not_removed() {
    let config = config(
        "pages",
        "1.0.0",
        json!({ "deleteable": false, "deleteBlockDescriptionEn": "it holds data" }),
    );
    let mut world = running(vec![config], "pages", "1.0.0");
    edit(&mut world, "pages").deleting = true;
    let name = find_info(&world, "pages").name.clone();
    let backups = vec!["Backup x/y".to_owned()];
    world.standing.insert(name.clone(), Observed::Value(backups));
    let reasons = blocked(&world);
    assert!(reasons[0].starts_with("pages cannot be removed: it holds data; fix: "));
    assert!(reasons[1].starts_with("it must stay while these are there: Backup x/y"));
    world.standing.insert(name, Observed::Unknown("no answer".into()));
    let plan = &modules::plan(&world)[0];
    assert_eq!(plan.situation, Situation::Unknown("no answer".into()), "unknown is not absent");
}

#[test]
fn the_second_of_the_same_plugin_is_refused() {
    let mut second = info("pages", "1.0.0");
    second.name = "mine".into();
    second.created = Some("2026-11-26T19:00:00Z".parse().unwrap());
    let mut first = info("pages", "1.0.0");
    first.created = Some("2026-11-26T18:00:00Z".parse().unwrap());
    let world = world(vec![config("pages", "1.0.0", json!({}))], vec![second, first]);
    assert!(blocked(&world)[0].starts_with("ModuleInfo workload-a-"));
}

#[test]
fn settings_of_the_wrong_type_change_nothing() {
    let mut world = running(vec![config("pages", "1.0.0", json!({}))], "pages", "1.0.0");
    edit(&mut world, "pages").spec.config.insert("replicas".into(), json!("three"));
    assert!(blocked(&world)[0].contains("replicas"), "{:?}", blocked(&world));
    assert!(settle(&mut world).is_empty());
    let status = &find_info(&world, "pages").status;
    assert_eq!(status.phase, "Running", "what is installed still runs");
    assert_eq!(installed(&mut world)["pages"].spec.values["replicas"], 1);
}

#[test]
fn an_app_release_of_something_else_is_never_taken() {
    let configs = vec![config("pages", "1.0.0", json!({}))];
    let mut world = world(configs, vec![info("pages", "1.0.0")]);
    installed(&mut world).insert("pages".into(), AppReleaseFacts::default());
    let reason = &blocked(&world)[0];
    let (cause, remedy) = api::remedy::split(reason);
    assert_eq!(cause, "the AppRelease pages of this plugin would be one of the platform itself");
    assert!(remedy.contains("kubectl get apprelease pages"), "{remedy}");
}

#[test]
fn a_cluster_that_is_not_there_is_named_and_holds_nothing_that_goes() {
    let mut world = world(vec![config("pages", "1.0.0", json!({}))], vec![info("pages", "1.0.0")]);
    world.labels = Observed::Value(None);
    world.app_releases = Observed::Unknown("there is no such Cluster".into());
    assert!(blocked(&world)[0].starts_with("there is no cluster workload-a"));
    edit(&mut world, "pages").deleting = true;
    edit(&mut world, "pages").held = true;
    assert_eq!(settle(&mut world), ["release"]);
}

#[test]
fn what_is_not_known_is_neither_installed_nor_forgotten() {
    let mut world = running(vec![config("pages", "1.0.0", json!({}))], "pages", "1.0.0");
    world.app_releases = Observed::Unknown("no route to host".into());
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert!(round(&mut world, |_| StepResult::Done).is_empty());
    let status = &find_info(&world, "pages").status;
    assert_eq!((status.phase.as_str(), status.version.as_str()), ("Running", "1.0.0"));
    assert_eq!(ready(status), "Unknown Retrying no route to host");
    assert!(modules::due(&world, &modules::plan(&world)).is_some());
}

#[test]
fn what_takes_too_long_fails_and_still_comes_to_its_end() {
    let configs = vec![config("pages", "1.0.0", json!({ "transitTimeout": 60 }))];
    let mut world = world(configs, vec![info("pages", "1.0.0")]);
    let wait = |step: &Step| match step {
        Step::Apply(_) => StepResult::Waiting("Deployment pages: 0 of 1 replicas".into()),
        _ => StepResult::Done,
    };
    for _ in 0..3 {
        round(&mut world, wait);
    }
    let status = &find_info(&world, "pages").status;
    assert_eq!(ready(status), "False Installing pages: Deployment pages: 0 of 1 replicas");
    world.now = world.now.checked_add(SignedDuration::from_secs(60)).unwrap();
    round(&mut world, wait);
    let status = &find_info(&world, "pages").status;
    assert_eq!(status.phase, "Failed");
    assert!(
        ready(status).starts_with("False TimedOut not healthy after 60 s"),
        "{}",
        ready(status)
    );
    settle(&mut world);
    assert_eq!(find_info(&world, "pages").status.phase, "Running");
}

#[test]
fn a_customisation_is_brought_into_force_and_outlives_the_plugin() {
    let mut world = running(vec![config("pages", "1.0.0", json!({}))], "pages", "1.0.0");
    let patch = ResourcePatchFacts {
        name: "rp-pages".into(),
        release: "cpaas-system/pages".into(),
        digest: "sha256:1".into(),
        ..ResourcePatchFacts::default()
    };
    world.resource_patches = Observed::Value(vec![patch.clone()]);
    assert_eq!(settle(&mut world), ["apply pages 1.0.0"]);
    // One that was tried and does not apply is said, and nothing is tried without a change.
    let failed = ResourcePatchFacts { failure: Some("no such path".into()), ..patch };
    world.resource_patches = Observed::Value(vec![failed]);
    installed(&mut world).get_mut("pages").unwrap().status.phase = AppReleasePhase::Failed;
    assert!(settle(&mut world).is_empty());
    let status = &find_info(&world, "pages").status;
    assert!(ready(status).contains("rp-pages") && status.phase == "Running", "{}", ready(status));
}

#[test]
fn the_catalogue_says_what_is_there_and_where() {
    let mut old = config("pages", "1.9.0", json!({}));
    old.ready = false;
    let configs =
        vec![config("pages", "1.0.0", json!({})), config("pages", "1.10.0", json!({})), old];
    let mut at = info("pages", "1.0.0");
    at.status.version = "1.0.0".into();
    let all = [modules::Catalogued { cluster: CLUSTER.into(), info: at }];
    let status = modules::catalogue("pages", &configs, &all);
    let versions: Vec<_> = status.module_configs.iter().map(|c| c.version.as_str()).collect();
    assert_eq!(versions, ["1.10.0", "1.9.0", "1.0.0"]);
    assert_eq!(status.latest_version, "1.10.0");
    assert_eq!(status.installed[0].cluster, CLUSTER);
}

#[test]
fn what_another_controller_installed_is_left_alone_until_a_version_is_asked_for() {
    let mut world = world(vec![config("pages", "1.1.0", json!({}))], vec![info("pages", "1.0.0")]);
    edit(&mut world, "pages").status.phase = "Running".into();
    edit(&mut world, "pages").status.version = "1.0.0".into();
    installed(&mut world).insert("pages".into(), AppReleaseFacts::default());
    let before = find_info(&world, "pages").status.clone();
    assert!(settle(&mut world).is_empty());
    assert_eq!(find_info(&world, "pages").status, before);
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert_eq!(settle(&mut world), ["hold", "apply pages 1.1.0"]);
    assert_eq!(find_info(&world, "pages").status.version, "1.1.0");
}
