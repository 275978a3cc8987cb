//! A registry without room: it is said in its words and with what to do, no manifest is visible
//! without its blobs, and the same command ends the work once there is room.

use std::fs::Permissions;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use sandbox::TestRegistry;
use sandbox::process::{command, run};

use crate::held::{Held, finished, received};
use crate::packages::{Contents, package};
use crate::stage::{Ended, registry, registry_program, sync_flags, upgrade};

const HINT: &str =
    "hint: the registry has no room: free some space there, then run the same command again";

async fn sent(folder: &Path, registry: &TestRegistry) -> Ended {
    let flags = sync_flags(registry, registry.address());
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    upgrade(folder, &flags, &[], "").await
}

/// What a run says that met a full disk.
fn assert_full(ended: &Ended, words: &str) {
    assert_eq!(ended.code, 1, "{ended:?}");
    let errors: Vec<&str> = ended.err.lines().filter(|l| l.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{ended:?}");
    assert!(errors[0].contains("artifacts could not be synchronised"), "{ended:?}");
    let failed: Vec<&str> = ended.err.lines().filter(|l| l.starts_with("failed: ")).collect();
    assert!(!failed.is_empty(), "{ended:?}");
    assert!(failed.iter().all(|line| line.contains(words)), "{words}: {ended:?}");
    assert_eq!(ended.err.matches(HINT).count(), 1, "{ended:?}");
}

/// Answers in the place of a registry, with its certificate, as one that has no room.
struct Full {
    address: String,
    over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Full {
    fn start(address: &str, tls: &Path, status: u16, words: &'static str) -> Self {
        let chain = CertificateDer::pem_file_iter(tls.join("tls.crt")).unwrap();
        let key = PrivateKeyDer::from_pem_file(tls.join("tls.key")).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain.map(Result::unwrap).collect(), key);
        let config = Arc::new(config.unwrap());
        let listener = TcpListener::bind(address).unwrap();
        let over = Arc::new(AtomicBool::new(false));
        let ends = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if ends.load(Ordering::SeqCst) {
                    break;
                }
                let config = Arc::clone(&config);
                // A client that goes away is no fault of its own.
                std::thread::spawn(move || answer(stream, config, status, words).ok());
            }
        });
        Self { address: address.to_owned(), over, thread }
    }

    fn end(self) {
        self.over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(&self.address));
        self.thread.join().unwrap();
    }
}

/// One request a connection.
fn answer(
    stream: TcpStream,
    config: Arc<ServerConfig>,
    status: u16,
    words: &str,
) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, stream);
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:")?.trim().parse().ok());
    std::io::copy(&mut (&mut stream).take(length.unwrap_or(0)), &mut std::io::sink())?;
    let path = head.split(' ').nth(1).unwrap_or_default();
    let (status, location, words) = match head.split(' ').next() {
        Some("get") => (200, String::new(), ""),
        Some("post") => (202, format!("Location: {path}1\r\n"), ""),
        Some("put" | "patch") => (status, String::new(), words),
        _ => (404, String::new(), ""),
    };
    let text = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{location}\r\n{words}",
        words.len()
    );
    stream.write_all(text.as_bytes())?;
    stream.conn.send_close_notify();
    stream.flush()
}

#[tokio::test]
async fn a_registry_that_says_it_is_full_is_told_with_its_words_and_sent_to_again() {
    let work = tempfile::tempdir().unwrap();
    let place = work.path().join("registry");
    let mut registry = registry(&place).await;
    let folder = package(&work.path().join("package"), &Contents::default());
    registry.cut();
    // Of both kinds: an older distribution gives the number of the system's error only.
    for (status, words, says) in [
        (507, "the quota of this project is used up", "507 Insufficient Storage: the quota"),
        (
            500,
            r#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"DriverName":"filesystem","Enclosed":{"Op":"mkdir","Path":"/var/lib/registry","Err":28}}}]}"#,
            "No space left on device",
        ),
    ] {
        let full = Full::start(registry.address(), &place.join("tls"), status, words);
        let ended = sent(&folder, &registry).await;
        full.end();
        assert_full(&ended, says);
        assert!(ended.out.contains("0 uploaded (0 B), 0 unchanged, 5 failed in"), "{ended:?}");
    }
    registry.resume().await.unwrap();
    let again = sent(&folder, &registry).await;
    assert!(again.code == 0 && again.out.contains("5 uploaded"), "{again:?}");
}

/// A registry whose storage is a small disk that nobody else sees and that ends with its process.
async fn small_registry(work: &Path, size: &str) -> TestRegistry {
    let (program, place) = (work.join("small-registry"), work.join("registry"));
    let script = format!(
        r#"#!/bin/bash
set -eu
echo $$ > "{pid}"
mkdir -p "{storage}"
exec unshare --mount --propagation=private bash -ec \
  'mount -t tmpfs -o size={size} tmpfs "{storage}"; exec "{registry}" "$@"' registry "$@"
"#,
        pid = work.join("pid").display(),
        storage = place.join("storage").display(),
        registry = registry_program().await.display(),
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    TestRegistry::start(&program, &place).await.unwrap()
}

#[tokio::test]
async fn a_real_registry_on_a_full_disk_is_named_and_filled_once_there_is_room() {
    // Full with the small blobs already, and in the midst of one that is streamed.
    for (size, operator_bytes) in [("1m", 2_000_000), ("3m", 12_000_000)] {
        let work = tempfile::tempdir().unwrap();
        let contents = Contents { operator_bytes, ..Contents::default() };
        let folder = package(&work.path().join("package"), &contents);
        let registry = small_registry(work.path(), size).await;
        let held = Held::new(&folder, &registry);
        let first = sent(&folder, &registry).await;
        assert_full(&first, "no space left on device");
        let there = finished(&registry.access_log().unwrap());
        assert!(held.visible().await < held.artifacts.len());
        assert!(held.missing(&there) > operator_bytes as u64);

        let pid = std::fs::read_to_string(work.path().join("pid")).unwrap();
        let more = ["-t", pid.trim(), "-m", "mount", "-o", "remount,size=64m"];
        let mut more = command("nsenter", more);
        let storage = work.path().join("registry/storage");
        run(more.arg(storage), Duration::from_secs(10)).await.unwrap();
        let before = registry.access_log().unwrap().len();
        let again = sent(&folder, &registry).await;
        assert!(again.code == 0 && again.out.contains(", 0 failed in"), "{again:?}");
        let second = registry.access_log().unwrap().split_off(before);
        assert_eq!(received(&second), held.missing(&there), "only what is missing is sent");
        held.is_whole().await;
    }
}
