//! 200 workload clusters that one operator upgrades at once, with and without dead and slow ones
//! among them, and what it costs while all of them are idle. 20 have a real API server, three of
//! them with an etcd of their own; the others have the fake of the tests.

mod clusters;
mod idle;

use crate::measure::{memory_mib, say, timed};
use crate::results::{Goal, Row};
use anyhow::{Context as _, Result};
use clusters::{Fleet, Size};
use e2e::fake::{Model, allow_many};
use e2e::t2::{Bench, Lease, Operator, Start};
use idle::Idle;

/// What the clusters have, and to what they move.
const OLD: &str = "4.2.1";
const NEW: &str = "4.3.0";
/// So that every chart was rendered once before anything is measured, for both kinds of servers.
const FIRST: Size = Size { whole: 0, beside: 1, fake: 1, dead: 0, slow: 0 };
/// A quarter of them all.
const FEW: Size = Size { whole: 1, beside: 4, fake: 40, dead: 3, slow: 2 };
/// The healthy ones alone.
const CALM: Size = Size { whole: 3, beside: 17, fake: 160, dead: 0, slow: 0 };
const ALL: Size = Size { dead: 10, slow: 10, ..CALM };
/// How much longer healthy clusters may take beside dead and slow ones: a part, or seconds.
const PART: f64 = 1.05;
const SECONDS: f64 = 2.0;
/// How much longer four times as many clusters may take: what that costs, and a fifth.
const FOUR_TIMES_AS_MANY: f64 = 1.2 * 4.0;

/// Seconds of each fleet, and what the operator took.
struct Figures {
    few: f64,
    calm: f64,
    all: f64,
    memory_mib: f64,
    idle: Idle,
}

/// The rows of this work.
///
/// # Errors
/// When a cluster is not upgraded, or one is that is dead.
pub(crate) async fn rows() -> Result<Vec<Row>> {
    allow_many()?;
    let bench = Bench::prepared().await?;
    let start = Start { lease: Lease::AsShipped, ..Start::default() };
    let operator = bench.operator(&start).await?;
    let figures = figures(&bench, &operator).await.with_context(|| operator.said())?;
    operator.terminate().await?;
    Ok(figures.rows())
}

async fn figures(bench: &Bench, operator: &Operator) -> Result<Figures> {
    for version in [OLD, NEW] {
        say(&format!("{version} on global"));
        bench.publish(version).await?;
        bench.offered(version).await?;
        bench.ask_for(version).await?;
        bench.completed(version).await?;
    }
    let model = Model::of(bench).await?;
    upgrade(installed(bench, &model, "first", FIRST).await?).await?;
    let few = upgrade(installed(bench, &model, "few", FEW).await?).await?;
    let calm = upgrade(installed(bench, &model, "calm", CALM).await?).await?;
    let all = installed(bench, &model, "all", ALL).await?;
    let idle = idle::measure(bench, operator, &all).await?;
    let all = upgrade(all).await?;
    let memory_mib = memory_mib(&operator.id().to_string(), "VmHWM")?;
    Ok(Figures { few, calm, all, memory_mib, idle })
}

/// A fleet at rest, to which the next version is offered.
async fn installed<'a>(
    bench: &'a Bench,
    model: &Model,
    name: &str,
    size: Size,
) -> Result<Fleet<'a>> {
    say(&format!("{} clusters join: {size:?}", size.count()));
    let fleet = Fleet::joins(bench, model, name, size).await?;
    fleet.ask_for(OLD).await?;
    fleet.all_are_at(OLD).await?;
    fleet.all_are_offered(NEW).await?;
    Ok(fleet)
}

/// Seconds from the first request until all healthy clusters are upgraded; then all leave.
async fn upgrade(fleet: Fleet<'_>) -> Result<f64> {
    fleet.falls_ill();
    let upgrade = async {
        fleet.ask_for(NEW).await?;
        fleet.healthy_are_at(NEW).await
    };
    let (seconds, ()) = timed(upgrade).await?;
    fleet.holds(OLD, NEW).await?;
    say(&format!("upgraded in {seconds:.1} s"));
    fleet.leaves().await?;
    Ok(seconds)
}

impl Figures {
    fn rows(self) -> Vec<Row> {
        let row = |name: String, unit, ours, peer, goal| Row { name, unit, ours, peer, goal };
        let name = format!(
            "upgrade of {} clusters at once ({} with real API servers), of which {} are dead and \
             {} slow, until the others are done",
            ALL.count(),
            ALL.real(),
            ALL.dead,
            ALL.slow
        );
        let more = PART.max((self.calm + SECONDS) / self.calm);
        let more = (more * 1000.0).round() / 1000.0;
        let idle = format!("{} idle clusters: ", ALL.count());
        vec![
            row(
                name,
                "s",
                self.all,
                Some(("those others alone", self.calm)),
                Goal::AtMostTimes(more),
            ),
            row(
                "the same".to_owned(),
                "s",
                self.all,
                Some(("50 clusters, of which 3 are dead and 2 slow", self.few)),
                Goal::AtMostTimes(FOUR_TIMES_AS_MANY),
            ),
            row(
                "peak memory of the operator, without helm children".to_owned(),
                "MiB",
                self.memory_mib,
                None,
                Goal::Below(256.0),
            ),
            row(
                format!("{idle}what is written but the Lease, in {} s", self.idle.seconds),
                "changing requests",
                f64::from(self.idle.changes),
                None,
                Goal::Nothing,
            ),
            row(
                format!("{idle}time of the operator"),
                "% of a core",
                self.idle.percent,
                None,
                Goal::Below(5.0),
            ),
        ]
    }
}
