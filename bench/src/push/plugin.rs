//! A plugin package of a gigabyte, pushed by `violet` beside what a user would take instead: the
//! images are the same ones.

use super::images::{self, IMAGES, Images};
use super::peers::Peers;
use super::{LIMIT, RUNS, Site, bare, goals, ours};
use crate::measure::{median, say, timed};
use crate::results::{Goal, Row};
use anyhow::{Context as _, Result, ensure};
use api::names::{CVO, MODULE_NAME_LABEL, NAMESPACE, VIOLET, module_config, plugin_role};
use artifacts::build::package::{pack, write_sums};
use artifacts::build::{LayoutWriter, Tree, tgz};
use artifacts::plugin::{CHARTS, PLUGIN_FILE, PluginPackage, RIGHTS_FILE};
use sandbox::process::{command, run};
use sandbox::toolchain::Toolchain;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const NAME: &str = "bench";
const VERSION: &str = "1.0.0";
const CHART: &str = "acp/chart-bench";
/// Artifacts of the package: the images, and the chart.
const ARTIFACTS: u32 = IMAGES + 1;

/// Seconds of each contestant, and our memory.
#[derive(Default)]
struct Figures {
    ours: Vec<f64>,
    memory: Vec<f64>,
    again: Vec<f64>,
    packed: Vec<f64>,
    crane: Vec<f64>,
    skopeo: Vec<f64>,
    bare: Vec<f64>,
    unpacked: Vec<f64>,
}

/// The package, extracted and packed.
struct Package {
    folder: PathBuf,
    archive: PathBuf,
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
    say("the plugin package to push");
    let images = images::make(&folder.join("packages"), programs)?;
    let package = make(&folder.join("plugin"))?;
    let peers = Peers::install(toolchain).await?;
    let violet = programs.join(VIOLET);
    let contest = Contest { images: &images, peers: &peers, violet: &violet, registry, folder };
    let mut figures = Figures::default();
    for run in 1..=RUNS {
        say(&format!("push of a plugin with {IMAGES} images, run {run} of {RUNS}"));
        contest.round(&package, &mut figures).await?;
    }
    figures.rows()
}

/// What every contestant works with.
struct Contest<'a> {
    images: &'a Images,
    peers: &'a Peers,
    violet: &'a Path,
    registry: &'a Path,
    folder: &'a Path,
}

impl Contest<'_> {
    /// Each contestant once, to an empty registry of its own on the same disk.
    async fn round(&self, package: &Package, figures: &mut Figures) -> Result<()> {
        let site = Site::start(self.registry, self.folder).await?;
        let (seconds, memory) = self.ours(&site, &package.folder, ARTIFACTS).await?;
        figures.ours.push(seconds);
        figures.memory.push(memory);
        figures.again.push(self.ours(&site, &package.folder, 0).await?.0);
        drop(site);

        let site = Site::start(self.registry, self.folder).await?;
        let (seconds, memory) = self.ours(&site, &package.archive, ARTIFACTS).await?;
        figures.packed.push(seconds);
        figures.memory.push(memory);
        drop(site);

        let site = Site::start(self.registry, self.folder).await?;
        let access = site.access()?;
        figures.crane.push(timed(self.peers.crane(self.images, &access)).await?.0);
        drop(site);

        let site = Site::start(self.registry, self.folder).await?;
        let access = site.access()?;
        figures.skopeo.push(timed(self.peers.skopeo(self.images, &access)).await?.0);
        figures.unpacked.push(timed(unpack(&package.archive, site.folder.path())).await?.0);
        drop(site);

        let site = Site::start(self.registry, self.folder).await?;
        figures.bare.push(timed(bare::put(self.images, &site.registry)).await?.0);
        Ok(())
    }

    /// Seconds and MiB of our push, which must send so many artifacts.
    async fn ours(&self, site: &Site, package: &Path, artifacts: u32) -> Result<(f64, f64)> {
        let temporary = site.folder.path();
        let push = ours::push(self.violet, package, temporary, &site.registry);
        let (seconds, pushed) = timed(push).await?;
        let whole = pushed.line.contains(&format!(": {artifacts} uploaded"))
            && pushed.line.contains(" 0 failed");
        ensure!(whole, "not {artifacts} artifacts were sent: {}", pushed.line);
        Ok((seconds, pushed.memory_mib))
    }
}

/// What a user does first who has no `violet`.
async fn unpack(archive: &Path, into: &Path) -> Result<()> {
    let mut tar = command("tar", ["-xzf"]);
    run(tar.arg(archive).arg("-C").arg(into), LIMIT).await.context("tar")?;
    Ok(())
}

impl Figures {
    fn rows(self) -> Result<Vec<Row>> {
        let (ours, again) = (median(self.ours)?, median(self.again)?);
        let (crane, skopeo) = (median(self.crane)?, median(self.skopeo)?);
        let unpacked = median(self.unpacked)?;
        let row = |name: &str, ours, peer, goal| Row {
            name: name.to_owned(),
            unit: "s",
            ours,
            peer: Some(peer),
            goal,
        };
        let name =
            format!("violet push: a plugin with {IMAGES} images, 1.1 GB, to an empty registry");
        let packed = median(self.packed)?;
        let [by_skopeo, by_crane, by_least] = goals(ours, skopeo, crane);
        Ok(vec![
            row(&name, ours, ("skopeo copy", skopeo), by_skopeo),
            row(&name, ours, ("crane push", crane), by_crane),
            row(&name, ours, ("bare parallel PUT", median(self.bare)?), by_least),
            row(
                "the same from its .tgz",
                packed,
                ("tar -xzf and crane push", unpacked + crane),
                Goal::TimesBetter(1.0),
            ),
            row("the same, nothing to do", again, ("sending it", ours), Goal::Shown),
            Row {
                name: "peak memory of violet push".to_owned(),
                unit: "MiB",
                ours: self.memory.into_iter().fold(0.0, f64::max),
                peer: None,
                goal: Goal::Below(64.0),
            },
        ])
    }
}

/// Makes the package; one that is there from an earlier run stays.
fn make(folder: &Path) -> Result<Package> {
    let package = Package {
        folder: folder.join("extracted"),
        archive: folder.join(format!("{}.tgz", module_config(NAME, VERSION))),
    };
    if package.archive.exists() {
        return Ok(package);
    }
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    let root = &package.folder;
    std::fs::create_dir_all(root.join(CHARTS))?;
    let mut layout = LayoutWriter::create(&root.join("images"))?;
    let mut images = BTreeMap::new();
    for number in 0..IMAGES {
        let image = images::one(number, folder)?;
        let repository = format!("bench/{}", images::name(number));
        let written = image.write(&mut layout, &repository, "v1")?;
        images.insert(images::name(number), json!(written));
    }
    let about = json!({ "apiVersion": "v2", "name": "chart-bench", "version": VERSION });
    let mut tree = Tree::default();
    tree.file("chart-bench/Chart.yaml", about.to_string().into_bytes())?;
    let chart = tgz(&tree)?;
    std::fs::write(root.join(CHARTS).join(format!("chart-bench-{VERSION}.tgz")), &chart)?;
    let digest = layout.chart(CHART, VERSION, &about, &chart)?.digest.to_string();
    layout.finish()?;
    let objects = [plugin(), config(images, &digest)];
    std::fs::write(root.join(PLUGIN_FILE), documents(&objects))?;
    std::fs::write(root.join(RIGHTS_FILE), documents(&rights()))?;
    write_sums(root)?;
    PluginPackage::open(root).context("the plugin package")?;
    pack(root, &module_config(NAME, VERSION), &package.archive)?;
    Ok(package)
}

/// JSON is YAML.
fn documents(objects: &[Value]) -> String {
    objects.iter().map(|object| format!("---\n{object}\n")).collect()
}

fn plugin() -> Value {
    json!({
        "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModulePlugin",
        "metadata": { "name": NAME },
        "spec": { "name": NAME, "version": VERSION },
    })
}

fn config(images: BTreeMap<String, Value>, chart: &str) -> Value {
    let labels = json!({ MODULE_NAME_LABEL: NAME });
    json!({
        "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleConfig",
        "metadata": { "name": module_config(NAME, VERSION), "labels": labels },
        "spec": {
            "name": NAME, "version": VERSION, "images": images,
            "appReleases": [{ "name": NAME, "namespace": NAME, "chartVersions": [
                { "name": CHART, "releaseName": NAME, "version": VERSION, "digest": chart },
            ] }],
        },
    })
}

fn rights() -> [Value; 2] {
    let (group, name) = ("rbac.authorization.k8s.io", plugin_role(NAME));
    let rule = json!({ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"] });
    let subject = json!({ "kind": "ServiceAccount", "name": CVO, "namespace": NAMESPACE });
    [
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
            "metadata": { "name": name }, "rules": [rule],
        }),
        json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
            "subjects": [subject],
        }),
    ]
}
