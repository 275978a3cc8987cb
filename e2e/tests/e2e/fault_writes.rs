//! An upgrade in which everything that may go wrong with a request does: the leader is killed
//! before and after each write, every kind of error is answered. It ends where an upgrade without
//! faults ends.

use anyhow::{Context as _, Result, ensure};
use e2e::faultd::{Entry, Fault, Faultd, KINDS};
use e2e::t2::{Bench, EndState, Start, condition, is_completed_at, text};
use e2e::turn::Turn;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

/// How long until a killed leader's successor writes, or the upgrade is over.
const NEXT_WRITE: Duration = Duration::from_secs(40);
/// A platform at which nothing is written for so long is at rest.
const REST: Duration = Duration::from_secs(3);
/// What the small releases consist of: definitions, a Deployment that comes, one that goes, hooks.
const COMPONENTS: &[&str] =
    &["platform-crds", "legacy-dashboard", "release-notes", "platform-health"];
/// Most changing requests that the release may need.
const MOST_CHANGES: usize = 60;
/// What their Pods name, made by the test.
const PRIORITY_CLASS: &str = "
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: acp-platform}
value: 1000000
";
/// Most kills until it counts as not ending.
const MOST_KILLS: usize = 2 * 90;
/// How much longer than without faults an upgrade may take, beside the injected time.
const TOLERANCE: Duration = Duration::from_secs(35);
/// The seeds of the rotation.
const SEEDS: &[u64] = &[7];
/// In soak each kind of error meets each request.
const SEEDS_OF_SOAK: &[u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// What an upgrade without faults comes to.
pub(crate) struct Undisturbed {
    pub(crate) state: EndState,
    changes: Requests,
    took: Duration,
}

/// Methods and paths.
type Requests = BTreeSet<(String, String)>;

static UNDISTURBED: OnceCell<Undisturbed> = OnceCell::const_new();

/// A platform at 4.2.1, asked to become 4.3.0, without an operator, and a proxy before it.
pub(crate) async fn asked() -> Result<(Bench, Faultd, Start)> {
    asked_in(Turn::beside_others().await).await
}

pub(crate) async fn asked_in(turn: Turn) -> Result<(Bench, Faultd, Start)> {
    let bench = Bench::prepared_in(turn).await?;
    bench.apply(PRIORITY_CLASS).await?;
    bench.push_small_releases(COMPONENTS).await?;
    let (bench, operator) = bench.install().await?;
    operator.terminate().await?;
    bench.publish("4.3.0").await?;
    bench.ask_for("4.3.0").await?;
    let faultd = Faultd::before(&bench.plane).await?;
    let start = Start { through: Some(faultd.url()), ..Start::default() };
    Ok((bench, faultd, start))
}

pub(crate) async fn undisturbed() -> Result<&'static Undisturbed> {
    let found = UNDISTURBED.get_or_try_init(|| async {
        let (bench, faultd, start) = asked().await?;
        let began = Instant::now();
        let _operator = bench.operator(&start).await?;
        bench.completed("4.3.0").await?;
        let took = began.elapsed();
        at_rest(&faultd).await;
        let changes = faultd.changes();
        eprintln!("without faults: {changes} changing requests, {took:?}");
        let few = (20..=MOST_CHANGES).contains(&changes);
        faultd.explain(few.then_some(()).context("20 to 60 changing requests are wanted"))?;
        let changes = requests(&faultd, |_| true);
        Ok::<_, anyhow::Error>(Undisturbed { state: bench.end_state().await?, changes, took })
    });
    found.await
}

/// Waits until nothing was written for a while.
pub(crate) async fn at_rest(faultd: &Faultd) {
    let mut seen = faultd.changes();
    loop {
        tokio::time::sleep(REST).await;
        let now = faultd.changes();
        if now == seen {
            return;
        }
        seen = now;
    }
}

/// One entry for the upgrade, and it began when it began.
pub(crate) fn one_entry(done: &Value, started: &str) -> Result<()> {
    let history = done["status"]["history"].as_array().context("a history")?;
    ensure!(history.len() == 2, "one entry an upgrade: {history:?}");
    ensure!(text(&history[0], "/version") == "4.3.0", "{history:?}");
    ensure!(text(&history[0], "/startedTime") == started, "it began at {started}: {history:?}");
    Ok(())
}

/// Each hook Job of the release was made once.
fn hooks_once(bench: &Bench, from: u64) -> Result<()> {
    let (requests, _) = bench.requests(from)?;
    let made = requests
        .iter()
        .filter(|r| r.verb == "create" && r.resource == "jobs" && r.code == 201)
        .filter(|r| r.user.ends_with(":cluster-version-operator"))
        .count();
    ensure!(made == 2, "the release has two hooks; Jobs were made {made} times");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_at_every_write() -> Result<()> {
    let reference = undisturbed().await?;
    let (bench, faultd, start) = asked().await?;
    let (_, from) = bench.requests(u64::MAX)?;
    let result = killed_at_every_write(&bench, &faultd, &start).await;
    let started = faultd.explain(result)?;
    faultd.explain(killed_on_both_sides(&faultd, &reference.changes))?;
    let done = bench.cvsh().await?;
    one_entry(&done, &started)?;
    hooks_once(&bench, from)?;
    faultd.explain(reference.state.equals(&bench.end_state().await?))
}

/// Each request that an upgrade without faults consists of was killed before and after it was done.
fn killed_on_both_sides(faultd: &Faultd, wanted: &Requests) -> Result<()> {
    for verdict in ["lost, client killed", "done, client killed"] {
        let met: Requests = requests(faultd, |entry| entry.verdict == verdict);
        let missing: Vec<_> = wanted.difference(&met).collect();
        ensure!(missing.is_empty(), "never {verdict}: {missing:?}");
    }
    Ok(())
}

fn requests(faultd: &Faultd, counts: impl Fn(&Entry) -> bool) -> Requests {
    let trace = faultd.trace();
    let changes = trace.iter().filter(|entry| entry.change.is_some() && counts(entry));
    changes.map(|entry| (entry.asked.method.clone(), entry.asked.path.clone())).collect()
}

/// Gives the time at which the upgrade began, as it was first seen.
async fn killed_at_every_write(bench: &Bench, faultd: &Faultd, start: &Start) -> Result<String> {
    let began = Instant::now();
    let mut started = String::new();
    for kills in 0..MOST_KILLS {
        let operator = bench.start_operator(start).await?;
        faultd.victim(operator.id());
        faultd.kill_at_next_change();
        let killed = tokio::select! {
            killed = faultd.has_ended_one(kills, NEXT_WRITE) => killed,
            rested = rests(bench, faultd) => { rested?; false }
        };
        let cvsh = bench.cvsh().await?;
        if started.is_empty() && text(&cvsh, "/status/history/0/version") == "4.3.0" {
            text(&cvsh, "/status/history/0/startedTime").clone_into(&mut started);
        }
        if !killed {
            ensure!(is_completed_at(&cvsh, "4.3.0"), "no write, and not complete: {cvsh:#}");
            let took = began.elapsed();
            e2e::figure(&format!("one upgrade with {kills} kills in {took:.1?}, the same end"));
            ensure!(kills >= 40, "only {kills} kills: nothing was proved");
            return Ok(started);
        }
        operator.kill();
    }
    anyhow::bail!("it does not end after {MOST_KILLS} kills")
}

/// Waits until the upgrade is complete and nothing more is written.
async fn rests(bench: &Bench, faultd: &Faultd) -> Result<()> {
    let complete = |cvsh: &Value| is_completed_at(cvsh, "4.3.0");
    bench.cvsh_until("4.3.0 to be complete", NEXT_WRITE * 2, complete).await?;
    at_rest(faultd).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_error_kind() -> Result<()> {
    let seeds = e2e::seeds(SEEDS, SEEDS_OF_SOAK)?;
    let mut met: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
    for &seed in &seeds {
        for (request, kind) in
            errors_of(seed).await.with_context(|| format!("again: E2E_SEED={seed}"))?
        {
            let (runs, kinds) = met.entry(request).or_default();
            *runs += 1;
            kinds.insert(kind);
        }
    }
    if seeds.len() >= KINDS.len() {
        // What is asked only because something else failed does not come in each run.
        let (in_each, in_some): (Vec<_>, Vec<_>) =
            met.iter().partition(|(_, (runs, _))| *runs == seeds.len());
        for (request, (_, kinds)) in &in_each {
            ensure!(kinds.len() == KINDS.len(), "{request} met only {kinds:?}");
        }
        e2e::figure(&format!(
            "{} requests met each of {} kinds of errors; {} that do not come in every upgrade met some",
            in_each.len(),
            KINDS.len(),
            in_some.len()
        ));
    }
    Ok(())
}

/// One upgrade in which requests meet errors; gives what each of them met first.
async fn errors_of(seed: u64) -> Result<Vec<(String, String)>> {
    let reference = undisturbed().await?;
    let (bench, faultd, start) = asked_in(Turn::with_a_core().await).await?;
    let (_, from) = bench.requests(u64::MAX)?;
    faultd.rotate(seed);
    let began = Instant::now();
    let _operator = bench.operator(&start).await?;
    let done = faultd.explain(bench.completed("4.3.0").await)?;
    let took = began.elapsed();
    at_rest(&faultd).await;
    let trace = faultd.trace();
    let faults: Vec<&Entry> = trace.iter().filter(|e| !e.verdict.is_empty()).collect();
    let injected: Duration = faults.iter().map(|e| injected(e.verdict)).sum();
    let (count, changes) = (faults.len(), faultd.changes());
    let more = took.saturating_sub(reference.took + injected);
    e2e::figure(&format!(
        "seed {seed}: {count} errors, {changes} changing requests, {took:.1?}, of these {more:.1?} beside the undisturbed and injected time"
    ));
    let enough = count >= 2 * KINDS.len();
    faultd.explain(enough.then_some(()).context("too few faults to prove anything"))?;
    let fast = more <= TOLERANCE;
    faultd.explain(fast.then_some(()).with_context(|| format!("{more:?} longer")))?;
    one_entry(&done, text(&done, "/status/history/0/startedTime"))?;
    hooks_once(&bench, from)?;
    let stalled = condition(&bench.cvsh().await?, "Stalled").clone();
    ensure!(text(&stalled, "/status") == "False", "{stalled}");
    faultd.explain(reference.state.equals(&bench.end_state().await?))?;
    let mut first = BTreeMap::new();
    for entry in &faults {
        let request = entry.asked.name();
        // Answers of the proxy are told apart by their codes.
        let answered = entry.verdict == Fault::Answer { code: 0, retry_after_s: None }.word();
        let kind = if answered { entry.code.to_string() } else { entry.verdict.to_owned() };
        first.entry(request).or_insert(kind);
    }
    Ok(first.into_iter().collect())
}

fn injected(verdict: &str) -> Duration {
    let delay = KINDS.iter().find_map(|kind| match kind {
        Fault::Delay(time) => Some(*time),
        _ => None,
    });
    if verdict == "delayed" { delay.unwrap_or_default() } else { Duration::ZERO }
}
