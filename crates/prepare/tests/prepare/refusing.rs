//! Every hostile package, given to the program: each phase fails with one line that names the
//! entry, writes nothing outside and asks no registry and no API server for anything.

#[path = "../../../artifacts/tests/corpus/corpus.rs"]
mod corpus;

use std::net::TcpListener;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use corpus::{layers, package, tree};
use tokio::io::AsyncWriteExt as _;

/// A registry, or an API server, that answers nothing and counts who comes.
fn server() -> (String, Arc<AtomicUsize>) {
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

/// Runs both phases that change something on a package, and gives what they say of their failure.
async fn errors_of(work: &Path, folder: &Path, address: &str) -> [String; 2] {
    let config = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "{{apiVersion: v1, kind: Config, current-context: c,
           clusters: [{{name: c, cluster: {{server: \"http://{address}\"}}}}],
           users: [{{name: u, user: {{token: t}}}}],
           contexts: [{{name: c, context: {{cluster: c, user: u}}}}]}}"
    );
    std::fs::write(config.path(), text).unwrap();
    let sync = ["--only-sync-image", "--registry", address, "--username=u", "--password-stdin"];
    [
        error_of(work, folder, Path::new("no-such-file"), &sync).await,
        error_of(work, folder, config.path(), &["--skip-sync-image"]).await,
    ]
}

async fn error_of(work: &Path, folder: &Path, kubeconfig: &Path, flags: &[&str]) -> String {
    let mut run = tokio::process::Command::new(env!("CARGO_BIN_EXE_acp-prepare"));
    run.args(flags);
    run.env_clear().env("ACP_PACKAGE", folder).env("KUBECONFIG", kubeconfig);
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
fn judge(name: &str, says: &str, errors: &[String], changes: &[String], wrong: &mut Vec<String>) {
    if !errors.iter().all(|error| error.contains(says)) || !changes.is_empty() {
        wrong.push(format!("{name}: {errors:#?}\nexpected: {says}; changed: {changes:?}"));
    }
}

#[tokio::test]
async fn every_hostile_package_is_refused_by_the_program_and_nothing_is_written_or_pushed() {
    let (address, connections) = server();
    let mut wrong = Vec::new();
    for trap in tree::all() {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = trap.set(work.path());
        let before = tree::snapshot(work.path());
        let errors = errors_of(work.path(), &folder, &address).await;
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        judge(trap.name, trap.says, &errors, &changes, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn every_hostile_layer_is_refused_by_the_program_and_nothing_is_written_or_pushed() {
    let (address, connections) = server();
    let mut wrong = Vec::new();
    for case in layers::all() {
        let work = tempfile::tempdir().unwrap();
        tree::surroundings(work.path());
        let folder = work.path().join("inside/acp-core");
        package(&folder, &case);
        let before = tree::snapshot(work.path());
        let errors = errors_of(work.path(), &folder, &address).await;
        let changes = tree::changes(&before, &tree::snapshot(work.path()));
        judge(&case.name, &case.says, &errors, &changes, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}
