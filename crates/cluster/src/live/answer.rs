//! What an API server answered: a value, an error, or that it has no time yet and how long it asks
//! to be left alone. Knows nothing of what was asked.

use crate::call::{CallError, of_status};
use http::{HeaderMap, Request, StatusCode};
use kube::Client;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;
use std::time::Duration;

/// How long a server that does not say it asks to be left alone.
pub(super) const DEFAULT_WAIT: Duration = Duration::from_secs(1);

/// An answer that is no error of its own.
pub(super) enum Answer {
    /// What was asked for.
    Value(Value),
    /// 429: too many requests, or the storage of a kind is not ready.
    Busy {
        /// How long the server asks to be left alone.
        wait: Duration,
        /// The error, for whoever does not want to wait.
        error: CallError,
    },
}

/// Sends a request once.
pub(super) async fn of(client: &Client, request: Request<Vec<u8>>) -> Result<Answer, CallError> {
    let (head, body) = client.send(request.map(Body::from)).await?.into_parts();
    let bytes = body.collect_bytes().await?;
    if head.status.is_success() {
        let value = super::depth::read(&bytes);
        return Ok(Answer::Value(
            value
                .map_err(|error| CallError::Unexpected(api::text::line(&error.to_string(), 256)))?,
        ));
    }
    // A proxy, or the server when it is in a hurry, answers in plain words.
    let mut status: Status = serde_json::from_slice(&bytes)
        .unwrap_or_else(|_| Status::failure(String::from_utf8_lossy(&bytes).trim(), ""));
    status.code = head.status.as_u16();
    let error = of_status(&status);
    if head.status == StatusCode::TOO_MANY_REQUESTS {
        return Ok(Answer::Busy { wait: wait(&head.headers, &status), error });
    }
    Err(error)
}

/// The header counts; the body repeats it.
fn wait(headers: &HeaderMap, status: &Status) -> Duration {
    let header = headers.get(http::header::RETRY_AFTER).and_then(|v| v.to_str().ok());
    let of_header = header.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let of_body = status.details.as_ref().map(|d| u64::from(d.retry_after_seconds));
    let asked = of_header.or(of_body.filter(|s| *s > 0).map(Duration::from_secs));
    // At once would be asking without end.
    asked.unwrap_or(DEFAULT_WAIT).max(DEFAULT_WAIT / 10)
}
