//! What is shown of a package and of the catalogue, and what is taken out of it.

use super::Shell;
use super::packages::Plugin;
use super::platform::{CATALOGUE, Platform, Ways};
use api::signing_key::{Signer, list_text};
use artifacts::digest;
use jiff::civil::Date;
use serde_json::json;

fn platform() -> Platform {
    let platform = Platform::start("127.0.0.1:11443", Ways::default());
    platform.put(
        &format!("{CATALOGUE}/moduleplugins/logging"),
        json!({ "metadata": { "labels": { "cpaas.io/lifecycle-type": "Aligned" } }, "spec": {} }),
    );
    platform.put(&format!("{CATALOGUE}/moduleplugins/podinfo"), json!({ "spec": {} }));
    for version in ["1.0.0", "1.1.0", "1.2.0"] {
        platform.publish("podinfo", version, &["4.3"]);
    }
    platform.publish("logging", "4.2.0", &["4.2"]);
    platform.publish("logging", "4.3.0", &["4.3"]);
    platform.install("podinfo", "1.0.0", "workload-a");
    platform.install("logging", "4.3.0", "global");
    platform
}

#[test]
fn show() {
    let shell = Shell::new();
    Plugin::default().write(shell.folder.path());
    let (short, all) =
        (shell.run("show podinfo-1.0.0.tgz"), shell.run("show podinfo-1.0.0.tgz --all"));
    insta::assert_snapshot!(format!("{}\n== --all\n{}", short.text(&[]), all.text(&[])));
}

#[test]
fn who_asks_for_it_is_told_which_platform_is_asked() {
    let platform = platform();
    let shell = Shell::at(&platform);
    let told = format!("debug: platform http://{}", platform.server.address);
    assert!(shell.run("list --debug").stderr.contains(&told));
    assert_eq!(shell.run("list").stderr, "");
}

#[test]
fn list() {
    let platform = platform();
    let shell = Shell::at(&platform);
    let all = shell.run("list").text(&[]);
    let some = shell.run("list --clusters=global").text(&[]);
    let file = shell.run("list --output-file apps.yaml").text(&[]);
    let yaml = std::fs::read_to_string(shell.path("apps.yaml")).unwrap();
    insta::assert_snapshot!(format!(
        "{all}\n== --clusters=global\n{some}\n== --output-file\n{file}\n{yaml}"
    ));
    let typo = shell.run("list --clusters=globel");
    assert_eq!(typo.code, 1);
    assert!(typo.stderr.contains("its clusters are: global, workload-a"), "{}", typo.stderr);
    assert_eq!(platform.server.changes(), []);
}

#[test]
fn gc_takes_out_what_nobody_uses() {
    let platform = platform();
    let shell = Shell::at(&platform);
    let dry = shell.run("gc --dry-run").text(&[]);
    assert_eq!(platform.server.changes(), []);
    let gone = shell.run("gc").text(&[]);
    let deleted: Vec<String> = platform.server.changes().into_iter().map(|a| a.path).collect();
    assert_eq!(deleted, [format!("{CATALOGUE}/moduleconfigs/podinfo-1.1.0")]);
    let again = shell.run("gc").text(&[]);
    insta::assert_snapshot!(format!("{dry}\n== gc\n{gone}\n== again\n{again}"));
}

#[test]
fn verify_says_what_was_verified_and_what_was_not() {
    let shell = Shell::new();
    let file = Plugin::default().write(shell.folder.path());
    let alone = shell.run("verify podinfo-1.0.0.tgz");
    insta::assert_snapshot!(alone.text(&[]));
    let sum = digest::of(&std::fs::read(&file).unwrap());
    let beside = shell.path("podinfo-1.0.0.tgz.sha256");
    std::fs::write(&beside, format!("{}  podinfo-1.0.0.tgz\n", sum.hex())).unwrap();
    let compared = shell.run("verify podinfo-1.0.0.tgz");
    assert!(
        compared.stdout.contains("Checksum:  as podinfo-1.0.0.tgz.sha256 says"),
        "{compared:?}"
    );
    std::fs::write(&beside, format!("{}  podinfo-1.0.0.tgz\n", "0".repeat(64))).unwrap();
    let other = shell.run("verify podinfo-1.0.0.tgz");
    assert_eq!(other.code, 1);
    assert!(other.stderr.contains("is not the file that podinfo-1.0.0.tgz.sha256 is about"));
    std::fs::remove_file(&beside).unwrap();
    std::fs::write(shell.path("key.pub"), "O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik=").unwrap();
    let unsigned = shell.run("verify podinfo-1.0.0.tgz --public-key key.pub");
    assert_eq!(unsigned.code, 1);
    assert!(unsigned.stderr.contains("is not signed"), "{unsigned:?}");
}

#[test]
fn a_signature_counts_with_the_key_of_the_platform_or_of_whoever_names_one() {
    let signer = || Signer::new("publisher", &[7; 32]);
    let key = signer().public(Date::MAX);
    let platform = Platform::start("127.0.0.1:11443", Ways::default());
    let shell = Shell::at(&platform);
    Plugin { signer: Some(signer()), ..Plugin::default() }.write(shell.folder.path());
    let unknown = shell.run("verify podinfo-1.0.0.tgz").text(&[]);
    platform.put(
        "/api/v1/namespaces/cpaas-system/configmaps/release-keys",
        json!({ "data": { "signing-keys": list_text(std::slice::from_ref(&key)) } }),
    );
    let trusted = shell.run("verify podinfo-1.0.0.tgz").text(&[]);
    std::fs::write(shell.path("publisher.pub"), &key.public_key).unwrap();
    let given = shell.run("verify podinfo-1.0.0.tgz --public-key publisher.pub").text(&[]);
    let other = Signer::new("other", &[8; 32]).public(Date::MAX);
    std::fs::write(shell.path("other.pub"), &other.public_key).unwrap();
    let refused = shell.run("verify podinfo-1.0.0.tgz --public-key other.pub").text(&[]);
    insta::assert_snapshot!([unknown, trusted, given, refused].join("\n==\n"));
    let alone = Shell::new();
    Plugin { signer: Some(signer()), ..Plugin::default() }.write(alone.folder.path());
    let nobody = alone.run("verify podinfo-1.0.0.tgz");
    assert_eq!(nobody.code, 0, "{nobody:?}");
    assert!(nobody.stdout.contains("Signature: not verified: neither --public-key nor a platform"));
    assert_eq!(platform.server.changes(), []);
}
