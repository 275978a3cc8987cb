//! Decides how an image of a layout is signed: an artifact beside it, in the form of cosign's
//! simple signing, and how the sums of a package are. The same key and the same image always give
//! the same bytes.

use std::fs;
use std::path::Path;

use api::release::ReleaseImage;
use api::signature::{
    FoundSignature, SIGNATURE_ANNOTATION, SIGNATURE_LAYER_TYPE, sign, sign_sums, signature_tag,
};
use api::signing_key::Signer;

use super::layout::json;
use super::package::{SUMS_FILE, SUMS_SIGNATURE_FILE};
use super::{BuildError, LayoutWriter, reading, writing};
use crate::oci::{CONFIG_TYPE, Manifest};

impl LayoutWriter {
    /// Signs an image that was written, once with each signer.
    ///
    /// # Errors
    /// When the layout cannot be written, or the image is signed already.
    pub fn sign(&mut self, image: &ReleaseImage, signers: &[Signer]) -> Result<(), BuildError> {
        let signatures = signers.iter().map(|s| sign(&image.repository, &image.digest, s));
        self.signatures(image, signatures)
    }

    /// Writes signatures of an image, whatever they are.
    ///
    /// # Errors
    /// When the layout cannot be written, or the image is signed already.
    pub fn signatures(
        &mut self,
        image: &ReleaseImage,
        signatures: impl IntoIterator<Item = FoundSignature>,
    ) -> Result<(), BuildError> {
        let mut layers = Vec::new();
        for FoundSignature { payload, signature } in signatures {
            let mut layer = self.blob(SIGNATURE_LAYER_TYPE, &payload)?;
            layer.annotations.insert(SIGNATURE_ANNOTATION.to_owned(), signature);
            layers.push(layer);
        }
        // An image without a system to run on: tools that know no artifacts copy it all the same.
        let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest.clone()).collect();
        let config = json(&serde_json::json!({
            "architecture": "",
            "os": "",
            "config": {},
            "rootfs": { "type": "layers", "diff_ids": diff_ids },
        }));
        let config = self.blob(CONFIG_TYPE, &config)?;
        let manifest = Manifest::new(config, layers);
        self.image(&image.repository, &signature_tag(&image.digest), &manifest, None)?;
        Ok(())
    }
}

/// Signs the sums of a folder that were written, once with each signer.
///
/// # Errors
/// When the sums cannot be read or their signature cannot be written.
pub fn sign_package(folder: &Path, signers: &[Signer]) -> Result<(), BuildError> {
    let path = folder.join(SUMS_FILE);
    let sums = fs::read(&path).map_err(reading(&path))?;
    let text: String = signers.iter().map(|signer| sign_sums(&sums, signer)).collect();
    let path = folder.join(SUMS_SIGNATURE_FILE);
    fs::write(&path, text).map_err(writing(&path))
}
