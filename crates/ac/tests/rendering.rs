//! What is shown for recorded ClusterVersionShadow objects, off a terminal and on a narrow one.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use ac::assessment::Assessment;
use ac::layout::Look;
use ac::render::{Detail, View, fleet, status, summary};
use ac::{Shadow, UpgradeStatus};
use jiff::Timestamp;

#[path = "process/record.rs"]
mod record;

const TERMINAL: Look = Look { width: Some(80), colour: false };

/// Through the same door as an object from an API server.
fn recorded(name: &str) -> Assessment {
    Assessment::of(&Shadow::read(&record::value(name)).unwrap())
}

/// A moment shortly after a record was taken.
fn now(name: &str) -> Timestamp {
    let moment =
        if record::is_of_planner(name) { "2026-11-22T20:01:00Z" } else { "2026-11-22T10:00:00Z" };
    moment.parse().unwrap()
}

fn view(name: &str, look: Look, detail: Detail) -> View<'static> {
    View { look, now: now(name), program: "ac", detail }
}

fn shown(name: &str) -> String {
    let assessment = recorded(name);
    let plain = view(name, Look::default(), Detail::Brief);
    let verbose = view(name, TERMINAL, Detail::Verbose);
    format!(
        "$ ac adm upgrade | cat\n{}\n$ ac adm upgrade status --exit-code | cat    # {}\n{}\n$ ac adm upgrade status --verbose    # 80 columns\n{}",
        summary(&assessment, &plain),
        assessment.state.exit_code(),
        status(&assessment, &plain),
        status(&assessment, &verbose),
    )
}

/// The names of all records.
fn records() -> Vec<String> {
    let files = [record::OWN, record::PLANNER].map(|folder| std::fs::read_dir(folder).unwrap());
    let stem = |path: std::path::PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    files.into_iter().flatten().map(|entry| stem(entry.unwrap().path())).collect()
}

macro_rules! snapshots {
    ($($name:ident),+ $(,)?) => {
        $(#[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), shown(stringify!($name)));
        })+

        #[test]
        fn every_recorded_object_has_a_snapshot() {
            let known = [$(stringify!($name)),+];
            for name in records() {
                assert!(known.contains(&name.as_str()), "{name} has no snapshot");
            }
        }
    };
}

snapshots! {
    idle, offered_blocked, offered_passed, requested_blocked, held_by_rule, retrying, running,
    running_blocker, stalled_image_pull, stalled_hook, stalled_patch, completed, refused_lower,
    refused_unpublished, refused_left_over_image, refused_in_flight, fresh_install, no_status,
    no_preflight_result, request_not_observed, patch_failed_idle, not_upgradable, hostile,
    newer_operator, offered_all_passed, stalled_time_out, idle_unreachable,
    idle_stalled_unreachable,
}

#[test]
fn many_clusters_are_one_line_each() {
    let names = [
        "completed",
        "running",
        "stalled_image_pull",
        "no_status",
        "not_upgradable",
        "idle_unreachable",
        "idle_stalled_unreachable",
    ];
    let mut all: Vec<Assessment> = names.into_iter().map(recorded).collect();
    for (one, number) in all.iter_mut().zip(1..) {
        one.cluster = format!("workload-{number}");
    }
    all.sort_by_key(|one| one.state.rank());
    let plain = fleet(&all, &view("completed", Look::default(), Detail::Brief));
    let narrow = fleet(&all, &view("completed", TERMINAL, Detail::Brief));
    insta::assert_snapshot!("fleet", format!("{plain}\n# 80 columns\n{narrow}"));
}

#[test]
fn exit_codes_follow_the_state() {
    let code = |name: &str| recorded(name).state.exit_code();
    let at_target = [
        "idle",
        "offered_blocked",
        "offered_passed",
        "completed",
        "not_upgradable",
        "patch_failed_idle",
    ];
    assert!(at_target.iter().all(|name| code(name) == 0));
    let running = [
        "retrying",
        "running_blocker",
        "refused_in_flight",
        "request_not_observed",
        "idle_unreachable",
    ];
    assert!(running.iter().all(|name| code(name) == 3));
    let stalled = [
        "requested_blocked",
        "stalled_image_pull",
        "refused_lower",
        "refused_left_over_image",
        "stalled_hook",
        "stalled_patch",
        "hostile",
        "idle_stalled_unreachable",
    ];
    assert!(stalled.iter().all(|name| code(name) == 4));
    assert!(["no_status", "fresh_install", "newer_operator"].iter().all(|name| code(name) == 5));
}

#[test]
fn no_data_is_no_result_yet_and_never_a_pass() {
    for name in ["no_status", "no_preflight_result"] {
        let text = shown(name);
        assert!(text.contains("no result yet"), "{text}");
        assert!(!text.to_lowercase().contains("passed"), "{text}");
    }
}

#[test]
fn foreign_text_reaches_no_terminal() {
    let assessment = recorded("hostile");
    let json = UpgradeStatus::of(&assessment, now("hostile")).json().unwrap();
    let yaml = UpgradeStatus::of(&assessment, now("hostile")).yaml().unwrap();
    for text in [shown("hostile"), json, yaml] {
        let hidden =
            |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{2069}').contains(&c);
        assert!(!text.contains(hidden), "{text:?}");
    }
}

#[test]
fn nothing_is_cut_and_commands_stay_on_one_line() {
    let wide = shown("hostile");
    assert!(wide.matches(&"x".repeat(300)).count() >= 2, "a long word was broken");
    let name = "requested_blocked";
    let narrow = status(&recorded(name), &view(name, TERMINAL, Detail::Brief));
    let command = "kubectl annotate resourcepatches rp-coredns config.cpaas.io/exempt-for-ver=4.3.0 --overwrite\n";
    assert!(narrow.contains(command), "{narrow}");
}

#[test]
fn the_form_for_programs_is_stable() {
    for name in ["running_blocker", "no_status"] {
        let status = UpgradeStatus::of(&recorded(name), now(name));
        insta::assert_snapshot!(format!("{name}.json"), status.json().unwrap());
    }
}

#[test]
fn yaml_says_what_json_says() {
    let status = UpgradeStatus::of(&recorded("stalled_image_pull"), now("stalled_image_pull"));
    let json: serde_json::Value = serde_json::from_str(&status.json().unwrap()).unwrap();
    let yaml: serde_json::Value = serde_saphyr::from_str(&status.yaml().unwrap()).unwrap();
    assert_eq!(json, yaml);
}

#[test]
fn colour_only_repeats_words() {
    let name = "stalled_image_pull";
    let assessment = recorded(name);
    let colour = Look { width: None, colour: true };
    let painted = status(&assessment, &view(name, colour, Detail::Verbose));
    let plain = status(&assessment, &view(name, Look::default(), Detail::Verbose));
    assert!(painted.contains("\u{1b}[31mSTALLED\u{1b}[0m"));
    let mut stripped = painted;
    for code in ["1", "31", "32", "33", "0"] {
        stripped = stripped.replace(&format!("\u{1b}[{code}m"), "");
    }
    assert_eq!(stripped, plain);
}
