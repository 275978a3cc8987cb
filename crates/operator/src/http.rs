//! `/healthz`, `/readyz` and `/metrics`.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Without a list or watch that succeeded for so long the process is not alive.
const ALIVE: Duration = Duration::from_secs(300);

/// When a list or watch last succeeded.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    /// Milliseconds since `start`, plus one; 0 for never.
    last_ms: AtomicU64,
}

impl Pulse {
    /// Never yet.
    #[must_use]
    pub fn new() -> Self {
        Self { start: Instant::now(), last_ms: AtomicU64::new(0) }
    }

    /// Just now.
    pub fn beat(&self) {
        let now = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last_ms.store(now + 1, Ordering::Release);
    }

    /// How long ago; None for never.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        let last = self.last_ms.load(Ordering::Acquire).checked_sub(1)?;
        Some(self.start.elapsed().saturating_sub(Duration::from_millis(last)))
    }

    /// Whether it is recent enough; at the start there was no time for one yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.age().unwrap_or_else(|| self.start.elapsed()) < ALIVE
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self::new()
    }
}

/// What the pages are made from.
#[derive(Clone)]
struct Pages {
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
}

/// Serves until it is told to stop.
pub async fn serve(
    listener: TcpListener,
    metrics: Arc<Metrics>,
    pulse: Arc<Pulse>,
    mut stopped: watch::Receiver<bool>,
) {
    let router = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(page))
        .with_state(Pages { metrics, pulse });
    let until = async move {
        stopped.wait_for(|stop| *stop).await.ok();
    };
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(until).await {
        tracing::error!(%error, "the pages are not served any more");
    }
}

async fn healthz(State(pages): State<Pages>) -> (StatusCode, String) {
    if pages.pulse.is_alive() {
        return (StatusCode::OK, "ok\n".to_owned());
    }
    let age = pages.pulse.age().map_or(0, |age| age.as_secs());
    (StatusCode::SERVICE_UNAVAILABLE, format!("no list or watch has succeeded for {age} s\n"))
}

async fn readyz(State(pages): State<Pages>) -> (StatusCode, &'static str) {
    match pages.pulse.age() {
        Some(_) if pages.pulse.is_alive() => (StatusCode::OK, "ok\n"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "no list or watch has succeeded yet\n"),
    }
}

async fn page(
    State(pages): State<Pages>,
) -> (StatusCode, [(&'static str, &'static str); 1], String) {
    let kind = [("content-type", "application/openmetrics-text; version=1.0.0; charset=utf-8")];
    match pages.metrics.text() {
        Ok(text) => (StatusCode::OK, kind, text),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, kind, format!("# {error}\n")),
    }
}
