//! `/healthz`, `/readyz` and `/metrics`.

use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use cluster::live::Hearing;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Without a list or watch that succeeded for so long the process is not alive.
pub const ALIVE: Duration = Duration::from_secs(300);

/// When the API server last told what it holds. The Lease does not count: it may be renewed for
/// ever where nothing can be listed any more.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    alive: Duration,
    /// Milliseconds since `start`, plus one; 0 for never.
    last_ms: AtomicU64,
}

impl Pulse {
    /// Never yet; how long an answer holds.
    #[must_use]
    pub fn new(alive: Duration) -> Self {
        Self { start: Instant::now(), alive, last_ms: AtomicU64::new(0) }
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

    /// How long an answer holds.
    #[must_use]
    pub const fn alive(&self) -> Duration {
        self.alive
    }

    /// Whether it is recent enough; at the start there was no time for one yet.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.age().unwrap_or_else(|| self.start.elapsed()) < self.alive
    }
}

impl Hearing for Pulse {
    fn listed(&self) {
        self.beat();
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
    (StatusCode::SERVICE_UNAVAILABLE, silence(&pages.pulse))
}

async fn readyz(State(pages): State<Pages>) -> (StatusCode, String) {
    match pages.pulse.age() {
        Some(_) if pages.pulse.is_alive() => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, silence(&pages.pulse)),
    }
}

fn silence(pulse: &Pulse) -> String {
    match pulse.age() {
        Some(age) => format!("no list or watch has succeeded for {} s\n", age.as_secs()),
        None => "no list or watch has succeeded yet\n".to_owned(),
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
