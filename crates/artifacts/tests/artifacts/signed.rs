//! A signature travels with its image: from the package into a registry of the real kind and back,
//! and what is no signature there is told apart from none.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use api::names::PRODUCT_IMAGE_REPOSITORY;
use api::signature::{FoundSignature, SignatureError, signature_tag, verify};
use api::signing_key::Signer;
use artifacts::build::package::write_sums;
use artifacts::build::{LayoutWriter, product_image, sign_package};
use artifacts::layout::Layout;
use artifacts::oci::{Descriptor, EMPTY, EMPTY_TYPE, MANIFEST_TYPE, Manifest};
use artifacts::package::{Package, UntrustedError};
use artifacts::registry::Registry;
use artifacts::sync::{Plan, Silent, sync};

use crate::fixture::{Platform, chain, chart, image, release};

fn publisher() -> Signer {
    Signer::new("publisher-1", &[41; 32])
}

fn keys() -> Vec<api::signing_key::SigningKey> {
    vec![publisher().public("2099-12-31".parse().unwrap())]
}

/// An extracted package, signed as a whole and in its heart.
fn package(folder: &Path) -> PathBuf {
    fs::create_dir_all(folder.join("bin")).unwrap();
    fs::write(folder.join("upgrade.sh"), "#!/bin/bash\n").unwrap();
    fs::write(folder.join("bin/ac"), "#!/bin/bash\n").unwrap();
    let mut layout = LayoutWriter::create(&folder.join("images")).unwrap();
    image(1, 10_000).write(&mut layout, api::names::CVO_REPOSITORY, "v4.3.0").unwrap();
    let product = product_image(&release(), chart()).unwrap();
    let product = product.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, "v4.3.0").unwrap();
    layout.sign(&product, &[publisher()]).unwrap();
    layout.finish().unwrap();
    write_sums(folder).unwrap();
    sign_package(folder, &[publisher()]).unwrap();
    folder.to_owned()
}

#[test]
fn a_signed_package_holds_and_the_same_key_gives_the_same_bytes() {
    let work = tempfile::tempdir().unwrap();
    let one = package(&work.path().join("one"));
    let opened = Package::open(&one, "amd64").unwrap();
    assert_eq!(opened.verify_image(&keys(), None).unwrap(), "publisher-1");
    assert_eq!(opened.verify_sums(&keys(), None).unwrap(), "publisher-1");
    opened.verify(|_| {}).unwrap();
    opened.release().unwrap();
    let other = package(&work.path().join("other"));
    for file in ["SHA256SUMS", "SHA256SUMS.sig", "images/index.json"] {
        assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(other.join(file)).unwrap());
    }
}

#[test]
fn a_package_whose_signature_was_cut_or_changed_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let folder = package(&work.path().join("package"));
    let path = folder.join("SHA256SUMS.sig");
    let refused = || {
        let package = Package::open(&folder, "amd64").unwrap();
        package.verify_sums(&keys(), None).expect_err("the signature must be refused")
    };
    let good = fs::read(&path).unwrap();
    for bytes in [&b""[..], b"\n", b"x\n", b"\xff\xfe  \xff", &good[..good.len() / 2]] {
        fs::write(&path, bytes).unwrap();
        assert!(matches!(refused(), UntrustedError::Sums { .. }), "{bytes:?}");
    }
    fs::write(&path, vec![b'a'; 17 * 1024]).unwrap();
    assert!(chain(&refused()).contains("SHA256SUMS.sig is refused: it is longer than"));
    fs::remove_file(&path).unwrap();
    assert!(chain(&refused()).contains("SignatureMissing"));
    std::os::unix::fs::symlink("SHA256SUMS", &path).unwrap();
    assert!(chain(&refused()).contains("it is no regular file"));
    // The sums change between two looks.
    fs::remove_file(&path).unwrap();
    fs::write(&path, &good).unwrap();
    let package = Package::open(&folder, "amd64").unwrap();
    fs::write(folder.join("bin/more"), "more").unwrap();
    write_sums(&folder).unwrap();
    let changed = package.verify_sums(&keys(), None).unwrap_err();
    assert!(chain(&changed).contains("SHA256SUMS was cut or changed"), "{changed}");
}

async fn put(registry: &Registry, tag: &str, manifest: &Manifest) {
    let bytes = serde_json::to_vec(manifest).unwrap();
    registry.push_manifest(PRODUCT_IMAGE_REPOSITORY, tag, MANIFEST_TYPE, &bytes).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_travels_with_its_image() {
    let platform = Platform::start().await;
    let registry = platform.client();
    let work = tempfile::tempdir().unwrap();
    let folder = package(&work.path().join("package"));
    let package = Package::open(&folder, "amd64").unwrap();
    let digest = package.product_image().digest().clone();
    assert_eq!(registry.signatures(PRODUCT_IMAGE_REPOSITORY, &digest).await.unwrap(), []);
    let plan = Plan::of_layout(package.layout());
    let report = sync(plan, &registry, 4, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.artifacts, report.failed.len()), (3, 0), "{report:?}");
    let found = registry.signatures(PRODUCT_IMAGE_REPOSITORY, &digest).await.unwrap();
    let held = Layout::open(&folder.join("images")).unwrap();
    assert_eq!(found, held.signatures(PRODUCT_IMAGE_REPOSITORY, &digest).unwrap());
    let judged =
        |found: &[FoundSignature]| verify(found, PRODUCT_IMAGE_REPOSITORY, &digest, &keys(), None);
    assert_eq!(judged(&found).unwrap(), "publisher-1");

    // The valid signature under the tag of another image.
    let other = api::Digest::of(b"another image");
    let manifest = registry.tagged(PRODUCT_IMAGE_REPOSITORY, &signature_tag(&digest)).await;
    let manifest = Manifest::parse(&manifest.unwrap().bytes, MANIFEST_TYPE).unwrap();
    put(&registry, &signature_tag(&other), &manifest).await;
    let copied = registry.signatures(PRODUCT_IMAGE_REPOSITORY, &other).await.unwrap();
    let judged_other = verify(&copied, PRODUCT_IMAGE_REPOSITORY, &other, &keys(), None);
    assert!(matches!(judged_other, Err(SignatureError::Invalid(_))), "{judged_other:?}");

    // What is no signature is not none either.
    let tag = signature_tag(&digest);
    let config = Descriptor::of(EMPTY_TYPE, EMPTY);
    let mut layer = manifest.layers[0].clone();
    let mut vectors = Vec::new();
    layer.media_type = "application/octet-stream".to_owned();
    vectors.push(layer);
    let mut layer = manifest.layers[0].clone();
    layer.annotations.clear();
    vectors.push(layer);
    let mut layer = manifest.layers[0].clone();
    layer.annotations.values_mut().for_each(|text| *text = "A".repeat(10_000));
    vectors.push(layer);
    registry.push_blob(PRODUCT_IMAGE_REPOSITORY, &empty(), None, &|_| {}).await.unwrap();
    for layer in vectors {
        put(&registry, &tag, &Manifest::new(config.clone(), vec![layer])).await;
        let found = registry.signatures(PRODUCT_IMAGE_REPOSITORY, &digest).await.unwrap();
        assert!(matches!(judged(&found), Err(SignatureError::Invalid(_))), "{found:?}");
    }
    // The release itself where its signature belongs.
    let product = registry.tagged(PRODUCT_IMAGE_REPOSITORY, "v4.3.0").await.unwrap();
    let product = Manifest::parse(&product.bytes, MANIFEST_TYPE).unwrap();
    put(&registry, &tag, &product).await;
    let found = registry.signatures(PRODUCT_IMAGE_REPOSITORY, &digest).await.unwrap();
    assert!(matches!(judged(&found), Err(SignatureError::Invalid(_))));
}

fn empty() -> artifacts::registry::BlobSource {
    let content = artifacts::build::Content::Bytes(EMPTY.to_vec());
    let Descriptor { digest, size, .. } = Descriptor::of(EMPTY_TYPE, EMPTY);
    artifacts::registry::BlobSource { content, digest, size }
}
