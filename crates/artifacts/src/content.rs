//! Decides what a product image may hold and reads it: one layer with `release/release.yaml` and
//! the files that the release names. Knows nothing of where the image was read.

use std::collections::BTreeMap;
use std::io::{self, Read};

use api::release::{
    OPERATION_LIMIT, PRODUCT_IMAGE_LIMIT, RELEASE_FILE, RELEASE_FOLDER, ReleaseError,
};
use api::{Digest, Release};
use flate2::bufread::GzDecoder;

use crate::digest::Measure;
use crate::oci::{
    DOCUMENT_LIMIT, DocumentError, ImageConfig, LAYER_GZIP_TYPE, LAYER_TYPE, Manifest, Mismatch,
};

/// Most files and folders in the layer of a product image.
const ENTRY_LIMIT: usize = 4 * OPERATION_LIMIT;
/// Longest path in the layer, in bytes: what a plain tar header holds.
const PATH_LIMIT: usize = 100;
/// What the tar adds to the files at most: headers, padding and its end.
const TAR_OVERHEAD: u64 = (ENTRY_LIMIT as u64 + 20) * 1024;

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
    /// Its layer cannot be read.
    #[error("its layer cannot be read")]
    Layer(#[source] io::Error),
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
        let mut files = if manifest.layers[0].media_type == LAYER_GZIP_TYPE {
            let mut packed = GzDecoder::new(layer);
            let files = read_layer(&mut packed, diff_id)?;
            // Whatever follows the first member would be content to some readers and not to others.
            if !packed.into_inner().is_empty() {
                let extra = "bytes follow its packed layer".to_owned();
                return Err(ContentError::NotProduct(extra));
            }
            files
        } else {
            read_layer(layer, diff_id)?
        };
        let yaml = files
            .remove(RELEASE_FILE)
            .ok_or_else(|| ContentError::NotProduct(format!("it has no {RELEASE_FILE}")))?;
        let release = Release::parse(&yaml)?;
        for (_, component) in release.components() {
            let path = component.path();
            if !files.contains_key(path) {
                let name = &component.name;
                return Err(ContentError::NotProduct(format!(
                    "component '{name}' names {}, which it does not hold",
                    api::text::line(path, 128)
                )));
            }
        }
        Ok(Self { digest, release, files })
    }
}

/// Reads every file of the layer, and gives them only if the whole tar has its digest.
fn read_layer(
    reader: impl Read,
    diff_id: &Digest,
) -> Result<BTreeMap<String, Vec<u8>>, ContentError> {
    let limit = PRODUCT_IMAGE_LIMIT + TAR_OVERHEAD;
    let mut measured =
        MeasuredReader { inner: reader.take(limit + 1), measure: Measure::default() };
    let result = read_entries(&mut measured);
    if measured.measure.length() > limit {
        return Err(ContentError::TooLarge);
    }
    let files = result?;
    // The digest is over all bytes, also over those after the end that the tar marks.
    io::copy(&mut measured, &mut io::sink()).map_err(ContentError::Layer)?;
    if measured.measure.length() > limit {
        return Err(ContentError::TooLarge);
    }
    let found = measured.measure.digest();
    if found != *diff_id {
        let source = Mismatch::Digest { expected: diff_id.clone(), found };
        return Err(ContentError::Mismatch { part: "unpacked layer", source });
    }
    Ok(files)
}

fn read_entries(reader: impl Read) -> Result<BTreeMap<String, Vec<u8>>, ContentError> {
    let mut files = BTreeMap::new();
    let mut left = PRODUCT_IMAGE_LIMIT;
    let mut archive = tar::Archive::new(reader);
    // Raw: extensions that rename or resize an entry are seen as entries, and refused.
    let entries = archive.entries().map_err(ContentError::Layer)?.raw(true);
    for (number, entry) in entries.enumerate() {
        let entry = entry.map_err(ContentError::Layer)?;
        if number >= ENTRY_LIMIT {
            let many = format!("its layer has more than {ENTRY_LIMIT} entries");
            return Err(ContentError::NotProduct(many));
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let kind = entry.header().entry_type();
        if kind.is_dir() && is_release_folder(&path) {
            continue;
        }
        let name = path
            .strip_prefix(RELEASE_FOLDER)
            .and_then(|rest| rest.strip_prefix('/'))
            .filter(|name| *name == RELEASE_FILE || is_release_path(name));
        let (true, Some(name)) = (kind.is_file(), name) else {
            let path = api::text::line(&path, 128);
            return Err(ContentError::NotProduct(format!("its layer holds '{path}'")));
        };
        let size = entry.header().size().map_err(ContentError::Layer)?;
        left = left.checked_sub(size).ok_or(ContentError::TooLarge)?;
        let mut bytes = Vec::new();
        entry.take(size).read_to_end(&mut bytes).map_err(ContentError::Layer)?;
        if bytes.len() as u64 != size {
            return Err(ContentError::Layer(io::ErrorKind::UnexpectedEof.into()));
        }
        if files.insert(name.to_owned(), bytes).is_some() {
            let twice = format!("its layer holds '{name}' twice");
            return Err(ContentError::NotProduct(twice));
        }
    }
    Ok(files)
}

fn is_release_folder(path: &str) -> bool {
    let rest = path.strip_prefix(RELEASE_FOLDER).unwrap_or(path);
    matches!(rest, "/" | "/charts/" | "/manifests/")
}

struct MeasuredReader<R> {
    inner: R,
    measure: Measure,
}

impl<R: Read> Read for MeasuredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.measure.update(&buffer[..n]);
        Ok(n)
    }
}
