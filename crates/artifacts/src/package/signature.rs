//! Decides whether a package is signed as a whole, its sums, and in its heart, its product image.
//! Whose keys count is the caller's to say.

use api::names::PRODUCT_IMAGE_REPOSITORY;
use api::signature::{SignatureError, verify, verify_sums};
use api::signing_key::SigningKey;
use jiff::Timestamp;

use super::sums::{SUMS_LIMIT, parse};
use super::{Package, PackageError, Summed};
use crate::build::package::{SUMS_FILE, SUMS_SIGNATURE_FILE};

/// Longest signature of the sums, in bytes.
pub(crate) const LIMIT: u64 = 16 * 1024;

/// Why a package is not trusted.
#[derive(Debug, thiserror::Error)]
pub enum UntrustedError {
    /// What was signed cannot be read.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// No signature of its product image counts.
    #[error("the release of this package is not trusted ({})", source.reason())]
    Image {
        /// Why.
        source: SignatureError,
    },
    /// No signature of its sums counts.
    #[error("this package is not trusted ({}): {SUMS_SIGNATURE_FILE}", source.reason())]
    Sums {
        /// Why.
        source: SignatureError,
    },
}

impl Package {
    /// The id of the key that signed the product image. Without `at` no key has expired.
    ///
    /// # Errors
    /// When no signature counts, or one cannot be read.
    pub fn verify_image(
        &self,
        keys: &[SigningKey],
        at: Option<Timestamp>,
    ) -> Result<String, UntrustedError> {
        let digest = self.product_image().digest();
        let found = self.layout().signatures(PRODUCT_IMAGE_REPOSITORY, digest);
        let found = found.map_err(PackageError::from)?;
        verify(&found, PRODUCT_IMAGE_REPOSITORY, digest, keys, at)
            .map_err(|source| UntrustedError::Image { source })
    }

    /// The id of the key that signed the sums of this package.
    ///
    /// # Errors
    /// When no signature counts, or the sums are not those that were read when it was opened.
    pub fn verify_sums(
        &self,
        keys: &[SigningKey],
        at: Option<Timestamp>,
    ) -> Result<String, UntrustedError> {
        self.summed.signer(keys, at)
    }
}

impl Summed {
    /// The id of the key that signed these sums.
    pub(crate) fn signer(
        &self,
        keys: &[SigningKey],
        at: Option<Timestamp>,
    ) -> Result<String, UntrustedError> {
        let refused = |source| UntrustedError::Sums { source };
        let Some(text) = self.unlisted(SUMS_SIGNATURE_FILE, LIMIT)? else {
            return Err(refused(SignatureError::Missing(SUMS_FILE.to_owned())));
        };
        let sums = self.unlisted(SUMS_FILE, SUMS_LIMIT)?.unwrap_or_default();
        // What is signed must be what everything is compared with.
        if parse(&sums).ok().as_ref() != Some(&self.sums) {
            let path = self.folder.join(SUMS_FILE);
            return Err(PackageError::Changed { path }.into());
        }
        let text = String::from_utf8_lossy(&text);
        verify_sums(&sums, &text, keys, at).map_err(refused)
    }
}
