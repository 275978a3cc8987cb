//! Decides whose signatures count in a round, and whether a release has one: the keys that the
//! installed release recorded, and at the first adoption those that the release itself lists.
//! Nothing that can be configured changes it.

use crate::releases::{ReleaseStore, no_content, words};
use api::conditions::ManifestReason as R;
use api::names::{GLOBAL, NAMESPACE, PRODUCT_IMAGE_REPOSITORY, RELEASE_KEYS};
use api::objects::{
    ClusterVersionShadow, ClusterVersionShadowStatus, HistoryState, ObjectRef, VersionImage,
};
use api::signature::{ReleaseSignature, SignatureError, Trust as Whose, verify};
use api::signing_key::{ReleaseKeys, SigningKey};
use api::{Digest, ImageRef, Release, Version};
use artifacts::registry::RegistryError;
use cluster::CallError;
use cluster::execute::{ContentError, Contents};
use cluster::observe::{Releases, typed};
use cluster::server::ApiServer;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The keys that count. None: no installed release has recorded any. The error says why that is not
/// known.
pub(crate) type Keys = Result<Option<Vec<SigningKey>>, Untrusted>;

/// Whom a round trusts; read anew for each.
#[derive(Debug, Clone)]
pub struct Trust {
    keys: Keys,
    /// Product images that the platform installed: they stay what they are when keys go, also for
    /// a cluster that follows later.
    installed: BTreeSet<Digest>,
    /// The product image of the upgrade under way: the calendar does not end what was begun.
    in_flight: Option<Digest>,
    /// The last completed version.
    current: Option<Version>,
    now: Timestamp,
}

/// Why a release is not trusted, or that it is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Untrusted {
    /// The reason of its ProductManifest.
    pub reason: R,
    /// In a sentence.
    pub message: String,
    /// Whether it may pass by itself.
    passes: bool,
}

impl Untrusted {
    fn keys(reason: R, message: String) -> Self {
        Self { reason, message, passes: reason == R::SigningKeysUnreadable }
    }

    fn registry(error: &RegistryError) -> Self {
        let reason = match error {
            RegistryError::NotFound { .. } => R::ImageNotFound,
            RegistryError::Denied { .. } => R::AccessDenied,
            error if error.is_invalid() => R::SignatureInvalid,
            _ => R::RegistryUnavailable,
        };
        let passes = matches!(no_content(error), ContentError::Unavailable(_));
        Self { reason, message: words(error), passes }
    }

    /// Whether it may pass by itself.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.passes
    }

    fn content(self) -> ContentError {
        let text = format!("{}: {}", self.reason, self.message);
        if self.passes { ContentError::Unavailable(text) } else { ContentError::Invalid(text) }
    }
}

impl From<SignatureError> for Untrusted {
    fn from(error: SignatureError) -> Self {
        Self { reason: error.reason(), message: error.to_string(), passes: false }
    }
}

impl Trust {
    /// Reads whom the platform trusts now; what cannot be read is kept as the reason to trust
    /// nobody.
    pub async fn read<A: ApiServer>(
        server: &A,
        store: &ReleaseStore,
        cluster: &str,
        now: Timestamp,
    ) -> Self {
        let unreadable = |what: &str, error: &dyn std::fmt::Display| {
            Untrusted::keys(R::SigningKeysUnreadable, format!("{what} cannot be read: {error}"))
        };
        let mut trust = Self {
            keys: Ok(None),
            installed: BTreeSet::new(),
            in_flight: None,
            current: None,
            now,
        };
        let (status, of_platform) = match statuses(server, cluster).await {
            Ok(found) => found,
            Err(error) => {
                trust.keys = Err(unreadable("what is installed", &error));
                return trust;
            }
        };
        let current = status.current.clone().unwrap_or_default();
        let completed = of_platform.history.iter().filter(|h| h.state == HistoryState::Completed);
        trust.installed.extend(current.digest());
        trust.installed.extend(completed.filter_map(|h| Digest::of_image(&h.image)));
        trust.current = current.version.parse().ok();
        if planner::request::in_flight(&status).is_some() {
            trust.in_flight = status.desired.as_ref().and_then(VersionImage::digest);
        }
        trust.keys = match server.get(&release_keys()).await {
            Ok(found) => match ReleaseKeys::parse(&data(found.as_ref())) {
                Ok(recorded) => {
                    trust.installed.extend(recorded.image);
                    match recorded.signing {
                        Some(keys) => Ok(Some(keys)),
                        // The record of keys is the platform's.
                        None => lost(store, &of_platform.current.unwrap_or_default()).await,
                    }
                }
                Err(error) => Err(Untrusted::keys(
                    R::SigningKeysInvalid,
                    format!("ConfigMap {NAMESPACE}/{RELEASE_KEYS}: {error}"),
                )),
            },
            Err(error) => Err(unreadable(&format!("ConfigMap {NAMESPACE}/{RELEASE_KEYS}"), &error)),
        };
        trust
    }

    pub(crate) const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Whether a version can still be asked for: above what is installed.
    pub(crate) fn is_above(&self, version: &Version) -> bool {
        self.current.as_ref().is_none_or(|current| version > current)
    }

    /// Whether it is under way.
    pub(crate) fn is_in_flight(&self, digest: &Digest) -> bool {
        self.in_flight.as_ref() == Some(digest)
    }

    /// Why a release of this digest is trusted. Nothing of it is read before its signature but, at
    /// the first adoption, the keys that it lists.
    ///
    /// # Errors
    /// When it is not, or that cannot be known now.
    pub async fn judge(
        &self,
        store: &ReleaseStore,
        image: &ImageRef,
        digest: &Digest,
    ) -> Result<ReleaseSignature, Untrusted> {
        if self.installed.contains(digest) {
            return Ok(ReleaseSignature { key: String::new(), trust: Whose::AlreadyInstalled });
        }
        let recorded = self.keys.clone()?;
        let found = store.signatures(image, digest).await.map_err(|e| Untrusted::registry(&e))?;
        if found.is_empty() {
            return Err(SignatureError::Missing(image.to_string()).into());
        }
        let (keys, trust) = match recorded {
            Some(keys) => (keys, Whose::InstalledRelease),
            None => {
                let release = store.pull(image, digest).await;
                let release = release.map_err(|e| Untrusted::release(&e))?;
                (release.signing_keys, Whose::FirstAdoption)
            }
        };
        let at = (!self.is_in_flight(digest)).then_some(self.now);
        let key = verify(&found, PRODUCT_IMAGE_REPOSITORY, digest, &keys, at)?;
        Ok(ReleaseSignature { key, trust })
    }
}

impl Untrusted {
    /// The release itself, which is to list the keys, is refused.
    fn release(error: &RegistryError) -> Self {
        let reason =
            if error.is_invalid() { R::InvalidRelease } else { Self::registry(error).reason };
        Self { reason, ..Self::registry(error) }
    }
}

/// What is said of a cluster, and of the global one.
async fn statuses<A: ApiServer>(
    server: &A,
    cluster: &str,
) -> Result<(ClusterVersionShadowStatus, ClusterVersionShadowStatus), CallError> {
    let of = async |name: &str| {
        let found = typed::<ClusterVersionShadow, _>(server, NAMESPACE, name).await?;
        Ok::<_, CallError>(found.and_then(|cvsh| cvsh.status).unwrap_or_default())
    };
    let own = of(cluster).await?;
    let global = if cluster == GLOBAL { own.clone() } else { of(GLOBAL).await? };
    Ok((own, global))
}

/// Nothing is recorded, or no longer: whoever takes the record away does not open the door to keys
/// of their own, for the release that is installed still lists its keys.
async fn lost(
    store: &ReleaseStore,
    current: &VersionImage,
) -> Result<Option<Vec<SigningKey>>, Untrusted> {
    let (Some(digest), Ok(image)) = (current.digest(), current.image.parse::<ImageRef>()) else {
        return Ok(None);
    };
    match store.pull(&image, &digest).await {
        Ok(release) if release.signing_keys.is_empty() => Ok(None),
        Ok(release) => Ok(Some(release.signing_keys)),
        Err(error) => Err(Untrusted::keys(
            R::SigningKeysUnreadable,
            format!(
                "no ConfigMap {NAMESPACE}/{RELEASE_KEYS} records signing keys, and those of {} cannot be read: {}",
                current.version,
                words(&error)
            ),
        )),
    }
}

fn release_keys() -> ObjectRef {
    ObjectRef {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: RELEASE_KEYS.to_owned(),
    }
}

fn data(found: Option<&Value>) -> BTreeMap<String, String> {
    let data = found.and_then(|f| f.get("data")).and_then(Value::as_object);
    let entries = data.into_iter().flatten();
    entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect()
}

/// Releases and what is in them, given only where their signature counts.
#[derive(Debug, Clone, Copy)]
pub struct Trusted<'a> {
    /// Reads and keeps them.
    pub store: &'a ReleaseStore,
    /// Whose signature counts.
    pub trust: &'a Trust,
}

impl Trusted<'_> {
    async fn admitted(&self, image: &str) -> Result<(ImageRef, Digest), ContentError> {
        let (reference, digest) = crate::releases::pinned(image).map_err(ContentError::Invalid)?;
        self.trust.judge(self.store, &reference, &digest).await.map_err(Untrusted::content)?;
        Ok((reference, digest))
    }
}

impl Releases for Trusted<'_> {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        let (reference, digest) = self.admitted(image).await?;
        self.store.pull(&reference, &digest).await.map_err(|error| no_content(&error))
    }
}

impl Contents for Trusted<'_> {
    async fn content(&self, image: &str, path: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        let (reference, digest) = self.admitted(image).await?;
        let found = self.store.file(&reference, &digest, path).await;
        let found = found.map_err(|error| no_content(&error))?;
        found.ok_or_else(|| ContentError::Invalid(format!("{reference} has no {path}")))
    }
}
