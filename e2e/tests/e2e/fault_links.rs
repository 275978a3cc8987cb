//! The links of the API server to etcd and of the operator to the registry are slow, silent, cut
//! after some bytes and refused while an upgrade runs: it ends where it ends without that.

use crate::fault_writes::{asked, at_rest, one_entry, undisturbed};
use anyhow::{Context as _, Result, ensure};
use e2e::faultd::{Chance, Flow, Link};
use e2e::t2::{condition, text};
use std::time::{Duration, Instant};

/// How long each state of the links lasts: a black hole is longer than a round is patient with one
/// request to the registry.
const LASTS: Duration = Duration::from_secs(4);
/// Of answers, a second: a product image takes seconds, and never stands still.
const SLOW: u64 = 60_000;
const SEEDS: &[u64] = &[3];
const SEEDS_OF_SOAK: &[u64] = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9];

/// What both links go through, beside each other: never the same at once.
fn flows(chance: &mut Chance) -> [(Flow, Flow); 6] {
    let mut after = |most| Flow::CutAfter(1 + chance.below(most));
    [
        (Flow::Open, after(20_000)),
        (after(100_000), Flow::Throttled(SLOW)),
        (Flow::BlackHole, Flow::Open),
        (Flow::Throttled(SLOW), Flow::BlackHole),
        (Flow::Refused, after(100_000)),
        (after(400_000), Flow::Refused),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn links_that_fail_change_nothing() -> Result<()> {
    for seed in e2e::seeds(SEEDS, SEEDS_OF_SOAK)? {
        links_of(seed).await.with_context(|| format!("again: E2E_SEED={seed}"))?;
    }
    Ok(())
}

async fn links_of(seed: u64) -> Result<()> {
    let reference = undisturbed().await?;
    let (mut bench, faultd, start) = asked().await?;
    let behind = bench.registry.move_behind().await?;
    let registry = Link::at(bench.registry.address(), &behind).await?;
    let url = bench.plane.etcd_url();
    let etcd = Link::before(url.trim_start_matches("http://")).await?;
    bench.plane.reach_etcd_at(etcd.port()).await?;
    let mut chance = Chance::of(seed);
    let began = Instant::now();
    // Nothing is cached: the release is read through the links.
    let operator = bench.start_operator(&start).await?;
    let disturbed = async {
        for (of_etcd, of_registry) in flows(&mut chance) {
            etcd.set(of_etcd);
            registry.set(of_registry);
            tokio::time::sleep(LASTS).await;
        }
        etcd.set(Flow::Open);
        registry.set(Flow::Open);
        began.elapsed()
    };
    let (whole, done) = tokio::join!(disturbed, bench.completed("4.3.0"));
    let done = faultd.explain(done).with_context(|| operator.said())?;
    let (took, cut) = (began.elapsed(), (etcd.broken(), registry.broken()));
    e2e::figure(&format!(
        "seed {seed}: an upgrade of {took:.1?} with links disturbed for {whole:.1?}, {} connections to etcd and {} to the registry ended",
        cut.0, cut.1
    ));
    ensure!(cut.0 > 0 && cut.1 > 0, "no connection was ended: {cut:?}");
    at_rest(&faultd).await;
    one_entry(&done, text(&done, "/status/history/0/startedTime"))?;
    let stalled = condition(&bench.cvsh().await?, "Stalled").clone();
    ensure!(text(&stalled, "/status") == "False", "{stalled}");
    faultd.explain(reference.state.equals(&bench.end_state().await?))
}
