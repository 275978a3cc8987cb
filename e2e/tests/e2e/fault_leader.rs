//! Leaders that stop, come back and have wrong clocks: what they write late changes nothing, and
//! nobody leads before a Lease has run out.

use crate::fault_writes::asked;
use anyhow::{Context as _, Result, ensure};
use e2e::faultd::{Entry, Fault, Faultd, Rule, Stopped};
use e2e::t2::{Bench, Lease, Operator, Start, text};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Where leaders are stopped: each write of another kind, in the order of an upgrade.
const STOPS: [(&str, &str); 8] = [
    ("PATCH", "/clustermodules/global"),
    ("PATCH", "/clustermodules/global/status"),
    ("PATCH", "/appreleases/platform-crds"),
    ("PATCH", "/clusterversionshadows/global/status"),
    ("PATCH", "/deployments/release-notes"),
    ("POST", "/jobs"),
    ("DELETE", "/deployments/legacy-dashboard"),
    ("PATCH", "/productbases/base"),
];
/// How long leaders stay stopped after the upgrade is over.
const PAUSE: Duration = Duration::from_secs(1);
/// In soak.
const PAUSE_OF_SOAK: Duration = Duration::from_secs(60);
/// Takeovers that are measured, of each kind.
const TRIALS: usize = 5;
/// In soak.
const TRIALS_OF_SOAK: usize = 50;
/// From kill -9 to the next leader, with the Lease as it is shipped.
const AFTER_KILL: Duration = Duration::from_secs(20);
/// From SIGTERM to the next leader.
const AFTER_TERM: Duration = Duration::from_secs(3);
/// No takeover takes longer.
const LIMIT: Duration = Duration::from_secs(60);

async fn leads(bench: &Bench, identity: &str, began: Instant) -> Result<Duration> {
    while bench.leader().await? != identity {
        ensure!(began.elapsed() < LIMIT, "{identity} does not lead after {LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(began.elapsed())
}

/// One leader after the other is stopped with a write on its way. The last one completes the
/// upgrade; then all the writes arrive, and all the leaders go on.
#[tokio::test(flavor = "multi_thread")]
async fn late_writes_of_stopped_leaders_change_nothing() -> Result<()> {
    let (bench, faultd, start) = asked().await?;
    let mut stopped: Vec<(Operator, Stopped)> = Vec::new();
    for (number, (method, path)) in STOPS.into_iter().enumerate() {
        faultd.clear();
        let rule = Rule { fault: Fault::StopAndHold, ..Rule::first(method, path) };
        let start = Start { identity: format!("operator-{number}"), ..start.clone() };
        let operator = bench.start_operator(&start).await?;
        faultd.victim(operator.id());
        faultd.rule(rule);
        let met = faultd.has_ended_one(number, LIMIT).await;
        faultd.explain(met.then_some(()).with_context(|| format!("no {method} {path}")))?;
        let on_hold = Stopped::now(operator.id())?;
        stopped.push((operator, on_hold));
    }
    faultd.clear();
    let last = bench.operator(&Start { identity: "operator-z".to_owned(), ..start }).await?;
    faultd.explain(bench.completed("4.3.0").await)?;
    let pause = if e2e::soak() { PAUSE_OF_SOAK } else { PAUSE };
    tokio::time::sleep(pause).await;
    crate::fault_writes::at_rest(&faultd).await;
    let (before, changes) = (bench.end_state().await?, faultd.changes());
    let versions = versions(&bench, &faultd).await?;
    ensure!(versions.len() == STOPS.len(), "{} writes were held", versions.len());
    // Late in every way: the requests were sent while the sender led.
    faultd.release();
    tokio::time::sleep(Duration::from_secs(2)).await;
    for entry in held(&faultd) {
        eprintln!("late: {entry}");
        ensure!(entry.code != 0, "it was never sent on: {entry}");
    }
    // Refused, or equal to the byte: not even a time or a field of a manager moved.
    let now = self::versions(&bench, &faultd).await?;
    faultd.explain(ensured(versions == now, || format!("{versions:#?}, then {now:#?}")))?;
    faultd.explain(before.equals(&bench.end_state().await?))?;
    // They go on: whatever they were about to send is not sent any more.
    drop(stopped.iter_mut().map(|(_, stop)| stop.go_on()).collect::<Result<Vec<_>>>()?);
    tokio::time::sleep(Duration::from_secs(4)).await;
    ensure!(bench.leader().await? == last.identity, "another one leads: {}", bench.leader().await?);
    let more = faultd.changes() - changes;
    faultd.explain(ensured(more == 0, || format!("{more} late writes")))?;
    faultd.explain(before.equals(&bench.end_state().await?))?;
    let count = STOPS.len();
    e2e::figure(&format!(
        "{count} leaders stopped, {pause:?} after the end: no late write counted"
    ));
    Ok(())
}

fn ensured(holds: bool, why: impl FnOnce() -> String) -> Result<()> {
    holds.then_some(()).with_context(why)
}

/// The requests that were held with their senders.
fn held(faultd: &Faultd) -> Vec<Entry> {
    faultd.trace().into_iter().filter(|entry| entry.verdict.contains("held")).collect()
}

/// What each of those requests would change, as the API server counts its changes; of a collection,
/// what is in it.
async fn versions(bench: &Bench, faultd: &Faultd) -> Result<BTreeMap<String, Vec<String>>> {
    let mut all = BTreeMap::new();
    for entry in held(faultd) {
        let path = entry.asked.path.trim_end_matches("/status");
        let found = bench.get(path).await?;
        let items = found["items"].as_array().cloned().unwrap_or_else(|| vec![found]);
        let version = |object: &Value| text(object, "/metadata/resourceVersion").to_owned();
        all.insert(entry.asked.name(), items.iter().map(version).collect());
    }
    Ok(all)
}

/// A Lease of somebody else is waited for as long as it says, whatever time stands in it.
#[tokio::test(flavor = "multi_thread")]
async fn wrong_clocks_take_no_lease_early() -> Result<()> {
    let bench = Bench::adopted().await?;
    for (identity, minutes) in [("operator-past", -10), ("operator-future", 10)] {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes);
        let lease = json!({
            "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
            "metadata": { "name": "cluster-version-operator", "namespace": "cpaas-system" },
            "spec": {
                "holderIdentity": "elsewhere", "leaseDurationSeconds": 5,
                "renewTime": format!("{time:.6}"), "acquireTime": format!("{time:.6}"),
                "leaseTransitions": 3,
            },
        });
        bench.apply(&lease.to_string()).await?;
        let began = Instant::now();
        let start = Start { identity: identity.to_owned(), ..Start::default() };
        let operator = bench.start_operator(&start).await?;
        let took = leads(&bench, identity, began).await?;
        eprintln!("a Lease of 5 s, renewed {minutes} minutes from now: taken after {took:?}");
        ensure!(took >= Duration::from_secs(5), "taken early, after {took:?}");
        ensure!(took < Duration::from_secs(9), "taken late, after {took:?}");
        operator.kill();
    }
    takeovers(&bench).await
}

/// With the Lease as it is shipped.
async fn takeovers(bench: &Bench) -> Result<()> {
    let trials = if e2e::soak() { TRIALS_OF_SOAK } else { TRIALS };
    let start = |number: usize| {
        let identity = format!("operator-{number}");
        Start { identity, lease: Lease::AsShipped, ..Start::default() }
    };
    let mut leader = bench.operator(&start(0)).await?;
    leads(bench, &leader.identity, Instant::now()).await?;
    let (mut after_kill, mut after_term) = (Vec::new(), Vec::new());
    for trial in 1..=2 * trials {
        let next = bench.operator(&start(trial)).await?;
        // It has seen the Lease held, as in life.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let began = Instant::now();
        let is_kill = trial % 2 == 1;
        if is_kill {
            leader.kill();
        } else {
            leader.terminate().await?;
        }
        let time = leads(bench, &next.identity, began).await?;
        eprintln!("{}: taken over after {time:?}", if is_kill { "kill -9" } else { "SIGTERM" });
        let limit = if is_kill { AFTER_KILL } else { AFTER_TERM };
        ensure!(time <= limit, "taken over after {time:?}");
        if is_kill {
            after_kill.push(time)
        } else {
            after_term.push(time)
        }
        leader = next;
    }
    for (what, took) in [("kill -9", after_kill), ("SIGTERM", after_term)] {
        ensure!(took.len() == trials);
        let longest = took.iter().max().context("a trial")?;
        e2e::figure(&format!("{trials} takeovers after {what}, the longest {longest:.1?}"));
    }
    let lease = bench
        .get("/apis/coordination.k8s.io/v1/namespaces/cpaas-system/leases/cluster-version-operator")
        .await?;
    ensure!(text(&lease, "/spec/holderIdentity") == leader.identity, "{lease}");
    Ok(())
}
