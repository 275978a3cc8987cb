//! `violet gc`: takes published versions out of the catalogue that nobody uses and nobody would
//! choose. What stays in the registry is not touched.

use crate::arguments::Gc;
use crate::connection::Connection;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use api::component_version::parse;
use api::names::MODULE_NAME_LABEL;
use api::objects::{ClusterVersionShadow, ModuleConfig, ModuleInfo};
use api::{Version, VersionRange};
use cluster::{ApiServer as _, CallError};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// A published version.
#[derive(Debug, Clone, PartialEq)]
struct Published {
    object: String,
    plugin: String,
    version: String,
    lines: Vec<String>,
    /// As it was read.
    live: Value,
    /// From which versions it may be upgraded to.
    from: String,
    /// Whether no upgrade may leave it out.
    must: bool,
}

/// A version of a plugin.
type Used = BTreeSet<(String, String)>;

/// Clears.
pub(super) async fn run(
    flags: &Gc,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let need = "the catalogue is read from the cluster";
    let connection = Connection::open(&flags.platform, environment, need, printer).await?;
    let published = published(&connection).await?;
    // Read after the versions: what is installed meanwhile is seen.
    let used = used(&connection).await?;
    let count = published.len();
    let unused = unused(published, &used);
    if unused.is_empty() {
        return printer.say(&format!(
            "Nothing to do: of {count} published versions, each is used or the newest of its kind."
        ));
    }
    for version in &unused {
        let name = api::text::line(&version.object, 128);
        if flags.dry_run {
            printer.say(&format!("{name}: would be deleted"))?;
            continue;
        }
        let deleted = connection.server.delete(&version.live).await;
        deleted.map_err(connection.failed(format!("delete {name}")))?;
        printer.say(&format!("{name}: deleted"))?;
    }
    let gone = unused.len();
    printer.say(&match flags.dry_run {
        true => format!("{gone} of {count} published versions would be deleted. Nothing was changed."),
        false => format!("Deleted {gone} of {count} published versions. Their artifacts stay in the registry; pushing a package again publishes it again."),
    })
}

async fn published(connection: &Connection) -> Result<Vec<Published>, Failure> {
    let all = connection.all::<ModuleConfig>().await?;
    let of = |(config, live): (ModuleConfig, Value)| Published {
        object: config.metadata.name.unwrap_or_default(),
        plugin: label(config.metadata.labels.as_ref()),
        version: config.spec.version,
        lines: config.spec.target_cluster_versions,
        from: config.spec.supported_upgrade_versions,
        must: config.spec.must_upgrade,
        live,
    };
    Ok(all.into_iter().map(of).collect())
}

/// Every version that is installed, or that somebody asks for, or that is under way, also by the
/// upgrade of a cluster.
async fn used(connection: &Connection) -> Result<Used, Failure> {
    let mut used = Used::new();
    let shadows = match connection.all::<ClusterVersionShadow>().await {
        // A platform without the operator upgrades no cluster.
        Err(Failure::Cluster { source: CallError::KindAbsent(_), .. }) => Vec::new(),
        found => found?,
    };
    for (shadow, _) in shadows {
        let stages = shadow.status.unwrap_or_default().stages;
        let operations = stages.into_iter().flat_map(|stage| stage.operations);
        let moves = operations.filter(|operation| !operation.module_info.is_empty());
        used.extend(moves.map(|operation| (operation.name, operation.target_version)));
    }
    for (info, _) in connection.all::<ModuleInfo>().await? {
        let plugin = label(info.metadata.labels.as_ref());
        let status = info.status.unwrap_or_default();
        for version in [info.spec.version, status.version, status.transit_version] {
            used.insert((plugin.clone(), version));
        }
    }
    Ok(used)
}

fn label(labels: Option<&BTreeMap<String, String>>) -> String {
    labels.and_then(|labels| labels.get(MODULE_NAME_LABEL)).cloned().unwrap_or_default()
}

/// What nobody uses, that is neither the highest of its plugin nor the highest for a line of the
/// platform, and that is no step of the way from an installed version to a higher one. What cannot
/// be compared stays.
fn unused(published: Vec<Published>, used: &Used) -> Vec<Published> {
    let mut highest: BTreeMap<(String, String), Version> = BTreeMap::new();
    let places = |one: &Published| {
        let lines = one.lines.iter().map(|line| (one.plugin.clone(), line.clone()));
        // Empty: the highest of all; a version without lines is for any.
        lines.chain([(one.plugin.clone(), String::new())]).collect::<Vec<_>>()
    };
    for one in &published {
        let Some(version) = parse(&one.version) else { continue };
        for place in places(one) {
            let known = highest.entry(place).or_insert_with(|| version.clone());
            if version > *known {
                *known = version.clone();
            }
        }
    }
    let anybody = |one: &Published| {
        let lineless = published.iter().filter(|o| o.plugin == one.plugin && o.lines.is_empty());
        let best = lineless.filter_map(|o| parse(&o.version)).max();
        one.lines.is_empty() && best == parse(&one.version)
    };
    // Lowest version of each plugin that is used: what is above it may be a step of its way.
    let mut lowest: BTreeMap<&String, Version> = BTreeMap::new();
    for (plugin, version) in used {
        let Some(version) = parse(version) else { continue };
        let known = lowest.entry(plugin).or_insert_with(|| version.clone());
        if version < *known {
            *known = version;
        }
    }
    let is_step = |one: &Published, version: &Version| {
        let ranges = published.iter().filter(|o| o.plugin == one.plugin).map(|o| &o.from);
        let leads_on = ranges
            .filter_map(|range| range.parse::<VersionRange>().ok())
            .any(|range| range.contains(version));
        let is_above = lowest.get(&one.plugin).is_some_and(|used| version > used);
        is_above && (one.must || leads_on)
    };
    let stays = |one: &Published| {
        let Some(version) = parse(&one.version) else { return true };
        one.plugin.is_empty()
            || is_step(one, &version)
            || used.contains(&(one.plugin.clone(), one.version.clone()))
            || places(one).iter().any(|place| highest.get(place) == Some(&version))
            || anybody(one)
    };
    published.iter().filter(|one| !stays(one)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(plugin: &str, version: &str, lines: &[&str]) -> Published {
        Published {
            object: format!("{plugin}-{version}"),
            plugin: plugin.to_owned(),
            version: version.to_owned(),
            lines: lines.iter().map(|line| (*line).to_owned()).collect(),
            from: String::new(),
            must: false,
            live: Value::Null,
        }
    }

    fn gone(published: Vec<Published>, used: &[(&str, &str)]) -> Vec<String> {
        let used = used.iter().map(|(p, v)| ((*p).to_owned(), (*v).to_owned())).collect();
        unused(published, &used).into_iter().map(|one| one.object).collect()
    }

    #[test]
    fn what_is_used_or_the_newest_of_a_line_stays() {
        let all = vec![
            one("a", "1.0.0", &["4.2"]),
            one("a", "1.1.0", &["4.2"]),
            one("a", "1.10.0", &["4.3"]),
            one("a", "1.9.0", &["4.3"]),
            one("a", "1.8.0", &["4.3"]),
            one("a", "odd", &["4.3"]),
            one("b", "0.9.0", &[]),
            one("b", "1.0.0", &[]),
            one("b", "2.0.0", &["4.3"]),
        ];
        assert_eq!(gone(all, &[("a", "1.8.0"), ("b", "1.9.0")]), ["a-1.0.0", "a-1.9.0", "b-0.9.0"]);
        assert_eq!(gone(Vec::new(), &[]), Vec::<String>::new());
    }

    #[test]
    fn a_step_of_the_way_from_what_is_installed_stays() {
        let step = |version: &str, from: &str, must: bool| Published {
            from: from.to_owned(),
            must,
            ..one("a", version, &["4.3"])
        };
        let all = || {
            vec![
                step("0.9.0", "", true),
                step("1.0.0", "", false),
                step("1.4.0", "", false),
                step("1.5.0", "", true),
                step("1.6.0", "", false),
                step("2.0.0", ">=1.6.0 <2.0.0", false),
            ]
        };
        assert_eq!(gone(all(), &[("a", "1.0.0")]), ["a-0.9.0", "a-1.4.0"]);
        assert_eq!(gone(all(), &[("a", "2.0.0")]).len(), 5);
        assert_eq!(gone(all(), &[]).len(), 5, "nobody is on the way");
    }
}
