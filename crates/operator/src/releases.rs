//! The contents of releases: read from the registry once for a digest, verified, and kept.
//!
//! What is kept is found by its digest, so nothing can be out of date; how many are kept is
//! bounded.

use api::objects::ProductBase;
use api::{Digest, ImageRef, Release};
use artifacts::content::ReleaseContent;
use artifacts::registry::{Credentials, Registry, RegistryError, Settings as RegistrySettings};
use base64::Engine as _;
use cluster::execute::{ContentError, Contents};
use cluster::observe::{Releases, typed};
use cluster::server::ApiServer;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// Product images that are kept whole: the one that is installed and the one that comes.
const KEPT_WHOLE: usize = 2;
/// How long the registry may take for one product image within a round.
const PULL_TIMEOUT: Duration = Duration::from_secs(12);

/// Where releases are read from, and those that were.
pub struct ReleaseStore {
    registry_ca: PathBuf,
    pull_secret: PathBuf,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    releases: BTreeMap<Digest, Release>,
    /// Newest last.
    whole: Vec<Arc<Whole>>,
}

struct Whole {
    digest: Digest,
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl ReleaseStore {
    /// A store that has read nothing yet.
    #[must_use]
    pub fn new(registry_ca: PathBuf, pull_secret: PathBuf) -> Self {
        Self { registry_ca, pull_secret, kept: Mutex::default() }
    }

    /// A client of a registry with the platform's CA and pull credentials, both read anew: they may
    /// be exchanged while the operator runs.
    ///
    /// # Errors
    /// When the address, the CA or the credentials cannot be used.
    pub async fn registry(&self, address: &str) -> Result<Registry, RegistryError> {
        let ca = tokio::fs::read(&self.registry_ca).await.ok();
        let mut settings = RegistrySettings::new(address);
        settings.ca = ca;
        settings.credentials = self.credentials(address).await;
        settings.patience = Duration::from_secs(5);
        Registry::new(settings)
    }

    async fn credentials(&self, address: &str) -> Option<Credentials> {
        let text = tokio::fs::read(&self.pull_secret).await.ok()?;
        let config: serde_json::Value = serde_json::from_slice(&text).ok()?;
        let entry = config.get("auths")?.get(address)?;
        let field =
            |name: &str| entry.get(name).and_then(serde_json::Value::as_str).map(str::to_owned);
        if let (Some(username), Some(password)) = (field("username"), field("password")) {
            return Some(Credentials { username, password });
        }
        let decoded = base64::engine::general_purpose::STANDARD.decode(field("auth")?).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        let (username, password) = pair.split_once(':')?;
        Some(Credentials { username: username.to_owned(), password: password.to_owned() })
    }

    /// Reads a product image by its digest.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with the image.
    pub async fn pull(&self, image: &ImageRef, digest: &Digest) -> Result<Release, RegistryError> {
        if let Some(release) = self.kept.lock().await.releases.get(digest) {
            return Ok(release.clone());
        }
        let content = self.fetch(image, digest).await?;
        let release = content.release.clone();
        self.keep(content).await;
        Ok(release)
    }

    async fn fetch(
        &self,
        image: &ImageRef,
        digest: &Digest,
    ) -> Result<ReleaseContent, RegistryError> {
        let registry = self.registry(&image.registry).await?;
        match tokio::time::timeout(PULL_TIMEOUT, registry.pull_release(&image.repository, digest))
            .await
        {
            Ok(result) => result,
            Err(_) => Err(RegistryError::Unavailable {
                registry: image.registry.clone(),
                action: format!("pull {image}"),
                words: format!("no answer within {} s", PULL_TIMEOUT.as_secs()),
                passing: true,
                after: None,
            }),
        }
    }

    async fn keep(&self, content: ReleaseContent) -> Arc<Whole> {
        let files =
            content.files.into_iter().map(|(path, bytes)| (path, Arc::new(bytes))).collect();
        let whole = Arc::new(Whole { digest: content.digest.clone(), files });
        let mut kept = self.kept.lock().await;
        kept.releases.insert(content.digest.clone(), content.release);
        kept.whole.retain(|w| w.digest != content.digest);
        kept.whole.push(Arc::clone(&whole));
        let surplus = kept.whole.len().saturating_sub(KEPT_WHOLE);
        kept.whole.drain(..surplus);
        whole
    }

    async fn whole(&self, image: &ImageRef, digest: &Digest) -> Result<Arc<Whole>, RegistryError> {
        if let Some(whole) = self.kept.lock().await.whole.iter().find(|w| w.digest == *digest) {
            return Ok(Arc::clone(whole));
        }
        let content = self.fetch(image, digest).await?;
        Ok(self.keep(content).await)
    }
}

/// An image that names its digest.
fn pinned(image: &str) -> Result<(ImageRef, Digest), String> {
    let reference: ImageRef = image.parse().map_err(|e: api::image::ImageError| e.to_string())?;
    let digest = reference.digest.clone().ok_or_else(|| format!("{reference} has no digest"))?;
    Ok((reference, digest))
}

/// The whole chain of an error on one line.
pub(crate) fn words(error: &RegistryError) -> String {
    api::text::message(&cluster::call::chain(error))
}

/// Bytes that are wrong stay wrong until a person acts; all else may pass.
fn no_content(error: &RegistryError) -> ContentError {
    if error.is_invalid() {
        ContentError::Invalid(words(error))
    } else {
        ContentError::Unavailable(words(error))
    }
}

impl Releases for ReleaseStore {
    async fn release(&self, image: &str) -> Result<Release, ContentError> {
        let (reference, digest) = pinned(image).map_err(ContentError::Invalid)?;
        self.pull(&reference, &digest).await.map_err(|error| no_content(&error))
    }
}

impl Contents for ReleaseStore {
    async fn content(&self, image: &str, path: &str) -> Result<Arc<Vec<u8>>, ContentError> {
        let (reference, digest) = pinned(image).map_err(ContentError::Invalid)?;
        let whole = self.whole(&reference, &digest).await.map_err(|error| no_content(&error))?;
        let found = whole.files.get(path).cloned();
        found.ok_or_else(|| ContentError::Invalid(format!("{reference} has no {path}")))
    }
}

/// The platform's registry address.
///
/// # Errors
/// When it cannot be read or is not set.
pub async fn registry_address<A: ApiServer>(server: &A) -> Result<String, String> {
    let base = typed::<ProductBase, _>(server, "", api::names::PRODUCT_BASE)
        .await
        .map_err(|e| e.to_string())?;
    let address = base.map(|b| b.spec.registry.address).unwrap_or_default();
    if address.is_empty() {
        return Err("ProductBase.spec.registry.address is not set".to_owned());
    }
    Ok(address)
}
