//! Deploys the operator of the package and publishes its release: what may not be done is refused
//! before the first write, then everything is applied in its order, then the new operator is waited
//! for, and last the ProductManifest is written. Each step may be done again at any time.

mod apply;
mod guard;
mod manifests;
mod offer;
mod operator;
mod publish;
mod retire;

use crate::Environment;
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::phases::InHand;
use crate::plugins::{self, Plugin};
use crate::printer::Printer;
use api::names::{CA_KEY, CVO, CVO_REPOSITORY, NAMESPACE, PRODUCT_IMAGE_REPOSITORY, REGISTRY_CA};
use api::objects::ClusterVersionShadow;
use api::{Digest, Version};
use artifacts::package::Package;
use cluster::ApiServer as _;
use cluster::platform::Platform;
use serde_json::{Value, json};
use std::time::Duration;

/// What the package brings, with the names that the cluster will know it by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arriving {
    /// Of the release, and of the operator.
    pub(crate) version: Version,
    /// Versions whose upgrade may be left half done.
    pub(crate) partial: Vec<Version>,
    /// The registry that Pods pull from.
    pub(crate) registry: String,
    /// The Secret that Pods pull with.
    pub(crate) pull_secret: String,
    /// Whether ProductBase names that Secret.
    pub(crate) pull_secret_named: bool,
    /// Of the operator's image.
    pub(crate) operator: Digest,
    /// Of the product image.
    pub(crate) product: Digest,
}

impl Arriving {
    /// What a package brings to a platform; `in_hand` is the registry that it was sent to.
    pub(crate) fn of(in_hand: &InHand, platform: &Platform, registry: &str) -> Self {
        let release = &in_hand.content.release;
        Self {
            version: release.version.clone(),
            partial: release.upgrade_from.partial.clone(),
            registry: platform.pods_registry(registry),
            pull_secret: platform.pull_secret_name().to_owned(),
            pull_secret_named: platform.pull_secret.is_some(),
            operator: in_hand.package.operator_image().digest().clone(),
            product: in_hand.package.product_image().digest().clone(),
        }
    }

    fn operator_image(&self) -> String {
        format!("{}/{CVO_REPOSITORY}@{}", self.registry, self.operator)
    }

    fn product_image(&self) -> String {
        format!("{}/{PRODUCT_IMAGE_REPOSITORY}@{}", self.registry, self.product)
    }
}

/// Refuses what must not be deployed on this platform, before anything is written or sent.
///
/// # Errors
/// When it must not be deployed, or the platform cannot be read.
pub(crate) async fn judge(connection: &Connection, arriving: &Arriving) -> Result<(), Failure> {
    judged(connection, arriving).await.map(drop)
}

/// The same, with what the platform has.
async fn judged(connection: &Connection, arriving: &Arriving) -> Result<guard::Present, Failure> {
    let present = guard::Present::read(connection).await?;
    guard::judge(&present, arriving)?;
    Ok(present)
}

/// The certificates that the operator trusts: the platform's own and those that were given.
pub(crate) fn authority(given: Option<&str>, held: Option<&str>) -> Option<String> {
    match (given.map(str::trim), held.map(str::trim)) {
        (Some(given), Some(held)) if given != held => Some(format!("{held}\n{given}\n")),
        (Some(one), _) | (None, Some(one)) => Some(format!("{one}\n")),
        (None, None) => None,
    }
}

/// One deployment.
pub(crate) struct Deployment<'a> {
    pub(crate) package: &'a Package,
    /// Those of `plugins/`.
    pub(crate) plugins: &'a [Plugin],
    pub(crate) arriving: Arriving,
    /// Certificates for the operator.
    pub(crate) ca: Option<String>,
    /// Longest wait for the operator.
    pub(crate) timeout: Duration,
}

/// Deploys and publishes.
///
/// # Errors
/// When the package was changed, the cluster refuses something, or the operator does not come up
/// in time. Running it again goes on from there.
pub(crate) async fn run(
    deployment: &Deployment<'_>,
    connection: &Connection,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let arriving = &deployment.arriving;
    let files = manifests::read(deployment.package, arriving)?;
    let present = judged(connection, arriving).await?;
    if let Some(note) = guard::left_note(&present, arriving) {
        printer.note(&note);
    }
    let mut tally = apply::Tally::default();
    let mut others = files.iter().peekable();
    while let Some(file) = others.next_if(|file| !file.holds_operator()) {
        apply::all(connection, &file.objects, &mut tally).await?;
        apply::established(connection, &file.objects).await?;
    }
    if let Some(ca) = &deployment.ca {
        apply::all(connection, &[registry_ca(ca)], &mut tally).await?;
    }
    pull_secret(connection, arriving, printer).await?;
    for file in others {
        apply::all(connection, &file.objects, &mut tally).await?;
    }
    printer.say(&tally.line())?;
    let waiting =
        operator::Waiting { timeout: deployment.timeout, is_terminal: environment.is_terminal };
    operator::wait(connection, arriving, &waiting, printer).await?;
    plugins::publish(deployment.plugins, connection, printer).await?;
    publish::publish(connection, arriving, printer).await?;
    let shadows = guard::list::<ClusterVersionShadow>(connection).await?;
    // Elsewhere the operator has the rights of the ClusterCredential.
    let own: Vec<_> = shadows.iter().filter(|s| is_global(s)).cloned().collect();
    retire::retire(connection, &own, printer).await?;
    offer::wait(connection, arriving, printer).await
}

fn is_global(shadow: &ClusterVersionShadow) -> bool {
    shadow.metadata.name.as_deref() == Some(api::names::GLOBAL)
}

/// Where the operator finds the certificates of the registry.
fn registry_ca(ca: &str) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": REGISTRY_CA, "namespace": NAMESPACE },
        "data": { CA_KEY: ca },
    })
}

/// The Secret that the operator's Pods pull with stands in their namespace already; without it they
/// would wait for an image that nobody lets them have.
async fn pull_secret(
    connection: &Connection,
    arriving: &Arriving,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    if !arriving.pull_secret_named {
        return Ok(());
    }
    let name = &arriving.pull_secret;
    let secret = api::objects::ObjectRef {
        api_version: "v1".to_owned(),
        kind: "Secret".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: name.clone(),
    };
    let found = connection.server.get(&secret).await;
    if found.map_err(connection.failed(format!("read Secret {name}")))?.is_none() {
        printer.note(&format!(
            "warning: there is no Secret {NAMESPACE}/{name}, which ProductBase.spec.registry.secretRef names: {CVO} pulls its image without an account"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operator_trusts_both_certificates_once() {
        assert_eq!(authority(None, None), None);
        assert_eq!(authority(Some("a\n"), None).as_deref(), Some("a\n"));
        assert_eq!(authority(None, Some("b")).as_deref(), Some("b\n"));
        assert_eq!(authority(Some("a"), Some("a\n")).as_deref(), Some("a\n"));
        assert_eq!(authority(Some("a"), Some("b")).as_deref(), Some("b\na\n"));
    }
}
