//! One request through the proxy: judged, passed on with the client's own credentials, its answer
//! streamed back. What happens to it is the book's to decide.

use super::book::{Fault, Verdict, When};
use super::signal::kill;
use super::trace::Asked;
use super::{Passage, Shared};
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderMap, RETRY_AFTER, TRANSFER_ENCODING};
use hyper::{Request, Response, StatusCode};
use std::sync::Arc;
use std::time::Duration;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 16 * 1024 * 1024;
/// How long the API server may take to begin its answer.
const UPSTREAM_LIMIT: Duration = Duration::from_secs(120);

/// The connection ends without an answer.
#[derive(Debug, thiserror::Error)]
#[error("the proxy gave no answer: {0}")]
pub(crate) struct Lost(&'static str);

type Body = UnsyncBoxBody<Bytes, Lost>;

/// An answer of the API server that was read whole.
struct Whole {
    code: StatusCode,
    headers: HeaderMap,
    bytes: Bytes,
}

/// Answers a request, or ends its connection.
pub(crate) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Lost> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Lost("no body"))?;
    let request = Request::from_parts(head, body.to_bytes());
    arrives(&shared).await;
    let asked = Asked {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.uri().query().unwrap_or_default().to_owned(),
    };
    let (is_watch, is_change) = (asked.is_watch(), asked.is_change());
    let (at, verdict) = shared.book().decide(asked);
    match verdict {
        Verdict::Dead => Err(Lost("of a dead client")),
        Verdict::Kill(when, pid) => killed(&shared, at, when, pid, &request).await,
        Verdict::Fault(fault) => faulty(&shared, at, fault, &request).await,
        Verdict::Pass if is_watch => streamed(&shared, at, &request).await,
        Verdict::Pass if is_change => Ok(whole(&shared, at, &request).await?.response()),
        Verdict::Pass => streamed(&shared, at, &request).await,
    }
}

/// While everything is away a request arrives nowhere.
async fn arrives(shared: &Shared) {
    let mut passage = shared.passage.subscribe();
    // The sender lives as long as `shared`.
    let _open = passage.wait_for(|p| *p != Passage::Away).await;
}

async fn killed(
    shared: &Shared,
    at: usize,
    when: When,
    pid: u32,
    request: &Request<Bytes>,
) -> Result<Response<Body>, Lost> {
    if when == When::After {
        whole(shared, at, request).await?;
    }
    if let Err(error) = kill(pid) {
        eprintln!("faultd: {error:#}");
    }
    shared.ended.send_modify(|count| *count += 1);
    Err(Lost("the client was killed"))
}

async fn faulty(
    shared: &Arc<Shared>,
    at: usize,
    fault: Fault,
    request: &Request<Bytes>,
) -> Result<Response<Body>, Lost> {
    match fault {
        Fault::Delay(time) => {
            tokio::time::sleep(time).await;
            streamed(shared, at, request).await
        }
        Fault::Answer { code, retry_after_s } => {
            shared.book().answered(at, code);
            Ok(status(code, retry_after_s))
        }
        Fault::Lose(When::Before) => Err(Lost("lost before it arrived")),
        Fault::Lose(When::After) => {
            done(shared, at, request).await?;
            Err(Lost("the answer was lost"))
        }
        Fault::TimeOutAfter => {
            done(shared, at, request).await?;
            Ok(status(504, None))
        }
        Fault::StopAndHold => {
            let mut released = shared.released.subscribe();
            released.mark_unchanged();
            let pid = shared.book().victim_id();
            match super::signal::Stopped::now(pid) {
                // The test lets it go on.
                Ok(stopped) => std::mem::forget(stopped),
                Err(error) => eprintln!("faultd: {error:#}"),
            }
            shared.ended.send_modify(|count| *count += 1);
            let _sender_lives = released.changed().await;
            Ok(whole(shared, at, request).await?.response())
        }
        Fault::Hold => {
            let mut released = shared.released.subscribe();
            released.mark_unchanged();
            let _sender_lives = released.changed().await;
            Ok(whole(shared, at, request).await?.response())
        }
    }
}

/// The API server has answered: what is asked was done; of a watch, it has begun.
async fn done(shared: &Shared, at: usize, request: &Request<Bytes>) -> Result<(), Lost> {
    if is_watch(request) {
        let code = sent(shared, request).await?.status();
        shared.book().answered(at, code.as_u16());
        return Ok(());
    }
    whole(shared, at, request).await.map(drop)
}

fn is_watch(request: &Request<Bytes>) -> bool {
    request.uri().query().is_some_and(|query| query.contains("watch="))
}

/// An error as the API server words it.
fn status(code: u16, retry_after_s: Option<u8>) -> Response<Body> {
    let body = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code,
        "message": "injected by faultd", "metadata": {},
    });
    let mut answer = Response::new(full(Bytes::from(body.to_string())));
    *answer.status_mut() = StatusCode::from_u16(code).unwrap_or_default();
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after_s {
        headers.insert(RETRY_AFTER, u16::from(seconds).into());
    }
    answer
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

impl Whole {
    fn response(self) -> Response<Body> {
        let mut answer = Response::new(full(self.bytes));
        *answer.status_mut() = self.code;
        *answer.headers_mut() = self.headers;
        answer
    }
}

/// Sends a request on; credentials and content are the client's.
async fn sent(shared: &Shared, request: &Request<Bytes>) -> Result<reqwest::Response, Lost> {
    let target = request.uri().path_and_query().map_or("/", |p| p.as_str());
    let url = format!("{}{target}", shared.upstream);
    let mut headers = request.headers().clone();
    for hop in [HOST, CONNECTION, TRANSFER_ENCODING] {
        headers.remove(hop);
    }
    let sent = shared
        .client
        .request(request.method().clone(), url)
        .headers(headers)
        .body(request.body().clone())
        .send();
    match tokio::time::timeout(UPSTREAM_LIMIT, sent).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(_)) => Err(Lost("the API server gave no answer")),
        Err(_) => Err(Lost("the API server took too long")),
    }
}

fn kept(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for hop in [CONNECTION, TRANSFER_ENCODING] {
        headers.remove(hop);
    }
    headers
}

async fn whole(shared: &Shared, at: usize, request: &Request<Bytes>) -> Result<Whole, Lost> {
    let answer = sent(shared, request).await?;
    let (code, headers) = (answer.status(), kept(answer.headers()));
    let bytes = answer.bytes().await.map_err(|_| Lost("the API server broke off"))?;
    shared.book().answered(at, code.as_u16());
    Ok(Whole { code, headers, bytes })
}

async fn streamed(
    shared: &Arc<Shared>,
    at: usize,
    request: &Request<Bytes>,
) -> Result<Response<Body>, Lost> {
    let answer = sent(shared, request).await?;
    let (code, headers) = (answer.status(), kept(answer.headers()));
    shared.book().answered(at, code.as_u16());
    let is_watch = is_watch(request);
    let passage = shared.passage.subscribe();
    let mut cut = shared.watches_cut.subscribe();
    cut.mark_unchanged();
    let chunks = answer.bytes_stream().then(move |chunk| {
        let mut passage = passage.clone();
        async move {
            let _sender_lives = passage
                .wait_for(|p| *p == Passage::Open || (*p == Passage::WatchesHeld && !is_watch))
                .await;
            chunk.map(Frame::data).map_err(|_| Lost("the API server broke off"))
        }
    });
    let ends = async move {
        if !is_watch || cut.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let mut answer =
        Response::new(StreamBody::new(chunks.take_until(Box::pin(ends))).boxed_unsync());
    *answer.status_mut() = code;
    *answer.headers_mut() = headers;
    Ok(answer)
}
