//! Decides how an OCI image layout is written: each blob once, under its digest, each image in the
//! index by `<repository>:<tag>`. Knows nothing of what the images hold.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use api::release::ReleaseImage;
use api::{Digest, ImageRef};

use super::tree::keep;
use super::{BuildError, writing};
use crate::digest::Measured;
use crate::oci::{Descriptor, INDEX_TYPE, Index, MANIFEST_TYPE, Manifest, Platform, REF_NAME};

/// The file that says a folder is a layout.
pub(crate) const LAYOUT_FILE: &str = "oci-layout";
/// What it holds.
const LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The index of the images.
pub(crate) const INDEX_FILE: &str = "index.json";
/// Where the blobs are.
pub(crate) const BLOBS: &str = "blobs/sha256";

/// Writes one layout.
#[derive(Debug)]
pub struct LayoutWriter {
    folder: PathBuf,
    images: BTreeMap<String, Descriptor>,
}

impl LayoutWriter {
    /// Begins a layout in a folder that is absent or empty.
    ///
    /// # Errors
    /// When the folder holds something or cannot be written.
    pub fn create(folder: &Path) -> Result<Self, BuildError> {
        fs::create_dir_all(folder).map_err(writing(folder))?;
        if fs::read_dir(folder).map_err(writing(folder))?.next().is_some() {
            return Err(BuildError::NotEmpty(folder.to_owned()));
        }
        let blobs = folder.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(writing(&blobs))?;
        Ok(Self { folder: folder.to_owned(), images: BTreeMap::new() })
    }

    /// Writes a blob that `fill` streams.
    ///
    /// # Errors
    /// When `fill` fails or the blob cannot be written.
    pub fn blob_from<T>(
        &mut self,
        media_type: &str,
        fill: impl FnOnce(&mut dyn Write, &Path) -> Result<T, BuildError>,
    ) -> Result<(Descriptor, T), BuildError> {
        let blobs = self.folder.join(BLOBS);
        let mut file = tempfile::NamedTempFile::new_in(&blobs).map_err(writing(&blobs))?;
        let buffered = std::io::BufWriter::with_capacity(crate::digest::CHUNK, &mut file);
        let mut measured = Measured::new(buffered);
        let value = fill(&mut measured, &blobs)?;
        measured.flush().map_err(writing(&blobs))?;
        let (buffered, digest, size) = measured.finish();
        drop(buffered);
        let target = blobs.join(digest.hex());
        if !target.exists() {
            keep(file, &target)?;
        }
        Ok((Descriptor::new(media_type, digest, size), value))
    }

    /// Writes a blob from memory.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn blob(&mut self, media_type: &str, bytes: &[u8]) -> Result<Descriptor, BuildError> {
        let fill = |out: &mut dyn Write, path: &Path| out.write_all(bytes).map_err(writing(path));
        Ok(self.blob_from(media_type, fill)?.0)
    }

    /// Writes the manifest of an image whose blobs are written, and names the image.
    ///
    /// # Errors
    /// When the name is none or stands already, or the manifest cannot be written.
    pub fn image(
        &mut self,
        repository: &str,
        tag: &str,
        manifest: &Manifest,
        platform: Option<Platform>,
    ) -> Result<ReleaseImage, BuildError> {
        let name = format!("{repository}:{tag}");
        let valid = format!("layout/{name}").parse::<ImageRef>().is_ok();
        if !valid || self.images.contains_key(&name) {
            return Err(BuildError::Name(name));
        }
        let mut descriptor = self.blob(MANIFEST_TYPE, &json(manifest))?;
        descriptor.platform = platform;
        descriptor.artifact_type.clone_from(&manifest.artifact_type);
        descriptor.annotations.insert(REF_NAME.to_owned(), name.clone());
        let digest = descriptor.digest.clone();
        self.images.insert(name, descriptor);
        Ok(ReleaseImage { repository: repository.to_owned(), tag: tag.to_owned(), digest })
    }

    /// Ends the layout and gives the digest of its index.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<Digest, BuildError> {
        let index = json(&Index {
            schema_version: 2,
            media_type: Some(INDEX_TYPE.to_owned()),
            manifests: self.images.into_values().collect(),
        });
        for (name, bytes) in [(LAYOUT_FILE, LAYOUT.as_bytes()), (INDEX_FILE, &index)] {
            let path = self.folder.join(name);
            fs::write(&path, bytes).map_err(writing(&path))?;
        }
        Ok(crate::digest::of(&index))
    }
}

/// A document of ours as bytes.
pub(crate) fn json(document: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("our documents hold nothing that JSON cannot say")
}
