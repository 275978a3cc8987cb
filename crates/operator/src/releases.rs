//! The contents of releases and their signatures: read from the registry once for a digest, every
//! byte checked, and kept. Whose signature counts is not decided here.
//!
//! What is kept is found by its digest, so nothing can be out of date; how many are kept is
//! bounded.

use crate::turns::Turns;
use api::objects::ProductBase;
use api::signature::FoundSignature;
use api::{Digest, ImageRef, Release};
use artifacts::content::ReleaseContent;
use artifacts::registry::{
    Credentials, Registry, RegistryError, Retry, Settings as RegistrySettings, account_of,
};
use cluster::Kept;
use cluster::execute::ContentError;
use cluster::observe::typed;
use cluster::server::ApiServer;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Bytes of product images that are kept whole: clusters of a fleet stand at different versions and
/// move to others, and each round asks for the files of its own. Two of the largest fit, or very
/// many of usual size; what is pulled and what helm takes must fit beside them.
const KEPT_WHOLE: usize = 128 * 1024 * 1024;
/// Bytes of charts of plugins that are kept.
const KEPT_CHARTS: usize = 32 * 1024 * 1024;
/// Product images that are pulled at a time: each may have 64 MiB while it is read.
const PULLS: usize = 2;
/// How long a round may take for one product image, the wait for others that pull included.
const PULL_TIMEOUT: Duration = Duration::from_secs(12);
/// How long it may take for a tag: a few bytes.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(5);
/// A registry that fails after so long holds up a round.
const SLOW: Duration = Duration::from_secs(2);
/// How long such a registry is not asked again: a round asks for many things, and rounds that are
/// about something else come in between.
const REST: Duration = Duration::from_secs(5);

/// Where releases are read from, and those that were.
#[derive(Debug)]
pub struct ReleaseStore {
    registry_ca: PathBuf,
    pull_secret: PathBuf,
    found: Mutex<Found>,
    turns: Turns,
}

#[derive(Debug)]
struct Found {
    releases: BTreeMap<Digest, Release>,
    signatures: BTreeMap<Digest, Vec<FoundSignature>>,
    whole: Kept<Whole>,
    charts: Kept<Vec<u8>>,
    /// By address: until when a registry that was slow to fail rests, and what was wrong.
    resting: BTreeMap<String, (Instant, String)>,
}

#[derive(Debug)]
struct Whole {
    files: BTreeMap<String, Arc<Vec<u8>>>,
}

impl ReleaseStore {
    /// A store that has read nothing yet.
    #[must_use]
    pub fn new(registry_ca: PathBuf, pull_secret: PathBuf) -> Self {
        let found = Found {
            releases: BTreeMap::new(),
            signatures: BTreeMap::new(),
            whole: Kept::new(KEPT_WHOLE),
            charts: Kept::new(KEPT_CHARTS),
            resting: BTreeMap::new(),
        };
        Self { registry_ca, pull_secret, found: Mutex::new(found), turns: Turns::new(PULLS) }
    }

    /// A client of a registry with the platform's CA and pull credentials, both read anew: they may
    /// be exchanged while the operator runs.
    ///
    /// # Errors
    /// When the address, the CA or the credentials cannot be used.
    pub async fn registry(&self, address: &str) -> Result<Registry, RegistryError> {
        let ca = read(&self.registry_ca, "CA of the registry").await?;
        let mut settings = RegistrySettings::new(address);
        settings.ca = ca;
        settings.credentials = self.credentials(address).await?;
        settings.patience = Duration::from_secs(5);
        // Rounds come again by themselves.
        settings.retry = Retry::never();
        Registry::new(settings)
    }

    /// None where there is no file, or nothing for this registry in it.
    async fn credentials(&self, address: &str) -> Result<Option<Credentials>, RegistryError> {
        match read(&self.pull_secret, "pull credentials").await? {
            Some(text) => account_of(&text, address)
                .map_err(|why| RegistryError::Settings(format!("pull credentials: {why}"))),
            None => Ok(None),
        }
    }

    /// The digest that a tag names now.
    ///
    /// # Errors
    /// What the registry says.
    pub async fn resolve(
        &self,
        address: &str,
        repository: &str,
        tag: &str,
    ) -> Result<Digest, RegistryError> {
        let registry = self.registry(address).await?;
        let what = format!("{address}/{repository}:{tag}");
        self.in_time(address, &what, RESOLVE_TIMEOUT, registry.resolve(repository, tag)).await
    }

    /// Reads a product image by its digest.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with the image.
    pub async fn pull(&self, image: &ImageRef, digest: &Digest) -> Result<Release, RegistryError> {
        if let Some(release) = self.found.lock().await.releases.get(digest) {
            return Ok(release.clone());
        }
        self.pulled(image, digest).await.map(|(release, _)| release)
    }

    /// Pulls a product image, unless another round just did.
    async fn pulled(
        &self,
        image: &ImageRef,
        digest: &Digest,
    ) -> Result<(Release, Arc<Whole>), RegistryError> {
        let begun = Instant::now();
        let turn = tokio::time::timeout(PULL_TIMEOUT, self.turns.of(digest)).await;
        let _turn = turn.map_err(|_| {
            let words = format!("others are pulled for {} s", PULL_TIMEOUT.as_secs());
            unavailable(&image.registry, &image.to_string(), words)
        })?;
        {
            let mut found = self.found.lock().await;
            if let (Some(whole), Some(release)) =
                (found.whole.get(digest), found.releases.get(digest))
            {
                return Ok((release.clone(), whole));
            }
        }
        let left = PULL_TIMEOUT.saturating_sub(begun.elapsed());
        let content = self.fetch(image, digest, left).await?;
        let release = content.release.clone();
        Ok((release, self.keep(content).await))
    }

    async fn fetch(
        &self,
        image: &ImageRef,
        digest: &Digest,
        limit: Duration,
    ) -> Result<ReleaseContent, RegistryError> {
        let registry = self.registry(&image.registry).await?;
        let asked = registry.pull_release(&image.repository, digest);
        self.in_time(&image.registry, &image.to_string(), limit, asked).await
    }

    /// The signatures of a product image; none where nobody signed it.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with them.
    pub async fn signatures(
        &self,
        image: &ImageRef,
        digest: &Digest,
    ) -> Result<Vec<FoundSignature>, RegistryError> {
        if let Some(found) = self.found.lock().await.signatures.get(digest) {
            return Ok(found.clone());
        }
        let registry = self.registry(&image.registry).await?;
        let asked = registry.signatures(&image.repository, digest);
        let found = self.in_time(&image.registry, &image.to_string(), PULL_TIMEOUT, asked).await?;
        self.found.lock().await.signatures.insert(digest.clone(), found.clone());
        Ok(found)
    }

    /// Reads the signatures of a product image anew when they are asked for next: others may have
    /// been added.
    pub async fn forget_signatures(&self, digest: &Digest) {
        self.found.lock().await.signatures.remove(digest);
    }

    /// A file of a product image; none where it holds no such file.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with the image.
    pub async fn file(
        &self,
        image: &ImageRef,
        digest: &Digest,
        path: &str,
    ) -> Result<Option<Arc<Vec<u8>>>, RegistryError> {
        Ok(self.whole(image, digest).await?.files.get(path).cloned())
    }

    /// A chart of a plugin by the digest of its manifest.
    ///
    /// # Errors
    /// What the registry says, or what is wrong with the chart.
    pub async fn chart(
        &self,
        image: &ImageRef,
        digest: &Digest,
    ) -> Result<Arc<Vec<u8>>, RegistryError> {
        if let Some(chart) = self.found.lock().await.charts.get(digest) {
            return Ok(chart);
        }
        let registry = self.registry(&image.registry).await?;
        let asked = registry.pull_chart(&image.repository, digest);
        let bytes = self.in_time(&image.registry, &image.to_string(), PULL_TIMEOUT, asked).await?;
        let chart = Arc::new(bytes);
        let mut found = self.found.lock().await;
        found.charts.keep(digest.clone(), Arc::clone(&chart), chart.len());
        Ok(chart)
    }

    async fn keep(&self, content: ReleaseContent) -> Arc<Whole> {
        let bytes = content.files.values().map(Vec::len).sum();
        let files =
            content.files.into_iter().map(|(path, bytes)| (path, Arc::new(bytes))).collect();
        let whole = Arc::new(Whole { files });
        let mut found = self.found.lock().await;
        found.releases.insert(content.digest.clone(), content.release);
        found.whole.keep(content.digest, Arc::clone(&whole), bytes);
        whole
    }

    async fn whole(&self, image: &ImageRef, digest: &Digest) -> Result<Arc<Whole>, RegistryError> {
        if let Some(whole) = self.found.lock().await.whole.get(digest) {
            return Ok(whole);
        }
        self.pulled(image, digest).await.map(|(_, whole)| whole)
    }

    /// What a registry answers within the time that a round has for it. One that just took long to
    /// fail is not asked.
    async fn in_time<T>(
        &self,
        address: &str,
        what: &str,
        limit: Duration,
        asked: impl Future<Output = Result<T, RegistryError>>,
    ) -> Result<T, RegistryError> {
        let unavailable = |words: String| unavailable(address, what, words);
        let begun = Instant::now();
        if let Some((until, words)) = self.found.lock().await.resting.get(address)
            && begun < *until
        {
            return Err(unavailable(words.clone()));
        }
        let result = tokio::time::timeout(limit, asked).await.unwrap_or_else(|_| {
            Err(unavailable(format!("no answer within {} s", limit.as_secs())))
        });
        let ended = Instant::now();
        if let Err(RegistryError::Unavailable { words, .. }) = &result
            && ended - begun >= SLOW
        {
            let resting = &mut self.found.lock().await.resting;
            resting.retain(|_, (until, _)| ended < *until);
            resting.insert(address.to_owned(), (ended + REST, words.clone()));
        }
        result
    }
}

fn unavailable(address: &str, what: &str, words: String) -> RegistryError {
    RegistryError::Unavailable {
        registry: address.to_owned(),
        action: format!("pull {what}"),
        words,
        passing: true,
        after: None,
    }
}

/// A mounted file; None where there is none.
async fn read(path: &Path, what: &str) -> Result<Option<Vec<u8>>, RegistryError> {
    match tokio::fs::read(path).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(RegistryError::Settings(format!(
            "{what}: {} cannot be read: {error}",
            path.display()
        ))),
    }
}

/// An image that names its digest.
pub(crate) fn pinned(image: &str) -> Result<(ImageRef, Digest), String> {
    let reference: ImageRef = image.parse().map_err(|e: api::image::ImageError| e.to_string())?;
    let digest = reference.digest.clone().ok_or_else(|| format!("{reference} has no digest"))?;
    Ok((reference, digest))
}

/// The whole chain of an error on one line.
pub(crate) fn words(error: &RegistryError) -> String {
    api::text::message(&api::failure::chain(error))
}

/// Bytes that are wrong stay wrong until a person acts; all else may pass.
pub(crate) fn no_content(error: &RegistryError) -> ContentError {
    if error.is_invalid() {
        ContentError::Invalid(words(error))
    } else {
        ContentError::Unavailable(words(error))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_ca_that_cannot_be_read_is_said() {
        // A folder can be opened and not read.
        let store = ReleaseStore::new(std::env::temp_dir(), PathBuf::from("/nonexistent"));
        let error = store.registry("r.test").await.map(drop).map_err(|e| words(&e));
        assert!(error.is_err_and(|e| e.contains("CA of the registry")));
        let store = ReleaseStore::new("/nonexistent".into(), std::env::temp_dir());
        let error = store.registry("r.test").await.map(drop).map_err(|e| words(&e));
        assert!(error.is_err_and(|e| e.contains("pull credentials")));
    }
}
