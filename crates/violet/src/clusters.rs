//! The clusters of the platform: whether those that are named exist. Changes nothing.

use crate::connection::Connection;
use crate::failure::Failure;
use api::objects::Cluster;
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
    let is_unknown = |name: &&String| !known.contains_key(*name);
    let missing: Vec<String> =
        names.iter().filter(is_unknown).map(|name| api::text::line(name, 64)).collect();
    if !missing.is_empty() {
        let known: Vec<&String> = known.keys().collect();
        return Err(Failure::refused(
            format!("the platform has no cluster {}", api::text::names(&missing)),
            format!("its clusters are: {}", api::text::names(&known)),
        ));
    }
    Ok(names.iter().filter_map(|name| known.remove_entry(name)).collect())
}
