//! What needs neither a cluster nor a registry: usage, packages, the lock.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::packages::{Contents, package};
use crate::stage::{Ended, upgrade};

async fn plain(folder: &Path, flags: &[&str]) -> Ended {
    upgrade(folder, flags, &[], "").await
}

fn assert_failed(ended: &Ended, code: i32, error: &str, hint: &str) {
    assert_eq!(ended.code, code, "{ended:?}");
    let errors: Vec<&str> = ended.err.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{ended:?}");
    assert!(errors[0].contains(error), "{error}: {ended:?}");
    let mut hints = ended.err.lines().filter(|l| l.starts_with("hint: "));
    assert!(hints.any(|l| l.contains(hint)), "{hint}: {ended:?}");
}

#[tokio::test]
async fn usage_errors_say_what_to_write() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    for (flags, error) in [
        (&["--nonsense"][..], "there is no flag --nonsense"),
        (&["--only-sync-image", "--skip-sync-image"], "nothing to do"),
        (&["--cluster=workload-a"], "goes with --preflight"),
        (&["--registry=https://r"], "without scheme"),
    ] {
        assert_failed(&plain(&folder, flags).await, 64, error, "");
    }
    let odd = upgrade(&folder, &[], &[("SKIP_SYNC_IMAGE", "perhaps")], "").await;
    assert_failed(&odd, 64, "SKIP_SYNC_IMAGE", "SKIP_SYNC_IMAGE=true");
    let help = plain(&folder, &["--help"]).await;
    assert_eq!(help.code, 0);
    for flag in [
        "--registry",
        "--username",
        "--password",
        "--password-stdin",
        "--authfile",
        "--registry-ca",
        "--only-sync-image",
        "--skip-sync-image",
        "--skip-check-artifacts",
        "--preflight",
        "--cluster",
    ] {
        assert!(help.out.contains(flag), "{flag}: {}", help.out);
    }
}

#[tokio::test]
async fn a_password_is_warned_of_and_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    let flags = ["--registry=127.0.0.1:1", "--username=u", "--password=S3cret-word"];
    let flags = [&flags[..], &["--only-sync-image"]].concat();
    let mut bash = tokio::process::Command::new("bash");
    bash.arg("-x").arg("upgrade.sh").args(&flags).current_dir(&folder);
    bash.env("KUBECONFIG", "no-such-file");
    let ended =
        tokio::time::timeout(Duration::from_secs(100), bash.output()).await.unwrap().unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1), "{err}");
    assert!(!err.contains("S3cret-word"), "{err}");
    assert_eq!(err.matches("prefer --password-stdin").count(), 1, "{err}");
    let wrong = [&flags[..], &["S3cret-word"]].concat();
    let ended = plain(&folder, &wrong).await;
    assert!(!ended.err.contains("S3cret-word"), "{ended:?}");
}

#[tokio::test]
async fn a_package_that_was_cut_changed_or_is_for_others_is_named() {
    let changed = |change: fn(&Path)| async move {
        let folder = tempfile::tempdir().unwrap();
        package(folder.path(), &Contents::default());
        change(folder.path());
        let flags = ["--only-sync-image", "--registry=127.0.0.1:1", "--username=u"];
        let flags = [&flags[..], &["--password-stdin"]].concat();
        upgrade(folder.path(), &flags, &[], "p\n").await
    };
    let cut = changed(|folder| {
        let index = folder.join("SHA256SUMS");
        let text = fs::read_to_string(&index).unwrap();
        fs::write(index, &text[..text.len() / 2]).unwrap();
    });
    assert_failed(&cut.await, 1, "SHA256SUMS", "extract it again");
    let lost = changed(|folder| fs::remove_dir_all(folder.join("images")).unwrap());
    assert_failed(&lost.await, 1, "images is missing", "extracted core package");
    let short = changed(|folder| {
        let blobs = fs::read_dir(folder.join("images/blobs/sha256")).unwrap();
        let paths = blobs.map(|e| e.unwrap().path());
        let path = paths.max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    });
    assert_failed(&short.await, 1, "images/blobs/sha256/", "extract it again");
    let index = changed(|folder| fs::write(folder.join("images/index.json"), "{").unwrap());
    assert_failed(&index.await, 1, "index.json", "extract it again");

    let folder = tempfile::tempdir().unwrap();
    let foreign = Contents { architecture: "arm64", ..Contents::default() };
    package(folder.path(), &foreign);
    let ended = plain(folder.path(), &["--preflight"]).await;
    assert_failed(&ended, 1, "is for arm64", "core package for linux/amd64");
}

#[tokio::test]
async fn a_kubeconfig_is_asked_for_only_where_it_is_needed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    for (flags, need) in [
        (&[][..], "deploy writes to the cluster"),
        (&["--preflight"], "preflight reads the cluster"),
        (&["--only-sync-image"], "address of the registry"),
        (&["--only-sync-image", "--registry=127.0.0.1:1"], "account of the registry"),
    ] {
        let ended = plain(&folder, flags).await;
        assert_failed(&ended, 1, need, "KUBECONFIG=FILE");
        assert!(ended.err.contains("no-such-file not found"), "{ended:?}");
    }
    fs::write(folder.join("odd"), "users: [").unwrap();
    let odd = upgrade(&folder, &["--preflight"], &[("KUBECONFIG", "odd")], "").await;
    assert_failed(&odd, 1, "the kubeconfig odd cannot be used", "kubectl config view");
    let nowhere = "
apiVersion: v1
kind: Config
current-context: c
clusters: [{ name: c, cluster: { server: 'https://127.0.0.1:1' } }]
users: [{ name: u, user: { token: t0ken-word } }]
contexts: [{ name: c, context: { cluster: c, user: u } }]
";
    fs::write(folder.join("nowhere"), nowhere).unwrap();
    let gone = upgrade(&folder, &["--preflight"], &[("KUBECONFIG", "nowhere")], "").await;
    assert_failed(&gone, 1, "at https://127.0.0.1:1", "KUBECONFIG=nowhere kubectl get --raw");
    assert!(!gone.err.contains("t0ken-word"), "{gone:?}");
}

#[tokio::test]
async fn two_runs_of_one_package_at_once_are_not_let() {
    let folder = tempfile::tempdir().unwrap();
    let folder = package(folder.path(), &Contents::default());
    // A registry that takes connections and never answers holds the first run up.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("--registry={}", silent.local_addr().unwrap());
    let flags = ["--only-sync-image", "--username=u", "--password-stdin", &address];
    let mut first = tokio::process::Command::new("bash");
    first.arg("upgrade.sh").args(flags).current_dir(&folder).env("KUBECONFIG", "no-such-file");
    first.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut first = first.stderr(std::process::Stdio::null()).kill_on_drop(true).spawn().unwrap();
    let mut input = first.stdin.take().unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut input, b"p\n").await.unwrap();
    drop(input);
    let connected = tokio::time::timeout(Duration::from_secs(60), silent.accept()).await;
    connected.unwrap().unwrap();
    let second = upgrade(&folder, &flags, &[], "p\n").await;
    let pid = first.id().unwrap().to_string();
    assert_failed(&second, 1, "another upgrade.sh of this package runs", &format!("ps -fp {pid}"));
    first.kill().await.unwrap();
    // The lock of a killed run is nobody's: the next one gets as far as the first did.
    let third = upgrade(&folder, &["--only-sync-image"], &[], "");
    assert!(third.await.err.contains("no kubeconfig"));
}
