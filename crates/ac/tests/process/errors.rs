//! What goes wrong before or at the API server: each its own clear error with a hint.

use super::*;
use std::net::TcpListener;

#[test]
fn no_kubeconfig() {
    let ran = Shell::new().run("adm upgrade status");
    insta::assert_snapshot!(ran.text(None));
}

#[test]
fn wrong_usage() {
    let shell = Shell::new();
    let lines = [
        "adm upgrade --frobnicate",
        "adm upgrade --to=4.3",
        "adm upgrade --to=v4.3.0",
        "adm upgrade --to=4.3.0 --to-latest",
        "adm upgrade --allow-explicit-upgrade",
        "adm upgrade --to=4.3.0 status",
        "adm upgrade status --timeout=5m",
        "adm upgrade status --watch --timeout=soon",
        "adm release import-manifest",
        "adm release import-manifest --version latest",
    ];
    let shown: Vec<String> =
        lines.iter().map(|line| format!("$ ac {line}\n{}", shell.run(line).text(None))).collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn a_plugin_of_kubectl_is_called_as_such() {
    let shell = Shell::new();
    let plugin = shell.folder.path().join("kubectl-acp");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_ac"), &plugin).unwrap();
    let run = |line| shell.ran(&mut shell.command(&plugin, line));
    let help = run("adm upgrade --help");
    assert!(help.stdout.contains("Usage: kubectl acp adm upgrade"), "{}", help.stdout);
    assert!(run("adm upgrade --frob").stderr.contains("Usage: kubectl acp adm upgrade"));
    assert!(run("version").stdout.starts_with("kubectl acp "));
}

#[test]
fn completion_for_each_shell() {
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let ran = Shell::new().run(&format!("completion {shell}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("import-manifest") && ran.stdout.contains("to-latest"));
    }
    assert_eq!(Shell::new().run("completion tcsh").code, 2);
}

#[test]
fn a_context_that_does_not_exist() {
    let server = platform("idle", Vec::new());
    let ran = Shell::at(&server).run("--context staging adm upgrade");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn a_kubeconfig_that_is_not_yaml() {
    let shell = Shell::new();
    shell.write("config", "clusters: [");
    let ran = shell.run("adm upgrade");
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.starts_with("error: the kubeconfig ~/config cannot be used: "));
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
}

#[test]
fn the_first_file_of_the_list_wins_and_a_missing_one_is_skipped() {
    let (first, second) = (platform("idle", Vec::new()), platform("completed", Vec::new()));
    let shell = Shell::new();
    shell.write("one", &kubeconfig("a", &first.address.to_string()));
    shell.write(
        "two",
        &kubeconfig("b", &second.address.to_string())
            .replace("name: c,", "name: d,")
            .replace("cluster: c,", "cluster: d,"),
    );
    let list = ["absent", "one", "two"].map(|name| shell.path(name)).join(":");
    let run = |line: &str| {
        let mut command = shell.command(Path::new(env!("CARGO_BIN_EXE_ac")), line);
        shell.ran(command.env("KUBECONFIG", &list)).stdout
    };
    assert!(run("adm upgrade").starts_with("Cluster global is at 4.2.1."));
    assert!(run("adm upgrade --context b").starts_with("Cluster global is at 4.3.0."));
    let file = format!("adm upgrade --kubeconfig {}", shell.path("two"));
    assert!(run(&file).starts_with("Cluster global is at 4.3.0."));
}

#[test]
fn a_connection_that_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let shell = Shell::new();
    shell.write("config", &kubeconfig("prod/global", &address));
    let ran = shell.run("adm upgrade");
    insta::assert_snapshot!(ran.text(None).replace(&address, "SERVER"));
}

#[test]
fn a_server_that_does_not_answer() {
    let server = Server::start(|_| Answer::Silence);
    let ran = Shell::at(&server).run("adm upgrade --request-timeout=1s");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn an_expired_token() {
    let server = Server::start(|_| refusal(401, "Unauthorized", "Unauthorized"));
    let ran = Shell::at(&server).run("adm upgrade");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn a_missing_right_is_named() {
    let server = Server::start(|asked| match asked.method.as_str() {
        "GET" if path(asked) == SHADOW => ok(&recorded("offered_passed")),
        "PATCH" => refusal(
            403,
            "Forbidden",
            "clusterversionshadows.product.alauda.io \"global\" is forbidden: User \"operator\u{1b}[31m\" cannot patch resource \"clusterversionshadows\" in API group \"product.alauda.io\" in the namespace \"cpaas-system\"",
        ),
        _ => refusal(403, "Forbidden", "no"),
    });
    let shell = Shell::at(&server);
    insta::assert_snapshot!(shell.run("adm upgrade --to-latest").text(Some(&server)));
    let ran = shell.run("adm release import-manifest --version 4.3.0");
    assert!(ran.stderr.contains("no right to create productmanifests.product.alauda.io"));
}

#[test]
fn a_platform_that_is_not_prepared() {
    let base = serde_json::json!({
        "apiVersion": "product.alauda.io/v1alpha2", "kind": "ProductBase",
        "metadata": { "name": "base" }, "spec": {},
    });
    let server = Server::start(move |asked| match path(asked) {
        PRODUCT_BASE => ok(&base),
        // What an API server answers where the CRD is not installed.
        _ => Answer::Now(404, "404 page not found\n".to_owned()),
    });
    let shell = Shell::at(&server);
    insta::assert_snapshot!(shell.run("adm upgrade status").text(Some(&server)));
    let import = shell.run("adm release import-manifest --version 4.3.0");
    assert_eq!(import.stderr, shell.run("adm upgrade status").stderr);
}

#[test]
fn a_workload_cluster_says_where_to_ask() {
    let server = Server::start(|_| not_found());
    let shell = Shell::new();
    let mut config = kubeconfig("prod/workload-a", &server.address.to_string());
    config = config
        .replace("contexts: [", "contexts: [{name: prod/global, context: {cluster: c, user: u}}, ");
    shell.write("config", &config);
    insta::assert_snapshot!(shell.run("adm upgrade").text(Some(&server)));
}

#[test]
fn a_cluster_that_does_not_exist() {
    let server = platform("idle", Vec::new());
    let ran = Shell::at(&server).run("adm upgrade --cluster=workload-x");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn an_object_of_a_newer_operator() {
    let mut shadow = recorded("offered_passed");
    shadow["status"]["preflight"]["checks"][0]["reason"] = "BrandNewReason".into();
    let server = Server::start(move |_| ok(&shadow));
    let ran = Shell::at(&server).run("adm upgrade");
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.contains("check reason BrandNewReason"), "{}", ran.stdout);
    assert!(ran.stdout.contains("Use the ac of the operator's release."), "{}", ran.stdout);
    // A shape that is not known cannot be shown in part.
    let mut shadow = recorded("offered_passed");
    shadow["status"]["preflight"]["checks"] = "many".into();
    let server = Server::start(move |_| ok(&shadow));
    let ran = Shell::at(&server).run("adm upgrade");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("\nhint: use the ac of the release"), "{}", ran.stderr);
}

#[test]
fn a_server_in_trouble() {
    let server = Server::start(|_| refusal(500, "InternalError", "etcdserver: no leader"));
    let ran = Shell::at(&server).run("adm upgrade");
    insta::assert_snapshot!(ran.text(Some(&server)));
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let server = platform("running", Vec::new());
    let shell = Shell::at(&server);
    let mut command = shell.command(Path::new(env!("CARGO_BIN_EXE_ac")), "adm upgrade status");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ran = shell.ran(command.stdout(writer));
    assert_eq!((ran.code, ran.stderr.as_str()), (141, ""));
}
