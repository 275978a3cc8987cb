//! What is built is the same every time, and is what it says it is.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use artifacts::build::{
    Compression, Content, ImageBuilder, LayoutWriter, Tree, product_image, write_package,
};
use artifacts::digest;
use artifacts::oci::{Index, Manifest};

use crate::fixture::{chart, release};

fn program(folder: &Path, bytes: usize) -> Content {
    let path = folder.join("program");
    fs::write(&path, vec![7; bytes]).unwrap();
    Content::File(path)
}

fn write_layout(folder: &Path, work: &Path) -> api::Digest {
    let mut layout = LayoutWriter::create(folder).unwrap();
    let mut tree = Tree::default();
    tree.program("usr/bin/operator", program(work, 300_000)).unwrap();
    tree.link("bin/sh", "../usr/bin/operator").unwrap();
    tree.directory("tmp", 0o1777).unwrap();
    let operator = ImageBuilder::new(tree).entrypoint(["/usr/bin/operator"]).env("A", "b");
    operator.write(&mut layout, "acp/cluster-version-operator", "v4.3.0").unwrap();
    operator
        .clone()
        .compression(Compression::None)
        .user("0:0")
        .write(&mut layout, "acp/plain", "v1")
        .unwrap();
    let product = product_image(&release(), chart()).unwrap();
    product.write(&mut layout, "acp/product-image", "v4.3.0").unwrap();
    layout.finish().unwrap()
}

fn all_files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(all_files(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

#[test]
fn the_same_files_give_the_same_layout() {
    let work = tempfile::tempdir().unwrap();
    let (one, two) = (work.path().join("one"), work.path().join("two"));
    assert_eq!(write_layout(&one, work.path()), write_layout(&two, work.path()));
    let strip = |folder: &Path| {
        let prefix = folder.display().to_string();
        all_files(folder)
            .into_iter()
            .map(|(path, bytes)| (path[prefix.len()..].to_owned(), bytes))
            .collect::<BTreeMap<_, _>>()
    };
    assert_eq!(strip(&one), strip(&two));
}

#[test]
fn every_blob_of_a_layout_bears_its_digest_and_every_image_its_name() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("layout");
    write_layout(&folder, work.path());
    let blobs = folder.join("blobs/sha256");
    for entry in fs::read_dir(&blobs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(digest::of(&fs::read(&path).unwrap()).hex(), name);
    }
    let index = Index::parse(&fs::read(folder.join("index.json")).unwrap()).unwrap();
    let names: Vec<&str> = index
        .manifests
        .iter()
        .map(|m| m.annotations["org.opencontainers.image.ref.name"].as_str())
        .collect();
    assert_eq!(
        names,
        ["acp/cluster-version-operator:v4.3.0", "acp/plain:v1", "acp/product-image:v4.3.0"]
    );
    for descriptor in &index.manifests {
        let bytes = fs::read(blobs.join(descriptor.digest.hex())).unwrap();
        let manifest = Manifest::parse(&bytes, &descriptor.media_type).unwrap();
        for blob in manifest.blobs() {
            let length = fs::metadata(blobs.join(blob.digest.hex())).unwrap().len();
            assert_eq!(length, blob.size);
        }
    }
    let config = all_files(&blobs)
        .into_values()
        .find(|bytes| String::from_utf8_lossy(bytes).contains("\"Entrypoint\""))
        .unwrap();
    assert!(String::from_utf8_lossy(&config).contains("65532:65532"));
}

#[test]
fn a_release_whose_files_do_not_fit_is_not_built() {
    let missing = product_image(&release(), BTreeMap::new()).unwrap_err().to_string();
    assert!(missing.contains("charts/coredns-1.0.0.tgz, which is missing"), "{missing}");
    let mut files = chart();
    files.insert("manifests/extra.yaml".to_owned(), Vec::new());
    let extra = product_image(&release(), files).unwrap_err().to_string();
    assert!(extra.contains("no component names manifests/extra.yaml"), "{extra}");
    let mut files = chart();
    files.values_mut().for_each(|bytes| *bytes = vec![0; 64 * 1024 * 1024]);
    let large = product_image(&release(), files).unwrap_err().to_string();
    assert!(large.contains("more than the 67108864"), "{large}");
}

#[test]
fn a_layout_is_never_mixed_with_another_and_names_no_image_twice() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("layout");
    let mut layout = LayoutWriter::create(&folder).unwrap();
    let image = ImageBuilder::new(Tree::default());
    image.write(&mut layout, "acp/a", "v1").unwrap();
    assert!(image.write(&mut layout, "acp/a", "v1").is_err());
    assert!(image.write(&mut layout, "acp/A", "v1").is_err());
    assert!(image.write(&mut layout, "../a", "v1").is_err());
    layout.finish().unwrap();
    assert!(LayoutWriter::create(&folder).is_err());
}

#[test]
fn the_same_folder_gives_the_same_package_with_the_sums_of_its_files() {
    let work = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    for name in ["one", "two"] {
        let folder = work.path().join(name);
        fs::create_dir_all(folder.join("bin")).unwrap();
        fs::write(folder.join("upgrade.sh"), "#!/bin/bash\n").unwrap();
        fs::write(folder.join("bin/acp-prepare"), vec![1; 100_000]).unwrap();
        let target = work.path().join(format!("{name}.tgz"));
        digests.push(write_package(&folder, "acp-core-4.3.0", &target).unwrap());
        assert_eq!(digest::of(&fs::read(&target).unwrap()), digests[digests.len() - 1]);
        let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
        let lines: Vec<&str> = sums.lines().map(|l| l.split_once("  ").unwrap().1).collect();
        assert_eq!(lines, ["bin/acp-prepare", "upgrade.sh"]);
    }
    assert_eq!(digests[0], digests[1]);
    let packed = flate2::read::GzDecoder::new(fs::File::open(work.path().join("one.tgz")).unwrap());
    let paths: Vec<String> = tar::Archive::new(packed)
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(
        paths,
        [
            "acp-core-4.3.0/",
            "acp-core-4.3.0/SHA256SUMS",
            "acp-core-4.3.0/bin/",
            "acp-core-4.3.0/bin/acp-prepare",
            "acp-core-4.3.0/upgrade.sh"
        ]
    );
}

#[test]
fn paths_that_leave_the_archive_are_refused() {
    let mut tree = Tree::default();
    for path in ["../a", "a/../b", "", "/", "a//b", "./a", "a\\b"] {
        assert!(tree.file(path, Vec::new()).is_err(), "{path}");
    }
}

#[test]
fn what_is_neither_file_nor_folder_is_refused() {
    let work = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink("/etc/passwd", work.path().join("link")).unwrap();
    let refused = Tree::folder("", work.path()).unwrap_err().to_string();
    assert!(refused.contains("neither a file nor a folder"), "{refused}");
}
