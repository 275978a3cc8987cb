//! Sending a gigabyte of images to a registry: our sync beside what a user would take, and beside
//! the least that any program must do.

mod bare;
mod images;
mod ours;
mod peers;
pub(crate) mod plugin;

use crate::measure::{median, say, timed};
use crate::results::{Goal, Row};
use anyhow::{Result, ensure};
use images::{IMAGES, Images};
use peers::Peers;
use sandbox::TestRegistry;
use sandbox::toolchain::Toolchain;
use std::path::Path;
use std::time::Duration;

/// How often each is measured, all of them in turn.
const RUNS: u32 = 3;
/// How long one program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Seconds of each contestant, and our memory.
#[derive(Default)]
struct Figures {
    ours: Vec<f64>,
    memory: Vec<f64>,
    memory_of_large: f64,
    crane: Vec<f64>,
    skopeo: Vec<f64>,
    bare: Vec<f64>,
    ours_again: Vec<f64>,
    crane_again: Vec<f64>,
    skopeo_again: Vec<f64>,
}

/// The rows of this work.
///
/// # Errors
/// When a contestant is missing or fails.
pub(crate) async fn rows(
    toolchain: &Toolchain,
    registry: &Path,
    folder: &Path,
    programs: &Path,
) -> Result<Vec<Row>> {
    say("the images to push");
    let images = images::make(&folder.join("packages"), programs)?;
    let peers = Peers::install(toolchain).await?;
    let mut figures = Figures::default();
    for run in 1..=RUNS {
        say(&format!("push of {IMAGES} images, run {run} of {RUNS}"));
        round(&images, &peers, registry, folder, &mut figures).await?;
    }
    say("push of one large layer");
    let site = Site::start(registry, folder).await?;
    figures.memory_of_large = site.ours(&images.large, images::SMALL + 1).await?.1;
    drop(site);
    figures.rows()
}

/// Each contestant once, to an empty registry of its own on the same disk, and then once more.
async fn round(
    images: &Images,
    peers: &Peers,
    registry: &Path,
    folder: &Path,
    figures: &mut Figures,
) -> Result<()> {
    let site = Site::start(registry, folder).await?;
    let (seconds, memory) = site.ours(&images.all, images::SMALL + IMAGES).await?;
    figures.ours.push(seconds);
    figures.memory.push(memory);
    figures.ours_again.push(site.ours(&images.all, 0).await?.0);
    drop(site);

    let site = Site::start(registry, folder).await?;
    let access = site.access()?;
    figures.crane.push(timed(peers.crane(images, &access)).await?.0);
    figures.crane_again.push(timed(peers.crane(images, &access)).await?.0);
    drop(site);

    let site = Site::start(registry, folder).await?;
    let access = site.access()?;
    figures.skopeo.push(timed(peers.skopeo(images, &access)).await?.0);
    figures.skopeo_again.push(timed(peers.skopeo(images, &access)).await?.0);
    drop(site);

    let site = Site::start(registry, folder).await?;
    figures.bare.push(timed(bare::put(images, &site.registry)).await?.0);
    let last = |values: &[f64]| values.last().copied().unwrap_or_default();
    say(&format!(
        "ours {:.2} s, crane {:.2} s, skopeo {:.2} s, bare {:.2} s",
        last(&figures.ours),
        last(&figures.crane),
        last(&figures.skopeo),
        last(&figures.bare)
    ));
    Ok(())
}

/// An empty registry; its bytes go with this value.
struct Site {
    registry: TestRegistry,
    folder: tempfile::TempDir,
}

impl Site {
    async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(folder)?;
        let registry = TestRegistry::start(program, &folder.path().join("registry")).await?;
        Ok(Self { registry, folder })
    }

    fn access(&self) -> Result<peers::Access> {
        peers::Access::write(&self.registry, self.folder.path())
    }

    /// Seconds and MiB of our sync, which must send so many images.
    async fn ours(&self, package: &Path, images: u32) -> Result<(f64, f64)> {
        let (seconds, synced) = timed(ours::sync(package, &self.registry)).await?;
        let whole = synced.line.contains(&format!(": {images} uploaded"))
            && synced.line.contains(" 0 failed");
        ensure!(whole, "not {images} images were sent: {}", synced.line);
        Ok((seconds, synced.memory_mib))
    }
}

impl Figures {
    fn rows(self) -> Result<Vec<Row>> {
        let name = format!("upgrade.sh: push {IMAGES} images, 1.1 GB, to an empty registry");
        let (ours, again) = (median(self.ours)?, median(self.ours_again)?);
        let row = |name: &str, ours, peer, value, goal| Row {
            name: name.to_owned(),
            unit: "s",
            ours,
            peer: Some((peer, value)),
            goal,
        };
        let memory = |name: &str, ours| Row {
            name: name.to_owned(),
            unit: "MiB",
            ours,
            peer: None,
            goal: Goal::Below(64.0),
        };
        let (crane, skopeo) = (median(self.crane)?, median(self.skopeo)?);
        let nothing = "the same, nothing to do";
        let [by_skopeo, by_crane, by_least] = goals(ours, skopeo, crane);
        Ok(vec![
            row(&name, ours, "skopeo copy", skopeo, by_skopeo),
            row(&name, ours, "crane push", crane, by_crane),
            row(&name, ours, "bare parallel PUT", median(self.bare)?, by_least),
            memory("its peak memory", self.memory.into_iter().fold(0.0, f64::max)),
            memory("peak memory of a push of one layer of 1 GiB", self.memory_of_large),
            row(nothing, again, "crane push", median(self.crane_again)?, Goal::TimesBetter(1.0)),
            row(nothing, again, "skopeo copy", median(self.skopeo_again)?, Goal::Shown),
        ])
    }
}

/// What is asked of a push beside skopeo, beside crane and beside the least that there is. One of
/// two: it is so much better than both programs, or close to the least.
fn goals(ours: f64, skopeo: f64, crane: f64) -> [Goal; 3] {
    if skopeo / ours >= 3.0 && crane / ours >= 1.2 {
        [Goal::TimesBetter(3.0), Goal::TimesBetter(1.2), Goal::Shown]
    } else {
        [Goal::Shown, Goal::Shown, Goal::AtMostTimes(1.1)]
    }
}
