//! What holds for a workload cluster beside global: it never passes what global has completed (I4),
//! what is recorded of it stands on global, and nothing else of it does.

use crate::invariants::{Status, Stores, Watch, status, typed};
use crate::releases::release_of;
use crate::store::Change;
use api::names::{CLUSTER_NAME_LABEL, CVO, GLOBAL, OWNER_LABEL};
use api::objects::{AppRelease, ClusterModule};
use api::{HistoryState, Version};

/// What a write of the operator says the cluster is at or moves to: where it says so, and which
/// version. What is only desired is waited for.
fn said(change: &Change) -> Vec<(&'static str, String)> {
    let Some(new) = &change.new else { return Vec::new() };
    match change.key.1.as_str() {
        "ClusterVersionShadow" => {
            let status: Status = new.get("status").map(typed).unwrap_or_default();
            let history = status.history.into_iter().map(|entry| ("history", entry.version));
            let current = status.current.into_iter().map(|current| ("current", current.version));
            history.chain(current).collect()
        }
        "ClusterModule" => {
            let module: ClusterModule = typed(new);
            let base = module.status.unwrap_or_default().base.unwrap_or_default();
            vec![("spec", module.spec.version), ("base", base.version)]
        }
        "AppRelease" => {
            let release: AppRelease = typed(new);
            let status = release.status.unwrap_or_default();
            let of_image = |image: &str| release_of(image).map(|r| r.version.to_string());
            let images = [&release.spec.release_image, &status.release_image];
            let images = images.into_iter().filter_map(|image| Some(("image", of_image(image)?)));
            let all = [("spec", release.spec.release.clone()), ("status", status.release.clone())];
            all.into_iter().chain(images).collect()
        }
        _ => Vec::new(),
    }
}

impl Watch {
    /// I4, on each write of the operator about a workload cluster.
    pub(crate) fn follows(&mut self, stores: Stores, change: &Change) {
        if self.cluster == GLOBAL {
            return;
        }
        let global = status(stores.home, GLOBAL).history;
        let reached = global.iter().find(|entry| entry.state == HistoryState::Completed);
        let reached: Option<Version> = reached.and_then(|entry| entry.version.parse().ok());
        let passes = |version: &str| version.parse().is_ok_and(|v: Version| Some(v) > reached);
        let first = said(change).into_iter().find(|(_, version)| passes(version));
        self.must(first.is_none(), || {
            let (place, version) = first.unwrap_or_default();
            let reached = reached.map_or("nothing".to_owned(), |reached| reached.to_string());
            format!(
                "I4: {place} of {} {} has {version}, the newest that global completed is {reached}",
                change.key.1, change.key.3
            )
        });
    }

    /// Rounds about a cluster write what is recorded of that cluster on global, and everything else
    /// on the cluster itself.
    pub(crate) fn stands(&mut self, at: &str, change: &Change) {
        let shown = change.new.as_ref().or(change.old.as_ref());
        let label = || shown?["metadata"]["labels"][CLUSTER_NAME_LABEL].as_str();
        let (of, place) = match change.key.1.as_str() {
            "ClusterVersionShadow" | "ClusterModule" => (Some(change.key.3.as_str()), GLOBAL),
            "Event" | "ModuleInfo" => (label(), GLOBAL),
            _ => (Some(self.cluster), self.cluster),
        };
        let cluster = self.cluster;
        self.must(of == Some(cluster) && at == place, || {
            let (_, kind, namespace, name) = &change.key;
            format!("{kind} {namespace}/{name} is written at {at} in a round about {cluster}")
        });
    }

    /// Whether a change brings the kinds of records to a workload cluster.
    pub(crate) fn brings(&self, change: &Change) -> bool {
        let owner =
            change.new.as_ref().and_then(|new| new["metadata"]["labels"][OWNER_LABEL].as_str());
        self.cluster != GLOBAL && change.key.1 == "CustomResourceDefinition" && owner == Some(CVO)
    }
}
