//! Plugins in the upgrade of their cluster: which of them move, when, and what holds it.

use crate::world::World;
use api::conditions::{ConditionType, find};
use api::release::{PLUGINS_PRIORITY, PLUGINS_STAGE};
use api::{CheckName, CheckState, StalledReason};
use planner::snapshot::ModuleConfigFacts;
use planner::{Observed, Situation, Step, StepResult};

const PLUGINS: &str = "{moduleInfos: {Value: [\
    {name: m-logs, module: logs, phase: Running, lifecycle: Aligned, version: 1.0.0, isObserved: true},\
    {name: m-base, module: base, phase: Running, lifecycle: Core, version: 4.2.0, isObserved: true},\
    {name: m-both, module: both, phase: Running, lifecycle: Aligned, version: 1.5.0, isObserved: true},\
    {name: m-shop, module: shop, phase: Running, version: 1.0.0, newest: 2.0.0, isObserved: true}]}, \
    moduleConfigs: {Value: [\
    {module: logs, version: 1.0.0, targetClusterVersions: ['4.2']},\
    {module: logs, version: 2.0.0, targetClusterVersions: ['4.3']},\
    {module: logs, version: 2.1.0, targetClusterVersions: [4.3.0]},\
    {module: logs, version: 3.0.0, targetClusterVersions: ['4.4']},\
    {module: base, version: 4.3.0, targetClusterVersions: ['4.3']},\
    {module: both, version: 1.5.0, targetClusterVersions: ['4.2', '4.3']},\
    {module: both, version: 1.6.0, targetClusterVersions: ['4.3']},\
    {module: shop, version: 2.0.0, targetClusterVersions: ['4.3']}]}}";

/// The plugins that an upgrade to 4.3.0 moves, with what was applied before and after.
fn moved(world: &mut World) -> (Vec<String>, bool) {
    let (mut moves, mut applied_after) = (Vec::new(), false);
    for _ in 0..60 {
        let round = world.done_round();
        for step in &round.plan.steps {
            match step {
                Step::MoveModule { name, version, .. } => moves.push(format!("{name} {version}")),
                Step::Apply(_) => applied_after |= !moves.is_empty(),
                _ => {}
            }
        }
        if round.plan.situation == Situation::Complete {
            return (moves, applied_after);
        }
    }
    panic!("the upgrade does not come to its end: {:#?}", world.status());
}

#[test]
fn aligned_and_core_plugins_move_after_core_and_agnostic_ones_never() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    let (moves, applied_after) = moved(&mut world);
    assert_eq!(moves, ["logs 2.1.0", "base 4.3.0"]);
    assert!(!applied_after, "every component of the release comes before");
    let status = world.status();
    let stage = status.stages.iter().find(|stage| stage.name == PLUGINS_STAGE).unwrap();
    assert_eq!(stage.priority, PLUGINS_PRIORITY);
    let names: Vec<_> = stage.operations.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["logs", "base"], "what is meant for both lines stays as it is");
}

#[test]
fn a_plugin_that_cannot_go_on_stalls_the_upgrade_with_what_it_says() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    let blocked = |step: &Step| match step {
        Step::MoveModule { module_info, .. } if module_info == "m-logs" => StepResult::Blocked {
            reason: StalledReason::PluginFailed,
            message: "Pending: logs 2.1.0 needs shop >=2.0.0, and 1.0.0 is installed".into(),
            remedy: "look: kubectl get moduleinfo m-shop -o yaml".into(),
        },
        _ => StepResult::Done,
    };
    for _ in 0..60 {
        world.round(blocked);
    }
    let status = world.status();
    let stalled = find(&status.conditions, ConditionType::Stalled).unwrap();
    assert_eq!((stalled.status.as_str(), stalled.reason.as_str()), ("True", "PluginFailed"));
    let (cause, remedy) = api::remedy::split(&stalled.message);
    assert!(cause.contains("logs 2.1.0 needs shop"), "{cause}");
    assert_eq!(remedy, "look: kubectl get moduleinfo m-shop -o yaml");
    moved(&mut world);
}

#[test]
fn a_plugin_that_is_removed_meanwhile_holds_nothing() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    for _ in 0..60 {
        world.round(|step| match step {
            Step::MoveModule { .. } => StepResult::Waiting("Upgrading".into()),
            _ => StepResult::Done,
        });
    }
    assert_eq!(world.done_round().plan.situation, Situation::Running);
    world.edit(&serde_json::json!({ "moduleInfos": { "Value": [] } }));
    moved(&mut world);
}

#[test]
fn a_missing_package_and_a_risk_are_said_before_anything_begins() {
    let check = |edit: &str| {
        let mut world = World::new().edited(PLUGINS).edited(edit);
        let round = world.done_round();
        let checks = round.plan.preflight.unwrap().checks;
        let found = checks.into_iter().find(|c| c.name == CheckName::ModuleInfoStable.as_str());
        let found = found.unwrap();
        (found.state, found.reason, found.remedy)
    };
    assert_eq!(check("{}").0, CheckState::Passed);
    let lower = "{moduleConfigs: {Value: [\
        {module: logs, version: 0.9.0, targetClusterVersions: ['4.3']},\
        {module: base, version: 4.3.0, targetClusterVersions: ['4.3']},\
        {module: both, version: 1.5.0, targetClusterVersions: ['4.3']}]}}";
    let (state, reason, _) = check(lower);
    assert_eq!((state, reason.as_str()), (CheckState::Failed, "AlignedPackageMissing"));
    let unready = "{moduleConfigs: {Value: [\
        {module: logs, version: 2.0.0, targetClusterVersions: ['4.3'], notReady: no chart},\
        {module: base, version: 4.3.0, targetClusterVersions: ['4.3']},\
        {module: both, version: 1.5.0, targetClusterVersions: ['4.3']}]}}";
    let (state, reason, _) = check(unready);
    assert_eq!((state, reason.as_str()), (CheckState::Failed, "AlignedPackageMissing"));
    let risky = "{moduleConfigs: {Value: [\
        {module: logs, version: 2.0.0, targetClusterVersions: ['4.3'], risk: High},\
        {module: base, version: 4.3.0, targetClusterVersions: ['4.3']},\
        {module: both, version: 1.5.0, targetClusterVersions: ['4.3']}]}}";
    let (state, reason, remedy) = check(risky);
    assert_eq!((state, reason.as_str()), (CheckState::Failed, "PluginRiskNotAccepted"));
    assert!(remedy.contains("kubectl annotate moduleinfo m-logs"), "{remedy}");
}

#[test]
fn a_way_that_is_not_open_and_a_need_that_is_not_met_are_said_before_anything_begins() {
    let said = |edit: &str| {
        let mut world = World::new().edited(PLUGINS).edited(edit);
        let checks = world.done_round().plan.preflight.unwrap().checks;
        let found = checks.into_iter().find(|c| c.name == CheckName::ModuleInfoStable.as_str());
        let found = found.unwrap();
        (found.reason.as_str().to_owned(), found.message, found.remedy)
    };
    let logs = |more: &str| {
        format!(
            "{{moduleConfigs: {{Value: [\
            {{module: logs, version: 1.0.0, targetClusterVersions: ['4.2']}},\
            {more},\
            {{module: base, version: 4.3.0, targetClusterVersions: ['4.3']}},\
            {{module: both, version: 1.5.0, targetClusterVersions: ['4.3']}},\
            {{module: shop, version: 1.0.0}}]}}}}"
        )
    };
    let far = "{module: logs, version: 2.0.0, targetClusterVersions: ['4.3'], supportedUpgradeVersions: '>=1.5.0'}";
    let (reason, message, remedy) = said(&logs(far));
    assert_eq!(reason, "PluginCannotMove");
    assert!(message.contains("logs: 2.0.0 is upgraded to from >=1.5.0, and 1.0.0 is installed"));
    assert!(remedy.contains("kubectl get moduleinfo m-logs"), "{remedy}");

    let must = "{module: logs, version: 1.5.0, targetClusterVersions: ['4.2'], mustUpgrade: true},\
        {module: logs, version: 2.0.0, targetClusterVersions: ['4.3']}";
    let (reason, message, remedy) = said(&logs(must));
    assert_eq!(reason, "PluginCannotMove");
    assert!(message.contains("no upgrade to 2.0.0 may leave out 1.5.0"), "{message}");
    assert!(remedy.contains("kubectl patch moduleinfo m-logs"), "{remedy}");

    for (needs, says) in [
        (
            "{moduleName: shop, versionsMatch: ['>=2.0.0']}",
            "needs shop >=2.0.0, and it will be at 1.0.0",
        ),
        ("{moduleName: gone}", "needs gone, which is not installed"),
    ] {
        let config = format!(
            "{{module: logs, version: 2.0.0, targetClusterVersions: ['4.3'], dependencies: [{needs}]}}"
        );
        let (reason, message, _) = said(&logs(&config));
        assert_eq!(reason, "PluginCannotMove");
        assert!(message.contains(says), "{message}");
    }
    let together = "{module: logs, version: 2.0.0, targetClusterVersions: ['4.3'],\
        dependencies: [{moduleName: base, versionsMatch: ['>=4.3.0']}]}";
    assert_eq!(said(&logs(together)).0, "AsExpected");
}

/// The rules that would hold a plugin once the components of the release have moved.
#[test]
fn what_would_hold_a_plugin_in_the_middle_of_the_upgrade_is_said_before_it_begins() {
    let all_said = |logs: &str, base: &str, shop: &str| {
        let catalogue = format!(
            "{{moduleConfigs: {{Value: [\
            {{module: logs, version: 1.0.0, targetClusterVersions: ['4.2']}},\
            {{module: logs, version: 2.0.0, targetClusterVersions: ['4.3'], {logs}}},\
            {{module: base, version: 4.3.0, targetClusterVersions: ['4.3'], {base}}},\
            {{module: both, version: 1.5.0, targetClusterVersions: ['4.3']}},\
            {{module: shop, version: 1.0.0, {shop}}}]}}}}"
        );
        let mut world = World::new().edited(PLUGINS).edited(&catalogue);
        let checks = world.done_round().plan.preflight.unwrap().checks;
        let found = checks.into_iter().find(|c| c.name == CheckName::ModuleInfoStable.as_str());
        let found = found.unwrap();
        (found.reason.as_str().to_owned(), format!("{} fix: {}", found.message, found.remedy))
    };
    let said = |logs: &str, base: &str| all_said(logs, base, "");
    // The one that stays may be the one that says so.
    let (reason, text) = all_said("", "", "affinity: {pluginAntiAffinity: [logs]}");
    assert_eq!(reason, "PluginCannotMove", "{text}");
    assert!(text.contains("logs and shop must not be on one cluster"), "{text}");
    let number = "'urn:alm:descriptor:com.tectonic.ui:number'";
    let form = format!(
        "deployDescriptors: [{{path: days, x-descriptors: [{number}]}}], config: {{days: many}}"
    );
    for (logs, base, says) in [
        (
            "affinity: {clusterAffinity: {matchLabels: {disk: fast}}}",
            "",
            "logs is not meant for cluster global: it must have the labels disk=fast",
        ),
        (
            "affinity: {pluginAntiAffinity: [shop]}",
            "",
            "logs and shop must not be on one cluster fix: remove one of them: kubectl delete moduleinfo m-shop",
        ),
        (form.as_str(), "", "the settings of logs do not do for 2.0.0: "),
        (
            "upgradeBefore: [{moduleName: shop}]",
            "",
            "logs 2.0.0: shop is upgraded before it fix: kubectl patch moduleinfo m-shop",
        ),
        (
            "upgradeBefore: [{moduleName: base}]",
            "upgradeBefore: [{moduleName: logs}]",
            "they wait for each other: logs -> base -> logs",
        ),
        (
            "upgradeBefore: [{moduleName: base}]",
            "dependencies: [{moduleName: logs, versionsMatch: ['>=2.0.0']}]",
            "they wait for each other: logs -> base -> logs",
        ),
    ] {
        let (reason, text) = said(logs, base);
        assert_eq!(reason, "PluginCannotMove", "{text}");
        assert!(text.contains(says), "{says}: {text}");
    }
    for (logs, base) in [
        ("affinity: {clusterAntiAffinity: {matchLabels: {disk: fast}}}", ""),
        ("upgradeBefore: [{moduleName: base}, {moduleName: both}, {moduleName: none}]", ""),
        ("upgradeBefore: [{moduleName: base}]", "dependencies: [{moduleName: logs}]"),
    ] {
        assert_eq!(said(logs, base).0, "AsExpected", "{logs} {base}");
    }
}

#[test]
fn values_laid_over_a_chart_that_the_new_version_lacks_are_said_before_it_begins() {
    for (chart, reason) in [
        ("acp/logs: {}", "AsExpected"),
        ("acp/log: {}", "PluginCannotMove"),
        // For the chart of the new version there are some as well.
        ("acp/log: {}, acp/logs: {}", "AsExpected"),
    ] {
        let over = format!("1.0.0, valuesOverride: {{{chart}}}, isObserved");
        let charts = "2.1.0, charts: [acp/logs]";
        let plugins = PLUGINS.replace("1.0.0, isObserved", &over).replace("2.1.0", charts);
        let checks = World::new().edited(&plugins).done_round().plan.preflight.unwrap().checks;
        let found = checks.iter().find(|c| c.name == CheckName::ModuleInfoStable.as_str()).unwrap();
        assert_eq!(found.reason.as_str(), reason, "{}", found.message);
        let is_named = found.message.contains("names acp/log, which is none of its charts");
        assert_eq!(is_named, reason != "AsExpected", "{}", found.message);
    }
}

/// With the check switched off, what cannot be read is still not taken for nothing.
#[test]
fn an_upgrade_does_not_begin_without_its_plugins_while_they_cannot_be_read() {
    for unread in ["moduleInfos", "moduleConfigs"] {
        let edit = format!(
            "{{cvoConfig: {{Value: 'disabled: [ModuleInfoStable]'}}, {unread}: {{Unknown: forbidden}}}}"
        );
        let mut world = World::new().edited(PLUGINS).edited(&edit).ask("4.3.0");
        for _ in 0..5 {
            let round = world.done_round();
            assert_ne!(round.plan.situation, Situation::Running, "{unread}");
            assert!(!round.plan.steps.iter().any(|s| matches!(s, Step::Apply(_))), "{unread}");
        }
        let mut world = world.edited(PLUGINS);
        assert_eq!(moved(&mut world).0, ["logs 2.1.0", "base 4.3.0"], "{unread}");
    }
}

#[test]
fn what_was_brought_further_meanwhile_is_where_the_upgrade_brings_it() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    for _ in 0..60 {
        world.round(|step| match step {
            Step::MoveModule { .. } => StepResult::Waiting("Upgrading".into()),
            _ => StepResult::Done,
        });
    }
    assert_eq!(world.done_round().plan.situation, Situation::Running);
    let ahead = PLUGINS
        .replace("lifecycle: Aligned, version: 1.0.0", "lifecycle: Aligned, version: 2.2.0")
        .replace("version: 4.2.0", "version: 4.3.0");
    world = world.edited(&ahead);
    moved(&mut world);
}

#[test]
fn the_publisher_says_what_moves_and_a_label_of_the_installed_plugin_does_not_change_it() {
    let labelled = PLUGINS
        .replace("{name: m-shop, module: shop, phase: Running,", "{name: m-shop, module: shop, phase: Running, lifecycle: Aligned,")
        .replace("{module: shop, version: 2.0.0,", "{module: shop, version: 1.0.0, lifecycle: Agnostic},{module: shop, version: 2.0.0, lifecycle: Agnostic,");
    let mut world = World::new().edited(&labelled).ask("4.3.0");
    let (moves, _) = moved(&mut world);
    assert_eq!(moves, ["logs 2.1.0", "base 4.3.0"]);
}

#[test]
fn a_version_that_names_no_platform_is_nothing_that_an_upgrade_moves_to() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    let mut facts = world.snapshot.module_configs.value().unwrap().clone();
    for (module, version) in [("logs", "1.0.0"), ("logs", "9.0.0")] {
        let known = facts.iter().find(|c| c.module == module).unwrap().clone();
        let version = version.to_owned();
        let other = ModuleConfigFacts { version, target_cluster_versions: Vec::new(), ..known };
        facts.push(other);
    }
    world.snapshot.module_configs = Observed::Value(facts);
    assert_eq!(moved(&mut world).0, ["logs 2.1.0", "base 4.3.0"]);
}

#[test]
fn what_is_said_of_a_plugin_before_it_was_asked_to_move_counts_for_nothing() {
    let mut world = World::new().edited(PLUGINS).ask("4.3.0");
    for _ in 0..60 {
        world.round(|step| match step {
            Step::MoveModule { .. } => StepResult::Waiting("Upgrading".into()),
            _ => StepResult::Done,
        });
    }
    let told = |world: &mut World, phase: &str, is_observed: bool| {
        let Observed::Value(infos) = &mut world.snapshot.module_infos else { panic!() };
        for (module, version) in [("logs", "2.1.0"), ("base", "4.3.0")] {
            let info = infos.iter_mut().find(|info| info.module == module).unwrap();
            info.version = version.to_owned();
            info.phase = phase.to_owned();
            info.is_observed = is_observed;
        }
        let steps = world.round(|_| StepResult::Waiting("it is looked at".into())).plan.steps;
        steps.iter().any(|step| matches!(step, Step::MoveModule { .. }))
    };
    assert!(told(&mut world, "Running", false) && told(&mut world, "Upgrading", true));
    assert!(!told(&mut world, "Running", true));
}
