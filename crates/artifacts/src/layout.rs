//! Decides how an OCI image layout that others wrote is read: its index, its manifests and its
//! blobs, each with a limit and a digest. Knows nothing of packages and registries.

use std::collections::BTreeMap;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use api::{Digest, ImageRef};

use crate::beneath::{self, BeneathError};
use crate::build::layout::{BLOBS, INDEX_FILE, LAYOUT_FILE};
use crate::content::{ContentError, ReleaseContent, check_manifest};
use crate::oci::{
    CONFIG_TYPE, DOCUMENT_LIMIT, Descriptor, DocumentError, ImageConfig, Index, Manifest, Mismatch,
    REF_NAME,
};

/// Most bytes that the manifests of one layout have together.
const MANIFESTS_LIMIT: u64 = 4 * DOCUMENT_LIMIT;

/// Why a layout is refused.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// A file is not there.
    #[error("{0} is missing")]
    Missing(PathBuf),
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file was cut or changed.
    #[error("{path} was cut or changed")]
    Changed {
        /// Which file.
        path: PathBuf,
        /// What differs.
        source: Mismatch,
    },
    /// A document is refused.
    #[error("{path} is refused")]
    Document {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: DocumentError,
    },
    /// A rule is broken.
    #[error("{path} is refused: {reason}")]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The product image is none.
    #[error("the product image {name} is refused")]
    Content {
        /// `<repository>:<tag>`.
        name: String,
        /// Why.
        source: ContentError,
    },
}

/// One image, or artifact, of a layout.
#[derive(Debug, Clone)]
pub struct LayoutImage {
    /// Path below the registry.
    pub repository: String,
    /// Under which it is pushed.
    pub tag: String,
    /// Names the manifest.
    pub descriptor: Descriptor,
    /// The manifest as it was read; its bytes have the digest.
    pub manifest: Manifest,
    /// The bytes of the manifest, as they are pushed.
    pub bytes: Vec<u8>,
}

impl LayoutImage {
    /// `<repository>:<tag>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// The digest of the manifest.
    #[must_use]
    pub const fn digest(&self) -> &Digest {
        &self.descriptor.digest
    }

    /// What all its blobs and its manifest have together, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.manifest.blobs().fold(self.descriptor.size, |sum, b| sum.saturating_add(b.size))
    }
}

/// A layout whose index and manifests were read and checked.
#[derive(Debug, Clone)]
pub struct Layout {
    folder: PathBuf,
    images: BTreeMap<String, LayoutImage>,
}

impl Layout {
    /// Reads the index and every manifest.
    ///
    /// # Errors
    /// When a file is missing, cut, changed or refused; the error names it.
    pub fn open(folder: &Path) -> Result<Self, LayoutError> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        let path = folder.join(LAYOUT_FILE);
        let rule = |path: &Path, reason: String| LayoutError::Rule { path: path.into(), reason };
        let document = |path: &Path| {
            let path = path.to_owned();
            move |source| LayoutError::Document { path, source }
        };
        let version: Version = serde_json::from_slice(&read(folder, LAYOUT_FILE)?)
            .map_err(DocumentError::Malformed)
            .map_err(document(&path))?;
        if version.image_layout_version != "1.0.0" {
            return Err(rule(&path, "its version is not 1.0.0".to_owned()));
        }
        let path = folder.join(INDEX_FILE);
        let index = Index::parse(&read(folder, INDEX_FILE)?).map_err(document(&path))?;
        let mut layout = Self { folder: folder.to_owned(), images: BTreeMap::new() };
        let mut left = MANIFESTS_LIMIT;
        for descriptor in index.manifests {
            left = left.checked_sub(descriptor.size).ok_or_else(|| {
                rule(&path, format!("its manifests pass {MANIFESTS_LIMIT} bytes"))
            })?;
            let image = layout.image(descriptor, &path)?;
            let name = image.name();
            if layout.images.insert(name.clone(), image).is_some() {
                return Err(rule(&path, format!("it names {name} twice")));
            }
        }
        Ok(layout)
    }

    fn image(&self, descriptor: Descriptor, index: &Path) -> Result<LayoutImage, LayoutError> {
        let name = descriptor.annotations.get(REF_NAME).map_or("", String::as_str);
        let parsed = format!("layout/{name}").parse::<ImageRef>().ok();
        let Some(ImageRef { repository, tag: Some(tag), digest: None, .. }) = parsed else {
            let name = api::text::line(name, 128);
            let reason = format!("'{name}' is not the name of an image (<repository>:<tag>)");
            return Err(LayoutError::Rule { path: index.to_owned(), reason });
        };
        let bytes = self.blob(&descriptor, DOCUMENT_LIMIT)?;
        let manifest = Manifest::parse(&bytes, &descriptor.media_type).map_err(|source| {
            LayoutError::Document { path: self.blob_path(&descriptor.digest), source }
        })?;
        Ok(LayoutImage { repository, tag, descriptor, manifest, bytes })
    }

    /// Every image, sorted by name.
    pub fn images(&self) -> impl Iterator<Item = &LayoutImage> {
        self.images.values()
    }

    /// Where a blob is.
    #[must_use]
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.folder.join(blob_name(digest))
    }

    /// The checked bytes of a small blob.
    ///
    /// # Errors
    /// When it is missing, larger than `limit`, cut or changed.
    pub fn blob(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, LayoutError> {
        let path = self.blob_path(&descriptor.digest);
        if descriptor.size > limit {
            let reason = format!("it has {} bytes, {limit} are allowed", descriptor.size);
            return Err(LayoutError::Rule { path, reason });
        }
        let bytes = read_limited(&self.folder, &blob_name(&descriptor.digest), descriptor.size)?;
        match descriptor.verify(&bytes) {
            Ok(()) => Ok(bytes),
            Err(source) => Err(LayoutError::Changed { path, source }),
        }
    }

    /// Checks that a blob is there and as long as it should be, without reading it.
    ///
    /// # Errors
    /// When it is missing, no regular file, or too short or long.
    pub fn check_blob(&self, descriptor: &Descriptor) -> Result<(), LayoutError> {
        let path = self.blob_path(&descriptor.digest);
        let name = blob_name(&descriptor.digest);
        let length =
            beneath::length(&self.folder, &name).map_err(|e| unopened(&self.folder, &name, e))?;
        if length != descriptor.size {
            let source = Mismatch::Size { expected: descriptor.size, found: length };
            return Err(LayoutError::Changed { path, source });
        }
        Ok(())
    }

    /// The configuration of an image; none for other artifacts.
    ///
    /// # Errors
    /// When it is missing, cut, changed or refused.
    pub fn config(&self, image: &LayoutImage) -> Result<Option<ImageConfig>, LayoutError> {
        let descriptor = &image.manifest.config;
        if descriptor.media_type != CONFIG_TYPE {
            return Ok(None);
        }
        let bytes = self.blob(descriptor, DOCUMENT_LIMIT)?;
        let path = self.blob_path(&descriptor.digest);
        match ImageConfig::parse(&bytes) {
            Ok(config) => Ok(Some(config)),
            Err(source) => Err(LayoutError::Document { path, source }),
        }
    }

    /// Reads the release out of a product image; every digest is checked.
    ///
    /// # Errors
    /// When a blob is missing, cut or changed, or the image is no product image.
    pub fn release(&self, image: &LayoutImage) -> Result<ReleaseContent, LayoutError> {
        let refused = |source| LayoutError::Content { name: image.name(), source };
        check_manifest(&image.manifest).map_err(refused)?;
        let config = self.blob(&image.manifest.config, DOCUMENT_LIMIT)?;
        let layer = self.blob(&image.manifest.layers[0], api::release::PRODUCT_IMAGE_LIMIT)?;
        ReleaseContent::read(image.digest().clone(), &image.manifest, &config, &layer)
            .map_err(refused)
    }
}

/// The path of a blob below its layout.
fn blob_name(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

fn read(folder: &Path, name: &str) -> Result<Vec<u8>, LayoutError> {
    read_limited(folder, name, DOCUMENT_LIMIT)
}

/// Reads a file, at most one byte more than `limit`: the reader's own check refuses it then.
fn read_limited(folder: &Path, name: &str, limit: u64) -> Result<Vec<u8>, LayoutError> {
    let mut bytes = Vec::new();
    let (file, _) = beneath::open(folder, name).map_err(|e| unopened(folder, name, e))?;
    let read = file.take(limit + 1).read_to_end(&mut bytes);
    read.map_err(|e| failed(folder.join(name), e))?;
    Ok(bytes)
}

fn unopened(folder: &Path, name: &str, error: BeneathError) -> LayoutError {
    let path = folder.join(name);
    match error {
        BeneathError::Io(source) => failed(path, source),
        refused => LayoutError::Rule { path, reason: refused.to_string() },
    }
}

fn failed(path: PathBuf, source: io::Error) -> LayoutError {
    match source.kind() {
        io::ErrorKind::NotFound => LayoutError::Missing(path),
        _ => LayoutError::Io { path, source },
    }
}
