//! `ac adm release verify` on every hostile package: each is refused in one line, and nothing is
//! written anywhere.

#[path = "../../../artifacts/tests/corpus/corpus.rs"]
mod corpus;

use super::Shell;
use api::signing_key::Signer;
use corpus::{layers, package, tree};
use std::path::Path;

/// A shell beside a hostile package, with a key of its publisher.
fn shell() -> Shell {
    let shell = Shell::new();
    tree::surroundings(shell.folder.path());
    let key = Signer::new("publisher-1", &[1; 32]).public("2099-12-31".parse().unwrap());
    shell.write("publisher-1.pub", &key.public_key);
    shell
}

/// What is said of a package; nothing may change and only the error may be printed.
fn refusal(shell: &Shell, folder: &Path, name: &str) -> String {
    let before = tree::snapshot(shell.folder.path());
    let key = shell.path("publisher-1.pub");
    let ran = shell.run(&format!("adm release verify {} --key {key}", folder.display()));
    assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{name}: {}", ran.stderr);
    assert!(!ran.stderr.contains('\u{1b}'), "{name}: {}", ran.stderr);
    let changes = tree::changes(&before, &tree::snapshot(shell.folder.path()));
    assert!(changes.is_empty(), "{name}: {changes:?}");
    ran.stderr
}

/// What is wrong with its names and sums is named; what only its contents would tell is not looked
/// at, for nobody signed them.
#[test]
fn every_hostile_package_is_refused() {
    let (mut named, mut unsigned) = (0, 0);
    for trap in tree::all().iter().filter(|trap| trap.is_read) {
        let shell = shell();
        let folder = trap.set(shell.folder.path());
        let said = refusal(&shell, &folder, trap.name);
        match (said.contains(trap.says), said.contains("SignatureMissing")) {
            (true, _) => named += 1,
            (false, true) => unsigned += 1,
            (false, false) => panic!("{}: {said}\nexpected: {}", trap.name, trap.says),
        }
    }
    assert!(named >= 20, "only {named} were named, {unsigned} not looked into");
}

/// Nobody signed them, so that nothing inside is read at all.
#[test]
fn no_layer_of_an_untrusted_package_is_read() {
    for case in layers::all() {
        let shell = shell();
        let folder = shell.folder.path().join("inside/acp-core");
        package(&folder, &case);
        let said = refusal(&shell, &folder, &case.name);
        assert!(said.contains("SignatureMissing") && !said.contains(&case.says), "{said}");
    }
}
