//! `ac adm upgrade --to=…` and `--to-latest` on a server.

use super::*;
use std::sync::Mutex;

/// A platform whose operator answers a request with another recorded object.
fn answering(before: &str, after: &str) -> Server {
    let (before, after) = (recorded(before), recorded(after));
    let taken = Mutex::new(false);
    Server::start(move |asked| match (asked.method.as_str(), path(asked)) {
        ("PATCH", SHADOW) => {
            *taken.lock().unwrap() = true;
            let mut written = before.clone();
            written["metadata"]["generation"] = 9.into();
            written["spec"] =
                serde_json::from_str::<serde_json::Value>(&asked.body).unwrap()["spec"].clone();
            ok(&written)
        }
        ("GET", SHADOW) if *taken.lock().unwrap() => ok(&after),
        ("GET", SHADOW) => ok(&before),
        ("GET", MANIFESTS) => list("ProductManifest", &[]),
        _ => not_found(),
    })
}

#[test]
fn a_request_writes_the_version_and_nothing_else() {
    for line in [
        "adm upgrade --to-latest",
        "adm upgrade --cluster=global --to=4.3.0",
        "adm upgrade --to-latest=true",
    ] {
        let server = answering("offered_passed", "running");
        let ran = Shell::at(&server).run(line);
        let changes = server.changes();
        assert_eq!(changes.len(), 1, "{line}");
        assert_eq!(changes[0].body, r#"{"spec":{"desiredUpdate":{"version":"4.3.0"}}}"#);
        assert_eq!(changes[0].content_type, "application/merge-patch+json");
        insta::assert_snapshot!("begun", ran.text(Some(&server)));
    }
}

#[test]
fn what_the_operator_answers_is_said() {
    for after in ["requested_blocked", "retrying"] {
        let server = answering("offered_blocked", after);
        let ran = Shell::at(&server).run("adm upgrade --to-latest");
        // The age of a check is the clock's.
        let ageless = |line: &str| line.split("   for ").next().unwrap().to_owned();
        let text: Vec<String> = ran.text(Some(&server)).lines().map(ageless).collect();
        insta::assert_snapshot!(after, text.join("\n"));
    }
}

#[test]
fn a_refusal_of_the_operator_is_an_error_with_its_command() {
    let server = answering("offered_passed", "refused_left_over_image");
    let ran = Shell::at(&server).run("adm upgrade --to=4.3.0");
    insta::assert_snapshot!(ran.text(Some(&server)));
    let server = answering("offered_passed", "refused_lower");
    let ran = Shell::at(&server).run("adm upgrade --to=4.1.0 --allow-explicit-upgrade");
    insta::assert_snapshot!(ran.text(Some(&server)));
    let server = answering("running", "refused_in_flight");
    let ran = Shell::at(&server).run("adm upgrade --to=4.3.1 --allow-explicit-upgrade=true");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn an_operator_that_does_not_answer_is_not_waited_for() {
    let server = answering("offered_passed", "request_not_observed");
    let ran = Shell::at(&server).run("adm upgrade --to-latest");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn what_is_desired_or_current_is_not_asked_for_again() {
    let cases = [
        ("running", "--to=4.3.0"),
        ("running", "--to-latest"),
        ("running", "--to=4.2.1"),
        ("requested_blocked", "--to-latest"),
        ("completed", "--to=4.3.0"),
    ];
    let mut shown = String::new();
    for (name, flag) in cases {
        let server = platform(name, Vec::new());
        let ran = Shell::at(&server).run(&format!("adm upgrade {flag}"));
        assert!(server.changes().is_empty(), "{name}");
        shown += &format!("{name} {flag}: {}\n", ran.text(Some(&server)));
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_version_that_is_not_offered() {
    let manifests = vec![
        manifest(
            "4.3.1",
            "False",
            "ImageNotFound",
            "10.0.0.10:11443/acp/product-image:v4.3.1: not found",
        ),
        manifest("4.4.0", "True", "Resolved", ""),
        manifest("4.3.2", "", "", ""),
    ];
    let server = platform("offered_passed", manifests);
    let shell = Shell::at(&server);
    let mut shown = String::new();
    for version in ["4.9.9", "4.3.1", "4.3.2", "4.4.0", "4.1.0"] {
        let ran = shell.run(&format!("adm upgrade --to={version}"));
        shown += &format!("--to={version}: {}\n", ran.text(Some(&server)));
    }
    assert!(server.changes().is_empty());
    insta::assert_snapshot!(shown);
}

#[test]
fn no_offer_says_which_cause_holds() {
    let ready = manifest("4.3.0", "True", "Resolved", "");
    let judged = |reason: &str, message: &str| {
        let mut shadow = recorded("idle");
        shadow["status"]["notOffered"] =
            serde_json::json!([{ "version": "4.3.0", "reason": reason, "message": message }]);
        let ready = ready.clone();
        Server::start(move |asked| match path(asked) {
            SHADOW => ok(&shadow),
            MANIFESTS => list("ProductManifest", std::slice::from_ref(&ready)),
            _ => not_found(),
        })
    };
    let waits = judged("GlobalNotReached", "waits until every global cluster has completed 4.3.0");
    let outside = judged(
        "NotInUpgradePath",
        "4.3.0 can be reached from >=4.2.2 <4.3.0; this cluster is at 4.2.1",
    );
    let not_ready = manifest(
        "4.3.0",
        "False",
        "RegistryUnavailable",
        "dial tcp 10.0.0.10:11443: connection refused",
    );
    let servers = [
        ("none", platform("idle", vec![manifest("4.2.1", "True", "Resolved", "")])),
        ("not ready", platform("idle", vec![not_ready])),
        ("path", outside),
        ("waits for global", waits),
        ("not judged yet", platform("idle", vec![ready])),
    ];
    let mut shown = String::new();
    for (name, server) in servers {
        let ran = Shell::at(&server).run("adm upgrade --to-latest");
        shown += &format!("{name}: {}\n", ran.text(Some(&server)));
        assert!(server.changes().is_empty());
    }
    insta::assert_snapshot!(shown);
}

#[test]
fn a_workload_cluster_waits_for_global() {
    let mut shadow = recorded("idle");
    shadow["metadata"]["name"] = serde_json::json!("workload-a");
    shadow["status"]["notOffered"] = serde_json::json!([{
        "version": "4.3.0", "reason": "GlobalNotReached",
        "message": "waits until every global cluster has completed 4.3.0",
    }]);
    let of_cluster = format!("{SHADOWS}/workload-a");
    let ready = manifest("4.3.0", "True", "Resolved", "");
    let server = Server::start(move |asked| match path(asked) {
        MANIFESTS => list("ProductManifest", std::slice::from_ref(&ready)),
        path if path == of_cluster => ok(&shadow),
        _ => not_found(),
    });
    let ran = Shell::at(&server).run("adm upgrade --cluster=workload-a --to=4.3.0");
    assert!(server.changes().is_empty());
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn a_word_of_a_newer_operator_in_a_manifest_is_passed_over() {
    let mut trusted = manifest("4.3.1", "True", "Resolved", "");
    trusted["status"]["signature"] =
        serde_json::json!({ "key": "acp-2027", "trust": "CounterSigned" });
    let server = platform("idle", vec![trusted]);
    for flag in ["--to=4.3.1", "--to-latest"] {
        let ran = Shell::at(&server).run(&format!("adm upgrade {flag}"));
        assert!(ran.stderr.contains("has not judged 4.3.1"), "{flag}: {}", ran.stderr);
    }
}

#[test]
fn another_wish_that_stands_is_replaced() {
    // In flight to 4.3.0 with a refused wish for 4.4.0, and idle with a refused lower one.
    for (name, flag, version) in
        [("refused_in_flight", "--to=4.3.0", "4.3.0"), ("refused_lower", "--to=4.2.1", "4.2.1")]
    {
        let server = platform(name, Vec::new());
        let ran = Shell::at(&server).run(&format!("adm upgrade {flag}"));
        let changes = server.changes();
        assert_eq!(changes.len(), 1, "{name}: {}", ran.stdout);
        assert!(changes[0].body.contains(version), "{name}");
    }
}
