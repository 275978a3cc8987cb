//! A real client before a server that has no time yet: reads are repeated for a moment, writes
//! never.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use api::names::NAMESPACE;
use api::objects::{ClusterVersionShadow, object_ref};
use cluster::server::PatchBody;
use cluster::{ApiServer as _, CallError, ListQuery, Live};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// Says of a kind that was just defined what a real server says.
const REINITIALIZING: &str = r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"storage is (re)initializing","reason":"TooManyRequests","details":{"retryAfterSeconds":1},"code":429}"#;
const EMPTY: &str = r#"{"metadata":{},"items":[]}"#;

/// One answer: its first line with further headers, and its body.
type Answer = (&'static str, &'static str);

/// Answers one request after the other, the last answer for ever; tells how many came.
async fn serve(answers: Vec<Answer>) -> (Live, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let came = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&came);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.windows(4).any(|w| w == b"\r\n\r\n") {
                if stream.read_buf(&mut request).await.unwrap() == 0 {
                    break;
                }
            }
            let number = counter.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1);
            let (head, body) = answers[number];
            let answer = format!(
                "HTTP/1.1 {head}\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    let uri = format!("http://{address}").parse().unwrap();
    (Live::new(kube::Config::new(uri)).unwrap(), came)
}

async fn list(live: &Live) -> Result<usize, CallError> {
    live.list(&ListQuery::all("v1", "ConfigMap")).await.map(|all| all.len())
}

#[tokio::test]
async fn a_kind_that_was_just_defined_is_asked_for_again() {
    let answers = vec![
        ("429 Too Many Requests\r\nretry-after: 1", REINITIALIZING),
        ("429 Too Many Requests", REINITIALIZING),
        ("200 OK", EMPTY),
    ];
    let (live, came) = serve(answers).await;
    let begun = Instant::now();
    assert_eq!(list(&live).await, Ok(0));
    assert_eq!(came.load(Ordering::Relaxed), 3);
    assert!(begun.elapsed() >= Duration::from_secs(2), "the server was left alone as it asked");
}

#[tokio::test]
async fn a_server_that_stays_busy_is_given_up() {
    let (live, came) =
        serve(vec![("429 Too Many Requests\r\nretry-after: 2", "Too many requests.")]).await;
    let begun = Instant::now();
    let error = list(&live).await.unwrap_err();
    assert_eq!(error, CallError::Unavailable("Too many requests. (429)".to_owned()));
    assert_eq!(came.load(Ordering::Relaxed), 3);
    assert!(begun.elapsed() >= Duration::from_secs(4));
    // Whoever asks to be left alone for longer is left alone: a later round asks again.
    let (live, came) = serve(vec![("429 Too Many Requests\r\nretry-after: 600", "Later.")]).await;
    list(&live).await.unwrap_err();
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn only_a_busy_server_is_asked_again_and_only_for_reads() {
    let (live, came) = serve(vec![("503 Service Unavailable\r\nretry-after: 1", "Down.")]).await;
    assert_eq!(list(&live).await, Err(CallError::Unavailable("Down. (503)".to_owned())));
    assert_eq!(came.load(Ordering::Relaxed), 1);
    let (live, came) =
        serve(vec![("429 Too Many Requests", REINITIALIZING), ("200 OK", "{}")]).await;
    let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, "global");
    let patched = live.patch(&shadow, None, &PatchBody::Merge(json!({}))).await;
    assert_eq!(
        patched,
        Err(CallError::Unavailable("storage is (re)initializing (429)".to_owned()))
    );
    assert_eq!(came.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_a_server_says_is_told_apart() {
    let missing = r#"{"kind":"Status","status":"Failure","message":"configmaps \"a\" not found","reason":"NotFound","details":{"name":"a","kind":"configmaps"},"code":404}"#;
    let (live, _) = serve(vec![
        ("404 Not Found", missing),
        ("404 Not Found", "404 page not found\n"),
        ("200 OK", "not JSON"),
        ("403 Forbidden", "no"),
    ])
    .await;
    let shadow = object_ref::<ClusterVersionShadow>(NAMESPACE, "global");
    assert_eq!(live.get(&shadow).await, Ok(None));
    let absent = list(&live).await;
    assert_eq!(absent, Err(CallError::KindAbsent("404 page not found".to_owned())));
    assert!(matches!(list(&live).await, Err(CallError::Unexpected(_))));
    assert_eq!(list(&live).await, Err(CallError::Forbidden("no".to_owned())));
}
