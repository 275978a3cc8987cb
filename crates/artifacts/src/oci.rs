//! Decides what an OCI document is: descriptors, image manifests, indexes and configurations, and
//! which of them are refused. Knows nothing of where a document was read.

mod check;
mod descriptor;

use std::collections::BTreeMap;

use api::Digest;
use serde::{Deserialize, Serialize};

pub use check::{DocumentError, check};
pub use descriptor::{Descriptor, Mismatch, Platform};

use check::{check_descriptor, once};

/// Media type of an image manifest.
pub const MANIFEST_TYPE: &str = "application/vnd.oci.image.manifest.v1+json";
/// Media type of an image index.
pub const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
/// Media type of an image's configuration.
pub const CONFIG_TYPE: &str = "application/vnd.oci.image.config.v1+json";
/// Media type of an image's configuration as Docker writes it.
pub const DOCKER_CONFIG_TYPE: &str = "application/vnd.docker.container.image.v1+json";
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
/// Media type of the configuration of a Helm chart: its Chart.yaml as JSON.
pub const HELM_CONFIG_TYPE: &str = "application/vnd.cncf.helm.config.v1+json";
/// Media type of the layer that is a Helm chart.
pub const HELM_CHART_TYPE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// Every media type of a document that a tag may name.
pub const DOCUMENT_TYPES: [&str; 4] =
    [MANIFEST_TYPE, INDEX_TYPE, DOCKER_MANIFEST_TYPE, DOCKER_LIST_TYPE];

/// Annotation with the name of an image in a layout: `<repository>:<tag>`.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";

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
        manifest.blobs().try_for_each(check_descriptor)?;
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
        index.manifests.iter().try_for_each(check_descriptor)?;
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
        once(bytes)?;
        serde_json::from_slice(bytes).map_err(DocumentError::Malformed)
    }
}
