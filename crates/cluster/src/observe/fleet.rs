//! The other clusters of the platform, as far as a round about global asks: which Kubernetes they
//! run. A cluster that does not answer is Unknown for itself and holds up nobody.

use super::{Servers, observed, typed, typed_list};
use crate::Live;
use crate::call::CallError;
use crate::server::{ApiServer, ListQuery};
use api::names::{ADVERTISE, GLOBAL, NAMESPACE};
use api::objects::{Cluster, ClusterCredential, ClusterVersionShadow, HistoryState};
use api::{Digest, Version};
use base64::Engine as _;
use futures::StreamExt as _;
use kube::Resource as _;
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

/// How a registered cluster is reached.
#[derive(Clone)]
pub struct Route {
    config: kube::Config,
    /// Of the address and the credential: another one is another way.
    digest: Digest,
}

impl Route {
    /// Whether nothing of it has changed.
    #[must_use]
    pub fn is_that_of(&self, other: &Self) -> bool {
        self.digest == other.digest
    }

    /// Whether this is where it ends.
    #[must_use]
    pub fn leads_to(&self, address: &http::Uri) -> bool {
        self.config.cluster_url == *address
    }

    /// The API server at its end.
    ///
    /// # Errors
    /// When the credential cannot be used; never what it holds.
    pub fn server(&self) -> Result<Live, String> {
        server_of(self.config.clone())
    }
}

/// Why there is no way to a cluster; never what a credential holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoute {
    /// The look for it failed: one that was known still is.
    #[error("{0}")]
    Unknown(String),
    /// There is none, or none any more: a credential that was taken away is not used on.
    #[error("{0}")]
    None(String),
}

/// Where the API server of a registered cluster is: one object is read, however many there are.
///
/// # Errors
/// Says why it is nowhere, or why that is not known.
pub async fn address<A: ApiServer>(home: &A, name: &str) -> Result<http::Uri, NoRoute> {
    let said = |what: &str| format!("cluster {name} cannot be reached: {what}");
    let cluster = typed::<Cluster, _>(home, "", name).await;
    let cluster = cluster.map_err(|error| NoRoute::Unknown(said(&error.to_string())))?;
    let cluster = cluster.ok_or_else(|| NoRoute::None(said("there is no such Cluster")))?;
    address_of(&cluster).map_err(|why| NoRoute::None(said(&why)))
}

/// Finds how a registered cluster is reached.
///
/// # Errors
/// Says why it is not, or why that is not known.
pub async fn route<A: ApiServer>(home: &A, name: &str) -> Result<Route, NoRoute> {
    let said = |what: String| format!("cluster {name} cannot be reached: {what}");
    let unknown = |error: CallError| NoRoute::Unknown(said(error.to_string()));
    let why = |what: String| NoRoute::None(said(what));
    let (cluster, credentials) =
        futures::join!(typed::<Cluster, _>(home, "", name), credentials(home),);
    let cluster = cluster.map_err(unknown)?;
    let cluster = cluster.ok_or_else(|| why("there is no such Cluster".to_owned()))?;
    let credentials = credentials.map_err(unknown)?;
    let credential = credential_of(&cluster, &credentials).map_err(why)?;
    let config = config_of(&cluster, credential).map_err(why)?;
    let of = &credential.spec;
    let parts =
        [&config.cluster_url.to_string(), &of.ca_cert, &of.token, &of.client_cert, &of.client_key];
    let digest = Digest::of(parts.map(String::as_str).join("\n").as_bytes());
    Ok(Route { config, digest })
}

/// A client; why there is none repeats lines of keys, so it is said in words of our own.
fn server_of(config: kube::Config) -> Result<Live, String> {
    let unusable = "the certificates or the key of its ClusterCredential cannot be used";
    Live::new(config).map_err(|_| unusable.to_owned())
}

/// Every credential that can be read: a bad one is the affair of its own cluster.
async fn credentials<A: ApiServer>(home: &A) -> Result<Vec<ClusterCredential>, CallError> {
    let query = ListQuery::all(&ClusterCredential::api_version(&()), &ClusterCredential::kind(&()));
    let all = home.list(&query).await?;
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// The credential of a cluster.
fn credential_of<'a>(
    cluster: &Cluster,
    credentials: &'a [ClusterCredential],
) -> Result<&'a ClusterCredential, String> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    credentials
        .iter()
        .find(|c| c.spec.cluster_name == name)
        .ok_or_else(|| format!("there is no ClusterCredential of {name} that can be read"))
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

/// The address under which the API server of a registered cluster is advertised.
fn address_of(cluster: &Cluster) -> Result<http::Uri, String> {
    let status = cluster.status.clone().unwrap_or_default();
    let address =
        status.addresses.iter().find(|a| a.kind == ADVERTISE).or_else(|| status.addresses.first());
    let address = address.ok_or("its Cluster object has no address")?;
    let host = if address.host.contains(':') {
        format!("[{}]", address.host)
    } else {
        address.host.clone()
    };
    let url = format!("https://{host}:{}{}", address.port, address.path);
    url.parse::<http::Uri>().map_err(|e| format!("its address is malformed: {e}"))
}

/// The configuration of a client for a registered cluster.
///
/// # Errors
/// When the Cluster has no address or the credential is malformed; never what a token holds.
pub fn config_of(
    cluster: &Cluster,
    credential: &ClusterCredential,
) -> Result<kube::Config, String> {
    let mut config = kube::Config::new(address_of(cluster)?);
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text);
    if !credential.spec.ca_cert.is_empty() {
        let pem =
            decode(&credential.spec.ca_cert).map_err(|_| "its CA certificate is malformed")?;
        let der = pem_to_der(&pem).ok_or("its CA certificate is malformed")?;
        config.root_cert = Some(der);
    }
    // The client ends the program where it is no header, and every other cluster with it.
    if !api::text::is_token(&credential.spec.token) {
        return Err("its token holds a character that no token has".to_owned());
    }
    if !credential.spec.token.is_empty() {
        config.auth_info.token = Some(credential.spec.token.clone().into());
    }
    if !credential.spec.client_cert.is_empty() {
        config.auth_info.client_certificate_data = Some(credential.spec.client_cert.clone());
        config.auth_info.client_key_data = Some(credential.spec.client_key.clone().into());
    }
    Ok(config)
}

/// The certificates of a PEM text.
fn pem_to_der(pem: &[u8]) -> Option<Vec<Vec<u8>>> {
    let text = std::str::from_utf8(pem).ok()?;
    let mut all = Vec::new();
    for block in text.split("-----BEGIN CERTIFICATE-----").skip(1) {
        let body: String = block.split("-----END").next()?.split_whitespace().collect();
        all.push(base64::engine::general_purpose::STANDARD.decode(body).ok()?);
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
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

    #[test]
    fn a_malformed_key_is_never_repeated() {
        let pem = "-----BEGIN PRIVATE KEY----- c2VjcmV0LXNlY3JldC1zZWNyZXQ";
        let key = base64::engine::general_purpose::STANDARD.encode(pem);
        let mut credential = credential("pasted", "");
        credential.spec.client_cert = key.clone();
        credential.spec.client_key = key;
        let config = config_of(&cluster("pasted"), &credential).unwrap();
        let why = server_of(config).err().expect("no key");
        assert_eq!(why, "the certificates or the key of its ClusterCredential cannot be used");
    }
}
