//! The way to a registered cluster: where its API server is, and which credential it takes. Says
//! why there is none, never what a credential holds.

use super::typed;
use crate::Live;
use crate::call::CallError;
use crate::server::{ApiServer, ListQuery};
use api::Digest;
use api::names::ADVERTISE;
use api::objects::{Cluster, ClusterCredential, object_ref};
use base64::Engine as _;
use kube::Resource as _;

/// What the object of a cluster says of the way there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    address: http::Uri,
    /// The ClusterCredential that it names.
    credential: Option<String>,
}

/// How a registered cluster is reached.
#[derive(Clone)]
pub struct Route {
    place: Place,
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

    /// Whether this is where it ends, with the same name of a credential.
    #[must_use]
    pub fn leads_to(&self, place: &Place) -> bool {
        self.place == *place
    }

    /// The ClusterCredential that it takes, where its cluster names one: of others nothing is read.
    #[must_use]
    pub fn credential(&self) -> Option<&str> {
        self.place.credential.as_deref()
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

impl NoRoute {
    fn unknown(name: &str, error: &CallError) -> Self {
        Self::Unknown(format!("cluster {name} cannot be reached: {error}"))
    }

    fn none(name: &str, why: &str) -> Self {
        Self::None(format!("cluster {name} cannot be reached: {why}"))
    }
}

/// Where a registered cluster is: one object is read, however many there are.
///
/// # Errors
/// Says why it is nowhere, or why that is not known.
pub async fn place<A: ApiServer>(home: &A, name: &str) -> Result<Place, NoRoute> {
    let cluster = registered(home, name).await?;
    place_of(&cluster).map_err(|why| NoRoute::none(name, &why))
}

/// Finds how a registered cluster is reached.
///
/// # Errors
/// Says why it is not, or why that is not known.
pub async fn route<A: ApiServer>(home: &A, name: &str) -> Result<Route, NoRoute> {
    let none = |why: String| NoRoute::none(name, &why);
    let cluster = registered(home, name).await?;
    let credentials = match named(&cluster) {
        Some(credential) => one_credential(home, credential).await,
        None => credentials(home).await,
    };
    let credentials = credentials.map_err(|error| NoRoute::unknown(name, &error))?;
    let credential = credential_of(&cluster, &credentials).map_err(none)?;
    let config = config_of(&cluster, credential).map_err(none)?;
    let place = place_of(&cluster).map_err(none)?;
    let of = &credential.spec;
    let parts =
        [&config.cluster_url.to_string(), &of.ca_cert, &of.token, &of.client_cert, &of.client_key];
    let digest = Digest::of(parts.map(String::as_str).join("\n").as_bytes());
    Ok(Route { place, config, digest })
}

async fn registered<A: ApiServer>(home: &A, name: &str) -> Result<Cluster, NoRoute> {
    let found = typed::<Cluster, _>(home, "", name).await;
    let found = found.map_err(|error| NoRoute::unknown(name, &error))?;
    found.ok_or_else(|| NoRoute::none(name, "there is no such Cluster"))
}

/// A client; why there is none repeats lines of keys, so it is said in words of our own.
pub(super) fn server_of(config: kube::Config) -> Result<Live, String> {
    let unusable = "the certificates or the key of its ClusterCredential cannot be used";
    Live::new(config).map_err(|_| unusable.to_owned())
}

/// Every credential that can be read: a bad one is the affair of its own cluster.
pub(super) async fn credentials<A: ApiServer>(
    home: &A,
) -> Result<Vec<ClusterCredential>, CallError> {
    let query = ListQuery::all(&ClusterCredential::api_version(&()), &ClusterCredential::kind(&()));
    let all = home.list(&query).await?;
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// The credential of a name; none where there is none that can be read.
async fn one_credential<A: ApiServer>(
    home: &A,
    name: &str,
) -> Result<Vec<ClusterCredential>, CallError> {
    let found = home.get(&object_ref::<ClusterCredential>("", name)).await?;
    Ok(found.and_then(|one| serde_json::from_value(one).ok()).into_iter().collect())
}

/// The ClusterCredential that a cluster names.
fn named(cluster: &Cluster) -> Option<&str> {
    let reference = cluster.spec.cluster_credential_ref.as_ref()?;
    Some(reference.name.as_str()).filter(|name| !name.is_empty())
}

/// The credential of a cluster: the one that its object names, or else the one that names it.
pub(super) fn credential_of<'a>(
    cluster: &Cluster,
    credentials: &'a [ClusterCredential],
) -> Result<&'a ClusterCredential, String> {
    let name = cluster.metadata.name.as_deref().unwrap_or_default();
    let named = named(cluster);
    let is_named = |c: &&ClusterCredential| named.is_none() || c.metadata.name.as_deref() == named;
    let found = credentials.iter().filter(is_named).find(|c| c.spec.cluster_name == name);
    found.ok_or_else(|| {
        let told = named.map_or_else(String::new, |named| {
            format!("; spec.clusterCredentialRef of its Cluster names {named}")
        });
        format!("there is no ClusterCredential of {name} that can be read{told}")
    })
}

fn place_of(cluster: &Cluster) -> Result<Place, String> {
    let credential = named(cluster).map(str::to_owned);
    Ok(Place { address: address_of(cluster)?, credential })
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

    fn cluster(name: &str, credential: Option<&str>) -> Cluster {
        serde_json::from_value(json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "Cluster",
            "metadata": { "name": name },
            "spec": {
                "type": "Imported",
                "clusterCredentialRef": credential.map(|name| json!({ "name": name })),
            },
            "status": { "addresses": [{ "host": "127.0.0.1", "port": 1, "type": ADVERTISE }] },
        }))
        .unwrap()
    }

    fn credential(name: &str, of: &str) -> ClusterCredential {
        serde_json::from_value(json!({
            "apiVersion": "platform.tkestack.io/v1", "kind": "ClusterCredential",
            "metadata": { "name": name }, "clusterName": of, "token": "t",
        }))
        .unwrap()
    }

    #[test]
    fn a_cluster_takes_the_credential_that_it_names() {
        let all = [credential("cc-1", "a"), credential("cc-2", "a"), credential("cc-3", "b")];
        let taken = |named| {
            let found = credential_of(&cluster("a", named), &all);
            found.map(|c| c.metadata.name.clone().unwrap_or_default())
        };
        assert_eq!(taken(None).as_deref(), Ok("cc-1"));
        assert_eq!(taken(Some("cc-2")).as_deref(), Ok("cc-2"));
        for not_there in ["cc-3", "cc-4"] {
            let why = format!(
                "there is no ClusterCredential of a that can be read; \
                 spec.clusterCredentialRef of its Cluster names {not_there}"
            );
            assert_eq!(taken(Some(not_there)), Err(why), "one of another is never taken");
        }
    }

    #[test]
    fn a_malformed_key_is_never_repeated() {
        let pem = "-----BEGIN PRIVATE KEY----- c2VjcmV0LXNlY3JldC1zZWNyZXQ";
        let key = base64::engine::general_purpose::STANDARD.encode(pem);
        let mut credential = credential("cc-pasted", "pasted");
        credential.spec.client_cert = key.clone();
        credential.spec.client_key = key;
        let config = config_of(&cluster("pasted", None), &credential).unwrap();
        let why = server_of(config).err().expect("no key");
        assert_eq!(why, "the certificates or the key of its ClusterCredential cannot be used");
    }
}
