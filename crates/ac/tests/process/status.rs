//! `ac adm upgrade status` and `ac adm upgrade` on a server.

use super::*;

#[test]
fn plain_status_answers_zero_and_exit_code_the_state() {
    for (name, code) in [
        ("idle", 0),
        ("completed", 0),
        ("retrying", 3),
        ("running", 3),
        ("stalled_image_pull", 4),
        ("no_status", 5),
    ] {
        let server = platform(name, Vec::new());
        let shell = Shell::at(&server);
        let plain = shell.run("adm upgrade status");
        assert_eq!((plain.code, plain.stderr.as_str()), (0, ""), "{name}");
        assert!(plain.stdout.starts_with("Cluster global"), "{name}");
        assert_eq!(shell.run("adm upgrade status --exit-code").code, code, "{name}");
        assert!(server.changes().is_empty());
    }
}

#[test]
fn no_escape_leaves_where_stdout_is_no_terminal() {
    let server = platform("hostile", Vec::new());
    let ran = Shell::at(&server).run("adm upgrade status --verbose");
    assert!(!ran.stdout.contains('\u{1b}'));
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let server = platform("stalled_image_pull", Vec::new());
    let shell = Shell::at(&server);
    let ran = shell.run("adm upgrade status -o json --exit-code");
    let json: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((ran.code, json["kind"].as_str()), (4, Some("UpgradeStatus")));
    assert_eq!(json["apiVersion"], "ac.acp.io/v1");
    assert_eq!(json["attention"][0]["reason"], "ImagePullFailed");
    let yaml = shell.run("adm upgrade status -o yaml").stdout;
    let yaml: serde_json::Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml["state"], "Stalled");
}

#[test]
fn wide_shows_images() {
    let server = platform("offered_passed", Vec::new());
    let ran = Shell::at(&server).run("adm upgrade status -o wide");
    assert!(ran.stdout.contains("offer      4.3.0     10.0.0.10:11443/acp/product-image@sha256:"));
}

#[test]
fn without_a_cluster_global_is_meant() {
    let server = platform("idle", Vec::new());
    let shell = Shell::at(&server);
    assert!(shell.run("adm upgrade --to-latest=false").stdout.starts_with("Cluster global is at"));
    assert!(shell.run("adm upgrade --cluster=global status").stdout.starts_with("Cluster global"));
    assert!(server.changes().is_empty());
}

#[test]
fn a_newer_operator_is_shown_in_part() {
    let server = platform("newer_operator", Vec::new());
    let shell = Shell::at(&server);
    let ran = shell.run("adm upgrade status");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("is newer than this ac"), "{}", ran.stdout);
    let json = shell.run("adm upgrade status -o json").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert!(json["unknownWords"].to_string().contains("check state Waived"), "{json}");
    assert_eq!(json["preflight"]["counts"]["passed"], 1, "what is not known is never Passed");
}

#[test]
fn all_clusters_are_shown_at_once_and_the_worst_counts() {
    let named = |record: &str, name: &str| {
        let mut shadow = recorded(record);
        shadow["metadata"]["name"] = serde_json::json!(name);
        shadow
    };
    let shadows = [named("completed", "global"), named("stalled_image_pull", "workload-a")];
    let clusters = ["workload-a", "workload-b", "global"].map(|name| {
        serde_json::json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": name },
            "spec": { "type": "Baremetal" },
            "status": { "phase": "Running", "version": "1.33.13" },
        })
    });
    let server = Server::start(move |asked: &Asked| match path(asked) {
        SHADOWS => list("ClusterVersionShadow", &shadows),
        "/apis/platform.tkestack.io/v1/clusters" => list("Cluster", &clusters),
        _ => not_found(),
    });
    let shell = Shell::at(&server);
    let ran = shell.run("adm upgrade status -A --exit-code");
    assert_eq!((ran.code, ran.stderr.as_str()), (4, ""), "{}", ran.stdout);
    assert!(ran.stdout.starts_with("2 clusters: 1 STALLED, 1 at target."), "{}", ran.stdout);
    let lines: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("  ")).collect();
    assert!(lines[1].contains("workload-a") && lines[2].contains("global"), "{}", ran.stdout);
    let json: serde_json::Value =
        serde_json::from_str(&shell.run("adm upgrade status -A -o json").stdout).unwrap();
    assert_eq!(json["kind"], "UpgradeStatusList");
    assert_eq!(json["items"][0]["cluster"], "workload-a");
    let listed = shell.run("get clusters");
    let lines: Vec<&str> = listed.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME"), "{}", listed.stdout);
    assert!(lines[1].starts_with("global") && lines[3].contains("no result yet"), "{lines:?}");
    let usage = shell.run("adm upgrade status -A --verbose");
    assert_eq!(usage.code, 2, "{}", usage.stderr);
    assert!(server.changes().is_empty());
}
