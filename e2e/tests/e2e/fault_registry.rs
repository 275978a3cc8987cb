//! The registry is gone in each stage of an upgrade, and a leader that remembers nothing goes on:
//! it says what it waits for, and continues by itself. Watches that end and are refused with 410,
//! and watches that tell nothing, hide no offer.

use crate::fault_writes::asked;
use anyhow::{Context as _, Result, ensure};
use e2e::faultd::{Fault, Faultd, Passage, Rule};
use e2e::t2::{Bench, Start, condition, text};
use serde_json::Value;
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(60);
/// A release that cannot be read for a minute is a person's business.
const STALLED_LIMIT: Duration = Duration::from_secs(90);
/// From publishing to the offer.
const OFFERED: Duration = Duration::from_secs(5);
/// How often everything is looked at where watches are silent; as shipped it is 300.
const RESYNC_S: u64 = 12;
/// Sooner than that no look is due.
const BEFORE_RESYNC: Duration = Duration::from_secs(3);
/// What is written in each stage; refused, it holds the stage.
const STAGES: [(&str, &str); 3] = [
    ("foundation", "/customresourcedefinitions/platformnotices.console.cpaas.io"),
    ("console", "/configmaps/release-notes"),
    ("verification", "/configmaps/platform-health"),
];

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Whether a stage runs, and something in it waits for the release.
fn waits_for_the_release(cvsh: &Value, name: &str) -> bool {
    let stage = list(&cvsh["status"], "stages").find(|s| text(s, "/name") == name);
    stage.is_some_and(|stage| {
        list(stage, "operations").any(|o| text(o, "/blocker/reason") == "ReleaseUnavailable")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_goes_in_each_stage_is_waited_for() -> Result<()> {
    let (mut bench, faultd, start) = asked().await?;
    for (_, path) in STAGES {
        faultd.rule(Rule::every(path, 503));
    }
    let mut operator = bench.operator(&start).await?;
    for (number, (name, _)) in STAGES.into_iter().enumerate() {
        let what = format!("stage {name} to run");
        let running = |c: &Value| {
            list(&c["status"], "stages")
                .any(|s| text(s, "/name") == name && text(s, "/phase") == "Running")
        };
        faultd.explain(bench.cvsh_until(&what, LIMIT, running).await)?;
        operator.kill();
        bench.registry.cut();
        // Nothing is remembered from before.
        let identity = format!("operator-{number}");
        operator = bench.operator(&Start { identity, ..start.clone() }).await?;
        let what = format!("stage {name} to wait for the release");
        let waits = |c: &Value| waits_for_the_release(c, name);
        bench.cvsh_until(&what, LIMIT, waits).await.with_context(|| operator.said())?;
        if number == 0 {
            let stalled = |c: &Value| {
                let stalled = condition(c, "Stalled");
                text(stalled, "/reason") == "ReleaseUnavailable"
                    && text(stalled, "/message").contains(bench.registry.address())
            };
            bench.cvsh_until("it to be a person's business", STALLED_LIMIT, stalled).await?;
        }
        bench.registry.resume().await?;
        let what = format!("stage {name} to have its release again");
        bench.cvsh_until(&what, LIMIT, |c| !waits_for_the_release(c, name)).await?;
        faultd.clear();
        for (_, path) in &STAGES[number + 1..] {
            faultd.rule(Rule::every(path, 503));
        }
    }
    let done = faultd.explain(bench.completed("4.3.0").await)?;
    ensure!(list(&done["status"], "history").count() == 2, "{:#}", done["status"]["history"]);
    bench.condition_becomes("Stalled", "False", "NotStalled").await?;
    Ok(())
}

/// Watches that are open and tell nothing are noticed by nobody. What they do not tell is seen at
/// the next look at everything.
#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_silent_hide_nothing_for_long() -> Result<()> {
    let bench = Bench::adopted().await?;
    let faultd = Faultd::before(&bench.plane).await?;
    let start = Start { through: Some(faultd.url()), resync_s: Some(RESYNC_S), ..Start::default() };
    let _operator = bench.operator(&start).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    faultd.set_passage(Passage::WatchesHeld);
    // Whatever was caused before is over.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let began = Instant::now();
    bench.publish("4.3.0").await?;
    faultd.explain(bench.offered("4.3.0").await)?;
    let took = began.elapsed();
    ensure!(took > BEFORE_RESYNC, "a watch told it after {took:?}: nothing was proved");
    faultd.set_passage(Passage::Open);
    bench.ask_for("4.3.0").await?;
    faultd.explain(bench.completed("4.3.0").await)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_are_cut_and_refused_hide_no_offer() -> Result<()> {
    let bench = Bench::adopted().await?;
    let faultd = Faultd::before(&bench.plane).await?;
    let start = Start { through: Some(faultd.url()), ..Start::default() };
    let _operator = bench.operator(&start).await?;
    bench.condition_becomes("Ready", "True", "Completed").await?;
    let fault = Fault::Answer { code: 410, retry_after_s: None };
    let gone =
        Rule { method: "GET", path: String::new(), watches: true, from: 1, times: 12, fault };
    faultd.rule(gone);
    faultd.cut_watches();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let refused = faultd.trace().iter().filter(|e| e.asked.is_watch() && e.code == 410).count();
    ensure!(refused >= 10, "only {refused} watches were refused: nothing was proved");
    let began = Instant::now();
    bench.publish("4.3.0").await?;
    faultd.explain(bench.offered("4.3.0").await)?;
    let took = began.elapsed();
    faultd.explain((took < OFFERED).then_some(()).with_context(|| format!("after {took:?}")))
}
