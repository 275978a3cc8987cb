//! Plugins of one cluster and what they are to each other: those that exclude each other, those
//! that move together with their cluster, and those of which the catalogue knows nothing any more.

use crate::modules::{
    blocked, config, edit, find_info, info, installed, ready, round, running, settle, world,
};
use api::Lifecycle;
use api::names::PLUGIN_NAMESPACE;
use api::objects::{Operation, Phase, Stage, VersionImage};
use planner::modules::{self, ConfigFacts, LifecycleFact, Situation, World};
use planner::snapshot::ResourcePatchFacts;
use planner::{Observed, Step, StepResult};
use serde_json::json;

/// The reasons of the ModuleInfo of a plugin, and whether it waits only.
fn held(world: &World, module: &str) -> (Vec<String>, bool) {
    let name = &find_info(world, module).name;
    let plan = modules::plan(world).into_iter().find(|plan| plan.info == *name).unwrap();
    match plan.situation {
        Situation::Blocked(reasons) => (reasons, false),
        Situation::Waits(why) => (vec![why], true),
        other => panic!("{other:?}"),
    }
}

/// The upgrade of the cluster to 4.3.0 has come to these plugins.
fn upgrade(world: &mut World, moves: &[(&str, &str)]) {
    let operations = moves.iter().map(|(module, version)| Operation {
        name: (*module).to_owned(),
        module_info: find_info(world, module).name.clone(),
        target_version: (*version).to_owned(),
        phase: Phase::Running,
        ..Operation::default()
    });
    world.status.stages = vec![Stage { operations: operations.collect(), ..Stage::default() }];
    world.status.desired = Some(VersionImage { version: "4.3.0".into(), image: "i".into() });
    for (module, version) in moves {
        edit(world, module).spec.version = (*version).to_owned();
    }
}

#[test]
fn of_two_that_exclude_each_other_the_first_is_installed() {
    let apart = json!({ "affinity": { "pluginAntiAffinity": ["other"] } });
    let same = json!({ "appReleases": [{ "name": "pages", "chartVersions": [{
        "name": "acp/chart-other", "releaseName": "pages", "version": "1.0.0",
        "digest": api::Digest::of(b"other"),
    }] }] });
    for (pages, other, says) in [
        (apart.clone(), json!({}), "must not be on one cluster"),
        (json!({}), json!({ "affinity": { "pluginAntiAffinity": ["pages"] } }), "must not be"),
        (json!({}), same, "the AppRelease pages of this plugin would be one of pages"),
    ] {
        let configs = || {
            vec![config("pages", "1.0.0", pages.clone()), config("other", "1.0.0", other.clone())]
        };
        // Both are asked for at once.
        let mut first = info("pages", "1.0.0");
        first.created = Some("2026-11-26T18:00:00Z".parse().unwrap());
        let mut second = info("other", "1.0.0");
        second.created = Some("2026-11-26T18:00:00Z".parse().unwrap());
        second.name = "z-other".into();
        first.name = "a-pages".into();
        let mut world = world(configs(), vec![second, first]);
        let steps = settle(&mut world);
        assert_eq!(steps, ["hold", "apply pages 1.0.0"], "{says}");
        let (reasons, _) = held(&world, "other");
        assert!(reasons[0].contains(says), "{says}: {reasons:?}");
    }
}

#[test]
fn plugins_that_need_each_others_new_version_move_one_after_the_other() {
    let needs = |range: &str| json!({ "dependencies": [{ "moduleName": "base", "versionsMatch": [range] }] });
    let aligned = |config: ConfigFacts| ConfigFacts {
        lifecycle: LifecycleFact(Lifecycle::Aligned),
        ..config
    };
    let configs = [
        config("base", "4.2.0", json!({})),
        config("base", "4.3.0", json!({})),
        config("logs", "4.2.0", needs("<4.3.0")),
        config("logs", "4.3.0", needs(">=4.3.0")),
    ];
    let configs: Vec<_> = configs.into_iter().map(aligned).collect();
    let mut world = world(configs, vec![info("logs", "4.2.0"), info("base", "4.2.0")]);
    settle(&mut world);

    // By itself neither moves.
    edit(&mut world, "base").spec.version = "4.3.0".into();
    assert!(held(&world, "base").0[0].starts_with("logs 4.2.0 needs base <4.3.0"));
    edit(&mut world, "base").spec.version = "4.2.0".into();

    upgrade(&mut world, &[("logs", "4.3.0"), ("base", "4.3.0")]);
    let (why, waits) = held(&world, "logs");
    assert!(waits && why[0].starts_with("logs 4.3.0 needs base >=4.3.0"), "{why:?}");
    round(&mut world, |_| StepResult::Waiting("its Pods".into()));
    let status = &find_info(&world, "logs").status;
    assert_eq!((status.phase.as_str(), status.block_reasons.len()), ("Running", 0));
    assert_eq!(settle(&mut world), ["apply base 4.3.0", "apply logs 4.3.0"]);
}

#[test]
fn in_an_upgrade_of_the_cluster_what_goes_before_is_waited_for() {
    let targets = |target: &str| json!({ "targetClusterVersions": [target] });
    let before = json!({
        "targetClusterVersions": ["4.3"], "upgradeBefore": [{ "moduleName": "base" }],
    });
    let configs = vec![
        config("base", "1.0.0", targets("4.2")),
        config("base", "2.0.0", targets("4.3")),
        config("pages", "1.0.0", targets("4.2")),
        config("pages", "2.0.0", before),
    ];
    let mut world = world(configs, vec![info("pages", "1.0.0"), info("base", "1.0.0")]);
    settle(&mut world);
    upgrade(&mut world, &[("pages", "2.0.0"), ("base", "2.0.0")]);
    assert_eq!(held(&world, "pages"), (vec!["base is upgraded before it".to_owned()], true));
    assert_eq!(settle(&mut world), ["apply base 2.0.0", "apply pages 2.0.0"]);
}

/// Preflight says so before; where a package comes later, nobody waits without a word.
#[test]
fn in_an_upgrade_of_the_cluster_two_that_wait_for_each_other_say_so() {
    let first = |version: &str, other: &str| json!({ "targetClusterVersions": [version], "upgradeBefore": [{ "moduleName": other }] });
    let configs = vec![
        config("base", "1.0.0", json!({ "targetClusterVersions": ["4.2"] })),
        config("base", "2.0.0", first("4.3", "pages")),
        config("pages", "1.0.0", json!({ "targetClusterVersions": ["4.2"] })),
        config("pages", "2.0.0", first("4.3", "base")),
    ];
    let mut world = world(configs, vec![info("pages", "1.0.0"), info("base", "1.0.0")]);
    settle(&mut world);
    upgrade(&mut world, &[("pages", "2.0.0"), ("base", "2.0.0")]);
    let (why, waits) = held(&world, "pages");
    assert!(!waits && why[0].contains("wait for each other: pages -> base -> pages"), "{why:?}");
}

#[test]
fn an_aligned_plugin_may_be_upgraded_alone_and_a_core_one_offers_nothing() {
    for (lifecycle, moves) in [(Lifecycle::Aligned, true), (Lifecycle::Core, false)] {
        let of = |version| ConfigFacts {
            lifecycle: LifecycleFact(lifecycle),
            ..config("pages", version, json!({}))
        };
        let mut world = running(vec![of("1.0.0"), of("1.1.0")], "pages", "1.0.0");
        let offered = &find_info(&world, "pages").status.available_versions;
        assert_eq!(offered.len(), usize::from(moves));
        edit(&mut world, "pages").spec.version = "1.1.0".into();
        assert_eq!(settle(&mut world).len(), usize::from(moves));
    }
}

#[test]
fn without_its_published_version_a_plugin_stays() {
    let mut world = running(vec![config("pages", "1.0.0", json!({}))], "pages", "1.0.0");
    edit(&mut world, "pages").deleting = true;
    world.configs = Observed::Value(Vec::new());
    let reason = &blocked(&world)[0];
    assert!(reason.starts_with("the catalogue no longer has pages 1.0.0; fix: push"), "{reason}");
    world.configs = Observed::Value(vec![config("pages", "1.0.0", json!({}))]);
    settle(&mut world);
    assert!(world.infos.is_empty() && installed(&mut world).is_empty());
}

#[test]
fn values_for_no_chart_of_the_plugin_are_named() {
    let mut asked = info("pages", "1.0.0");
    asked.spec.values_override.insert("acp/chart-page".into(), json!({ "replicas": 2 }));
    let world = world(vec![config("pages", "1.0.0", json!({}))], vec![asked]);
    let reason = &blocked(&world)[0];
    assert!(
        reason.contains("acp/chart-page, which is none of its charts: acp/chart-pages"),
        "{reason}"
    );
}

#[test]
fn a_setting_that_nothing_takes_up_is_named() {
    let mut asked = info("pages", "1.0.0");
    asked.spec.config.insert("replica".into(), json!(2));
    let mut world = world(vec![config("pages", "1.0.0", json!({}))], vec![asked]);
    settle(&mut world);
    let pages = find_info(&world, "pages");
    let fix = format!("kubectl edit moduleinfo {}", pages.name);
    let said = format!("True Running 1.0.0 takes up no setting replica; fix: {fix}");
    assert_eq!(ready(&pages.status), said);
    edit(&mut world, "pages").spec.config.clear();
    settle(&mut world);
    assert_eq!(ready(&find_info(&world, "pages").status), "True Running ");
}

#[test]
fn a_plugin_for_no_cluster_is_told_which_label_to_set() {
    let mut world = world(vec![config("pages", "1.0.0", json!({}))], vec![info("pages", "1.0.0")]);
    world.cluster.clear();
    world.labels = Observed::Value(None);
    let reason = &blocked(&world)[0];
    assert!(reason.starts_with("the label cpaas.io/cluster-name does not name its cluster"));
    assert!(reason.contains("kubectl label moduleinfo"), "{reason}");
}

#[test]
fn dependencies_that_meet_again_and_again_are_followed_once() {
    let mut configs = Vec::new();
    for level in 0..40 {
        for side in ["l", "r"] {
            let below = ["l", "r"].map(|s| json!({ "moduleName": format!("{s}{}", level + 1) }));
            let needs = json!({ "dependencies": below });
            configs.push(config(&format!("{side}{level}"), "1.0.0", needs));
        }
    }
    let world = world(configs, vec![info("l0", "1.0.0")]);
    assert!(blocked(&world)[0].starts_with("l0 1.0.0 needs l1, which is not installed"));
}

/// What is there is customised; what was begun of another version is neither finished nor
/// forgotten.
#[test]
fn a_half_of_what_was_begun_and_withdrawn_stays_as_it_is_and_is_shown() {
    let parts = |version: &str| {
        let part = |name: &str| {
            let digest = api::Digest::of(format!("{name}{version}").as_bytes());
            json!({ "name": name, "chartVersions": [{
                "name": format!("acp/chart-{name}"), "releaseName": name, "version": version,
                "digest": digest,
            }] })
        };
        json!({ "appReleases": [part("web"), part("db")], "valuesTemplates": {} })
    };
    let configs = ["1.0.0", "1.1.0"].map(|v| config("pages", v, parts(v))).to_vec();
    let mut world = running(configs, "pages", "1.0.0");
    // The process died after it had written what one of them is to be.
    let begun = &mut installed(&mut world).get_mut("web").unwrap().spec;
    begun.version = "1.1.0".into();
    begun.release_image = "registry.test/acp/chart-web@begun".into();
    edit(&mut world, "pages").spec.version = "9.9.9".into();
    world.resource_patches = Observed::Value(vec![ResourcePatchFacts {
        name: "rp".into(),
        release: format!("{PLUGIN_NAMESPACE}/db"),
        digest: "sha256:1".into(),
        ..ResourcePatchFacts::default()
    }]);
    let steps = round(&mut world, |_| StepResult::Done);
    let applied: Vec<_> = steps.iter().map(Step::subject).collect();
    assert_eq!(applied, ["db"]);
    let status = &find_info(&world, "pages").status;
    assert!(ready(status).contains("Blocked"), "{}", ready(status));
    let shown: Vec<_> = status.app_releases.iter().map(|part| part.name.as_str()).collect();
    assert_eq!(shown, ["db", "web"]);
}
