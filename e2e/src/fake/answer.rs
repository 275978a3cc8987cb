//! One request to a fake API server and its answer. Knows nothing of connections.

use super::store::{Patch, Place, Refused};
use super::{Manner, Shared};
use bytes::Bytes;
use futures::StreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Largest body of a request, in bytes.
const BODY_LIMIT: usize = 4 * 1024 * 1024;
/// How long a watch lasts that does not say it.
const WATCH: Duration = Duration::from_secs(60);
/// What is said instead of an answer.
const PAGE: &[u8] = b"<html><body>Please log in</body></html>";
/// Where rights are asked for.
const REVIEWS: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";

/// The body of a request was not whole.
#[derive(Debug, thiserror::Error)]
#[error("the request has no whole body")]
pub(super) struct Cut;

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Answers a request, in the manner of the server.
pub(super) async fn to(shared: &Shared, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_LIMIT).collect().await.map_err(|_| Cut)?.to_bytes();
    let manner = *shared.manner.borrow();
    match manner {
        Manner::Prompt => {}
        Manner::Slow(time) => tokio::time::sleep(time).await,
        Manner::Silent => std::future::pending().await,
        Manner::Rubbish => return Ok(full(StatusCode::OK, Bytes::from_static(PAGE))),
    }
    let path = head.uri.path();
    Ok(match path {
        "/version" => full(StatusCode::OK, shared.model.version.clone()),
        "/api" => full(StatusCode::OK, shared.model.core.clone()),
        "/apis" => full(StatusCode::OK, shared.model.groups.clone()),
        REVIEWS => value(StatusCode::CREATED, &json!({ "status": { "allowed": true } })),
        _ if of_query(&head, "watch") == "true" => watch(&head),
        _ => of_objects(shared, &head, &body),
    })
}

/// A value of the query; empty where there is none.
fn of_query(head: &Parts, key: &str) -> String {
    let query = head.uri.query().unwrap_or_default();
    let Ok(url) = reqwest::Url::parse(&format!("http://fake/?{query}")) else {
        return String::new();
    };
    let found = url.query_pairs().find(|(name, _)| name == key);
    found.map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Nothing that is watched changes: nobody but the operator writes here, of whom it is known.
fn watch(head: &Parts) -> Response<Body> {
    let asked = of_query(head, "timeoutSeconds").parse().map(Duration::from_secs);
    let end = tokio::time::sleep(asked.unwrap_or(WATCH));
    let nothing = futures::stream::once(end)
        .filter_map(|()| async { None::<Result<Frame<Bytes>, Infallible>> });
    json_of(StatusCode::OK, StreamBody::new(nothing).boxed_unsync())
}

fn of_objects(shared: &Shared, head: &Parts, body: &Bytes) -> Response<Body> {
    let Some((place, subresource)) = Place::of(head.uri.path()) else {
        return status(StatusCode::NOT_FOUND, "");
    };
    if head.method != Method::GET {
        shared.changes.fetch_add(1, Ordering::AcqRel);
    }
    let sent = serde_json::from_slice::<Value>(body);
    let (mut store, is_status) = (shared.store(), subresource == "status");
    let content = head.headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let done = match (&head.method, content, sent) {
        (&Method::GET, ..) if place.name.is_empty() => Ok(json!({
            "apiVersion": "v1", "kind": "List",
            "metadata": { "resourceVersion": store.version().to_string() },
            "items": store.list(&place, &of_query(head, "labelSelector")),
        })),
        (&Method::GET, ..) => store.get(&place),
        (&Method::DELETE, ..) => store.delete(&place),
        (&Method::POST, _, Ok(sent)) => store.create(&place, sent),
        (&Method::PATCH, Some("application/apply-patch+yaml"), Ok(sent)) => {
            store.apply(&place, sent)
        }
        (&Method::PATCH, Some("application/merge-patch+json"), Ok(sent)) => {
            store.patch(&place, is_status, Patch::Merge, sent)
        }
        (&Method::PATCH, Some("application/json-patch+json"), Ok(sent)) => {
            store.patch(&place, is_status, Patch::Json, sent)
        }
        _ => Err(Refused::Invalid),
    };
    match done {
        Ok(object) => value(StatusCode::OK, &object),
        Err(Refused::NotFound) => status(StatusCode::NOT_FOUND, &place.name),
        Err(Refused::Conflict) => status(StatusCode::CONFLICT, &place.name),
        Err(Refused::Invalid) => status(StatusCode::UNPROCESSABLE_ENTITY, &place.name),
    }
}

/// An error as an API server words it.
fn status(code: StatusCode, name: &str) -> Response<Body> {
    let text = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(),
        "message": format!("the fake answers {code}"), "metadata": {}, "details": { "name": name },
    });
    value(code, &text)
}

fn value(code: StatusCode, value: &Value) -> Response<Body> {
    full(code, Bytes::from(value.to_string()))
}

fn full(code: StatusCode, bytes: Bytes) -> Response<Body> {
    json_of(code, Full::new(bytes).boxed_unsync())
}

fn json_of(code: StatusCode, body: Body) -> Response<Body> {
    let mut answer = Response::new(body);
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    answer
}
