//! The other clusters of the platform, as far as a round about global asks: which Kubernetes they
//! run. A cluster that does not answer is Unknown for itself and holds up nobody.

use super::route::{config_of, credential_of, credentials, server_of};
use super::{Servers, observed, typed, typed_list};
use crate::call::CallError;
use crate::server::ApiServer;
use api::Version;
use api::names::{GLOBAL, NAMESPACE};
use api::objects::{Cluster, ClusterCredential, ClusterVersionShadow, HistoryState};
use futures::StreamExt as _;
use planner::snapshot::Observed;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long a cluster may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long all of them may take together: a site that is cut off must not hold up the request for
/// this cluster.
const FLEET_TIMEOUT: Duration = Duration::from_secs(8);
/// Clusters that are asked at a time.
const IN_FLIGHT: usize = 32;

/// Asks other clusters.
pub trait Fleet: Sync {
    /// The version that a cluster's API server answers.
    fn version(
        &self,
        cluster: &Cluster,
        credential: &ClusterCredential,
    ) -> impl Future<Output = Result<String, String>> + Send;
}

/// The version of this cluster; for the global one, of every other as well.
pub(super) async fn kubernetes_versions<A: ApiServer, F: Fleet>(
    servers: Servers<'_, A>,
    fleet: &F,
    own: &str,
) -> BTreeMap<String, Observed<String>> {
    let Servers { home, server } = servers;
    let mut versions = BTreeMap::new();
    let answer = match server.version().await {
        Ok(version) => Observed::Value(version),
        Err(error) => Observed::Unknown(error.to_string()),
    };
    versions.insert(own.to_owned(), answer);
    if own != GLOBAL {
        return versions;
    }
    let (clusters, credentials) =
        futures::join!(typed_list::<Cluster, _>(home, None), credentials(home),);
    let (clusters, credentials) = match (clusters, credentials) {
        (Ok(clusters), Ok(credentials)) => (clusters, credentials),
        // A platform that knows no other clusters has none.
        (Err(CallError::KindAbsent(_)), _) => return versions,
        (Err(error), _) | (_, Err(error)) => {
            let unknown = Observed::Unknown(error.to_string());
            versions.insert("the other clusters".to_owned(), unknown);
            return versions;
        }
    };
    let others: Vec<&Cluster> =
        clusters.iter().filter(|c| c.metadata.name.as_deref() != Some(own)).collect();
    let limits = Limits { answer: ANSWER_TIMEOUT, fleet: FLEET_TIMEOUT };
    versions.extend(ask_all(fleet, &others, &credentials, limits).await);
    versions
}

/// The versions that every global cluster has completed. A kind that is not served, and an object
/// that is not there, have completed nothing.
pub(super) async fn reached_by_global<A: ApiServer>(home: &A) -> Observed<Vec<Version>> {
    let found = typed::<ClusterVersionShadow, _>(home, NAMESPACE, GLOBAL).await;
    observed(found.map(|shadow| {
        let status = shadow.and_then(|s| s.status).unwrap_or_default();
        let completed = status.history.iter().filter(|h| h.state == HistoryState::Completed);
        let completed = completed.map(|entry| entry.version.as_str());
        let current = status.current.iter().map(|current| current.version.as_str());
        completed.chain(current).filter_map(|version| version.parse().ok()).collect()
    }))
}

/// How long one cluster, and all of them together, may take to answer.
#[derive(Clone, Copy)]
struct Limits {
    answer: Duration,
    fleet: Duration,
}

async fn ask_all<F: Fleet>(
    fleet: &F,
    clusters: &[&Cluster],
    credentials: &[ClusterCredential],
    limits: Limits,
) -> Vec<(String, Observed<String>)> {
    let end = Instant::now() + limits.fleet;
    futures::stream::iter(clusters)
        .map(|cluster| ask(fleet, cluster, credentials, limits, end))
        .buffer_unordered(IN_FLIGHT)
        .collect()
        .await
}

async fn ask<F: Fleet>(
    fleet: &F,
    cluster: &Cluster,
    credentials: &[ClusterCredential],
    limits: Limits,
    end: Instant,
) -> (String, Observed<String>) {
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let credential = match credential_of(cluster, credentials) {
        Ok(credential) => credential,
        Err(why) => return (name, Observed::Unknown(why)),
    };
    let begun = Instant::now();
    if begun >= end {
        let within = limits.fleet.as_secs();
        let why = format!("was not asked: the others did not answer within {within} s");
        return (name, Observed::Unknown(why));
    }
    let until = (begun + limits.answer).min(end);
    let answer = match tokio::time::timeout_at(until, fleet.version(cluster, credential)).await {
        Ok(Ok(version)) => Observed::Value(version),
        Ok(Err(error)) => Observed::Unknown(api::text::line(&error, 256)),
        Err(_) => {
            let within = until.duration_since(begun).as_secs();
            Observed::Unknown(format!("did not answer within {within} s"))
        }
    };
    (name, answer)
}

/// Asks over the network.
#[derive(Debug, Clone, Copy, Default)]
pub struct LiveFleet;

impl Fleet for LiveFleet {
    async fn version(
        &self,
        cluster: &Cluster,
        credential: &ClusterCredential,
    ) -> Result<String, String> {
        let config = config_of(cluster, credential)?;
        let server = server_of(config)?;
        server.version().await.map_err(|e| e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::names::ADVERTISE;
    use serde_json::json;
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn cluster(name: &str) -> Cluster {
        serde_json::from_value(json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": name },
            "spec": { "type": "Imported" },
            "status": { "addresses": [{ "host": "127.0.0.1", "port": 1, "type": ADVERTISE }] },
        }))
        .unwrap()
    }

    fn credential(name: &str, token: &str) -> ClusterCredential {
        serde_json::from_value(json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "ClusterCredential",
            "metadata": { "name": format!("cc-{name}") },
            "clusterName": name, "token": token,
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn a_token_with_a_line_end_makes_its_cluster_unknown_and_ends_nothing() {
        for token in ["secret\n", "se cret", "s\u{e9}cret", "secret\r\nx-evil: 1"] {
            let (pasted, credentials) = (cluster("pasted"), [credential("pasted", token)]);
            let limits = Limits { answer: ANSWER_TIMEOUT, fleet: FLEET_TIMEOUT };
            let answers = ask_all(&LiveFleet, &[&pasted], &credentials, limits).await;
            let why = "its token holds a character that no token has".to_owned();
            assert_eq!(answers, [("pasted".to_owned(), Observed::Unknown(why))]);
        }
    }

    /// Clusters that never answer.
    #[derive(Default)]
    struct Silent(AtomicUsize);

    impl Fleet for Silent {
        async fn version(&self, _: &Cluster, _: &ClusterCredential) -> Result<String, String> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn a_fleet_that_is_down_is_given_up_as_a_whole() {
        let names: Vec<String> = (0..IN_FLIGHT * 20).map(|n| format!("c{n}")).collect();
        let clusters: Vec<Cluster> = names.iter().map(|name| cluster(name)).collect();
        let credentials: Vec<_> = names.iter().map(|name| credential(name, "t")).collect();
        let limits = Limits { answer: Duration::from_millis(200), fleet: Duration::from_secs(1) };
        let (fleet, begun) = (Silent::default(), Instant::now());
        let all: Vec<&Cluster> = clusters.iter().collect();
        let answers = ask_all(&fleet, &all, &credentials, limits).await;
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?}");
        assert_eq!(answers.len(), names.len(), "each is named");
        assert!(answers.iter().all(|(_, answer)| matches!(answer, Observed::Unknown(_))));
        assert!(fleet.0.load(Ordering::Relaxed) < names.len(), "the last are not asked any more");
    }
}
