//! Decides whether the package in hand is trusted on this platform: by the keys that the installed
//! release recorded, and where none ever did, by those of the package itself. No flag and no
//! setting changes it.

use crate::failure::Failure;
use crate::kubeconfig::Connection;
use api::names::{GLOBAL, NAMESPACE, RELEASE_KEYS};
use api::objects::ClusterVersionShadow;
use api::signature::{
    KEYS_BACK_REMEDY, KEYS_LOST_REMEDY, ReleaseSignature, Trust, is_first_adoption,
};
use api::signing_key::{ReleaseKeys, SigningKey};
use artifacts::package::Package;
use cluster::CallError;
use cluster::observe::typed;
use cluster::platform::release_keys;
use jiff::Timestamp;

/// Whose signatures count on this platform, and why the package is trusted.
pub(crate) struct Trusted {
    /// In words.
    pub(crate) signature: ReleaseSignature,
    /// Whose signatures count.
    pub(crate) keys: Vec<SigningKey>,
    /// When a key must not have expired; None: the calendar ends none.
    pub(crate) at: Option<Timestamp>,
}

/// Why the package is trusted. Of the release inside, nothing is read before; but for whose keys it
/// lists, where those count.
///
/// # Errors
/// When it is not, or who is trusted cannot be read.
pub(crate) async fn verify(
    package: &Package,
    connection: &Connection,
    now: Timestamp,
) -> Result<Trusted, Failure> {
    let recorded = recorded(connection).await?;
    if recorded.image.as_ref() == Some(package.product_image().digest()) {
        // The image is the one that was verified; what lies beside it in the package is vouched for
        // by nothing but its sums. The calendar does not end what is installed.
        let own = package.release()?.release.signing_keys;
        let keys = [recorded.signing.unwrap_or_default(), own].concat();
        package.verify_sums(&keys, None)?;
        let signature = ReleaseSignature { key: String::new(), trust: Trust::AlreadyInstalled };
        return Ok(Trusted { signature, keys, at: None });
    }
    let (keys, trust) = match recorded.signing {
        Some(keys) => (keys, Trust::InstalledRelease),
        None => {
            never_recorded(connection).await?;
            (package.release()?.release.signing_keys, Trust::FirstAdoption)
        }
    };
    let key = package.verify_image(&keys, Some(now))?;
    package.verify_sums(&keys, Some(now))?;
    Ok(Trusted { signature: ReleaseSignature { key, trust }, keys, at: Some(now) })
}

async fn recorded(connection: &Connection) -> Result<ReleaseKeys, Failure> {
    let read = release_keys(&connection.server).await;
    let read = read.map_err(connection.failed(format!("read ConfigMap {RELEASE_KEYS}")))?;
    read.map_err(|error| Failure::Refused {
        message: format!(
            "whom this platform trusts is not known: ConfigMap {NAMESPACE}/{RELEASE_KEYS}: {error}"
        ),
        hints: vec![KEYS_BACK_REMEDY.to_owned()],
    })
}

/// Refuses where the record should be there.
async fn never_recorded(connection: &Connection) -> Result<(), Failure> {
    let shadow = typed::<ClusterVersionShadow, _>(&connection.server, NAMESPACE, GLOBAL).await;
    let shadow = present(shadow).map_err(connection.failed("read the installed version"))?;
    let current = shadow.and_then(|s| s.status).and_then(|s| s.current);
    if is_first_adoption(current.as_ref()) {
        return Ok(());
    }
    let version = current.unwrap_or_default().version;
    Err(Failure::Refused {
        message: format!(
            "the installed release {version} was signed, but ConfigMap {NAMESPACE}/{RELEASE_KEYS} no longer says whom it trusts"
        ),
        hints: vec![KEYS_LOST_REMEDY.to_owned()],
    })
}

/// A kind that is not served yet has no objects.
fn present<T>(found: Result<Option<T>, CallError>) -> Result<Option<T>, CallError> {
    match found {
        Err(CallError::KindAbsent(_)) => Ok(None),
        other => other,
    }
}
