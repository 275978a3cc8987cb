//! Decides which artifacts go to a registry and where their blobs are: the images and charts of
//! layouts. Knows nothing of what the registry has.

use std::collections::{BTreeMap, BTreeSet};

use api::Digest;

use crate::build::Content;
use crate::layout::{Layout, LayoutImage};
use crate::oci::Descriptor;
use crate::registry::BlobSource;

/// Two packages bring different artifacts under one name: the second would take the place of the
/// first.
#[derive(Debug, thiserror::Error)]
#[error("two packages bring different artifacts as {name}: {one} and {other}")]
pub struct PlanError {
    /// `<repository>:<tag>`.
    pub name: String,
    /// Digest of the one that is planned already.
    pub one: Digest,
    /// Of the other.
    pub other: Digest,
}

/// One image or chart.
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
    fn of(layout: &Layout, image: &LayoutImage) -> Self {
        let content = |d: &Descriptor| source(d, Content::File(layout.blob_path(&d.digest)));
        Self {
            repository: image.repository.clone(),
            tag: image.tag.clone(),
            digest: image.digest().clone(),
            media_type: image.descriptor.media_type.clone(),
            manifest: image.bytes.clone(),
            blobs: image.manifest.blobs().map(content).collect(),
        }
    }

    /// `<repository>:<tag>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}:{}", self.repository, self.tag)
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
    /// The images and charts of a layout.
    #[must_use]
    pub fn of_layout(layout: &Layout) -> Self {
        Self { artifacts: layout.images().map(|image| Artifact::of(layout, image)).collect() }
    }

    /// Those of several layouts; what they have in common goes once.
    ///
    /// # Errors
    /// When two of them bring different artifacts under one name.
    pub fn of_layouts<'a>(
        layouts: impl IntoIterator<Item = &'a Layout>,
    ) -> Result<Self, PlanError> {
        let mut plan = Self::default();
        let mut planned: BTreeMap<String, Digest> = BTreeMap::new();
        for artifact in layouts.into_iter().flat_map(|layout| Self::of_layout(layout).artifacts) {
            let name = artifact.name();
            match planned.get(&name) {
                None => {
                    planned.insert(name, artifact.digest.clone());
                    plan.artifacts.push(artifact);
                }
                Some(one) if *one == artifact.digest => {}
                Some(one) => {
                    let (one, other) = (one.clone(), artifact.digest);
                    return Err(PlanError { name, one, other });
                }
            }
        }
        Ok(plan)
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
