//! Decides how the chart of a plugin is read from a registry: by the digest of its manifest, each
//! digest and each type checked. Knows nothing of what is rendered.

use api::Digest;

use super::{Registry, RegistryError};
use crate::content::{ContentError, chart};
use crate::oci::{Descriptor, Manifest};

impl Registry {
    /// The bytes of a Helm chart, which are safe to hand to Helm; at most 16 MiB.
    ///
    /// # Errors
    /// See [`RegistryError`]; what is no chart is [`RegistryError::Content`].
    pub async fn pull_chart(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Vec<u8>, RegistryError> {
        let layer = self.chart(repository, digest).await?;
        let bytes = self.pull_blob(repository, &layer).await?;
        let checked = chart::check_one(&bytes)
            .map_err(|source| ContentError::Chart { path: repository.to_owned(), source });
        let what = format!("{repository}@{digest}");
        checked.map_err(|source| RegistryError::Content { what, source })?;
        Ok(bytes)
    }

    /// Whether a Helm chart is there, manifest and bytes, without reading more than the manifest.
    ///
    /// # Errors
    /// See [`RegistryError`]; what is there and no chart is [`RegistryError::Content`].
    pub async fn has_chart(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<bool, RegistryError> {
        match self.chart(repository, digest).await {
            Ok(layer) => self.has_blob(repository, &layer.digest, layer.size).await,
            Err(RegistryError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The layer of a chart by the digest of its manifest.
    async fn chart(&self, repository: &str, digest: &Digest) -> Result<Descriptor, RegistryError> {
        let what = format!("{repository}@{digest}");
        let document = self.pull_manifest(repository, digest).await?;
        let read = Manifest::parse(&document.bytes, &document.media_type);
        let manifest =
            read.map_err(|source| RegistryError::Document { what: what.clone(), source })?;
        let layer = chart::layer(&manifest).map_err(|source| RegistryError::Content {
            what,
            source: ContentError::Chart { path: repository.to_owned(), source },
        })?;
        Ok(layer.clone())
    }
}
