//! What the platform says of its registry and of the accounts there, read from the cluster.
//! Must not decide which of it is used.

use crate::failure::Failure;
use crate::kubeconfig::Connection;
use api::names::{GLOBAL, NAMESPACE, REGISTRY_ADMIN};
use api::objects::AppRelease;
use cluster::CallError;
use cluster::observe::secret;
use cluster::platform::Platform;
use cluster::server::{ApiServer as _, ListQuery};
use kube::Resource as _;
use std::collections::BTreeMap;

/// The key of a pull secret.
const DOCKER_CONFIG: &str = ".dockerconfigjson";

/// What the platform says; that this is a workload cluster is an error.
///
/// # Errors
/// When it cannot be read, or this is a workload cluster; a kind that is not served is no error.
pub(crate) async fn read(connection: &Connection) -> Result<Platform, Failure> {
    let platform = Platform::read(&connection.server).await;
    let platform = platform.map_err(|unread| connection.failed(unread.action)(unread.source))?;
    of_global(connection).await?;
    Ok(platform)
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
