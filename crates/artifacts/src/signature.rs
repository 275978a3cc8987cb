//! Decides where the signatures of an image lie, in a layout as in a registry: under a tag made of
//! its digest, in the same repository, one layer a signature. Every byte has its digest; whether a
//! signature counts is not decided here.

use api::Digest;
use api::signature::{
    FoundSignature, PAYLOAD_LIMIT, SIGNATURE_ANNOTATION, SIGNATURE_LAYER_TYPE, SIGNATURE_LIMIT,
    SIGNATURE_TEXT_LIMIT, is_signature_tag, signature_tag,
};

use crate::layout::{Layout, LayoutError, LayoutImage};
use crate::oci::{Descriptor, Manifest};
use crate::registry::{Registry, RegistryError};

/// A layer that may be a signature, with the text beside it; all else of the manifest says nothing.
fn candidates(manifest: &Manifest) -> impl Iterator<Item = (&Descriptor, &String)> {
    let signed = manifest.layers.iter().filter_map(|layer| {
        let signature = layer.annotations.get(SIGNATURE_ANNOTATION)?;
        let fits = layer.media_type == SIGNATURE_LAYER_TYPE
            && layer.size <= PAYLOAD_LIMIT
            && signature.len() <= SIGNATURE_TEXT_LIMIT;
        fits.then_some((layer, signature))
    });
    signed.take(SIGNATURE_LIMIT)
}

/// What cannot be a signature is told apart from none at all.
fn found(manifest: &Manifest, read: Vec<FoundSignature>) -> Vec<FoundSignature> {
    if read.is_empty() && !manifest.layers.is_empty() {
        return vec![FoundSignature { payload: Vec::new(), signature: String::new() }];
    }
    read
}

impl LayoutImage {
    /// Whether it is the signatures of another image.
    #[must_use]
    pub fn is_signature(&self) -> bool {
        is_signature_tag(&self.tag)
    }
}

impl Layout {
    /// The signatures of an image of a repository; none where nobody signed it.
    ///
    /// # Errors
    /// When one is missing, cut or changed.
    pub fn signatures(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Vec<FoundSignature>, LayoutError> {
        let tag = signature_tag(digest);
        let mut images = self.images().filter(|i| i.repository == repository && i.tag == tag);
        let Some(image) = images.next() else { return Ok(Vec::new()) };
        let mut read = Vec::new();
        for (layer, signature) in candidates(&image.manifest) {
            let payload = self.blob(layer, PAYLOAD_LIMIT)?;
            read.push(FoundSignature { payload, signature: signature.clone() });
        }
        Ok(found(&image.manifest, read))
    }
}

impl Registry {
    /// The signatures of an image of a repository; none where the registry has none.
    ///
    /// # Errors
    /// See [`RegistryError`]; signatures that cannot be read are an error of theirs, not none.
    pub async fn signatures(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Vec<FoundSignature>, RegistryError> {
        let tag = signature_tag(digest);
        let found_document = match self.tagged(repository, &tag).await {
            Ok(document) => document,
            Err(RegistryError::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let what = format!("{repository}:{tag}");
        let manifest = Manifest::parse(&found_document.bytes, &found_document.media_type)
            .map_err(|source| RegistryError::Document { what, source })?;
        let mut read = Vec::new();
        for (layer, signature) in candidates(&manifest) {
            let payload = self.pull_blob(repository, layer).await?;
            read.push(FoundSignature { payload, signature: signature.clone() });
        }
        Ok(found(&manifest, read))
    }
}
