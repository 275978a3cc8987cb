//! Decides what a product image may hold and reads it: one layer with `release/release.yaml` and
//! the files that the release names. Knows nothing of where the image was read.

pub(crate) mod chart;
mod layer;

use std::collections::BTreeMap;
use std::io;

use api::release::{PRODUCT_IMAGE_LIMIT, RELEASE_FILE, RELEASE_FOLDER, ReleaseError};
use api::{Digest, Release};

use crate::oci::{
    CONFIG_TYPE, DOCKER_CONFIG_TYPE, DOCUMENT_LIMIT, DocumentError, ImageConfig, LAYER_GZIP_TYPE,
    LAYER_TYPE, Manifest, Mismatch,
};

/// Longest path in the layer, in bytes: what a plain tar header holds.
const PATH_LIMIT: usize = 100;

pub use chart::ChartError;
pub(crate) use chart::check_all as check_charts;

/// A release with the files that its components name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseContent {
    /// Of the manifest of the product image.
    pub digest: Digest,
    /// What `release.yaml` says.
    pub release: Release,
    /// Files by their path below the release's folder (`charts/coredns-1.0.0.tgz`).
    pub files: BTreeMap<String, Vec<u8>>,
}

/// Why an image is no product image.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// Its manifest or configuration is refused.
    #[error("its manifest or configuration is refused")]
    Document(#[from] DocumentError),
    /// Bytes are not the ones that were named.
    #[error("its {part} is not what its manifest names")]
    Mismatch {
        /// `config`, `layer` or `unpacked layer`.
        part: &'static str,
        /// What differs.
        source: Mismatch,
    },
    /// Larger than a product image may be.
    #[error("it is larger than the {PRODUCT_IMAGE_LIMIT} bytes of a product image")]
    TooLarge,
    /// A file whose length passes what a product image may be.
    #[error("its layer holds '{0}', with which it is larger than {PRODUCT_IMAGE_LIMIT} bytes")]
    FileTooLarge(String),
    /// Its layer cannot be read.
    #[error("its layer cannot be read {place}")]
    Layer {
        /// `at its begin`, `after 'release/release.yaml'`.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// A chart is none, or a trap for whoever unpacks it.
    #[error("'{path}' is no chart")]
    Chart {
        /// Below the release's folder.
        path: String,
        /// Why.
        source: ChartError,
    },
    /// It holds what no product image holds, or lacks what each has.
    #[error("it is no product image: {0}")]
    NotProduct(String),
    /// Its `release.yaml` is refused.
    #[error("its release is refused")]
    Release(#[from] ReleaseError),
}

/// Whether a file may stand below the release's folder, beside `release.yaml`.
#[must_use]
pub fn is_release_path(path: &str) -> bool {
    let plain = |name: &str| {
        !name.is_empty()
            && !name.starts_with('.')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
    };
    let short = RELEASE_FOLDER.len() + 1 + path.len() <= PATH_LIMIT;
    short
        && match path.split_once('/') {
            Some(("charts", name)) => {
                plain(name) && name.strip_suffix(".tgz").is_some_and(|stem| !stem.is_empty())
            }
            Some(("manifests", name)) => plain(name),
            _ => false,
        }
}

/// Checks the manifest of a product image, before a byte of its layer is asked for.
///
/// # Errors
/// When it cannot be the manifest of a product image.
pub fn check_manifest(manifest: &Manifest) -> Result<(), ContentError> {
    let [layer] = &manifest.layers[..] else {
        let layers = manifest.layers.len();
        return Err(ContentError::NotProduct(format!("it has {layers} layers instead of one")));
    };
    if manifest.artifact_type.is_some() {
        return Err(ContentError::NotProduct("it is an artifact, not an image".to_owned()));
    }
    if ![CONFIG_TYPE, DOCKER_CONFIG_TYPE].contains(&manifest.config.media_type.as_str()) {
        let kind = api::text::line(&manifest.config.media_type, 128);
        return Err(ContentError::NotProduct(format!("its config is of type '{kind}'")));
    }
    if layer.media_type != LAYER_TYPE && layer.media_type != LAYER_GZIP_TYPE {
        let kind = api::text::line(&layer.media_type, 128);
        return Err(ContentError::NotProduct(format!("its layer is of type '{kind}'")));
    }
    if layer.size > PRODUCT_IMAGE_LIMIT || manifest.config.size > DOCUMENT_LIMIT {
        return Err(ContentError::TooLarge);
    }
    Ok(())
}

impl ReleaseContent {
    /// Reads the release out of the blobs of a product image. `digest` names the manifest and has
    /// been checked; the other digests are checked here.
    ///
    /// # Errors
    /// When a digest is another, a limit is passed or this is no product image.
    pub fn read(
        digest: Digest,
        manifest: &Manifest,
        config: &[u8],
        layer: &[u8],
    ) -> Result<Self, ContentError> {
        check_manifest(manifest)?;
        let mismatch = |part| move |source| ContentError::Mismatch { part, source };
        manifest.config.verify(config).map_err(mismatch("config"))?;
        manifest.layers[0].verify(layer).map_err(mismatch("layer"))?;
        let config = ImageConfig::parse(config)?;
        let [diff_id] = &config.rootfs.diff_ids[..] else {
            return Err(ContentError::NotProduct("its config does not name one layer".to_owned()));
        };
        let packed = manifest.layers[0].media_type == LAYER_GZIP_TYPE;
        let mut files = layer::read(layer, packed, diff_id)?;
        let yaml = files
            .remove(RELEASE_FILE)
            .ok_or_else(|| ContentError::NotProduct(format!("it has no {RELEASE_FILE}")))?;
        let release = Release::parse(&yaml)?;
        check_files(&release, &files)?;
        check_charts(&files)?;
        Ok(Self { digest, release, files })
    }
}

/// Checks that the files are those that components name, all of them and no other.
fn check_files(release: &Release, files: &BTreeMap<String, Vec<u8>>) -> Result<(), ContentError> {
    for (_, component) in release.components() {
        let path = component.path();
        if !files.contains_key(path) {
            let name = api::text::line(&component.name, 128);
            return Err(ContentError::NotProduct(format!(
                "component '{name}' names {}, which it does not hold",
                api::text::line(path, 128)
            )));
        }
    }
    let unnamed = |path: &&String| release.components().all(|(_, c)| c.path() != path.as_str());
    match files.keys().find(unnamed) {
        None => Ok(()),
        Some(path) => Err(ContentError::NotProduct(format!(
            "its layer holds '{path}', which no component names"
        ))),
    }
}
