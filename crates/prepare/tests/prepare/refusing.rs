//! Every hostile package, given to the program: it fails with one line that names the entry, writes
//! nothing outside and asks no registry for anything.

#[path = "../../../artifacts/tests/corpus/corpus.rs"]
mod corpus;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::stage::Stage;
use corpus::{layers, package, tree};
use tokio::io::AsyncWriteExt as _;

/// Of so many hostile layers one is deployed.
const LAYERS_EACH: usize = 12;
/// Of so many hostile packages one is deployed.
const PACKAGES_EACH: usize = 6;

/// A registry that answers nothing and counts who comes.
fn registry() -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let seen = Arc::clone(&count);
    std::thread::spawn(move || {
        for _connection in listener.incoming() {
            seen.fetch_add(1, Ordering::SeqCst);
        }
    });
    (address, count)
}

/// Sends a package, and gives what is said of the failure.
async fn error_of(work: &Path, folder: &Path, address: &str) -> String {
    let flags = ["--only-sync-image", "--registry", address, "--username=u", "--password-stdin"];
    failed(work, folder, Path::new("no-such-file"), &flags).await
}

/// Runs the program on a package, and gives what it says of its failure.
async fn failed(work: &Path, folder: &Path, kubeconfig: &Path, flags: &[&str]) -> String {
    let mut run = tokio::process::Command::new(env!("CARGO_BIN_EXE_acp-prepare"));
    run.args(flags).env_clear().env("ACP_PACKAGE", folder).env("KUBECONFIG", kubeconfig);
    run.current_dir(work).kill_on_drop(true);
    run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = run.spawn().unwrap();
    // A run that ends early leaves its input unread.
    let _unread = child.stdin.take().unwrap().write_all(b"p\n").await;
    let limit = Duration::from_secs(120);
    let ended = tokio::time::timeout(limit, child.wait_with_output()).await.unwrap().unwrap();
    let said = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{said}");
    assert!(!said.contains('\u{1b}'), "{said}");
    let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{said}");
    errors[0].to_owned()
}

/// What is said and what changed must be as it should.
fn judge(name: &str, says: &str, error: &str, changes: &[String], wrong: &mut Vec<String>) {
    if !error.contains(says) || !changes.is_empty() {
        wrong.push(format!("{name}: {error}\nexpected: {says}; changed: {changes:?}"));
    }
}

#[tokio::test]
async fn every_hostile_package_is_refused_by_the_program_and_nothing_is_written_or_pushed() {
    let (address, connections) = registry();
    let mut wrong = Vec::new();
    for trap in tree::all() {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = trap.set(work.path());
        let before = tree::snapshot(work.path());
        let error = error_of(work.path(), &folder, &address).await;
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        judge(trap.name, trap.says, &error, &changes, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_hostile_layer_is_refused_by_the_program_and_nothing_is_written_or_pushed() {
    let (address, connections) = registry();
    let mut wrong = Vec::new();
    for case in layers::all() {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = work.path().join("inside/acp-core");
        package(&folder, &case);
        let before = tree::snapshot(work.path());
        let error = error_of(work.path(), &folder, &address).await;
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        judge(&case.name, &case.says, &error, &changes, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn hostile_packages_are_refused_by_deploy_and_nothing_is_applied() {
    let stage = Stage::new(false).await;
    let platform = crate::stage::registry(&stage.folder.path().join("registry")).await;
    stage.platform(&platform, "4.2.1").await;
    let flags = ["--skip-sync-image", "--registry=registry.local:1"];
    let (mut read, mut refused) = (0, 0);
    let mut is_refused = async |work: &Path, folder: &Path| {
        let before = stage.requests().len();
        let error = failed(work, folder, stage.kubeconfig(), &flags).await;
        eprintln!("{error}");
        refused += 1;
        read += usize::from(stage.requests().len() > before);
    };
    // A few of each kind: what is read is read in one way by every phase.
    for case in layers::all().into_iter().step_by(LAYERS_EACH) {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("acp-core");
        package(&folder, &case);
        is_refused(work.path(), &folder).await;
    }
    for trap in tree::all().into_iter().step_by(PACKAGES_EACH) {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = trap.set(work.path());
        is_refused(work.path(), &folder).await;
    }
    assert!(refused > 20 && read > 5, "{refused} were tried, {read} asked the platform");
    assert_eq!(stage.changes(), Vec::<String>::new());
}
