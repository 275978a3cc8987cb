//! `/healthz` and `/readyz` fail where no list or watch succeeds, and nowhere else.

use crate::server::{Answer, Server, forbidden, list, live};
use axum::http::StatusCode;
use cluster::live::Hearing;
use cluster::server::ApiServer as _;
use operator::http::{Pulse, serve};
use operator::metrics::Metrics;
use operator::triggers::Triggers;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

/// How long an answer holds in these tests.
const ALIVE: Duration = Duration::from_secs(2);

/// The status code of a page.
async fn page(pulse: &Arc<Pulse>, path: &str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_stop, stopped) = tokio::sync::watch::channel(false);
    let served =
        tokio::spawn(serve(listener, Arc::new(Metrics::new()), Arc::clone(pulse), stopped));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    served.abort();
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

#[test]
fn an_answer_holds_for_five_minutes() {
    assert_eq!(operator::http::ALIVE, Duration::from_secs(300));
}

#[tokio::test]
async fn a_world_in_which_nothing_changes_is_alive() {
    let server = Server::start(|_, uri, _| match uri.path() {
        _ if uri.query().is_some_and(|q| q.contains("watch=true")) => Answer::Silence,
        _ => list(&[]),
    })
    .await;
    let pulse = Arc::new(Pulse::new(ALIVE));
    let live = server.live().heard_by(Arc::clone(&pulse) as Arc<dyn Hearing>);
    let _triggers = Triggers::start(live.client().unwrap(), Arc::clone(&pulse));
    sleep(ALIVE * 3).await;
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (200, 200));
}

/// The Lease is renewed, all else is refused: no list or watch succeeds.
#[tokio::test]
async fn a_server_that_answers_only_for_the_lease_is_not_alive() {
    let server = Server::start(|_, uri, _| match uri.path() {
        "/version" => Answer::Document(StatusCode::OK, json!({ "gitVersion": "v1.34.2" })),
        _ => forbidden(),
    })
    .await;
    let pulse = Arc::new(Pulse::new(ALIVE));
    let live = server.live().heard_by(Arc::clone(&pulse) as Arc<dyn Hearing>);
    let _triggers = Triggers::start(live.client().unwrap(), Arc::clone(&pulse));
    for _ in 0..10 {
        live.version().await.unwrap();
        sleep(ALIVE / 4).await;
    }
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (503, 503));
}

#[tokio::test]
async fn a_server_that_refuses_everything_is_neither_ready_nor_alive() {
    let server = Server::start(|_, _, _| forbidden()).await;
    let pulse = Arc::new(Pulse::new(ALIVE));
    let live = server.live().heard_by(Arc::clone(&pulse) as Arc<dyn Hearing>);
    let _triggers = Triggers::start(live.client().unwrap(), Arc::clone(&pulse));
    sleep(Duration::from_millis(500)).await;
    assert_eq!(page(&pulse, "/readyz").await, 503, "nothing has succeeded yet");
    assert!(live.version().await.is_err());
    sleep(Duration::from_secs(4)).await;
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (503, 503));
    assert_eq!(pulse.age(), None);
    // 0, 1 and 3 s: the pause grows.
    // Its own look comes in steady steps.
    let (path, most) = server.most_but("clusterversionshadows");
    assert!(most <= 3, "{path} was asked for {most} times in 4.5 s");
}

#[tokio::test]
async fn a_server_that_is_gone_is_neither_ready_nor_alive() {
    let pulse = Arc::new(Pulse::new(ALIVE));
    let live = live("http://127.0.0.1:1").heard_by(Arc::clone(&pulse) as Arc<dyn Hearing>);
    let _triggers = Triggers::start(live.client().unwrap(), Arc::clone(&pulse));
    sleep(ALIVE + Duration::from_millis(500)).await;
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (503, 503));
    pulse.beat();
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (200, 200));
    sleep(ALIVE + Duration::from_millis(200)).await;
    assert_eq!((page(&pulse, "/healthz").await, page(&pulse, "/readyz").await), (503, 503));
}
