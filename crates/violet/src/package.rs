//! Which plugin packages a path means, and how each is opened: a packed one is unpacked into a
//! folder that goes away with it, and every sum is checked.

use crate::failure::Failure;
use api::text::line;
use artifacts::plugin::{PLUGIN_FILE, PluginPackage};
use artifacts::progress::bytes;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// How a packed package ends.
const PACKED: &str = "tgz";
/// Most packages of one folder.
const LIMIT: usize = 256;

/// A package that was read and checked.
pub(crate) struct Opened {
    pub(crate) package: PluginPackage,
    /// Where it was unpacked; it goes away with this.
    _folder: Option<TempDir>,
}

/// The packages that a path means, sorted by name: itself, or those in it.
///
/// # Errors
/// When the path cannot be read, or no package is there.
pub(crate) fn found(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unread = |source| Failure::File { action: "read", path: path.to_owned(), source };
    let kind = std::fs::metadata(path).map_err(unread)?;
    if kind.is_file() || path.join(PLUGIN_FILE).is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let mut all = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unread)? {
        let file = entry.map_err(unread)?.path();
        if file.extension().is_some_and(|end| end == PACKED) && file.is_file() {
            all.push(file);
        }
        if all.len() > LIMIT {
            let text = format!("{} holds more than {LIMIT} packages", path.display());
            return Err(Failure::refused(text, "push some of them, one after the other"));
        }
    }
    if all.is_empty() {
        return Err(Failure::refused(
            format!("{} holds no plugin package", path.display()),
            format!(
                "name a .{PACKED} file, a folder of them, or an extracted package, which has a {PLUGIN_FILE}"
            ),
        ));
    }
    all.sort();
    Ok(all)
}

/// Name of a package's file or folder, for people.
pub(crate) fn name(path: &Path) -> String {
    line(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy(), 128)
}

impl Opened {
    /// Unpacks below `temporary` where it is packed, and checks every sum.
    ///
    /// # Errors
    /// When the package is not as it was made, or cannot be unpacked.
    pub(crate) fn open(path: &Path, temporary: &Path) -> Result<Self, Failure> {
        let refused = |source| Failure::Package { file: name(path), source };
        // Nothing is shown of the reading: a disk is quick where a registry is not.
        let unseen = |_: u64| {};
        if path.is_dir() {
            let package = PluginPackage::open(path).map_err(refused)?;
            package.verify(unseen).map_err(refused)?;
            return Ok(Self { package, _folder: None });
        }
        let folder = tempfile::Builder::new().prefix("violet-").tempdir_in(temporary);
        let folder = folder.map_err(|source| Failure::File {
            action: "write",
            path: temporary.to_owned(),
            source,
        })?;
        let package = PluginPackage::unpack(path, folder.path(), unseen).map_err(refused)?;
        package.verify(unseen).map_err(refused)?;
        Ok(Self { package, _folder: Some(folder) })
    }

    /// `podinfo 1.0.0 (Agnostic): 3 artifacts, 12 MiB`.
    pub(crate) fn words(&self) -> String {
        let package = &self.package;
        let artifacts = package.layout().images().count();
        format!(
            "{} {} ({}): {artifacts} artifacts, {}",
            line(package.name(), 64),
            line(package.version(), 64),
            package.lifecycle().as_str(),
            bytes(package.size()),
        )
    }
}
