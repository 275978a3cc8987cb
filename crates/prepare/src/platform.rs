//! What the platform says of its registry and of the accounts there, read from the cluster.
//! Must not decide which of it is used.

use crate::decision::PlatformRegistry;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use api::names::{ADVERTISE, GLOBAL, NAMESPACE, PRODUCT_BASE, PULL_SECRET, REGISTRY_ADMIN};
use api::objects::{AppRelease, Cluster, ProductBase};
use cluster::CallError;
use cluster::observe::{secret, typed};
use cluster::server::{ApiServer as _, ListQuery};
use kube::Resource as _;
use std::collections::BTreeMap;

/// The key of a pull secret.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// What the platform says.
#[derive(Clone, Default)]
pub(crate) struct Platform {
    /// Its registry; None where there is no ProductBase.
    pub(crate) registry: Option<PlatformRegistry>,
    /// ProductBase.spec.registry.secretRef.name.
    pub(crate) pull_secret: Option<String>,
}

impl Platform {
    /// Reads ProductBase and, for the global VIP, Cluster `global`.
    ///
    /// # Errors
    /// When one of them cannot be read, or this is a workload cluster; a kind that is not served is
    /// no error.
    pub(crate) async fn read(connection: &Connection) -> Result<Self, Failure> {
        let server = &connection.server;
        let base = typed::<ProductBase, _>(server, "", PRODUCT_BASE).await;
        let base = base.map_err(connection.failed(format!("read ProductBase {PRODUCT_BASE}")))?;
        of_global(connection).await?;
        let Some(base) = base else { return Ok(Self::default()) };
        let global = typed::<Cluster, _>(server, "", GLOBAL).await;
        let global = global.map_err(connection.failed(format!("read Cluster {GLOBAL}")))?;
        let addresses = global.and_then(|cluster| cluster.status).unwrap_or_default().addresses;
        let advertised = addresses.into_iter().find(|a| a.kind == ADVERTISE).map(|a| a.host);
        let registry = base.spec.registry;
        Ok(Self {
            registry: Some(PlatformRegistry {
                address: registry.address,
                external: registry.external == Some(true),
                global_vip: advertised.filter(|host| !host.is_empty()),
                platform_url: base.spec.platform_url,
            }),
            pull_secret: registry.secret_ref.map(|s| s.name).filter(|name| !name.is_empty()),
        })
    }

    /// The registry that Pods pull from: what ProductBase says, else the one in hand.
    pub(crate) fn pods_registry(&self, in_hand: &str) -> String {
        let address = self.registry.as_ref().map_or("", |r| r.address.as_str());
        if crate::arguments::is_address(address) { address.to_owned() } else { in_hand.to_owned() }
    }

    /// Name of the Secret that Pods pull with.
    pub(crate) fn pull_secret_name(&self) -> &str {
        self.pull_secret.as_deref().unwrap_or(PULL_SECRET)
    }
}

/// Whoever has the kubeconfig of a workload cluster in hand is told so: what is recorded there is
/// of that cluster, on the global cluster it is of the global one.
async fn of_global(connection: &Connection) -> Result<(), Failure> {
    let query =
        ListQuery::all(&AppRelease::api_version(&()), &AppRelease::kind(&())).within(NAMESPACE);
    let recorded = match connection.server.list(&query).await {
        Ok(recorded) => recorded,
        // Whoever may not look may not deploy either; a sync needs no such right.
        Err(CallError::KindAbsent(_) | CallError::Forbidden(_)) => return Ok(()),
        Err(error) => return Err(connection.failed("list AppReleases")(error)),
    };
    // One that cannot be read is no record of ours.
    let readable =
        recorded.into_iter().filter_map(|r| serde_json::from_value::<AppRelease>(r).ok());
    let mut clusters = readable.map(|release| release.spec.destination.cluster);
    let other = clusters.find(|cluster| !cluster.is_empty() && cluster != GLOBAL);
    match other.map(|cluster: String| api::text::line(&cluster, 64)) {
        None => Ok(()),
        Some(cluster) => Err(Failure::Refused {
            message: format!(
                "this is not the global cluster: it is {cluster}, which its global cluster upgrades"
            ),
            hints: vec![format!(
                "name the kubeconfig of the global cluster: KUBECONFIG=FILE bash upgrade.sh; what it would find on this cluster: bash upgrade.sh --preflight --cluster={cluster}"
            )],
        }),
    }
}

/// The entries of Secret `registry-admin`; None where there is none.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn registry_admin(
    connection: &Connection,
) -> Result<Option<BTreeMap<String, String>>, Failure> {
    let read = secret(&connection.server, REGISTRY_ADMIN).await;
    read.map_err(connection.failed(format!("read Secret {REGISTRY_ADMIN}")))
}

/// The accounts in the pull secret, as docker writes them; None where there is none.
///
/// # Errors
/// When it cannot be read.
pub(crate) async fn pull_accounts(
    connection: &Connection,
    name: &str,
) -> Result<Option<String>, Failure> {
    let read = secret(&connection.server, name).await;
    let found = read.map_err(connection.failed(format!("read Secret {name}")))?;
    Ok(found.and_then(|mut entries| entries.remove(DOCKER_CONFIG)))
}
