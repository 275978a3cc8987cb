//! A push: what goes where, what is said, and what a second one does.

use super::packages::Plugin;
use super::platform::{CATALOGUE, Platform, Ways, role};
use super::server::Server;
use super::{Ran, Shell, registry};

/// A platform with its registry.
pub(super) fn platform(ways: Ways) -> (Server, Platform) {
    let registry = registry::start();
    let platform = Platform::start(&registry.address.to_string(), ways);
    (registry, platform)
}

pub(super) fn shown(ran: &Ran, registry: &Server, platform: &Platform) -> String {
    let (registry, server) = (registry.address.to_string(), platform.server.address.to_string());
    ran.text(&[(&registry, "REGISTRY"), (&server, "SERVER")])
}

#[test]
fn a_push_sends_the_artifacts_and_publishes_the_plugin() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain --clusters=global,workload-a");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    let sent: Vec<String> = registry.changes().into_iter().map(|a| a.path).collect();
    assert!(sent.contains(&"/v2/acp/podinfo/manifests/6.9.0".to_owned()), "{sent:?}");
    let written: Vec<String> = platform.server.changes().into_iter().map(|a| a.path).collect();
    assert_eq!(written.len(), 4, "{written:?}");
    let applied = platform.server.changes();
    assert!(applied.iter().all(|a| a.query.contains("fieldManager=violet")));
    assert!(applied.iter().all(|a| a.content_type == "application/apply-patch+yaml"));
    let config = platform.get(&format!("{CATALOGUE}/moduleconfigs/podinfo-1.0.0")).unwrap();
    assert_eq!(config["spec"]["version"], "1.0.0");
    assert!(platform.get(&role("podinfo")).is_some());
    let left: Vec<_> = std::fs::read_dir(shell.folder.path()).unwrap().flatten().collect();
    assert_eq!(left.len(), 2, "what was unpacked goes away: {left:?}");
}

#[test]
fn a_second_push_sends_and_changes_nothing() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    assert_eq!(shell.run("push podinfo-1.0.0.tgz --plain").code, 0);
    let sent = registry.changes().len();
    let before = platform.get(&format!("{CATALOGUE}/moduleplugins/podinfo"));
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    assert_eq!(registry.changes().len(), sent);
    assert_eq!(platform.get(&format!("{CATALOGUE}/moduleplugins/podinfo")), before);
}

#[test]
fn an_older_version_is_published_and_the_plugin_shows_the_newer_one() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin { version: "1.10.0", ..Plugin::default() }.write(shell.folder.path());
    let older = Plugin { version: "1.9.0", resource: "daemonsets", ..Plugin::default() };
    older.write(shell.folder.path());
    // A folder: both, one after the other, 1.10.0 first.
    let ran = shell.run("push . --plain");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    let plugin = platform.get(&format!("{CATALOGUE}/moduleplugins/podinfo")).unwrap();
    assert_eq!(plugin["spec"]["version"], "1.10.0");
    assert!(platform.get(&format!("{CATALOGUE}/moduleconfigs/podinfo-1.9.0")).is_some());
    // The operator may still change what the newer version consists of.
    let rules = platform.get(&role("podinfo")).unwrap()["rules"].clone();
    let resources: Vec<_> = rules.as_array().unwrap().iter().map(|r| &r["resources"][0]).collect();
    assert_eq!(resources, ["deployments", "daemonsets"]);
}

#[test]
fn an_extracted_package_is_pushed_as_well() {
    let (_registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let tar = ["xzf", "podinfo-1.0.0.tgz"];
    let status =
        std::process::Command::new("tar").args(tar).current_dir(shell.folder.path()).status();
    assert!(status.unwrap().success());
    let ran = shell.run("push podinfo-1.0.0 --plain");
    assert_eq!(ran.code, 0, "{ran:?}");
}

#[test]
fn what_the_operator_has_not_confirmed_is_a_note() {
    let (registry, platform) = platform(Ways { silent: true, ..Ways::default() });
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    assert_eq!(ran.code, 0);
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
}

#[test]
fn a_standby_gets_the_bytes_alone() {
    let registry = registry::start();
    let shell = Shell::new();
    Plugin::default().write(shell.folder.path());
    let address = registry.address.to_string();
    // No platform is asked: there is no kubeconfig.
    let line = "push podinfo-1.0.0.tgz --plain --no-auth --skip-crs --dest-repo";
    let ran = shell.run(&format!("{line} {address}"));
    insta::assert_snapshot!(ran.text(&[(&address, "REGISTRY")]));
    assert!(!registry.changes().is_empty());
    assert!(registry.asked().iter().all(|asked| asked.authorization.is_empty()));
}

#[test]
fn another_registry_is_told_no_account_of_the_platform() {
    let (_registry, platform) = platform(Ways::default());
    let other = registry::start();
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let address = other.address.to_string();
    let ran = shell.run(&format!("push podinfo-1.0.0.tgz --plain --dest-repo {address}"));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.contains("whose account is told to no other"), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: give it with --username"), "{}", ran.stderr);
    assert_eq!(other.asked(), []);
}

#[test]
fn objects_alone() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --skip-push");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("nothing is sent (--skip-push)"));
    assert_eq!((registry.asked().len(), platform.server.changes().len()), (0, 4));
}

#[test]
fn an_address_of_a_platform_leads_to_its_global_cluster() {
    let registry = registry::start();
    let address = registry.address.to_string();
    let direct = Platform::start(&address, Ways::default());
    let behind = Platform::start(&address, Ways { below: "/kubernetes/global", ..Ways::default() });
    for platform in [direct, behind] {
        let shell = Shell::new();
        Plugin::default().write(shell.folder.path());
        let server = platform.server.address;
        let line = format!(
            "push podinfo-1.0.0.tgz --plain --target-catalog-source platform --platform-address http://{server}"
        );
        let mut command = shell.command(&line);
        let ran = shell.ran(command.env("VIOLET_PLATFORM_TOKEN", super::CANARY));
        assert_eq!(ran.code, 0, "{ran:?}");
        assert!(platform.get(&format!("{CATALOGUE}/moduleplugins/podinfo")).is_some());
    }
}
