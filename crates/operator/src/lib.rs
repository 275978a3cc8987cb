//! The cluster version operator: watches, holds the Lease, and makes one round after the other:
//! observe, plan, execute, status.
//!
//! It decides nothing about an upgrade; that is the planner's.

pub mod bells;
pub mod fleet;
pub mod http;
pub mod lease;
pub mod manifests;
pub mod metrics;
mod pace;
pub mod plugin_rounds;
pub mod plugins;
pub mod reach;
pub mod releases;
pub mod round;
pub mod settings;
pub mod triggers;
pub mod trust;
mod turns;

use crate::lease::Election;
use crate::settings::Settings;
use anyhow::Context as _;
use cluster::Live;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// How long rounds may take to end by themselves once the operator is told to stop. One that reads
/// of a cluster that answers is done by then.
const ROUNDS_END: Duration = Duration::from_secs(3);
/// How long a write that was sent is waited for after that; each has a time-out of its own, a
/// shorter one.
const WRITES_END: Duration = Duration::from_secs(15);

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
    allow_files();
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
    let home = server.behind(Arc::new(leadership.clone())).together();
    let shared = round::Shared::new(home, settings, metrics, triggers.bells());
    let mut rounds = Box::pin(fleet::run(Arc::new(shared), leadership.clone(), stopped));
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
    end(rounds, &leadership, ROUNDS_END).await?;
    resign.send(true).ok();
    election.await.context("the election ended unexpectedly")?;
    http.abort();
    tracing::info!("stopped");
    Ok(())
}

/// Lets this process have as many connections as the machine allows: hundreds of clusters need more
/// than what a container usually begins with.
fn allow_files() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(?current, ?maximum, %error, "the limit of open files cannot be raised");
    }
}

/// Lets rounds end that were told to, and gives up those that do not: what reads of a cluster that
/// does not answer holds up nobody, what writes is waited for. A round that is given up is one that
/// did not happen, as after a crash.
async fn end(
    mut rounds: Pin<Box<dyn Future<Output = anyhow::Result<()>> + '_>>,
    leadership: &lease::Leadership,
    by_themselves: Duration,
) -> anyhow::Result<()> {
    if let Ok(ended) = tokio::time::timeout(by_themselves, &mut rounds).await {
        return ended;
    }
    let drained = tokio::time::timeout(WRITES_END, leadership.drained());
    // Only while rounds go on are their writes answered.
    tokio::select! {
        ended = rounds => return ended,
        drained = drained => match drained {
            Ok(()) => tracing::warn!("rounds that did not end were given up between two requests"),
            Err(_) => tracing::warn!("a write was not answered in time"),
        },
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use cluster::live::Fence as _;
    use tokio::time::Instant;

    const SOON: Duration = Duration::from_millis(100);

    #[tokio::test]
    async fn a_hung_read_does_not_hold_up_the_next_leader() {
        let begun = Instant::now();
        end(Box::pin(std::future::pending()), &lease::tests::leading(), SOON).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn a_write_that_is_under_way_drains_before_another_one_leads() {
        let leadership = lease::tests::leading();
        let (answered, mut seen) = watch::channel(false);
        let writer = leadership.clone();
        let round = async move {
            let pass = writer.pass();
            assert!(pass.is_some(), "it leads");
            tokio::time::sleep(SOON * 5).await;
            answered.send(true).unwrap();
            drop(pass);
            // Here it reads of a cluster that does not answer.
            std::future::pending().await
        };
        end(Box::pin(round), &leadership, SOON).await.unwrap();
        assert!(*seen.borrow_and_update(), "the write was given up");
        assert!(leadership.pass().is_none(), "nothing is written after it");
    }
}
