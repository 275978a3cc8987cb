//! The command line itself.

use super::Shell;

#[test]
fn wrong_usage_is_named() {
    let shell = Shell::new();
    let lines = [
        "",
        "psuh a.tgz",
        "push",
        "push a.tgz --frobnicate",
        "push a.tgz --skip-cr",
        "push a.tgz --target-catalog-source operators",
        "push a.tgz --platform-token t",
        "push a.tgz --platform-address https://p",
        "push a.tgz --platform-address p --platform-token t",
        "push a.tgz --platform-address https://p --platform-token t --platform-username u",
        "push a.tgz --username u",
        "push a.tgz --password-stdin",
        "push a.tgz --no-auth --username u --password p",
        "push a.tgz --plain --registry-ca ca.crt",
        "push a.tgz --skip-push --skip-crs",
        "push a.tgz --dest-repo https://r:1/x",
        "completion tcsh",
    ];
    let shown: Vec<String> = lines
        .iter()
        .map(|line| format!("$ violet {line}\n{}", shell.run(line).text(&[])))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}

#[test]
fn version_and_completion_ask_nobody() {
    let shell = Shell::new();
    let ran = shell.run("version");
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (0, concat!("violet ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    for name in ["bash", "zsh", "fish", "powershell"] {
        let ran = shell.run(&format!("completion {name}"));
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
        assert!(ran.stdout.contains("target-catalog-source"), "{name}");
    }
}
