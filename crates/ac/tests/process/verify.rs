//! `ac adm release verify` on packages that hold and on packages that do not.

use super::*;
use api::release::Release;
use api::signing_key::{Signer, list_text};
use artifacts::build::package::write_sums;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image, sign_package};
use std::collections::BTreeMap;
use std::fs;

const KEYS: &str = "/api/v1/namespaces/cpaas-system/configmaps/release-keys";
const RELEASE: &str = "
formatVersion: 1
version: 4.3.0
upgradeFrom: { range: '>=4.2.1 <4.3.0' }
kubernetes: { creates: '1.34', compatible: '>=1.31 <1.35' }
minCVO: 4.3.0
stages:
- name: base
  priority: 1
  components:
  - { name: base, version: 1.0.0, manifests: manifests/base.yaml, namespace: cpaas-system }
";

fn publisher() -> Signer {
    Signer::new("publisher-1", &[1; 32])
}

fn somebody() -> Signer {
    Signer::new("somebody", &[2; 32])
}

/// Writes an extracted package below the user's folder.
fn package(shell: &Shell, signers: &[Signer]) {
    let folder = shell.folder.path().join("package");
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("bin/ac"), "#!/bin/sh\n").unwrap();
    fs::write(folder.join("upgrade.sh"), "#!/bin/sh\n").unwrap();
    let mut release = Release::parse(RELEASE.as_bytes()).unwrap();
    release.signing_keys = vec![publisher().public("2099-12-31".parse().unwrap())];
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    let mut tree = Tree::default();
    tree.program("program", b"#!/bin/sh\n".to_vec()).unwrap();
    // Verified anywhere, whatever it is for.
    let operator = ImageBuilder::new(tree).architecture("s390x");
    operator.write(&mut layout, "acp/cluster-version-operator", "v4.3.0").unwrap();
    let files = BTreeMap::from([("manifests/base.yaml".to_owned(), b"[]\n".to_vec())]);
    let product = product_image(&release, files).unwrap();
    let product = product.write(&mut layout, "acp/product-image", "v4.3.0").unwrap();
    if !signers.is_empty() {
        layout.sign(&product, signers).unwrap();
    }
    layout.finish().unwrap();
    write_sums(&folder).unwrap();
    if !signers.is_empty() {
        sign_package(&folder, signers).unwrap();
    }
}

/// A platform whose installed release recorded these keys; none: there is no ConfigMap.
fn platform(keys: Option<String>) -> Server {
    Server::start(move |asked| match (path(asked), &keys) {
        (KEYS, Some(keys)) => ok(&serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "release-keys", "namespace": "cpaas-system" },
            "data": { "signing-keys": keys },
        })),
        _ => not_found(),
    })
}

fn trusting(signer: &Signer, until: &str) -> Server {
    platform(Some(list_text(&[signer.public(until.parse().unwrap())])))
}

fn verified(server: &Server, signers: &[Signer]) -> Ran {
    let shell = Shell::at(server);
    package(&shell, signers);
    shell.run(&format!("adm release verify {}", shell.path("package")))
}

fn assert_refused(ran: &Ran, parts: &[&str]) {
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{}", ran.stderr);
    for part in parts.iter().chain(&["error: ", "\nhint: "]) {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
}

#[test]
fn a_package_that_a_trusted_key_signed_holds() {
    let server = trusting(&publisher(), "2099-12-31");
    let ran = verified(&server, &[somebody(), publisher()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in [
        "Release  4.3.0\n",
        "Sums     signed by key publisher-1\n",
        "signed by key publisher-1\nTrusted  the keys of the installed release",
        "The package holds.\n",
    ] {
        assert!(ran.stdout.contains(part), "{part}: {}", ran.stdout);
    }
    assert_eq!(server.changes(), []);
}

#[test]
fn without_a_recorded_key_it_is_said_whose_keys_count() {
    let ran = verified(&platform(None), &[publisher()]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(ran.stdout.contains("first adoption"), "{}", ran.stdout);
    assert_refused(&verified(&platform(None), &[somebody()]), &["SigningKeyUnknown"]);
}

#[test]
fn a_package_that_is_not_trusted_is_refused() {
    let server = trusting(&publisher(), "2099-12-31");
    assert_refused(&verified(&server, &[]), &["SignatureMissing", "is not signed"]);
    assert_refused(&verified(&server, &[somebody()]), &["SigningKeyUnknown", "somebody"]);
    let liar = Signer::new("publisher-1", &[2; 32]);
    assert_refused(&verified(&server, &[liar]), &["SignatureInvalid"]);
    let late = trusting(&publisher(), "2026-01-01");
    assert_refused(&verified(&late, &[publisher()]), &["SigningKeyExpired", "2026-01-01"]);
    let nobody = platform(Some("[]".to_owned()));
    assert_refused(&verified(&nobody, &[publisher()]), &["SigningKeyUnknown"]);
    let broken = platform(Some("- id: [".to_owned()));
    assert_refused(&verified(&broken, &[publisher()]), &["release-keys"]);
}

#[test]
fn a_file_that_was_changed_is_found_under_every_signature() {
    let server = trusting(&publisher(), "2099-12-31");
    let shell = Shell::at(&server);
    package(&shell, &[publisher()]);
    let verify = format!("adm release verify {}", shell.path("package"));
    let script = shell.folder.path().join("package/upgrade.sh");
    fs::write(&script, "#!/bin/sh\nrm -r /\n").unwrap();
    assert_refused(&shell.run(&verify), &["upgrade.sh was cut or changed"]);
    // Sums that fit what was changed are no longer those that were signed.
    write_sums(&shell.folder.path().join("package")).unwrap();
    assert_refused(&shell.run(&verify), &["SignatureInvalid", "SHA256SUMS.sig"]);
    // And nobody but the publisher can sign them again.
    sign_package(&shell.folder.path().join("package"), &[somebody()]).unwrap();
    assert_refused(&shell.run(&verify), &["SigningKeyUnknown"]);
}

#[test]
fn a_record_of_keys_that_is_lost_trusts_nobody() {
    let shadow = serde_json::json!({
        "apiVersion": "product.alauda.io/v1alpha1", "kind": "ClusterVersionShadow",
        "metadata": { "name": "global", "namespace": "cpaas-system" }, "spec": {},
        "status": { "current": { "version": "4.2.1", "image": "r.test/acp/product-image@sha256:0" } },
    });
    let server = Server::start(move |asked| match path(asked) {
        SHADOW => ok(&shadow),
        _ => not_found(),
    });
    assert_refused(&verified(&server, &[publisher()]), &["4.2.1 was signed", "create configmap"]);
}

#[test]
fn a_key_of_a_file_asks_no_cluster() {
    let shell = Shell::new();
    package(&shell, &[publisher()]);
    let folder = shell.path("package");
    shell.write("publisher-1.pub", &publisher().public("2099-12-31".parse().unwrap()).public_key);
    shell.write("somebody.pub", &somebody().public("2099-12-31".parse().unwrap()).public_key);
    shell.write("none.pub", "no key");
    let run =
        |key: &str| shell.run(&format!("adm release verify {folder} --key {}", shell.path(key)));
    let ran = run("publisher-1.pub");
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    assert!(
        ran.stdout.contains("Trusted  the keys that were given with --key\n"),
        "{}",
        ran.stdout
    );
    assert_refused(&run("somebody.pub"), &["SigningKeyUnknown"]);
    assert_refused(&run("none.pub"), &["none.pub cannot be used", "no ed25519 key"]);
    assert_refused(&run("absent.pub"), &["absent.pub cannot be used"]);
    let archive = shell.run(&format!(
        "adm release verify {} --key {}",
        shell.path("publisher-1.pub"),
        shell.path("publisher-1.pub")
    ));
    assert_refused(&archive, &["is a file", "tar -xzf"]);
    let nothing = shell.run(&format!("adm release verify {folder}"));
    assert_refused(&nothing, &["no kubeconfig"]);
}

#[test]
fn without_a_kubeconfig_the_way_without_a_platform_is_named() {
    let server = platform(None);
    let shell = Shell::at(&server);
    package(&shell, &[publisher()]);
    let command = format!("--kubeconfig nowhere adm release verify {}", shell.path("package"));
    let ran = shell.run(&command);
    assert_refused(
        &ran,
        &["nowhere", "--kubeconfig FILE", "adm release verify PACKAGE --key KEY.pub"],
    );
}
