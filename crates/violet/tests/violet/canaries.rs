//! Tokens and passwords stand in no output, whatever goes wrong; and only whom they are for hears
//! them.

use super::packages::Plugin;
use super::platform::{Platform, Ways};
use super::pushing::platform;
use super::{CANARY, Ran, Shell, registry};
use std::process::Command;

/// As a registry and a kubeconfig hold it.
const IN_BASE64: &str = "YzRuNHJ5LXMzY3JldA";

fn assert_silent(shell: &Shell, command: &mut Command, about: &str) -> Ran {
    let ran = shell.ran(command.env("RUST_LOG", "trace").env("RUST_BACKTRACE", "1"));
    let text = ran.text(&[]);
    assert!(!text.contains(CANARY) && !text.contains(IN_BASE64), "{about}: {text}");
    ran
}

#[test]
fn no_output_holds_a_secret() {
    let refusing = Ways { forbidden: Some("/"), ..Ways::default() };
    for ways in [Ways::default(), refusing] {
        let (_registry, platform) = platform(ways);
        let shell = Shell::at(&platform);
        Plugin::default().write(shell.folder.path());
        let server = platform.server.address;
        let password = format!("--username u --password {CANARY}");
        let address = format!("--platform-address http://{server}");
        for line in [
            "push podinfo-1.0.0.tgz --plain --debug".to_owned(),
            format!("push podinfo-1.0.0.tgz --plain --debug {password}"),
            format!("push podinfo-1.0.0.tgz --plain --debug {address} --platform-token {CANARY}"),
            format!("push podinfo-1.0.0.tgz {address} --platform-token x{CANARY} --debug"),
            format!(
                "push podinfo-1.0.0.tgz {address} --platform-username u --platform-password {CANARY} --debug"
            ),
            format!("push podinfo-1.0.0.tgz --dest-repo 127.0.0.1:1 --skip-crs --debug {password}"),
            format!("push podinfo-1.0.0.tgz {CANARY}"),
            format!("push podinfo-1.0.0.tgz --platform-toke={CANARY}"),
            format!("list {address} --platform-token {CANARY}\u{7}"),
            "list --debug".to_owned(),
            "gc --debug --dry-run".to_owned(),
        ] {
            assert_silent(&shell, &mut shell.command(&line), &line);
        }
    }
}

#[test]
fn a_registry_that_refuses_repeats_nothing() {
    let closed = registry::closed();
    let platform = Platform::start(&closed.address.to_string(), Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let line = "push podinfo-1.0.0.tgz --plain --debug";
    assert_eq!(assert_silent(&shell, &mut shell.command(line), line).code, 1);
    let heard: Vec<String> = closed.asked().into_iter().map(|a| a.authorization).collect();
    assert!(!heard.iter().any(|text| text.contains(CANARY)), "the token is for the platform");
    let hearing = platform.server.asked();
    assert!(hearing.iter().all(|a| !a.authorization.starts_with("Basic")));
}

#[test]
fn a_kubeconfig_that_cannot_be_used_is_not_repeated() {
    let shell = Shell::new();
    Plugin::default().write(shell.folder.path());
    for user in [format!("{{token: [{CANARY}]}}"), format!("{{token: \"{CANARY}\\u0007\"}}")] {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
             clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n\
             contexts: [{{name: c, context: {{cluster: c, user: u}}}}]\n\
             users:\n- name: u\n  user: {user}\n"
        );
        std::fs::write(shell.path("config"), text).unwrap();
        let ran = assert_silent(&shell, &mut shell.command("list"), &user);
        assert_eq!(ran.code, 1);
        assert!(
            ran.stderr.starts_with("error: the kubeconfig ~/config cannot be used: "),
            "{ran:?}"
        );
    }
}
