//! Every archive of the corpus is refused: the error names the entry, and nothing is written.

use std::path::Path;

use artifacts::content::ReleaseContent;
use artifacts::digest;
use artifacts::oci::{CONFIG_TYPE, Descriptor, LAYER_GZIP_TYPE, LAYER_TYPE, Manifest};
use artifacts::package::{Package, PackageError};

use crate::corpus::{config, layers, package, tree};
use crate::fixture::chain;

/// The error as a user sees it: one line without control characters.
fn shown(error: &dyn std::error::Error) -> String {
    api::text::line(&chain(error), 1024)
}

fn read(folder: &Path) -> Result<ReleaseContent, PackageError> {
    let package = Package::open(folder, "amd64")?;
    let content = package.release()?;
    package.check()?;
    package.verify(|_| {})?;
    Ok(content)
}

#[test]
fn every_hostile_layer_is_refused_and_the_entry_named() {
    let all = layers::all();
    assert!(all.len() >= 60, "{}", all.len());
    let mut wrong = Vec::new();
    for case in all {
        let config = config(&digest::of(&case.plain));
        let kind = if case.packed { LAYER_GZIP_TYPE } else { LAYER_TYPE };
        let layer = Descriptor::of(kind, &case.layer);
        let manifest = Manifest::new(Descriptor::of(CONFIG_TYPE, &config), vec![layer]);
        let name = digest::of(b"manifest");
        let read = ReleaseContent::read(name, &manifest, &config, &case.layer);
        let error = shown(&read.map(|_| ()).expect_err(&case.name));
        if !error.contains(&case.says) {
            wrong.push(format!("{}: {error}\nexpected: {}", case.name, case.says));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_package_around_a_hostile_layer_is_refused_and_nothing_is_written() {
    for case in layers::all() {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = work.path().join("inside/acp-core");
        package(&folder, &case);
        let before = tree::snapshot(work.path());
        let error = shown(&read(&folder).map(|_| ()).expect_err(&case.name));
        assert!(error.contains("acp/product-image:v4.3.0 is refused"), "{}: {error}", case.name);
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        assert_eq!(changes, Vec::<String>::new(), "{}", case.name);
    }
}

#[test]
fn every_hostile_package_is_refused_and_the_file_named() {
    let all = tree::all();
    assert!(all.len() >= 60, "{}", all.len());
    let mut wrong = Vec::new();
    for trap in all.into_iter().filter(|trap| trap.is_read) {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = trap.set(work.path());
        let before = tree::snapshot(work.path());
        let error = shown(&read(&folder).map(|_| ()).expect_err(trap.name));
        if !error.contains(trap.says) {
            wrong.push(format!("{}: {error}\nexpected: {}", trap.name, trap.says));
        }
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        assert_eq!(changes, Vec::<String>::new(), "{}", trap.name);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
