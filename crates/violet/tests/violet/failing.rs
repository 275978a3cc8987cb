//! What goes wrong: each its own sentence, with what to do, and nothing half done.

use super::packages::Plugin;
use super::platform::{CATALOGUE, Platform, Ways};
use super::pushing::{platform, shown};
use super::{Shell, registry};

#[test]
fn a_published_version_never_changes() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    assert_eq!(shell.run("push podinfo-1.0.0.tgz --plain").code, 0);
    let (sent, written) = (registry.changes().len(), platform.server.changes().len());
    Plugin { replicas: 2, ..Plugin::default() }.write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    assert_eq!((registry.changes().len(), platform.server.changes().len()), (sent, written));
}

#[test]
fn a_missing_right_is_named_before_anything_is_sent() {
    let ways = Ways { forbidden: Some("/apis/rbac"), ..Ways::default() };
    let (registry, platform) = platform(ways);
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    assert_eq!((registry.changes(), platform.server.changes()), (Vec::new(), Vec::new()));
}

#[test]
fn a_package_for_other_machines_is_refused() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin { architecture: "arm64", ..Plugin::default() }.write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    assert_eq!((registry.changes(), platform.server.changes()), (Vec::new(), Vec::new()));
}

#[test]
fn a_cluster_that_does_not_exist_is_named_with_those_that_do() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain --clusters=global,workload-b");
    insta::assert_snapshot!(shown(&ran, &registry, &platform));
    assert_eq!(registry.asked(), []);
}

#[test]
fn a_registry_that_lets_nobody_in() {
    let closed = registry::closed();
    let address = closed.address.to_string();
    let platform = Platform::start(&address, Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let ran = shell.run("push podinfo-1.0.0.tgz --plain");
    insta::assert_snapshot!(shown(&ran, &closed, &platform));
    assert_eq!(platform.server.changes(), []);
}

#[test]
fn of_a_folder_everything_is_tried() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    let path = shell.folder.path();
    Plugin { version: "1.0.0", architecture: "arm64", ..Plugin::default() }.write(path);
    Plugin { version: "1.1.0", ..Plugin::default() }.write(path);
    std::fs::write(path.join("broken.tgz"), "no package").unwrap();
    let ran = shell.run("push . --plain");
    assert_eq!(ran.code, 1);
    let shown = shown(&ran, &registry, &platform);
    let end = "error: 2 of 3 packages could not be pushed: broken.tgz, podinfo-1.0.0.tgz\nhint: ";
    assert!(shown.contains(end), "{shown}");
    assert!(platform.get(&format!("{CATALOGUE}/moduleconfigs/podinfo-1.1.0")).is_some());
}

#[test]
fn no_platform() {
    let shell = Shell::new();
    Plugin::default().write(shell.folder.path());
    insta::assert_snapshot!(shell.run("push podinfo-1.0.0.tgz").text(&[]));
    let nobody = "--platform-address http://127.0.0.1:1 --platform-token t";
    let ran = shell.run(&format!("push podinfo-1.0.0.tgz {nobody}"));
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot find an API server or a platform at"), "{ran:?}");
    assert!(ran.stderr.contains("\nhint: "), "{ran:?}");
    let ran = shell.run("push nothing.tgz");
    assert_eq!(ran.code, 1);
    assert!(ran.stderr.starts_with("error: cannot read nothing.tgz: "), "{ran:?}");
}

#[test]
fn hostile_words_of_a_package_do_not_reach_the_terminal() {
    let shell = Shell::new();
    let plugin = Plugin { description: "x\u{1b}[2Jy\u{202e}z", ..Plugin::default() };
    plugin.write(shell.folder.path());
    let ran = shell.run("show podinfo-1.0.0.tgz --all");
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stdout.contains("x[2Jyz"), "{}", ran.stdout);
}
