//! `violet list`: the plugins of the catalogue, their versions, and where they are installed.

use crate::arguments::List;
use crate::clusters;
use crate::connection::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use api::component_version::parse;
use api::names::{CLUSTER_NAME_LABEL, MODULE_NAME_LABEL};
use api::objects::{ModuleConfig, ModuleInfo, ModulePlugin};
use api::text::line;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The list, as it is written to a file.
#[derive(Default, Serialize)]
struct Catalogue {
    plugins: Vec<Plugin>,
}

#[derive(Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Plugin {
    name: String,
    lifecycle: String,
    /// Highest first.
    versions: Vec<Published>,
    installed: Vec<Installed>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Published {
    version: String,
    ready_for_deploy: bool,
}

#[derive(Serialize)]
struct Installed {
    cluster: String,
    /// Empty until the plugin was healthy once.
    version: String,
    phase: String,
}

/// Lists.
pub(super) async fn run(
    flags: &List,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let need = "the catalogue is read from the cluster";
    let connection = Connection::open(&flags.platform, environment, need, printer).await?;
    clusters::named(&flags.clusters, &connection).await?;
    let catalogue = read(&connection, &flags.clusters).await?;
    if let Some(path) = &flags.output_file {
        let text = serde_saphyr::to_string(&catalogue).map_err(std::io::Error::other);
        let written = text.and_then(|text| std::fs::write(path, text));
        let failed = |source| Failure::File { action: "write", path: path.clone(), source };
        written.map_err(failed)?;
        let count = catalogue.plugins.len();
        return printer.say(&format!("Wrote {count} plugins to {}.", path.display()));
    }
    if catalogue.plugins.is_empty() {
        return printer.say(match flags.clusters.is_empty() {
            true => "The catalogue holds no plugin.",
            false => "No plugin is installed there.",
        });
    }
    printer.say(&table(&catalogue))
}

async fn read(connection: &Connection, only: &[String]) -> Result<Catalogue, Failure> {
    let mut plugins: BTreeMap<String, Plugin> = BTreeMap::new();
    let of = |labels: &Option<BTreeMap<String, String>>, key: &str| {
        labels.as_ref().and_then(|labels| labels.get(key)).cloned().unwrap_or_default()
    };
    for (plugin, _) in connection.all::<ModulePlugin>().await? {
        let name = plugin.metadata.name.unwrap_or_default();
        let lifecycle = of(&plugin.metadata.labels, api::names::LIFECYCLE_LABEL);
        let entry = plugins.entry(name).or_default();
        entry.lifecycle = if lifecycle.is_empty() {
            api::Lifecycle::Agnostic.as_str().to_owned()
        } else {
            lifecycle
        };
    }
    for (config, _) in connection.all::<ModuleConfig>().await? {
        let name = of(&config.metadata.labels, MODULE_NAME_LABEL);
        let ready_for_deploy = config.status.unwrap_or_default().ready_for_deploy;
        let version = config.spec.version;
        plugins.entry(name).or_default().versions.push(Published { version, ready_for_deploy });
    }
    for (info, _) in connection.all::<ModuleInfo>().await? {
        let cluster = of(&info.metadata.labels, CLUSTER_NAME_LABEL);
        if !only.is_empty() && !only.contains(&cluster) {
            continue;
        }
        let status = info.status.unwrap_or_default();
        let installed = Installed { cluster, version: status.version, phase: status.phase };
        let name = of(&info.metadata.labels, MODULE_NAME_LABEL);
        plugins.entry(name).or_default().installed.push(installed);
    }
    if !only.is_empty() {
        plugins.retain(|_, plugin| !plugin.installed.is_empty());
    }
    let named = plugins.into_iter().map(|(name, mut plugin)| {
        plugin.name = name;
        plugin.versions.sort_by_key(|v| Reverse((parse(&v.version), v.version.clone())));
        plugin.installed.sort_by(|one, other| one.cluster.cmp(&other.cluster));
        plugin
    });
    Ok(Catalogue { plugins: named.collect() })
}

/// Columns, each as wide as its longest cell.
fn table(catalogue: &Catalogue) -> String {
    let head = ["PLUGIN", "LIFECYCLE", "VERSIONS", "INSTALLED"].map(str::to_owned);
    let rows: Vec<[String; 4]> = catalogue.plugins.iter().map(row).collect();
    let all = std::iter::once(&head).chain(&rows);
    let mut widths = [0; 4];
    for row in all.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in all {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn row(plugin: &Plugin) -> [String; 4] {
    let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
    let versions: Vec<String> = plugin
        .versions
        .iter()
        .map(|v| match v.ready_for_deploy {
            true => line(&v.version, 64),
            false => format!("{} (not ready)", line(&v.version, 64)),
        })
        .collect();
    let installed: Vec<String> = plugin
        .installed
        .iter()
        .map(|i| {
            let text = format!("{} {} {}", i.cluster, i.version, i.phase);
            line(&text, 128)
        })
        .collect();
    [
        line(&plugin.name, 64),
        or_none(line(&plugin.lifecycle, 32)),
        or_none(api::text::names(&versions)),
        or_none(api::text::names(&installed)),
    ]
}
