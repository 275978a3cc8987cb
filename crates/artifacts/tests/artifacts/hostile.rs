//! A registry that lies, steals or never ends is refused, and learns nothing from us.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use artifacts::build::{Content, LayoutWriter, product_image};
use artifacts::digest;
use artifacts::layout::Layout;
use artifacts::oci::{CONFIG_TYPE, Descriptor, INDEX_TYPE, LAYER_TYPE, MANIFEST_TYPE, Manifest};
use artifacts::registry::{BlobSource, RegistryError};

use crate::fixture::{chain, chart, release};
use crate::server::{Answer, CANARY, Request, Server};

fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let headers = headers.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    (status, headers, body.to_vec())
}

fn manifest() -> Vec<u8> {
    let config = Descriptor::of(CONFIG_TYPE, b"{}");
    let layer = Descriptor::of(LAYER_TYPE, b"layer");
    serde_json::to_vec(&Manifest::new(config, vec![layer])).unwrap()
}

fn serving(kind: &'static str, body: Vec<u8>) -> Server {
    Server::start(move |_| answer(200, &[("Content-Type", kind)], &body))
}

#[tokio::test]
async fn other_bytes_than_those_of_the_digest_are_refused() {
    let server = serving(MANIFEST_TYPE, manifest());
    let registry = server.client(&[]);
    let good = digest::of(&manifest());
    assert_eq!(registry.pull_manifest("a/b", &good).await.unwrap().bytes, manifest());
    assert_eq!(registry.resolve("a/b", "v1").await.unwrap(), good);
    let error = registry.pull_manifest("a/b", &digest::of(b"other")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
    let layer = Descriptor::of(LAYER_TYPE, b"layer");
    let error = registry.pull_blob("a/b", &layer).await.unwrap_err();
    assert!(error.is_invalid() && !error.may_pass(), "{error}");
    assert_eq!(server.requests().len(), 4, "lies are not asked for again");
}

/// The parts of a good product image by their digests: manifest, config and layer.
fn product() -> Vec<(api::Digest, Vec<u8>)> {
    let folder = tempfile::tempdir().unwrap();
    let mut layout = LayoutWriter::create(folder.path()).unwrap();
    let image = product_image(&release(), chart()).unwrap();
    image.write(&mut layout, "acp/product-image", "v4.3.0").unwrap();
    layout.finish().unwrap();
    let layout = Layout::open(folder.path()).unwrap();
    let image = layout.images().next().unwrap();
    let blobs = image
        .manifest
        .blobs()
        .map(|blob| (blob.digest.clone(), std::fs::read(layout.blob_path(&blob.digest)).unwrap()));
    std::iter::once((image.digest().clone(), image.bytes.clone())).chain(blobs).collect()
}

/// Serves parts under their digests, whatever bytes they have.
fn serving_parts(parts: Vec<(api::Digest, Vec<u8>)>) -> Server {
    Server::start(move |request| {
        let part = parts.iter().find(|(digest, _)| request.target.ends_with(digest.as_str()));
        match part {
            Some((_, bytes)) => answer(200, &[("Content-Type", MANIFEST_TYPE)], bytes),
            None => answer(404, &[], b""),
        }
    })
}

#[tokio::test]
async fn i12_bytes_are_applied_only_after_their_digest() {
    let parts = product();
    let digest = parts[0].0.clone();
    let registry = serving_parts(parts.clone()).client(&[]);
    let content = registry.pull_release("acp/product-image", &digest).await.unwrap();
    assert_eq!((content.release, content.files), (release(), chart()));
    for (number, (_, bytes)) in parts.iter().enumerate() {
        let flipped = (0..bytes.len()).step_by(bytes.len() / 16).map(|at| {
            let mut other = bytes.clone();
            other[at] ^= 1;
            other
        });
        let longer = [&bytes[..], b" "].concat();
        let lies = [bytes[..bytes.len() - 1].to_vec(), Vec::new(), longer];
        for lie in flipped.chain(lies) {
            let mut parts = parts.clone();
            parts[number].1 = lie;
            let registry = serving_parts(parts).client(&[]);
            let error = registry.pull_release("acp/product-image", &digest).await.unwrap_err();
            assert!(error.is_invalid(), "part {number}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_tag_whose_stated_digest_is_another_is_refused() {
    let stated = digest::of(b"other").to_string();
    let server = Server::start(move |_| {
        let headers = [("Content-Type", MANIFEST_TYPE), ("Docker-Content-Digest", &stated)];
        answer(200, &headers, &manifest())
    });
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Mismatch { .. }), "{error}");
}

#[tokio::test]
async fn documents_that_mean_two_things_are_refused() {
    let text = String::from_utf8(manifest()).unwrap();
    let both = text.replacen("{", r#"{"manifests":[],"#, 1).into_bytes();
    let layers = text.replacen("{", r#"{"layers":[],"#, 1).into_bytes();
    let one = text.replacen(r#""schemaVersion":2"#, r#""schemaVersion":1"#, 1).into_bytes();
    let cases: [(&'static str, Vec<u8>); 9] = [
        (INDEX_TYPE, manifest()),
        (MANIFEST_TYPE, both.clone()),
        (INDEX_TYPE, both),
        (MANIFEST_TYPE, layers),
        (MANIFEST_TYPE, one),
        ("application/json", manifest()),
        ("text/html", b"<html>".to_vec()),
        (MANIFEST_TYPE, b"not json".to_vec()),
        (MANIFEST_TYPE, b"{}".to_vec()),
    ];
    for (kind, body) in cases {
        let shown = String::from_utf8_lossy(&body).into_owned();
        let server = serving(kind, body);
        let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
        assert!(error.is_invalid(), "{kind} {shown}: {error:?}");
    }
}

#[tokio::test]
async fn a_document_or_blob_that_is_too_long_is_refused_unread() {
    let server = serving(MANIFEST_TYPE, vec![b' '; 5 * 1024 * 1024]);
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    assert!(chain(&error).contains("longer than the 4194304"), "{error}");
    // One that does not say how long it is.
    let endless = Server::start(|_| {
        let chunk = vec![b' '; 1024 * 1024];
        let mut body = Vec::new();
        for _ in 0..6 {
            body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            body.extend_from_slice(&chunk);
            body.extend_from_slice(b"\r\n");
        }
        let headers = [("Content-Type", MANIFEST_TYPE), ("Transfer-Encoding", "chunked")];
        let (status, mut headers, body) = answer(200, &headers, &body);
        headers.push(("X-Content-Length".to_owned(), "0".to_owned()));
        (status, headers, body)
    });
    assert!(endless.client(&[]).resolve("a/b", "v1").await.is_err());
    let layer = Descriptor::of(LAYER_TYPE, b"layer");
    let error = server.client(&[]).pull_blob("a/b", &layer).await.unwrap_err();
    assert!(chain(&error).contains("longer than the 5 bytes"), "{error}");
}

fn challenge(server: &str, realm: &str) -> Answer {
    let value = format!(r#"Bearer realm="{realm}",service="{server}",scope="x""#);
    answer(401, &[("WWW-Authenticate", &value)], b"")
}

#[tokio::test]
async fn a_realm_on_another_host_in_the_open_or_with_a_user_gets_no_password() {
    let thief = Server::start(|_| answer(200, &[], br#"{"token":"t"}"#));
    for realm in [
        format!("https://{}/token", thief.address),
        format!("http://{}/token", thief.address),
        "https://169.254.169.254/token".to_owned(),
        "https://admin:x@127.0.0.1/token".to_owned(),
        "file:///etc/passwd".to_owned(),
        "not an address".to_owned(),
        String::new(),
    ] {
        let shown = realm.clone();
        let server = Server::start(move |_| challenge("s", &realm));
        let error = server.client(&[&thief]).resolve("a/b", "v1").await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{shown}: {error:?}");
        assert!(server.requests().iter().all(|r| r.authorization().is_none()), "{shown}");
    }
    assert_eq!(thief.requests().len(), 0);
}

/// A registry that gives tokens itself.
fn with_tokens(tokens: &'static str) -> Server {
    let own = Arc::new(std::sync::OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let server = Server::start(move |request| {
        let address = address.get().map_or("", String::as_str);
        if request.target.starts_with("/token") {
            return answer(200, &[], tokens.as_bytes());
        }
        match request.authorization() {
            Some("Bearer t0ken") => answer(200, &[("Content-Type", MANIFEST_TYPE)], &manifest()),
            _ => challenge("a&b=c d", &format!("https://{address}/token?x=1")),
        }
    });
    own.set(server.address.clone()).unwrap();
    server
}

#[tokio::test]
async fn a_token_is_fetched_once_with_service_and_scope_encoded() {
    let server = with_tokens(r#"{"token":"t0ken","expires_in":300}"#);
    let registry = server.client(&[]);
    registry.resolve("a/b", "v1").await.unwrap();
    registry.resolve("a/b", "v2").await.unwrap();
    let requests = server.requests();
    let targets: Vec<&str> = requests.iter().map(|r| r.target.as_str()).collect();
    assert_eq!(
        targets,
        [
            "/v2/a/b/manifests/v1",
            "/token?x=1&service=a%26b%3Dc+d&scope=repository%3Aa%2Fb%3Apull",
            "/v2/a/b/manifests/v1",
            "/v2/a/b/manifests/v2"
        ]
    );
    let basic = requests[1].authorization().unwrap();
    assert!(basic.starts_with("Basic ") && requests[0].authorization().is_none());
    assert!([2, 3].iter().all(|n| requests[*n].authorization() == Some("Bearer t0ken")));
}

/// What is said at every level, in memory.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_a_password_nor_a_token_of_a_registry_is_logged_at_any_level() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    // For the whole process: what other tests say meanwhile is looked at as well.
    tracing::subscriber::set_global_default(subscriber).unwrap();
    let good = with_tokens(r#"{"token":"t0ken","expires_in":300}"#);
    good.client(&[]).resolve("a/b", "v1").await.unwrap();
    let refused = with_tokens(r#"{"token":"wrong-t0ken"}"#);
    let error = refused.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    let broken = with_tokens(r#"{"token":"broken-t0ken\n"}"#);
    let other = broken.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("TRACE"), "{log}");
    let said = format!("{log}\n{error}\n{error:?}\n{other}\n{other:?}");
    for canary in ["t0ken", CANARY] {
        assert!(!said.contains(canary), "{canary}: {said}");
    }
}

#[tokio::test]
async fn tokens_that_are_none_are_refused_and_a_token_that_opens_nothing_is_denied() {
    for tokens in ["", "{}", r#"{"token":""}"#, r#"{"token":"a\nb"}"#, r#"{"token":7}"#] {
        let server = with_tokens(tokens);
        let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
        assert!(matches!(error, RegistryError::Invalid { .. }), "{tokens}: {error:?}");
    }
    let server = with_tokens(r#"{"token":"wrong"}"#);
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Denied { status: 401, .. }), "{error:?}");
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn a_sign_in_that_sends_us_elsewhere_is_not_followed() {
    let thief = Server::start(|_| answer(200, &[], br#"{"token":"t0ken"}"#));
    let target = format!("https://{}/", thief.address);
    let own = Arc::new(std::sync::OnceLock::<String>::new());
    let address = Arc::clone(&own);
    let server = Server::start(move |request| match request.target.starts_with("/token") {
        true => answer(307, &[("Location", &target)], b""),
        false => challenge("s", &format!("https://{}/token", address.get().unwrap())),
    });
    own.set(server.address.clone()).unwrap();
    let error = server.client(&[&thief]).resolve("a/b", "v1").await.unwrap_err();
    assert!(matches!(error, RegistryError::Invalid { .. }), "{error:?}");
    assert_eq!(thief.requests().len(), 0);
}

fn basic(request: &Request) -> Option<Answer> {
    let asked = request.authorization().is_none();
    asked.then(|| answer(401, &[("WWW-Authenticate", r#"Basic realm="r""#)], b""))
}

#[tokio::test]
async fn a_blob_elsewhere_is_fetched_without_the_password_and_uploads_never_go_elsewhere() {
    let store = Server::start(|_| answer(200, &[], b"layer"));
    let target = format!("https://{}/blob", store.address);
    let server = Server::start(move |request| {
        let moved = if request.method == "GET" { 307 } else { 202 };
        basic(request).unwrap_or_else(|| answer(moved, &[("Location", &target)], b""))
    });
    let registry = server.client(&[&store]);
    let layer = Descriptor::of(LAYER_TYPE, b"layer");
    assert_eq!(registry.pull_blob("a/b", &layer).await.unwrap(), b"layer");
    let content = Content::Bytes(b"layer".to_vec());
    let source = BlobSource { content, digest: layer.digest.clone(), size: 5 };
    let error = registry.push_blob("a/b", &source, None, &|_| {}).await.unwrap_err();
    assert!(error.to_string().contains("to another host"), "{error}");
    let requests = store.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!((requests[0].authorization(), requests[0].length), (None, 0));
}

#[tokio::test]
async fn a_registry_that_says_the_password_back_does_not_get_it_into_the_error() {
    let server = Server::start(|request| {
        let said = format!(
            r#"{{"errors":[{{"code":"DENIED","message":"{} {CANARY} \u001b[2J\n x"}}]}}"#,
            request.authorization().unwrap_or("")
        );
        basic(request).unwrap_or_else(|| answer(403, &[], said.as_bytes()))
    });
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(matches!(error, RegistryError::Denied { status: 403, .. }), "{shown}");
    let encoded = server.requests()[1].authorization().unwrap().replace("Basic ", "");
    assert!(!shown.contains(CANARY) && !shown.contains(&encoded), "{shown}");
    assert!(!shown.contains('\u{1b}') && shown.contains("(DENIED)"), "{shown}");
}

#[tokio::test]
async fn what_passes_is_tried_again_and_what_does_not_is_not() {
    for (status, attempts) in [(503, 3), (429, 3), (500, 3), (404, 1), (400, 1), (418, 1)] {
        let count = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&count);
        let server = Server::start(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer(status, &[("Retry-After", "0")], b"busy now"),
            _ => answer(200, &[("Content-Type", MANIFEST_TYPE)], &manifest()),
        });
        let result = server.client(&[]).resolve("a/b", "v1").await;
        assert_eq!(count.load(Ordering::SeqCst), attempts, "{status}");
        assert_eq!(result.is_ok(), attempts == 3, "{status}");
    }
    // A full disk does not pass by itself, whatever status says so.
    let words: &[u8] = br#"{"errors":[{"code":"UNKNOWN","message":"unknown error","detail":{"driver":"filesystem","detail":"write /x: no space left on device"}}]}"#;
    for (status, words) in [(507, &b""[..]), (507, b"full"), (500, b"No space left"), (500, words)]
    {
        let server = Server::start(move |_| answer(status, &[], words));
        let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
        assert_eq!(server.requests().len(), 1, "{error}");
        assert!(error.is_full() && !error.may_pass(), "{error}");
        assert!(status == 507 || chain(&error).to_lowercase().contains("no space left"), "{error}");
    }
    let server = Server::start(|_| answer(503, &[], b"busy now"));
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    assert_eq!(server.requests().len(), 5);
    assert!(error.may_pass() && error.to_string().contains("503"), "{error}");
    assert!(error.to_string().contains("busy now"), "{error}");
}

#[tokio::test]
async fn a_registry_that_never_answers_is_given_up() {
    let server = Server::start(|_| {
        std::thread::sleep(Duration::from_secs(30));
        answer(200, &[], b"")
    });
    let mut settings = server.settings(&[]);
    settings.patience = Duration::from_millis(300);
    settings.retry.attempts = 2;
    let begun = Instant::now();
    let registry = artifacts::registry::Registry::new(settings).unwrap();
    let error = registry.resolve("a/b", "v1").await.unwrap_err();
    assert!(error.to_string().contains("no answer in time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn redirections_that_lead_nowhere_good_are_refused() {
    let layer = Descriptor::of(LAYER_TYPE, b"layer");
    for (location, reason, requests) in [
        (Some("http://127.0.0.1:1/blob"), "away from https", 1),
        (Some("https://[::"), "no address", 1),
        (None, "does not say where", 1),
        // To itself, for ever.
        (Some("/v2/a/b/blobs/again"), "sends us elsewhere", 4),
    ] {
        let server = Server::start(move |_| {
            let headers: Vec<_> = location.iter().map(|to| ("Location", *to)).collect();
            answer(307, &headers, b"")
        });
        let error = server.client(&[]).pull_blob("a/b", &layer).await.unwrap_err();
        assert!(error.is_invalid() && chain(&error).contains(reason), "{location:?}: {error:?}");
        assert_eq!(server.requests().len(), requests, "{location:?}");
    }
}

#[tokio::test]
async fn a_manifest_is_read_where_it_is_asked_for_and_nowhere_else() {
    let other = serving(MANIFEST_TYPE, manifest());
    let elsewhere = format!("https://{}/v2/a/b/manifests/v1", other.address);
    let server = Server::start(move |_| answer(307, &[("Location", &elsewhere)], b""));
    let error = server.client(&[]).resolve("a/b", "v1").await.unwrap_err();
    assert!(error.is_invalid(), "{error:?}");
    let error = server.client(&[]).exists("a/b", "v1").await.unwrap_err();
    assert!(error.is_invalid(), "{error:?}");
    assert!(other.requests().is_empty(), "{:?}", other.requests());
}
