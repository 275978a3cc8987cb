//! Decides which artifacts a package consists of and where their blobs are: its images, and its
//! plugin packages as artifacts of one layer. Knows nothing of what the registry has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use api::Digest;
use api::names::{PLUGIN_ARTIFACT_TYPE, PLUGIN_LAYER_TYPE, PLUGIN_REPOSITORY, PLUGIN_TAG};

use crate::build::Content;
use crate::build::layout::json;
use crate::digest;
use crate::layout::Layout;
use crate::oci::{Descriptor, EMPTY, EMPTY_TYPE, MANIFEST_TYPE, Manifest, TITLE};
use crate::package::{AddedError, Package, PluginFile, check_added};
use crate::registry::BlobSource;

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
#[error("{path} is refused")]
pub struct PlanError {
    /// A plugin package that was added to the package.
    pub path: PathBuf,
    /// Why.
    pub source: AddedError,
}

/// One image or plugin package.
#[derive(Debug, Clone)]
pub struct Artifact {
    /// Path below the registry.
    pub repository: String,
    /// Under which it is pushed.
    pub tag: String,
    /// Of its manifest.
    pub digest: Digest,
    /// What its manifest is pushed as.
    pub media_type: String,
    /// The bytes of its manifest.
    pub manifest: Vec<u8>,
    /// Its blobs.
    pub blobs: Vec<BlobSource>,
}

impl Artifact {
    /// `<repository>:<tag>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
    }

    /// A plugin package. One that the package has no sum of is checked by the sums inside it.
    fn plugin(plugin: &PluginFile) -> Result<Self, PlanError> {
        let failed = |source| PlanError { path: plugin.path.clone(), source };
        let (digest, size) = match &plugin.digest {
            Some(digest) => (digest.clone(), plugin.size),
            None => check_added(&plugin.path).map_err(failed)?,
        };
        let config = Descriptor::of(EMPTY_TYPE, EMPTY);
        let mut layer = Descriptor::new(PLUGIN_LAYER_TYPE, digest, size);
        layer.annotations.insert(TITLE.to_owned(), format!("{}.tgz", plugin.stem));
        let content = [Content::Bytes(EMPTY.to_vec()), Content::File(plugin.path.clone())];
        let blobs = [&config, &layer].into_iter().zip(content);
        let blobs = blobs.map(|(descriptor, content)| source(descriptor, content)).collect();
        let mut manifest = Manifest::new(config, vec![layer]);
        manifest.artifact_type = Some(PLUGIN_ARTIFACT_TYPE.to_owned());
        let manifest = json(&manifest);
        Ok(Self {
            repository: format!("{PLUGIN_REPOSITORY}/{}", plugin.stem),
            tag: PLUGIN_TAG.to_owned(),
            digest: digest::of(&manifest),
            media_type: MANIFEST_TYPE.to_owned(),
            manifest,
            blobs,
        })
    }
}

fn source(descriptor: &Descriptor, content: Content) -> BlobSource {
    BlobSource { content, digest: descriptor.digest.clone(), size: descriptor.size }
}

/// All that is to be in the registry.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Sorted as they are pushed.
    pub artifacts: Vec<Artifact>,
}

/// One blob and the repositories that need it.
#[derive(Debug, Clone)]
pub(super) struct Blob {
    pub(super) source: BlobSource,
    pub(super) repositories: BTreeSet<String>,
    pub(super) artifact: String,
}

impl Plan {
    /// The images and plugin packages of a core package. Reads plugin packages that the package
    /// has no sums of, and nothing else.
    ///
    /// # Errors
    /// When such a plugin package is not as it was made.
    pub fn of_package(package: &Package) -> Result<Self, PlanError> {
        let mut plan = Self::of_layout(package.layout());
        for plugin in package.plugins() {
            plan.artifacts.push(Artifact::plugin(plugin)?);
        }
        Ok(plan)
    }

    /// The images of a layout.
    #[must_use]
    pub fn of_layout(layout: &Layout) -> Self {
        let image = |image: &crate::layout::LayoutImage| Artifact {
            repository: image.repository.clone(),
            tag: image.tag.clone(),
            digest: image.digest().clone(),
            media_type: image.descriptor.media_type.clone(),
            manifest: image.bytes.clone(),
            blobs: image
                .manifest
                .blobs()
                .map(|d| source(d, Content::File(layout.blob_path(&d.digest))))
                .collect(),
        };
        Self { artifacts: layout.images().map(image).collect() }
    }

    /// Every different blob, the largest first so that the last to end is a small one.
    pub(super) fn blobs(&self) -> Vec<Blob> {
        let mut blobs: BTreeMap<Digest, Blob> = BTreeMap::new();
        for artifact in &self.artifacts {
            for source in &artifact.blobs {
                let blob = blobs.entry(source.digest.clone()).or_insert_with(|| Blob {
                    source: source.clone(),
                    repositories: BTreeSet::new(),
                    artifact: artifact.name(),
                });
                blob.repositories.insert(artifact.repository.clone());
            }
        }
        let mut blobs: Vec<Blob> = blobs.into_values().collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.source.size));
        blobs
    }
}
