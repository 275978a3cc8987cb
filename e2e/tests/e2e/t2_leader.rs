//! Two operators, one leader: takeover after a kill and after SIGTERM, pages, Events, silence.

use anyhow::{Context as _, Result, ensure};
use e2e::t2::{Bench, Operator, Start, condition, is_completed_at, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(30);

async fn second(bench: &Bench, name: &str) -> Result<Operator> {
    bench.operator(&Start { identity: name.to_owned(), ..Start::default() }).await
}

/// Waits until another operator leads; gives how long it took.
async fn led_by(bench: &Bench, identity: &str) -> Result<Duration> {
    let began = Instant::now();
    while bench.leader().await? != identity {
        ensure!(began.elapsed() < LIMIT, "{identity} does not lead after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(began.elapsed())
}

/// kill -9 of the leader in the middle: the other one goes on where it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_nothing_is_lost() -> Result<()> {
    let (bench, first) = Bench::installed().await?;
    let other = second(&bench, "operator-b").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    ensure!(bench.leader().await? == "operator-a", "a second operator took a Lease that is held");
    one_leads(&first, &other).await?;
    bench.publish("4.3.0").await?;
    bench.offered("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    bench.condition_becomes("Reconciling", "True", "Upgrading").await?;
    let begun = bench.cvsh().await?;
    ensure!(!is_completed_at(&begun, "4.3.0"), "it was over before the kill");
    first.kill();
    let took = led_by(&bench, "operator-b").await?;
    ensure!(took < Duration::from_secs(6), "taken over after {took:?}; the Lease lasts 2 s");
    let done = bench.completed("4.3.0").await?;
    let history = done["status"]["history"].as_array().context("a history")?;
    ensure!(history.len() == 2, "{history:?}");
    ensure!(text(&begun, "/status/history/0/startedTime") == text(&history[0], "/startedTime"));
    // SIGTERM empties the Lease: the next one leads at once.
    let third = second(&bench, "operator-c").await?;
    other.terminate().await?;
    let took = led_by(&bench, "operator-c").await?;
    ensure!(
        took < Duration::from_millis(1500),
        "taken over after {took:?}; the Lease was given up"
    );
    once_each(&bench).await?;
    pages(&third).await?;
    silence(&bench).await
}

async fn one_leads(first: &Operator, other: &Operator) -> Result<()> {
    let lead = |text: &str| text.lines().find(|l| l.starts_with("cvo_leader ")).map(str::to_owned);
    let pages = [first.page("/metrics").await?.1, other.page("/metrics").await?.1];
    let leads = pages.each_ref().map(|page| lead(page).unwrap_or_default());
    ensure!(leads == ["cvo_leader 1", "cvo_leader 0"], "{leads:?}");
    Ok(())
}

/// Each transition of the upgrade is one Event of events.k8s.io, whoever led.
async fn once_each(bench: &Bench) -> Result<()> {
    let all = bench.get("/apis/events.k8s.io/v1/namespaces/cpaas-system/events").await?;
    let all = all["items"].as_array().context("Events")?;
    let own = all.iter().filter(|e| text(e, "/reportingController") == "cluster-version-operator");
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in own {
        let key = (text(event, "/reason").to_owned(), text(event, "/note").to_owned());
        *counts.entry(key).or_default() += 1;
        ensure!(text(event, "/regarding/name") == "global", "{event}");
    }
    for note in ["4.3.0: the upgrade begins", "4.3.0: the upgrade is complete"] {
        let count: usize = counts.iter().filter(|((_, n), _)| n == note).map(|(_, c)| c).sum();
        ensure!(count == 1, "'{note}' was announced {count} times: {counts:?}");
    }
    let cvsh = bench.cvsh().await?;
    for stage in cvsh["status"]["stages"].as_array().context("stages")? {
        let name = format!("stage {} Finished", text(stage, "/name"));
        let count: usize =
            counts.iter().filter(|((_, n), _)| n.starts_with(&name)).map(|(_, c)| c).sum();
        // Install and upgrade have stages of the same names.
        ensure!((1..=2).contains(&count), "'{name}' was announced {count} times: {counts:?}");
    }
    Ok(())
}

async fn pages(operator: &Operator) -> Result<()> {
    for path in ["/healthz", "/readyz"] {
        let (status, body) = operator.page(path).await?;
        ensure!(status == 200 && body == "ok\n", "{path}: {status} {body}");
    }
    // It leads since just now: its first round comes within a second.
    let has_led = || async { Ok(operator.page("/metrics").await?.1.contains("cvo_version{")) };
    sandbox::process::wait_until("the first round of the new leader", LIMIT, has_led).await?;
    let (status, metrics) = operator.page("/metrics").await?;
    ensure!(status == 200);
    for line in [
        "cvo_leader 1",
        "cvo_version{cluster=\"global\",type=\"current\",version=\"4.3.0\"} 1",
        "cvo_rounds_total{outcome=\"success\"} ",
        "cvo_condition{cluster=\"global\",condition=\"Ready\",reason=\"Completed\"} 1",
        "cvo_round_duration_seconds_count ",
    ] {
        ensure!(metrics.lines().any(|l| l.starts_with(line)), "'{line}' is not in:\n{metrics}");
    }
    Ok(())
}

/// An idle operator changes nothing but its Lease.
async fn silence(bench: &Bench) -> Result<()> {
    let cvsh = bench.cvsh().await?;
    ensure!(text(condition(&cvsh, "Reconciling"), "/status") == "False", "{cvsh}");
    let (_, from) = bench.requests(u64::MAX)?;
    tokio::time::sleep(Duration::from_secs(20)).await;
    let (requests, _) = bench.requests(from)?;
    let own = requests.iter().filter(|r| r.user.ends_with(":cluster-version-operator"));
    let changes: Vec<_> = own.filter(|r| r.is_change()).collect();
    let leases = changes.iter().filter(|r| r.resource == "leases").count();
    ensure!(leases > 10, "the Lease was renewed {leases} times in 20 s");
    let others: Vec<_> = changes.iter().filter(|r| r.resource != "leases").collect();
    ensure!(others.is_empty(), "{others:?}");
    let after: Value = bench.cvsh().await?;
    ensure!(after["metadata"]["resourceVersion"] == cvsh["metadata"]["resourceVersion"]);
    Ok(())
}
