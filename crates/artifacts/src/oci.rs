//! Decides what an OCI document is: descriptors, image manifests, indexes and configurations, and
//! which of them are refused. Knows nothing of where a document was read.

use std::collections::BTreeMap;

use api::Digest;
use serde::{Deserialize, Serialize};

/// Media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an image's configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of a layer, a plain tar.
pub const LAYER_TYPE: &str = "application/vnd.oci.image.layer.v1.tar";
/// Media type of a layer, a tar packed with gzip.
pub const LAYER_GZIP_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// Media type of the empty configuration of an artifact.
pub const EMPTY_TYPE: &str = "application/vnd.oci.empty.v1+json";
/// The empty configuration.
pub const EMPTY: &[u8] = b"{}";
/// Media type of an image manifest as Docker writes it.
pub const DOCKER_MANIFEST_TYPE: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Media type of an index as Docker writes it.
pub const DOCKER_LIST_TYPE: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Every media type of a document that a tag may name.
pub const DOCUMENT_TYPES: [&str; 4] =
    [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_LIST_TYPE];

/// Annotation with the name of an image in a layout: `<repository>:<tag>`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// Annotation with the file name of a layer.
pub const TITLE: &str = "org.opencontainers.image.title";

/// The architecture of the images that we build.
pub const ARCHITECTURE: &str = "amd64";
/// The architecture of the machine that this program runs on, as Go names it.
pub const HOST_ARCHITECTURE: &str = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
/// The operating system of the images that we build.
pub const OS: &str = "linux";

/// Largest manifest, index or configuration, in bytes.
pub const DOCUMENT_LIMIT: u64 = 4 * 1024 * 1024;
/// Most images in one layout.
pub const INDEX_LIMIT: usize = 1024;
/// Most layers in one image.
pub const LAYER_LIMIT: usize = 256;

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Longer than [`DOCUMENT_LIMIT`].
    #[error("the document has {0} bytes, more than the {DOCUMENT_LIMIT} that are read")]
    TooLong(u64),
    /// No JSON of the expected form.
    #[error("the document is malformed")]
    Malformed(#[source] serde_json::Error),
    /// It could be read as two things.
    #[error("the document is ambiguous: it holds both manifests and layers or a config")]
    Ambiguous,
    /// What it says of itself is not what it was given as.
    #[error("the document says it is '{said}', but it was given as '{given}'")]
    MediaType {
        /// By the document.
        said: String,
        /// By the descriptor or the registry.
        given: String,
    },
    /// Not of the expected kind.
    #[error("'{0}' is not an image manifest")]
    NotAnImage(String),
    /// A rule is broken.
    #[error("the document breaks a rule: {0}")]
    Rule(String),
}

/// What names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Of an image in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Of an artifact in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Names bytes in memory.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, crate::digest::of(bytes), bytes.len() as u64)
    }

    /// Names a blob whose digest and size are known.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Checks that bytes are the ones that the descriptor names.
    ///
    /// # Errors
    /// When their number or their digest is another.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.verify_measured(&crate::digest::of(bytes), bytes.len() as u64)
    }

    /// The same for bytes that were measured while they streamed by.
    ///
    /// # Errors
    /// When their number or their digest is another.
    pub fn verify_measured(&self, found: &Digest, size: u64) -> Result<(), Mismatch> {
        if size != self.size {
            return Err(Mismatch::Size { expected: self.size, found: size });
        }
        if *found != self.digest {
            let (expected, found) = (self.digest.clone(), found.clone());
            return Err(Mismatch::Digest { expected, found });
        }
        Ok(())
    }
}

/// Bytes are not the ones that a descriptor names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Too few or too many.
    #[error("{found} bytes instead of {expected}")]
    Size {
        /// As the descriptor says.
        expected: u64,
        /// As they are.
        found: u64,
    },
    /// Other ones.
    #[error("the bytes have digest {found} instead of {expected}")]
    Digest {
        /// As the descriptor says.
        expected: Digest,
        /// As they are.
        found: Digest,
    },
}

/// On what an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it.
    pub architecture: String,
    /// As Go names it.
    pub os: String,
}

impl Default for Platform {
    fn default() -> Self {
        Self { architecture: ARCHITECTURE.to_owned(), os: OS.to_owned() }
    }
}

/// An image manifest, or that of an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// 2.
    pub schema_version: u32,
    /// [`MANIFEST_TYPE`]; older tools leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// What the artifact is, where it is no image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// The configuration.
    pub config: Descriptor,
    /// The layers, the lowest first.
    pub layers: Vec<Descriptor>,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Manifest {
    /// A manifest of a configuration and layers.
    #[must_use]
    pub fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: Some(MANIFEST_TYPE.to_owned()),
            artifact_type: None,
            config,
            layers,
            annotations: BTreeMap::new(),
        }
    }

    /// Reads an image manifest that was given with a media type.
    ///
    /// # Errors
    /// When it is too long, malformed, ambiguous, no image manifest or of another media type.
    pub fn parse(bytes: &[u8], given: &str) -> Result<Self, DocumentError> {
        check(bytes, given)?;
        if given != MANIFEST_TYPE && given != DOCKER_MANIFEST_TYPE {
            return Err(DocumentError::NotAnImage(api::text::line(given, 128)));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
        if manifest.layers.len() > LAYER_LIMIT {
            return Err(DocumentError::Rule(format!("more than {LAYER_LIMIT} layers")));
        }
        Ok(manifest)
    }

    /// Every blob that the manifest names: the configuration, then the layers.
    pub fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        std::iter::once(&self.config).chain(&self.layers)
    }
}

/// An index of images.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    /// 2.
    pub schema_version: u32,
    /// [`INDEX_TYPE`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// The images.
    pub manifests: Vec<Descriptor>,
}

impl Index {
    /// Reads the index of a layout.
    ///
    /// # Errors
    /// When it is too long, malformed, ambiguous or of another media type.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        check(bytes, INDEX_TYPE)?;
        let index: Self = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
        if index.manifests.len() > INDEX_LIMIT {
            return Err(DocumentError::Rule(format!("more than {INDEX_LIMIT} images")));
        }
        Ok(index)
    }
}

/// What concerns us in the configuration of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// As Go names it.
    pub architecture: String,
    /// As Go names it.
    pub os: String,
    /// The unpacked layers.
    pub rootfs: RootFs,
}

/// The unpacked layers of an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct RootFs {
    /// Digests of the layers as plain tars, the lowest first.
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Reads the configuration of an image.
    ///
    /// # Errors
    /// When it is too long or malformed.
    pub fn parse(bytes: &[u8]) -> Result<Self, DocumentError> {
        limit(bytes)?;
        serde_json::from_slice(bytes).map_err(DocumentError::Malformed)
    }
}

/// Checks what is common to manifests and indexes: length, one meaning only, one media type only.
///
/// # Errors
/// When one of them does not hold.
pub fn check(bytes: &[u8], given: &str) -> Result<(), DocumentError> {
    // A member that stands twice is refused by the reader, so each can be read in one way only.
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        fs_layers: Option<serde::de::IgnoredAny>,
    }
    limit(bytes)?;
    let shape: Shape = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
    if shape.schema_version != 2 || shape.fs_layers.is_some() {
        return Err(DocumentError::Rule("its schemaVersion is not 2".to_owned()));
    }
    if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
        return Err(DocumentError::Ambiguous);
    }
    match shape.media_type {
        Some(said) if said != given => Err(DocumentError::MediaType {
            said: api::text::line(&said, 128),
            given: api::text::line(given, 128),
        }),
        _ => Ok(()),
    }
}

fn limit(bytes: &[u8]) -> Result<(), DocumentError> {
    match bytes.len() as u64 {
        long if long > DOCUMENT_LIMIT => Err(DocumentError::TooLong(long)),
        _ => Ok(()),
    }
}
