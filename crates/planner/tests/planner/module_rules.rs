//! The rules of a plugin's life of which each stands in one line: one test a line, so that none
//! goes unseen.

use crate::modules::{
    blocked, config, edit, find_info, info, installed, of_lifecycle, ready, round, running, settle,
    world,
};
use api::objects::{ObjectRef, Operation, Phase, Stage};
use api::{Lifecycle, StalledReason};
use jiff::SignedDuration;
use planner::modules::{self, ConfigFacts, Situation, World};
use planner::snapshot::{AppReleaseFacts, ResourcePatchFacts};
use planner::{Observed, Step, StepResult};
use serde_json::{Value, json};

/// Why a plugin is not begun, or not removed.
fn reasons(world: &World, module: &str) -> Vec<String> {
    let name = &find_info(world, module).name;
    let plan = modules::plan(world).into_iter().find(|plan| plan.info == *name).unwrap();
    match plan.situation {
        Situation::Blocked(reasons) | Situation::RemovalPrevented(reasons) => reasons,
        _ => Vec::new(),
    }
}

fn published<'a>(world: &'a mut World, version: &str) -> &'a mut ConfigFacts {
    let Observed::Value(all) = &mut world.configs else { panic!() };
    all.iter_mut().find(|config| config.spec.version == version).unwrap()
}

fn pages(more: Value) -> ConfigFacts {
    config("pages", "1.0.0", more)
}

#[test]
fn charts_are_in_the_registry_before_a_plugin_begins_and_are_not_asked_for_again() {
    let mut world = world(vec![pages(json!({}))], vec![info("pages", "1.0.0")]);
    published(&mut world, "1.0.0").ready = false;
    published(&mut world, "1.0.0").message = "no chart".into();
    assert!(blocked(&world)[0].starts_with("pages-1.0.0 is not ready: no chart"));
    published(&mut world, "1.0.0").ready = true;
    round(&mut world, |_| StepResult::Done);
    // What was begun goes on.
    published(&mut world, "1.0.0").ready = false;
    assert_eq!(settle(&mut world), ["hold", "apply pages 1.0.0"]);
}

#[test]
fn a_plugin_that_is_only_held_is_not_installed() {
    let mut world = world(vec![pages(json!({}))], vec![info("pages", "1.0.0")]);
    round(&mut world, |_| StepResult::Done);
    let steps = round(&mut world, |_| StepResult::Done);
    assert!(matches!(steps.as_slice(), [Step::HoldModule { .. }]), "{steps:?}");
    let status = &find_info(&world, "pages").status;
    assert_eq!((status.phase.as_str(), status.version.as_str()), ("Installing", ""));
}

#[test]
fn a_customisation_that_is_deleted_is_taken_back() {
    let mut world = running(vec![pages(json!({}))], "pages", "1.0.0");
    let patch = ResourcePatchFacts {
        name: "rp-pages".into(),
        release: "cpaas-system/pages".into(),
        digest: "sha256:1".into(),
        ..ResourcePatchFacts::default()
    };
    world.resource_patches = Observed::Value(vec![patch.clone()]);
    assert_eq!(settle(&mut world), ["apply pages 1.0.0"]);
    let leaving = ResourcePatchFacts { deleting: true, ..patch };
    world.resource_patches = Observed::Value(vec![leaving]);
    assert_eq!(settle(&mut world), ["apply pages 1.0.0"]);
    assert!(installed(&mut world)["pages"].status.patches_digest.is_empty());
}

#[test]
fn what_the_new_version_does_not_have_goes_once_it_is_there() {
    let web = json!({ "appReleases": [{ "name": "web", "chartVersions": [
        { "name": "acp/chart-web", "releaseName": "web", "version": "1.1.0" }] }] });
    let mut world =
        running(vec![pages(json!({})), config("pages", "1.1.0", web)], "pages", "1.0.0");
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    assert_eq!(settle(&mut world), ["apply web 1.1.0", "remove pages"]);
    let obsolete = &mut installed(&mut world).get_mut("web").unwrap().status.obsolete;
    obsolete.insert(ObjectRef { name: "web-legacy".into(), ..ObjectRef::default() });
    assert_eq!(settle(&mut world), ["prune web"]);
}

#[test]
fn plugins_that_refuse_each_other_are_not_on_one_cluster_whichever_says_so() {
    let refuses = |module: &str| json!({ "affinity": { "pluginAntiAffinity": [module] } });
    for (of_shop, of_pages) in [(json!({}), refuses("shop")), (refuses("pages"), json!({}))] {
        let configs = vec![config("shop", "1.0.0", of_shop), pages(of_pages)];
        let mut world = running(configs, "shop", "1.0.0");
        world.infos.push(info("pages", "1.0.0"));
        let found = reasons(&world, "pages");
        assert!(found[0].starts_with("pages and shop must not be on one cluster"), "{found:?}");
    }
}

#[test]
fn one_range_of_a_dependency_is_enough() {
    let ranges = ["<1.0.0", ">=2.0.0 <3.0.0"];
    let needs = json!({ "dependencies": [{ "moduleName": "base", "versionsMatch": ranges }] });
    let mut world =
        running(vec![config("base", "2.1.0", json!({})), pages(needs)], "base", "2.1.0");
    world.infos.push(info("pages", "1.0.0"));
    assert_eq!(settle(&mut world), ["hold", "apply pages 1.0.0"]);
}

#[test]
fn what_is_not_begun_holds_up_nothing_that_it_needs() {
    let needs = json!({ "dependencies": [{ "moduleName": "base", "versionsMatch": [">=2.0.0"] }] });
    let configs = vec![config("base", "1.0.0", json!({})), pages(needs)];
    let mut world = world(configs, vec![info("pages", "1.0.0"), info("base", "1.0.0")]);
    assert_eq!(settle(&mut world), ["hold", "apply base 1.0.0"]);
}

#[test]
fn what_is_being_removed_is_needed_by_nobody_new_and_needs_nothing() {
    let needs = json!({ "dependencies": [{ "moduleName": "base" }] });
    let configs = vec![config("base", "1.0.0", json!({})), pages(needs)];
    let mut world = running(configs, "base", "1.0.0");
    world.infos.push(info("pages", "1.0.0"));
    edit(&mut world, "base").deleting = true;
    assert!(reasons(&world, "pages")[0].contains("which is not installed on workload-a"));
    edit(&mut world, "base").deleting = false;
    settle(&mut world);
    edit(&mut world, "base").deleting = true;
    assert!(reasons(&world, "base")[0].starts_with("pages needs base"));
    edit(&mut world, "pages").deleting = true;
    assert_eq!(reasons(&world, "base"), [""; 0]);
}

#[test]
fn a_removal_that_was_begun_goes_on() {
    let mut world = running(vec![pages(json!({}))], "pages", "1.0.0");
    edit(&mut world, "pages").deleting = true;
    round(&mut world, |_| StepResult::Done);
    let name = find_info(&world, "pages").name.clone();
    world.standing.insert(name, Observed::Value(vec!["Backup x/y".to_owned()]));
    assert_eq!(settle(&mut world), ["remove pages", "release"]);
}

#[test]
fn only_what_can_be_installed_here_is_offered() {
    let versions = ["1.1.0", "1.2.0", "1.3.0", "1.4.0"];
    let mut configs = versions.map(|version| config("pages", version, json!({}))).to_vec();
    configs[1].ready = false;
    configs[2].spec.target_cluster_versions = vec!["4.3".into()];
    let rule = json!({ "clusterAffinity": { "matchLabels": { "region": "south" } } });
    configs[3].spec.affinity = serde_json::from_value(rule).unwrap();
    configs.push(pages(json!({})));
    let world = running(configs, "pages", "1.0.0");
    let available = &find_info(&world, "pages").status.available_versions;
    let available: Vec<&str> = available.iter().map(|v| v.version.as_str()).collect();
    assert_eq!(available, ["1.1.0"]);
}

#[test]
fn what_passes_by_itself_is_no_failure_at_once() {
    let after = |reason: StalledReason, seconds: i64| {
        let mut world = world(vec![pages(json!({}))], vec![info("pages", "1.0.0")]);
        let end = |step: &Step| match step {
            Step::Apply(_) => {
                let (message, remedy) = ("no answer".into(), String::new());
                StepResult::Blocked { reason, message, remedy }
            }
            _ => StepResult::Done,
        };
        for _ in 0..3 {
            round(&mut world, end);
        }
        world.now = world.now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
        round(&mut world, end);
        let status = &find_info(&world, "pages").status;
        format!("{} {}", status.phase, ready(status).split(' ').nth(1).unwrap())
    };
    assert_eq!(after(StalledReason::ReleaseUnavailable, 0), "Installing Installing");
    assert_eq!(after(StalledReason::ReleaseUnavailable, 60), "Failed ReleaseUnavailable");
    assert_eq!(after(StalledReason::RenderFailed, 0), "Failed RenderFailed");
}

#[test]
fn a_part_of_the_platform_is_not_taken_over_by_an_upgrade() {
    let dns = json!({ "appReleases": [{ "name": "dns", "chartVersions": [
        { "name": "acp/chart-dns", "releaseName": "dns", "version": "1.1.0" }] }] });
    let mut world =
        running(vec![pages(json!({})), config("pages", "1.1.0", dns)], "pages", "1.0.0");
    let mut part = AppReleaseFacts::default();
    part.spec.release_image = "registry.test:11443/acp/product-image@sha256:1".into();
    installed(&mut world).insert("dns".into(), part);
    edit(&mut world, "pages").spec.version = "1.1.0".into();
    let found = blocked(&world);
    let expected = "the AppRelease dns of this plugin would be one of the platform itself";
    assert!(found.len() == 1 && found[0].starts_with(expected), "{found:?}");
}

#[test]
fn an_upgrade_of_the_cluster_that_is_over_moves_no_core_plugin() {
    let versions = [("1.0.0", "4.2"), ("1.1.0", "4.2")];
    let configs = versions.map(|(v, target)| of_lifecycle(Lifecycle::Core, v, target)).to_vec();
    let mut world = running(configs, "core", "1.0.0");
    edit(&mut world, "core").spec.version = "1.1.0".into();
    let operation = |target: &str, phase| Stage {
        operations: vec![Operation {
            module_info: find_info(&world, "core").name.clone(),
            target_version: target.into(),
            ..Operation::default()
        }],
        phase,
        ..Stage::default()
    };
    let [over, other, moves] = [
        operation("1.1.0", Phase::Finished),
        operation("1.2.0", Phase::Running),
        operation("1.1.0", Phase::Running),
    ];
    for stage in [over, other] {
        world.status.stages = vec![stage];
        assert!(blocked(&world)[0].starts_with("core is a Core plugin"));
    }
    world.status.stages = vec![moves];
    assert_eq!(reasons(&world, "core"), [""; 0]);
}

#[test]
fn values_of_a_user_are_laid_over_those_of_the_template() {
    let mut world = running(vec![pages(json!({}))], "pages", "1.0.0");
    let over = json!({ "extra": { "on": true } });
    edit(&mut world, "pages").spec.values_override.insert("acp/chart-pages".into(), over);
    assert_eq!(settle(&mut world), ["apply pages 1.0.0"]);
    let values = &installed(&mut world)["pages"].spec.values;
    assert_eq!(json!(values), json!({ "replicas": 1, "extra": { "on": true } }));
}
