//! A plugin package at hand: a packed one is unpacked into a folder that goes away with it.

use std::path::Path;

use api::Digest;
use api::text::line;
use tempfile::TempDir;

use super::{PluginError, PluginPackage};
use crate::progress::bytes;

/// A package that was read and checked.
#[derive(Debug)]
pub struct Opened {
    /// The package.
    pub package: PluginPackage,
    /// Where it was unpacked.
    _folder: Option<TempDir>,
}

impl Opened {
    /// Opens a package and checks every sum. A packed one is unpacked below `temporary`, and must
    /// have the digest where somebody vouches for one.
    ///
    /// # Errors
    /// When the package is not as it was made, or cannot be unpacked.
    pub fn open(
        path: &Path,
        digest: Option<&Digest>,
        temporary: &Path,
    ) -> Result<Self, PluginError> {
        // Nothing is shown of the reading: a disk is quick where a registry is not.
        let unseen = |_: u64| {};
        if path.is_dir() {
            let package = PluginPackage::open(path)?;
            package.verify(unseen)?;
            return Ok(Self { package, _folder: None });
        }
        let folder = tempfile::Builder::new().prefix("plugin-").tempdir_in(temporary);
        let folder = folder.map_err(PluginError::writing(temporary))?;
        let package = PluginPackage::unpack_known(path, digest, folder.path(), unseen)?;
        Ok(Self { package, _folder: Some(folder) })
    }

    /// `podinfo 1.0.0 (Agnostic)`.
    #[must_use]
    pub fn title(&self) -> String {
        let package = &self.package;
        format!(
            "{} {} ({})",
            line(package.name(), 64),
            line(package.version(), 64),
            package.lifecycle().as_str()
        )
    }

    /// `podinfo 1.0.0 (Agnostic): 3 artifacts, 12 MiB`.
    #[must_use]
    pub fn words(&self) -> String {
        let artifacts = self.package.layout().images().count();
        format!("{}: {artifacts} artifacts, {}", self.title(), bytes(self.package.size()))
    }
}
