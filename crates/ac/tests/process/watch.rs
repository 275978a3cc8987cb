//! `ac adm upgrade status --watch` on a server, off a terminal.

use super::*;
use std::net::TcpListener;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_millis(50);

fn modified(name: &str) -> String {
    serde_json::json!({ "type": "MODIFIED", "object": recorded(name) }).to_string()
}

/// What is told, without the moment it is told at and without ages, which the clock decides.
fn told(ran: &Ran) -> Vec<String> {
    let ageless = |line: &str| {
        let ends =
            [" for ", " Completed ", " No newer "].iter().filter_map(|end| line.find(end)).min();
        let end = ends.filter(|_| line.starts_with("Cluster ")).unwrap_or(line.len());
        line[..end].to_owned()
    };
    let lines = ran.stdout.lines().take_while(|line| !line.is_empty());
    lines.map(|line| ageless(line.split_once("  ").unwrap().1)).collect()
}

/// A server that shows one object and then the changes, in each watch anew.
fn changing(first: &str, changes: &[&str]) -> Server {
    let first = recorded(first);
    let lines: Vec<_> = changes.iter().map(|name| (SOON, modified(name))).collect();
    Server::start(move |asked| match (path(asked), asked.path.contains("watch=true")) {
        (SHADOW, _) => ok(&first),
        (SHADOWS, false) => list("ClusterVersionShadow", std::slice::from_ref(&first)),
        (SHADOWS, true) => Answer::Lines(lines.clone()),
        _ => not_found(),
    })
}

#[test]
fn what_is_at_its_target_already_ends_at_once() {
    let server = platform("completed", Vec::new());
    let ran = Shell::at(&server).run("adm upgrade status --watch --timeout=60s");
    assert_eq!((ran.code, server.asked().len()), (0, 1));
    assert!(ran.stdout.contains("\nCluster global is at 4.3.0."), "{}", ran.stdout);
}

#[test]
fn each_change_is_a_line_and_the_target_ends_it() {
    let server = changing(
        "requested_blocked",
        &["retrying", "running_blocker", "stalled_image_pull", "completed"],
    );
    let ran = Shell::at(&server).run("adm upgrade status --watch --timeout=60s");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    insta::assert_snapshot!(told(&ran).join("\n"));
    assert!(ran.stdout.contains("\n\nCluster global is at 4.3.0."), "the final status");
}

/// A recorded object as that of another cluster.
fn of(cluster: &str, name: &str) -> serde_json::Value {
    let mut object = recorded(name);
    object["metadata"]["name"] = cluster.into();
    object
}

/// A platform with three clusters, of which one is at its target, one comes there in a roundabout
/// way, and one leaves.
fn fleet() -> Server {
    let first = ["completed", "running", "running"];
    let clusters = ["global", "workload-a", "workload-b"];
    let all: Vec<_> = clusters.into_iter().zip(first).map(|(c, name)| of(c, name)).collect();
    let event = |kind: &str, object: serde_json::Value| {
        (SOON, serde_json::json!({ "type": kind, "object": object }).to_string())
    };
    let lines = vec![
        event("MODIFIED", of("workload-a", "running")),
        event("MODIFIED", of("workload-a", "stalled_image_pull")),
        event("DELETED", of("workload-b", "running")),
        event("MODIFIED", of("workload-a", "completed")),
    ];
    Server::start(move |asked| match (path(asked), asked.path.contains("watch=true")) {
        (SHADOWS, false) => list("ClusterVersionShadow", &all),
        (SHADOWS, true) => Answer::Lines(lines.clone()),
        _ => not_found(),
    })
}

#[test]
fn all_clusters_are_followed_until_each_is_at_its_target() {
    let ran = Shell::at(&fleet()).run("adm upgrade status -A --watch --timeout=60s");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.starts_with("3 clusters: 2 upgrading, 1 at target.\n"), "{}", ran.stdout);
    assert!(ran.stderr.contains("  Cluster workload-b has left the platform."), "{}", ran.stderr);
    let parts: Vec<&str> = ran.stdout.split("\n\n").collect();
    let told = parts.iter().find(|part| part.contains("  Cluster workload-a: ")).unwrap();
    let told: Vec<&str> = told.lines().map(|line| line.split_once("  ").unwrap().1).collect();
    assert_eq!(told.len(), 2, "what is the same is no line: {told:?}");
    assert!(
        told[0].starts_with("Cluster workload-a: upgrading 4.2.1 -> 4.3.0, STALLED"),
        "{told:?}"
    );
    assert!(told[1].starts_with("Cluster workload-a is at 4.3.0."), "{told:?}");
    assert!(ran.stdout.contains("\n\n2 clusters: 2 at target.\n"), "{}", ran.stdout);
}

#[test]
fn programs_get_a_document_for_each_cluster_and_each_change() {
    let ran = Shell::at(&fleet()).run("adm upgrade status -A --watch -o json --timeout=60s");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    let documents: Vec<serde_json::Value> =
        ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let clusters: Vec<&str> = documents.iter().map(|d| d["cluster"].as_str().unwrap()).collect();
    let expected = ["global", "workload-a", "workload-b", "workload-a", "workload-a"];
    assert_eq!(clusters, expected);
}

/// The command as a user at a terminal runs it.
fn at_a_terminal(server: &Server, variables: &[(&str, &str)]) -> Ran {
    let shell = Shell::at(server);
    let line = format!("{} adm upgrade status --watch --timeout=60s", env!("CARGO_BIN_EXE_ac"));
    let mut script = shell.command(Path::new("script"), "");
    script.args(["-qec", &line, "/dev/null"]).env("PATH", "/usr/bin:/bin").env("TERM", "xterm");
    shell.ran(script.envs(variables.iter().copied()))
}

#[test]
fn on_a_terminal_the_status_is_drawn_again() {
    let server = changing("running", &["completed"]);
    let ran = at_a_terminal(&server, &[]);
    assert_eq!(ran.code, 0, "{}", ran.stdout);
    let drawn: Vec<&str> = ran.stdout.split("\u{1b}[2J\u{1b}[H").skip(1).collect();
    assert!(drawn.len() >= 2, "{drawn:?}");
    assert!(drawn[0].contains("RUNNING") && drawn[0].contains("\u{1b}[1"), "{drawn:?}");
    assert!(drawn.last().unwrap().contains("Cluster global is at 4.3.0."), "{drawn:?}");
    let plain = at_a_terminal(&server, &[("NO_COLOR", "1")]);
    let plain = plain.stdout.replace("\u{1b}[2J\u{1b}[H", "");
    assert!(plain.contains("RUNNING") && !plain.contains('\u{1b}'), "{plain}");
}

#[test]
fn interrupted_it_says_that_the_upgrade_goes_on() {
    let server = changing("running", &[]);
    let shell = Shell::at(&server);
    let line = "adm upgrade status --watch --timeout=60s";
    let mut command = shell.command(Path::new(env!("CARGO_BIN_EXE_ac")), line);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    while server.asked().len() < 2 {
        std::thread::sleep(SOON);
    }
    std::thread::sleep(SOON * 4);
    let kill = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("the upgrade goes on by itself"), "{said}");
}

#[test]
fn programs_get_a_document_a_change() {
    let server = changing("running", &["stalled_image_pull", "completed"]);
    let ran = Shell::at(&server).run("adm upgrade status --watch -o json --timeout=60s");
    let state =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["state"].clone();
    let states: Vec<_> = ran.stdout.lines().map(state).collect();
    assert_eq!(states, ["Upgrading", "Stalled", "AtTarget"]);
}

#[test]
fn time_over_shows_the_final_status() {
    let server = changing("running", &[]);
    let begun = Instant::now();
    let ran = Shell::at(&server).run("adm upgrade status --watch --timeout=1s");
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(ran.code, 1);
    assert!(ran.stdout.contains("\n\nCluster global: upgrading 4.2.1 -> 4.3.0, RUNNING"));
    insta::assert_snapshot!(ran.stderr);
}

#[test]
fn time_over_answers_with_the_state_where_it_is_asked_for() {
    let server = changing("running", &[]);
    let ran = Shell::at(&server).run("adm upgrade status --watch --timeout=1s --exit-code");
    assert_eq!(ran.code, 3, "{}", ran.stderr);
}

#[test]
fn a_server_that_goes_away_is_waited_for() {
    let looks = AtomicUsize::new(0);
    let (running, completed) = (recorded("running"), recorded("completed"));
    let server = Server::start(move |asked| {
        let look = looks.fetch_add(1, Ordering::SeqCst);
        match (path(asked), look) {
            (SHADOW, _) => ok(&running),
            (SHADOWS, 1..=2) => refusal(500, "InternalError", "etcdserver: request timed out"),
            (SHADOWS, _) => list("ClusterVersionShadow", std::slice::from_ref(&completed)),
            _ => not_found(),
        }
    });
    let ran = Shell::at(&server).run("adm upgrade status --watch --timeout=60s");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("trying again").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.stderr.matches("answers again").count(), 1, "{}", ran.stderr);
}

#[test]
fn a_refused_connection_is_waited_for() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let first = recorded("running");
    // One answer, then the port is closed for a while, then another server.
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        drop(listener);
        server::answer_once(&mut stream, &first.to_string());
        drop(stream);
        std::thread::sleep(Duration::from_secs(3));
        let completed = recorded("completed");
        Server::on(TcpListener::bind(address).unwrap(), move |_| {
            list("ClusterVersionShadow", std::slice::from_ref(&completed))
        });
    });
    let shell = Shell::new();
    shell.write("config", &kubeconfig("prod/global", &address.to_string()));
    let ran = shell.run("adm upgrade status --watch --timeout=60s");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot be reached") && ran.stderr.contains("answers again"));
}

#[test]
fn a_right_that_is_missing_ends_it() {
    let running = recorded("running");
    let server = Server::start(move |asked| match path(asked) {
        SHADOW => ok(&running),
        _ => refusal(403, "Forbidden", "no"),
    });
    let ran = Shell::at(&server).run("adm upgrade status --watch");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("no right to list clusterversionshadows"), "{}", ran.stderr);
}
