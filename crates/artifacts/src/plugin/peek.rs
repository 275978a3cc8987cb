//! Decides what can be told of a plugin package without unpacking it: what its `plugin.yaml` and
//! its index say. Its sums and its rules are not checked: what is told is what the file says.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use api::{Digest, Lifecycle, ModuleConfigSpec};
use serde_json::Value;

use super::objects::Objects;
use super::unpack::{Reading, Take, walk};
use super::{OBJECTS_LIMIT, PLUGIN_FILE, PluginError};
use crate::archive::Files;
use crate::build::layout::{BLOBS, INDEX_FILE};
use crate::build::package::SUMS_SIGNATURE_FILE;
use crate::oci::{DOCUMENT_LIMIT, HELM_CONFIG_TYPE, Index, Manifest, REF_NAME};
use crate::package::IMAGES;

/// Longest blob that may be a manifest and is kept, in bytes.
const KEPT_LIMIT: u64 = 64 * 1024;
/// Most bytes of blobs that are kept.
const ALL_KEPT_LIMIT: u64 = 16 * 1024 * 1024;

/// What a plugin package says of itself.
#[derive(Debug, Clone)]
pub struct PluginSummary {
    /// The plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Whether it moves with the cluster.
    pub lifecycle: Lifecycle,
    /// What its ModuleConfig says.
    pub config: ModuleConfigSpec,
    /// Its ModulePlugin.
    pub module_plugin: Value,
    /// Its charts, sorted by name.
    pub charts: Vec<SummaryArtifact>,
    /// Its images, sorted by name.
    pub images: Vec<SummaryArtifact>,
    /// Whether it bears a signature, of whomever.
    pub is_signed: bool,
    /// Of the file, in bytes.
    pub size: u64,
}

/// A chart or an image of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryArtifact {
    /// `<repository>:<tag>`.
    pub name: String,
    /// Of its manifest.
    pub digest: Digest,
    /// Manifest and blobs, in bytes; none where its manifest is longer than what is kept of it.
    pub size: Option<u64>,
}

/// Reads a package once and tells what it says.
///
/// # Errors
/// When the file is no plugin package, or its `plugin.yaml` or index is refused.
pub fn peek(file: &Path) -> Result<PluginSummary, PluginError> {
    let mut kept = Kept::default();
    let (_, size) = walk(file, Reading { digest: None, read: |_| {} }, &mut kept)?;
    let document = |path: &str| {
        let missing = || PluginError::Refused(format!("it holds no {path}"));
        kept.documents.get(path).ok_or_else(missing)
    };
    let objects = Objects::parse(document(PLUGIN_FILE)?)
        .map_err(|reason| PluginError::rule(PLUGIN_FILE, reason))?;
    let path = format!("{IMAGES}/{INDEX_FILE}");
    let index = Index::parse(document(&path)?)
        .map_err(|error| PluginError::rule(&path, error.to_string()))?;
    let (mut charts, mut images) = (Vec::new(), Vec::new());
    for descriptor in index.manifests {
        let path = format!("{IMAGES}/{BLOBS}/{}", descriptor.digest.hex());
        let bytes = kept.documents.get(&path).filter(|bytes| descriptor.verify(bytes).is_ok());
        let manifest = bytes.and_then(|b| Manifest::parse(b, &descriptor.media_type).ok());
        let size = manifest.as_ref().map(|manifest| {
            manifest.blobs().fold(descriptor.size, |sum, blob| sum.saturating_add(blob.size))
        });
        let name = descriptor.annotations.get(REF_NAME).cloned().unwrap_or_default();
        let is_chart = manifest.is_some_and(|m| m.config.media_type == HELM_CONFIG_TYPE);
        let artifact = SummaryArtifact { name, digest: descriptor.digest, size };
        if is_chart { charts.push(artifact) } else { images.push(artifact) }
    }
    charts.sort_by(|a, b| a.name.cmp(&b.name));
    images.sort_by(|a, b| a.name.cmp(&b.name));
    let Objects { name, lifecycle, config, module_plugin, module_config: _ } = objects;
    let (version, is_signed) = (config.version.clone(), kept.is_signed);
    Ok(PluginSummary {
        name,
        version,
        lifecycle,
        config,
        module_plugin,
        charts,
        images,
        is_signed,
        size,
    })
}

/// What is kept of a package: its small documents.
#[derive(Default)]
struct Kept {
    documents: BTreeMap<String, Vec<u8>>,
    blobs: u64,
    is_signed: bool,
}

impl Take for Kept {
    fn take<R: Read>(
        &mut self,
        path: &str,
        size: u64,
        files: &mut Files<R>,
    ) -> Result<(), PluginError> {
        self.is_signed |= path == SUMS_SIGNATURE_FILE;
        let is_blob = path.strip_prefix(IMAGES).is_some_and(|rest| rest[1..].starts_with(BLOBS));
        let is_index = path.strip_prefix(IMAGES).is_some_and(|rest| &rest[1..] == INDEX_FILE);
        let keep = match path {
            PLUGIN_FILE => size <= OBJECTS_LIMIT,
            _ if is_blob => size <= KEPT_LIMIT && self.blobs + size <= ALL_KEPT_LIMIT,
            _ => is_index && size <= DOCUMENT_LIMIT,
        };
        if keep {
            self.blobs += if is_blob { size } else { 0 };
            self.documents.insert(path.to_owned(), files.bytes()?);
        }
        Ok(())
    }
}
