//! A package that was cut, changed or made for other machines is refused, and the file is named.

use std::fs;
use std::path::{Path, PathBuf};

use artifacts::oci::Index;
use artifacts::package::{Package, PackageError};

use crate::fixture::{chain, chart, noise, package, release};
use crate::plugin::Plugin;

fn extracted() -> (tempfile::TempDir, PathBuf) {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("package");
    package(&folder, 50_000, "amd64");
    (work, folder)
}

fn refused(folder: &Path) -> String {
    let result = Package::open(folder, "amd64").and_then(|package| {
        package.check()?;
        package.verify(|_| {})?;
        package.release()
    });
    chain(&result.expect_err("the package must be refused"))
}

#[test]
fn a_whole_package_gives_its_release_images_and_plugins() {
    let (_work, folder) = extracted();
    let package = Package::open(&folder, "amd64").unwrap();
    package.check().unwrap();
    let mut read = 0;
    package.verify(|bytes| read += bytes).unwrap();
    assert_eq!(read, package.size().unwrap());
    let content = package.release().unwrap();
    assert_eq!(content.release, release());
    assert_eq!(content.files, chart());
    assert_eq!(content.digest, *package.product_image().digest());
    assert_eq!(package.operator_image().name(), "acp/cluster-version-operator:v4.3.0");
    let names: Vec<String> = package.layout().images().map(|i| i.name()).collect();
    assert_eq!(
        names,
        ["acp/cluster-version-operator:v4.3.0", "acp/product-image:v4.3.0", "acp/second:v1"]
    );
    let [plugin] = package.plugins() else { panic!("one plugin") };
    assert_eq!((plugin.stem.as_str(), plugin.size), ("logging-1.2.0", 5000));
    assert!(plugin.digest.is_some());
}

#[test]
fn a_plugin_that_an_administrator_added_belongs_to_the_package() {
    let (_work, folder) = extracted();
    fs::write(folder.join("plugins/added-1.0.0.tgz"), noise(3, 10)).unwrap();
    let package = Package::open(&folder, "amd64").unwrap();
    package.verify(|_| {}).unwrap();
    assert_eq!(package.plugins()[0].stem, "added-1.0.0");
    assert_eq!(package.plugins()[0].digest, None);
    fs::write(folder.join("plugins/Bad Name.tgz"), noise(3, 10)).unwrap();
    assert!(refused(&folder).contains("plugins/Bad Name.tgz is refused"));
}

#[test]
fn a_plugin_is_the_one_of_the_package_or_checked_by_the_sums_inside_it() {
    let (work, folder) = extracted();
    let plugin = Plugin::new();
    let file = folder.join("plugins/podinfo-1.0.0.tgz");
    fs::copy(plugin.packed(), &file).unwrap();
    let opened = || {
        let package = Package::open(&folder, "amd64").unwrap();
        let [_, plugin] = package.plugins() else { panic!("two plugins") };
        assert_eq!(plugin.name(), "plugins/podinfo-1.0.0.tgz");
        (plugin.digest.is_some(), plugin.open(work.path()))
    };
    let (is_part, added) = opened();
    let added = added.unwrap();
    assert!(!is_part);
    assert_eq!(added.title(), "podinfo 1.0.0 (Agnostic)");
    let unpacked = added.package.folder().to_owned();
    assert!(unpacked.starts_with(work.path()) && unpacked.exists());
    drop(added);
    assert!(!unpacked.exists());
    // Now the sums of the package name it, and it becomes another that is whole too.
    artifacts::build::package::write_sums(&folder).unwrap();
    assert!(matches!(opened(), (true, Ok(_))));
    fs::copy(Plugin::of("arm64").packed(), &file).unwrap();
    let (is_part, changed) = opened();
    let changed = chain(&changed.unwrap_err());
    assert!(is_part && changed.contains("it was changed: its SHA-256 is not that"), "{changed}");
    assert_eq!(fs::read_dir(work.path()).unwrap().count(), 2, "nothing unpacked is left");
}

#[test]
fn every_file_that_is_cut_changed_or_missing_is_named() {
    let (_work, folder) = extracted();
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for name in sums.lines().map(|line| line.split_once("  ").unwrap().1) {
        let path = folder.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        for broken in [Some(&changed[..]), Some(&bytes[..bytes.len() / 2]), Some(&[]), None] {
            match broken {
                Some(broken) => fs::write(&path, broken).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let error = refused(&folder);
            assert!(error.contains(name), "{name}: {error}");
        }
        fs::write(&path, &bytes).unwrap();
    }
    Package::open(&folder, "amd64").unwrap().verify(|_| {}).unwrap();
}

#[test]
fn a_package_for_other_machines_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let folder = work.path().join("package");
    package(&folder, 1000, "arm64");
    let error = Package::open(&folder, "amd64").unwrap_err();
    assert!(matches!(error, PackageError::Architecture { .. }), "{error}");
    let (_work, folder) = extracted();
    let error = Package::open(&folder, "arm64").unwrap_err().to_string();
    assert!(error.contains("bin/acp-prepare is for amd64, but"), "{error}");
}

#[test]
fn a_folder_that_is_no_package_says_what_it_lacks() {
    let work = tempfile::tempdir().unwrap();
    let error = Package::open(work.path(), "amd64").unwrap_err().to_string();
    assert!(error.ends_with("is not an extracted core package: SHA256SUMS is missing"), "{error}");
}

#[test]
fn what_runs_must_be_under_the_sums() {
    let (_work, folder) = extracted();
    fs::write(folder.join("bin/extra"), "#!/bin/sh\n").unwrap();
    let error = refused(&folder);
    assert!(error.contains("bin/extra is refused: SHA256SUMS does not name it"), "{error}");
    fs::remove_file(folder.join("bin/extra")).unwrap();
    fs::create_dir_all(folder.join("deploy/more")).unwrap();
    fs::write(folder.join("deploy/more/role.yaml"), "").unwrap();
    let error = refused(&folder);
    assert!(error.contains("role.yaml is refused: SHA256SUMS does not name it"), "{error}");
}

#[test]
fn sums_that_leave_the_folder_or_were_cut_are_refused() {
    let (_work, folder) = extracted();
    let path = folder.join("SHA256SUMS");
    let sums = fs::read_to_string(&path).unwrap();
    let hex = "0".repeat(64);
    for line in ["../../etc/passwd", "/etc/passwd", "a/./b", "upgrade.sh", ""] {
        fs::write(&path, format!("{sums}{hex}  {line}\n")).unwrap();
        assert!(refused(&folder).contains("SHA256SUMS is refused: line"), "{line}");
    }
    fs::write(&path, &sums[..sums.len() - 5]).unwrap();
    assert!(refused(&folder).contains("SHA256SUMS is refused: it was cut"));
}

#[test]
fn a_listed_file_is_given_only_as_the_package_was_made_with_it() {
    let (_work, folder) = extracted();
    fs::create_dir_all(folder.join("deploy/more")).unwrap();
    fs::write(folder.join("deploy/00.yaml"), "a: 1\n").unwrap();
    fs::write(folder.join("deploy/more/01.yaml"), "b: 1\n").unwrap();
    artifacts::build::package::write_sums(&folder).unwrap();
    let package = Package::open(&folder, "amd64").unwrap();
    assert_eq!(package.listed_in("deploy").collect::<Vec<_>>(), ["deploy/00.yaml"]);
    assert_eq!(package.read_listed("deploy/00.yaml", 5).unwrap(), b"a: 1\n");
    let refused = |limit| package.read_listed("deploy/00.yaml", limit).unwrap_err().to_string();
    assert!(refused(4).contains("deploy/00.yaml is refused: it is longer than 4 bytes"));
    let unnamed = package.read_listed("deploy/02.yaml", 5).unwrap_err().to_string();
    assert!(unnamed.contains("02.yaml is refused: SHA256SUMS does not name it"), "{unnamed}");
    fs::write(folder.join("deploy/00.yaml"), "a: 2\n").unwrap();
    assert!(refused(5).contains("00.yaml was cut or changed"));
    fs::remove_file(folder.join("deploy/00.yaml")).unwrap();
    assert!(refused(5).contains("00.yaml is missing"));
}

#[test]
fn links_are_not_followed() {
    let (_work, folder) = extracted();
    let path = folder.join("upgrade.sh");
    let aside = folder.join("aside");
    fs::rename(&path, &aside).unwrap();
    std::os::unix::fs::symlink(&aside, &path).unwrap();
    assert!(refused(&folder).contains("upgrade.sh is refused: it is no regular file"));
}

/// Rewrites the index as a hostile packager could, with sums that fit.
fn with_index(change: impl Fn(&mut serde_json::Value)) -> String {
    let (_work, folder) = extracted();
    let path = folder.join("images/index.json");
    let mut index: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut index);
    fs::write(&path, serde_json::to_vec(&index).unwrap()).unwrap();
    artifacts::build::package::write_sums(&folder).unwrap();
    refused(&folder)
}

#[test]
fn an_index_that_lies_is_refused() {
    let size = with_index(|index| index["manifests"][0]["size"] = 7.into());
    assert!(size.contains("was cut or changed") && size.contains("instead of 7"), "{size}");
    let long = with_index(|index| index["manifests"][0]["size"] = 5_000_000.into());
    assert!(long.contains("4194304 are allowed"), "{long}");
    let kind = with_index(|index| {
        index["manifests"][0]["mediaType"] = artifacts::oci::DOCKER_MANIFEST_TYPE.into();
    });
    assert!(kind.contains("but it was given as"), "{kind}");
    let both = with_index(|index| index["layers"] = serde_json::json!([]));
    assert!(both.contains("ambiguous"), "{both}");
    let name = with_index(|index| {
        index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"] = "../x".into();
    });
    assert!(name.contains("'../x' is not the name of an image"), "{name}");
    let digest = with_index(|index| {
        index["manifests"][0]["digest"] = format!("sha256:{}", "0".repeat(64)).into();
    });
    assert!(digest.contains("is missing"), "{digest}");
    let twice = with_index(|index| {
        let first = index["manifests"][0].clone();
        index["manifests"].as_array_mut().unwrap().push(first);
    });
    assert!(twice.contains("twice"), "{twice}");
    let many = with_index(|index| {
        let first = index["manifests"][0].clone();
        *index["manifests"].as_array_mut().unwrap() = vec![first; 1025];
    });
    assert!(many.contains("more than 1024 images"), "{many}");
}

#[test]
fn documents_that_can_be_read_in_two_ways_are_refused() {
    let twice = br#"{"schemaVersion":2,"manifests":[],"manifests":[]}"#;
    assert!(Index::parse(twice).is_err());
    assert!(Index::parse(br#"{"schemaVersion":2,"manifests":[],"config":{}}"#).is_err());
    assert!(Index::parse(br#"{"schemaVersion":1,"manifests":[]}"#).is_err());
    let deep = format!("{{\"schemaVersion\":2,\"manifests\":{}", "[".repeat(100_000));
    assert!(Index::parse(deep.as_bytes()).is_err());
    assert!(Index::parse(&vec![b' '; 5 * 1024 * 1024]).is_err());
}
