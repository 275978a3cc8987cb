//! The other clusters of the platform, as far as a round about global asks: which Kubernetes they
//! run. A cluster that does not answer is Unknown for itself and holds up nobody.

use super::typed_list;
use crate::call::CallError;
use crate::server::ApiServer;
use api::names::ADVERTISE;
use api::objects::{Cluster, ClusterCredential};
use base64::Engine as _;
use futures::StreamExt as _;
use planner::snapshot::Observed;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a cluster may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
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

/// The versions of this cluster and of every other one.
pub(super) async fn kubernetes_versions<A: ApiServer, F: Fleet>(
    server: &A,
    fleet: &F,
    own: &str,
) -> BTreeMap<String, Observed<String>> {
    let mut versions = BTreeMap::new();
    let answer = match server.version().await {
        Ok(version) => Observed::Value(version),
        Err(error) => Observed::Unknown(error.to_string()),
    };
    versions.insert(own.to_owned(), answer);
    let (clusters, credentials) = futures::join!(
        typed_list::<Cluster, _>(server, None),
        typed_list::<ClusterCredential, _>(server, None),
    );
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
    let others = clusters.iter().filter(|c| c.metadata.name.as_deref() != Some(own));
    let answers = futures::stream::iter(others)
        .map(|cluster| ask(fleet, cluster, &credentials))
        .buffer_unordered(IN_FLIGHT)
        .collect::<Vec<_>>()
        .await;
    versions.extend(answers);
    versions
}

async fn ask<F: Fleet>(
    fleet: &F,
    cluster: &Cluster,
    credentials: &[ClusterCredential],
) -> (String, Observed<String>) {
    let name = cluster.metadata.name.clone().unwrap_or_default();
    let Some(credential) = credentials.iter().find(|c| c.spec.cluster_name == name) else {
        return (
            name.clone(),
            Observed::Unknown(format!("there is no ClusterCredential of {name}")),
        );
    };
    let answer =
        match tokio::time::timeout(ANSWER_TIMEOUT, fleet.version(cluster, credential)).await {
            Ok(Ok(version)) => Observed::Value(version),
            Ok(Err(error)) => Observed::Unknown(api::text::line(&error, 256)),
            Err(_) => {
                Observed::Unknown(format!("did not answer within {} s", ANSWER_TIMEOUT.as_secs()))
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
        let server = crate::Live::new(config).map_err(|e| e.to_string())?;
        server.version().await.map_err(|e| e.to_string())
    }
}

/// The configuration of a client for a registered cluster.
///
/// # Errors
/// When the Cluster has no address or the credential is malformed.
pub fn config_of(
    cluster: &Cluster,
    credential: &ClusterCredential,
) -> Result<kube::Config, String> {
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
    let url = url.parse::<http::Uri>().map_err(|e| format!("its address is malformed: {e}"))?;
    let mut config = kube::Config::new(url);
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text);
    if !credential.spec.ca_cert.is_empty() {
        let pem =
            decode(&credential.spec.ca_cert).map_err(|_| "its CA certificate is malformed")?;
        let der = pem_to_der(&pem).ok_or("its CA certificate is malformed")?;
        config.root_cert = Some(der);
    }
    if !credential.spec.token.is_empty() {
        config.auth_info.token = Some(credential.spec.token.clone().into());
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
