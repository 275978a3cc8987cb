//! What goes wrong: each its own sentence, with what to do, and nothing half done.

use super::packages::Plugin;
use super::platform::{CATALOGUE, Platform, Ways};
use super::pushing::{platform, shown};
use super::{CANARY, Shell, registry};
use api::signing_key::{Signer, list_text};
use jiff::civil::Date;
use serde_json::json;

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
fn a_signature_that_does_not_count_stops_a_push() {
    let (registry, platform) = platform(Ways::default());
    let shell = Shell::at(&platform);
    let signer = |seed| Signer::new("publisher", &[seed; 32]);
    let key = |seed| signer(seed).public(Date::MAX);
    Plugin { signer: Some(signer(7)), ..Plugin::default() }.write(shell.folder.path());
    platform.put(
        "/api/v1/namespaces/cpaas-system/configmaps/release-keys",
        json!({ "data": { "signing-keys": list_text(&[key(8)]) } }),
    );
    let refused = shell.run("push podinfo-1.0.0.tgz --plain");
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("error: podinfo-1.0.0.tgz: "), "{refused:?}");
    assert!(refused.stderr.contains("--public-key FILE"), "{refused:?}");
    assert_eq!((registry.changes(), platform.server.changes()), (Vec::new(), Vec::new()));
    // Whoever trusts the publisher names the key.
    std::fs::write(shell.path("publisher.pub"), key(7).public_key).unwrap();
    let named = shell.run("push podinfo-1.0.0.tgz --plain --public-key publisher.pub");
    assert_eq!(named.code, 0, "{named:?}");
    assert!(named.stdout.contains("Signed:   of key "), "{named:?}");
}

#[test]
fn a_push_that_is_cut_goes_on_where_it_was() {
    // The registry takes blobs only, so far: no manifest, as if the push had been killed before.
    let whole = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let registry = registry::without_manifests(std::sync::Arc::clone(&whole));
    let platform = Platform::start(&registry.address.to_string(), Ways::default());
    let shell = Shell::at(&platform);
    Plugin::default().write(shell.folder.path());
    let cut = shell.run("push podinfo-1.0.0.tgz --plain");
    assert_eq!(cut.code, 1);
    assert!(cut.stderr.contains("could not be sent; nothing was published"), "{cut:?}");
    assert_eq!(platform.server.changes(), []);
    let blobs = |from: usize| {
        let all = registry.changes().split_off(from);
        all.into_iter().filter(|asked| asked.path.contains("/blobs/")).count()
    };
    let before = registry.changes().len();
    assert!(blobs(0) > 0);
    whole.store(true, std::sync::atomic::Ordering::SeqCst);
    let again = shell.run("push podinfo-1.0.0.tgz --plain");
    assert_eq!((again.code, blobs(before)), (0, 0), "no blob goes twice: {again:?}");
    assert!(platform.get(&format!("{CATALOGUE}/moduleconfigs/podinfo-1.0.0")).is_some());
}

#[test]
fn an_address_without_tls_is_warned_of() {
    let (_registry, platform) = platform(Ways::default());
    let shell = Shell::new();
    let address = format!("http://{}", platform.server.address);
    let mut list = shell.command("list");
    list.env("VIOLET_PLATFORM_ADDRESS", address).env("VIOLET_PLATFORM_TOKEN", CANARY);
    let ran = shell.ran(&mut list);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(ran.stderr.starts_with("warning: --platform-address is not https"), "{ran:?}");
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
    assert!(ran.stderr.contains("\nerror: cannot find an API server or a platform at"), "{ran:?}");
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
