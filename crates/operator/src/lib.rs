//! The cluster version operator: watches, holds the Lease, and makes one round after the other:
//! observe, plan, execute, status.
//!
//! It decides nothing about an upgrade; that is the planner's.

pub mod fleet;
pub mod http;
pub mod lease;
pub mod manifests;
pub mod metrics;
pub mod plugins;
pub mod releases;
pub mod round;
pub mod settings;
pub mod triggers;
pub mod trust;

use crate::lease::Election;
use crate::settings::Settings;
use anyhow::Context as _;
use cluster::Live;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Logs go to standard error, one JSON object a line.
///
/// # Errors
/// When the filter is none.
pub fn logs(filter: &str) -> anyhow::Result<()> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter)
        .with_context(|| format!("--log {filter} is no filter of logs"))?;
    tracing_subscriber::fmt().with_env_filter(filter).json().with_writer(std::io::stderr).init();
    Ok(())
}

/// Runs until it is told to stop.
///
/// # Errors
/// When it cannot start: no API server configuration, no port.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let config = settings.kube_config().await?;
    let pulse = Arc::new(http::Pulse::new(http::ALIVE));
    let server = Live::new(config)
        .context("the configuration of the API server cannot be used")?
        .heard_by(Arc::clone(&pulse) as Arc<dyn cluster::live::Hearing>);
    let metrics = Arc::new(metrics::Metrics::new());
    let (stop, stopped) = watch::channel(false);
    let (resign, resigned) = watch::channel(false);
    let election = Election::new(server.clone(), settings.lease()?);
    let leadership = election.leadership();
    let listener = tokio::net::TcpListener::bind(settings.listen)
        .await
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let version = settings.cvo_version.to_string();
    tracing::info!(identity = settings.identity, version, listen = %settings.listen, "started");
    let http = tokio::spawn(http::serve(
        listener,
        Arc::clone(&metrics),
        Arc::clone(&pulse),
        stopped.clone(),
    ));
    let client = server.client().context("the API server cannot be reached")?;
    let triggers = triggers::Triggers::start(client, Arc::clone(&pulse));
    let mut election = tokio::spawn(election.run(resigned));
    let home = server.behind(Arc::new(leadership.clone()));
    let shared = round::Shared::new(home, settings, metrics, triggers.bells());
    let rounds = fleet::run(Arc::new(shared), leadership, stopped);
    tokio::pin!(rounds);
    tokio::select! {
        ended = &mut rounds => {
            ended?;
            anyhow::bail!("the rounds ended unexpectedly");
        }
        ended = &mut election => {
            ended.context("the election ended unexpectedly")?;
            anyhow::bail!("the election ended unexpectedly");
        }
        told = told_to_stop() => told?,
    }
    // Writes drain first; only then may another one lead.
    stop.send(true).ok();
    match tokio::time::timeout(Duration::from_secs(20), rounds).await {
        Ok(ended) => ended?,
        Err(_) => tracing::warn!("the last round did not end in time"),
    }
    resign.send(true).ok();
    election.await.context("the election ended unexpectedly")?;
    http.abort();
    tracing::info!("stopped");
    Ok(())
}

async fn told_to_stop() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}
