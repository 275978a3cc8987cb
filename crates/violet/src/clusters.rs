//! The clusters of the platform: whether those that are named exist, and whether a plugin is meant
//! for one. Changes nothing.

use crate::connection::Connection;
use crate::failure::Failure;
use api::ModuleConfigSpec;
use api::objects::Cluster;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt as _};
use std::collections::BTreeMap;

/// The labels of a cluster.
type Labels = BTreeMap<String, String>;

/// The clusters that are named, in their order, with their labels; none where none is named.
///
/// # Errors
/// When they cannot be listed, or one does not exist: those that do are named.
pub(crate) async fn named(
    names: &[String],
    connection: &Connection,
) -> Result<Vec<(String, Labels)>, Failure> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let all = connection.all::<Cluster>().await?;
    let mut known: BTreeMap<String, Labels> = all
        .into_iter()
        .map(|(cluster, _)| cluster.metadata)
        .map(|meta| (meta.name.unwrap_or_default(), meta.labels.unwrap_or_default()))
        .collect();
    let is_known = |name: &&String| !known.contains_key(*name);
    let missing: Vec<String> =
        names.iter().filter(is_known).map(|name| api::text::line(name, 64)).collect();
    if !missing.is_empty() {
        let known: Vec<&String> = known.keys().collect();
        return Err(Failure::refused(
            format!("the platform has no cluster {}", api::text::names(&missing)),
            format!("its clusters are: {}", api::text::names(&known)),
        ));
    }
    Ok(names.iter().filter_map(|name| known.remove_entry(name)).collect())
}

/// Why a plugin is not meant for a cluster with these labels; None where it is.
pub(crate) fn misfit(config: &ModuleConfigSpec, labels: &Labels) -> Option<String> {
    let affinity = config.affinity.as_ref()?;
    let unreadable = || Some("its rule for clusters cannot be read".to_owned());
    match affinity.cluster_affinity.as_ref().map(|rule| matches(rule, labels)) {
        None | Some(Some((true, _))) => {}
        Some(Some((false, text))) => return Some(format!("it must have the labels {text}")),
        Some(None) => return unreadable(),
    }
    match affinity.cluster_anti_affinity.as_ref().map(|rule| matches(rule, labels)) {
        None | Some(Some((false, _))) => None,
        Some(Some((true, text))) if text.is_empty() => None,
        Some(Some((true, text))) => Some(format!("it must not have the labels {text}")),
        Some(None) => unreadable(),
    }
}

/// Whether a rule matches, and the rule as kubectl writes it; None where it cannot be read.
fn matches(rule: &LabelSelector, labels: &Labels) -> Option<(bool, String)> {
    let selector = Selector::try_from(rule.clone()).ok()?;
    Some((selector.matches(labels), api::text::line(&selector.to_string(), 256)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn why(affinity: serde_json::Value) -> Option<String> {
        let spec = serde_json::from_value(json!({ "affinity": affinity })).unwrap();
        misfit(&spec, &BTreeMap::from([("region".to_owned(), "eu".to_owned())]))
    }

    #[test]
    fn a_plugin_fits_by_the_labels_of_the_cluster() {
        let labels = |region: &str| json!({ "matchLabels": { "region": region } });
        assert_eq!(why(json!({})), None);
        assert_eq!(why(json!({ "clusterAffinity": labels("eu") })), None);
        let other = why(json!({ "clusterAffinity": labels("us") }));
        assert_eq!(other.as_deref(), Some("it must have the labels region=us"));
        let not = why(json!({ "clusterAntiAffinity": labels("eu") }));
        assert_eq!(not.as_deref(), Some("it must not have the labels region=eu"));
        assert_eq!(why(json!({ "clusterAntiAffinity": {} })), None);
        let among = json!({ "matchExpressions": [{ "key": "region", "operator": "In", "values": ["us"] }] });
        assert!(why(json!({ "clusterAffinity": among })).is_some());
    }
}
