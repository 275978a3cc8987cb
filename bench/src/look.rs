//! What an administrator waits for: the status, an offer; and what the idle operator costs.

use crate::measure::{median, memory_mib, say, timed};
use crate::results::{Goal, Row};
use anyhow::Result;
use e2e::t2::{Bench, Start};
use sandbox::process::{command, run};
use sandbox::toolchain::{Tool, Toolchain};
use std::path::Path;
use std::time::Duration;

/// How often the status is asked for by each.
const LOOKS: usize = 15;
/// Releases that are published one after the other.
const OFFERS: [&str; 3] = ["4.3.0", "4.3.1", "4.3.2"];
/// The least that the documents of the platform tell users to wait for an offer, in seconds.
const DOCUMENTED: f64 = 600.0;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(30);
/// How long the operator is left alone before its memory is read.
const IDLE: Duration = Duration::from_secs(30);

/// The rows of this work.
///
/// # Errors
/// When the platform does not do what it is asked for.
pub(crate) async fn rows(bench: &Bench, toolchain: &Toolchain) -> Result<Vec<Row>> {
    say("install of 4.2.1");
    let operator = bench.operator(&Start::default()).await?;
    bench.publish("4.2.1").await?;
    bench.offered("4.2.1").await?;
    bench.ask_for("4.2.1").await?;
    bench.completed("4.2.1").await?;
    say("published to offered");
    let mut offered = Vec::new();
    for version in OFFERS {
        if version != "4.3.0" {
            let as_version = |release: &mut api::Release| {
                release.version = version.parse().expect("a version");
            };
            bench.push_release(&format!("v{version}"), as_version).await?;
        }
        let once = timed(async {
            bench.publish(version).await?;
            bench.offered(version).await
        });
        offered.push(once.await?.0);
    }
    say("the idle operator");
    tokio::time::sleep(IDLE).await;
    let memory = memory_mib(&operator.id().to_string(), "VmRSS")?;
    say("status");
    let kubectl = toolchain.build(&Tool::kubectl()).await?;
    let (ours, peer) = looks(bench, &kubectl).await?;
    operator.terminate().await?;
    let figure =
        |name: &str, unit, ours, goal| Row { name: name.to_owned(), unit, ours, peer: None, goal };
    Ok(vec![
        Row {
            name: "ac adm upgrade status".to_owned(),
            unit: "s",
            ours,
            peer: Some(("kubectl get cvsh global -o yaml", peer)),
            goal: Goal::TimesBetter(1.0),
        },
        Row {
            name: "published to offered".to_owned(),
            unit: "s",
            ours: median(offered)?,
            peer: Some(("the documents' 10 to 15 minutes", DOCUMENTED)),
            goal: Goal::Below(5.0),
        },
        figure("idle operator, without helm children", "MiB", memory, Goal::Below(64.0)),
    ])
}

/// Both in turn, the middle of each.
async fn looks(bench: &Bench, kubectl: &Path) -> Result<(f64, f64)> {
    let (mut ours, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..LOOKS {
        let mut ac = command(bench.packages.programs.join("ac"), ["adm", "upgrade", "status"]);
        ac.arg("--kubeconfig").arg(bench.plane.kubeconfig());
        ours.push(timed(run(&mut ac, LIMIT)).await?.0);
        let mut get =
            command(kubectl, ["get", "cvsh", "global", "-n", "cpaas-system", "-o", "yaml"]);
        get.arg("--kubeconfig").arg(bench.plane.kubeconfig());
        peer.push(timed(run(&mut get, LIMIT)).await?.0);
    }
    Ok((median(ours)?, median(peer)?))
}
