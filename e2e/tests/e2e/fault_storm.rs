//! Somebody edits the ClusterVersionShadow fifty times a second while it is written: no transition
//! of its status is lost, and each is announced by exactly one Event.

use crate::fault_writes::asked_in;
use anyhow::{Context as _, Result, ensure};
use e2e::faultd::{Fault, Rule};
use e2e::t2::{Bench, text};
use e2e::turn::Turn;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch;

/// Edits a second: some more than must hold.
const RATE: u32 = 60;
/// How many of them must hold.
const FEWEST: u32 = 50;
/// Writes of the status that meet a conflict.
const CONFLICTS: usize = 8;
const STATUS: &str = "/clusterversionshadows/global/status";
/// The reasons of Events, by the revision of the status that they announce.
type Announced = BTreeMap<i64, Vec<String>>;

fn list<'a>(object: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    object.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// What a status says, by what it is said of: the reason of the Event, and the state.
fn said(cvsh: &Value) -> BTreeMap<String, (String, String)> {
    let mut all = BTreeMap::new();
    for c in list(cvsh, "/status/conditions") {
        let reason = format!("{}{}", text(c, "/type"), text(c, "/status"));
        let state = format!("{} {}", text(c, "/status"), text(c, "/reason"));
        all.insert(text(c, "/type").to_owned(), (reason, state));
    }
    for stage in list(cvsh, "/status/stages") {
        let phase = text(stage, "/phase");
        if phase != "Pending" {
            let name = format!("stage {}", text(stage, "/name"));
            all.insert(name, (format!("Stage{phase}"), phase.to_owned()));
        }
    }
    if let Some(entry) = list(cvsh, "/status/history").next() {
        let state = text(entry, "/state");
        let reason = if state == "Partial" { "UpgradeStarted" } else { "UpgradeCompleted" };
        let state = format!("{} {state}", text(entry, "/version"));
        all.insert("history".to_owned(), (reason.to_owned(), state));
    }
    all
}

/// The Events that the transitions between these states should have.
fn expected(states: &[Value]) -> Result<Announced> {
    let mut all = Announced::new();
    for pair in states.windows(2) {
        let (before, after) = (said(&pair[0]), said(&pair[1]));
        for (subject, now) in &after {
            if before.get(subject) != Some(now) {
                let revision = pair[1].pointer("/status/revision").and_then(Value::as_i64);
                all.entry(revision.context("a revision")?).or_default().push(now.0.clone());
            }
        }
    }
    all.values_mut().for_each(|reasons| reasons.sort());
    Ok(all)
}

/// The Events of the operator: name and reason.
async fn announced(bench: &Bench) -> Result<BTreeMap<String, String>> {
    let all = bench.get("/apis/events.k8s.io/v1/namespaces/cpaas-system/events").await?;
    let of_operator = list(&all, "/items")
        .filter(|event| text(event, "/reportingController") == "cluster-version-operator");
    let named = of_operator
        .map(|event| (text(event, "/metadata/name").to_owned(), text(event, "/reason").to_owned()));
    Ok(named.collect())
}

/// Those that came since, by the revision that stands in their name.
fn since(before: &BTreeMap<String, String>, after: BTreeMap<String, String>) -> Result<Announced> {
    let mut all = Announced::new();
    for (name, reason) in after.into_iter().filter(|(name, _)| !before.contains_key(name)) {
        let revision = name.split('.').nth(2).and_then(|r| r.parse().ok());
        all.entry(revision.with_context(|| name.clone())?).or_default().push(reason);
    }
    all.values_mut().for_each(|reasons| reasons.sort());
    Ok(all)
}

#[tokio::test(flavor = "multi_thread")]
async fn conflict_storm() -> Result<()> {
    let (bench, faultd, start) = asked_in(Turn::alone().await).await?;
    let before = announced(&bench).await?;
    // The edits leave the status alone: that somebody else wrote it is added to them.
    for number in 1..=CONFLICTS {
        let fault = Fault::Answer { code: 409, retry_after_s: None };
        faultd.rule(Rule { fault, from: 2 * number, ..Rule::first("PATCH", STATUS) });
    }
    let (done, stop) = watch::channel(false);
    let stopped = || {
        let mut stop = stop.clone();
        async move { drop(stop.wait_for(|over| *over).await) }
    };
    let watched = bench.watch()?.collect(stopped());
    let edits = bench.edit_until(RATE, "4.3.0", stopped());
    let upgrade = async {
        // The watch has told the state from which everything begins.
        tokio::time::sleep(Duration::from_secs(2)).await;
        let operator = bench.operator(&start).await?;
        let completed = bench.completed("4.3.0").await;
        tokio::time::sleep(Duration::from_secs(3)).await;
        done.send_replace(true);
        completed.map(|_| operator)
    };
    let (states, edits, upgrade) = tokio::join!(watched, edits, upgrade);
    let operator = faultd.explain(upgrade)?;
    let ((edits, took), states) = (edits?, states?);
    let wanted = u64::from(FEWEST) * took.as_secs();
    eprintln!("{edits:?} in {took:?}, {} states seen", states.len());
    ensure!(u64::try_from(edits.made)? >= wanted, "no storm: {edits:?} in {took:?}");
    let met =
        faultd.trace().iter().filter(|e| e.asked.path.ends_with(STATUS) && e.code == 409).count();
    ensure!(met >= CONFLICTS, "{met} writes of the status met a conflict");
    // The status is told in the order of its revisions, with no step left out.
    let revisions: Vec<i64> =
        states.iter().filter_map(|s| s.pointer("/status/revision")?.as_i64()).collect();
    for pair in revisions.windows(2) {
        ensure!((0..=1).contains(&(pair[1] - pair[0])), "revisions: {pair:?}");
    }
    let (first, last) = (revisions.first().context("a state")?, revisions.last().unwrap_or(&0));
    ensure!(last - first > 10, "the status was written {} times only", last - first);
    let (told, wanted) = (since(&before, announced(&bench).await?)?, expected(&states)?);
    ensure!(told == wanted, "announced: {told:?}\ntransitions: {wanted:?}\n{}", operator.said());
    Ok(())
}
