//! A package that the platform does not trust: preflight and deploy refuse it before anything is
//! written or sent.

use api::signing_key::{Signer, SigningKey, list_text};
use artifacts::build::package::write_sums;
use artifacts::package::Package;
use serde_json::json;
use std::path::Path;

use crate::packages::{Contents, listed, package, publisher};
use crate::stage::{Stage, registry};

fn release_keys(keys: &[SigningKey]) -> serde_json::Value {
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": "release-keys", "namespace": "cpaas-system" },
        "data": { "signing-keys": list_text(keys) },
    })
}

/// Gives the layer of a package's product image other bytes, and sums that fit.
fn break_release(folder: &Path) {
    let blob =
        |digest: &str| folder.join("images/blobs/sha256").join(digest.replace("sha256:", ""));
    let image = Package::read(folder).unwrap().product_image().digest().to_string();
    let manifest = std::fs::read(blob(&image)).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
    let layer = blob(manifest["layers"][0]["digest"].as_str().unwrap());
    let length = std::fs::read(&layer).unwrap().len();
    std::fs::write(&layer, vec![b'x'; length]).unwrap();
    write_sums(folder).unwrap();
    assert!(Package::read(folder).unwrap().release().is_err());
}

#[tokio::test]
async fn what_the_platform_does_not_trust_is_neither_sent_nor_deployed() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.2.1").await;
    let somebody = Signer::new("somebody", &[42; 32]);
    let packages = |name: &str, signers: Vec<Signer>| {
        let contents = Contents { signers, ..Contents::default() };
        package(&stage.folder.path().join(name), &contents)
    };
    let unsigned = packages("unsigned", Vec::new());
    let foreign = packages("foreign", vec![somebody]);
    let signed = packages("signed", vec![publisher()]);

    // Nothing is recorded: those of the package count, and it is said.
    let first = stage.upgrade(&signed, &["--preflight"]).await;
    let row = "  Signature        signed by key publisher-1 of this release itself (first adoption";
    assert!(first.out.contains(row), "{first:?}");
    for folder in [&unsigned, &foreign] {
        let ended = stage.upgrade(folder, &["--preflight"]).await;
        assert_eq!((ended.code, ended.out.as_str()), (1, ""), "{ended:?}");
    }

    stage.apply(&[release_keys(&[listed(&publisher())])]).await;
    let trusted = stage.upgrade(&signed, &["--preflight"]).await;
    let row = "  Signature        signed by key publisher-1, which the installed release trusts\n";
    assert!(trusted.out.contains(row), "{trusted:?}");
    // Whatever is switched off, and whatever is asked for.
    let all: Vec<&str> = api::CheckName::ALL.iter().map(|name| name.as_str()).collect();
    let all = format!("disabled: [{}]", all.join(", "));
    stage
        .apply(&[json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": "cvo-config", "namespace": "cpaas-system" },
            "data": { "preflight": all },
        })])
        .await;
    let flags: [&[&str]; 3] =
        [&["--preflight"], &[], &["--skip-sync-image", "--skip-check-artifacts"]];
    for flags in flags {
        for (folder, reason) in [(&unsigned, "SignatureMissing"), (&foreign, "SigningKeyUnknown")] {
            let ended = stage.upgrade(folder, flags).await;
            assert_eq!(ended.code, 1, "{flags:?}: {ended:?}");
            assert!(ended.err.contains(reason), "{flags:?}: {ended:?}");
            assert!(ended.err.contains("\nhint: "), "{flags:?}: {ended:?}");
        }
    }
    // Nothing inside is read before that: what is wrong there is not even found.
    let broken = packages("broken", Vec::new());
    break_release(&broken);
    for flags in [&["--preflight"][..], &["--only-sync-image"], &[]] {
        let ended = stage.upgrade(&broken, flags).await;
        assert!(ended.code == 1 && ended.err.contains("SignatureMissing"), "{flags:?}: {ended:?}");
    }
    let old = publisher().public("2020-01-01".parse().unwrap());
    stage.apply(&[release_keys(&[old])]).await;
    let late = stage.upgrade(&signed, &["--preflight"]).await;
    assert_eq!(late.code, 1, "{late:?}");
    assert!(late.err.contains("SigningKeyExpired"), "{late:?}");
    stage.apply(&[release_keys(&[])]).await;
    let nobody = stage.upgrade(&signed, &[]).await;
    assert_eq!(nobody.code, 1, "{nobody:?}");

    // A package whose sums are another's.
    stage.apply(&[release_keys(&[listed(&publisher())])]).await;
    std::fs::copy(foreign.join("SHA256SUMS.sig"), signed.join("SHA256SUMS.sig")).unwrap();
    let other = stage.upgrade(&signed, &[]).await;
    assert_eq!(other.code, 1, "{other:?}");
    assert!(other.err.contains("SHA256SUMS.sig"), "{other:?}");
    assert_eq!(stage.changes(), Vec::<String>::new(), "nothing is deployed");
    let sent = registry.access_log().unwrap().into_iter().filter(|request| request.writes());
    assert_eq!(sent.count(), 0, "nothing is sent");
}

/// The release that is installed is known by its image; what lies beside it may have been changed.
#[tokio::test]
async fn a_changed_package_of_the_installed_release_is_refused() {
    let stage = Stage::new(false).await;
    let registry = registry(&stage.folder.path().join("registry")).await;
    stage.platform(&registry, "4.3.0").await;
    let folder = package(&stage.folder.path().join("package"), &Contents::default());
    let image = Package::read(&folder).unwrap().product_image().digest().to_string();
    let mut keys = release_keys(&[listed(&publisher())]);
    keys["data"]["image"] = json!(image);
    stage.apply(&[keys]).await;
    let known = stage.upgrade(&folder, &["--preflight"]).await;
    assert!(known.out.contains("installed already"), "{known:?}");
    // Sums that fit what was changed are not those that were signed.
    let operator = folder.join("deploy/40-operator.yaml");
    let text = std::fs::read_to_string(&operator).unwrap();
    std::fs::write(&operator, format!("{text}# changed\n")).unwrap();
    write_sums(&folder).unwrap();
    for flags in [&["--preflight"][..], &["--skip-sync-image", "--skip-check-artifacts"]] {
        let changed = stage.upgrade(&folder, flags).await;
        assert_eq!(changed.code, 1, "{changed:?}");
        assert!(changed.err.contains("SHA256SUMS.sig"), "{changed:?}");
    }
    assert_eq!(stage.changes(), Vec::<String>::new(), "nothing is deployed");
}
