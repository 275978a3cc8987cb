//! Which plugin packages a path means, and how each is opened.

use crate::failure::Failure;
use api::text::line;
use artifacts::plugin::{Opened, PLUGIN_FILE};
use std::path::{Path, PathBuf};

/// How a packed package ends.
const PACKED: &str = "tgz";
/// Most packages of one folder.
const LIMIT: usize = 256;

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

/// Opens a package and checks every sum; a packed one is unpacked below `temporary`.
///
/// # Errors
/// When the package is not as it was made, or cannot be unpacked.
pub(crate) fn open(path: &Path, temporary: &Path) -> Result<Opened, Failure> {
    Opened::open(path, None, temporary)
        .map_err(|source| Failure::Package { file: name(path), source })
}
