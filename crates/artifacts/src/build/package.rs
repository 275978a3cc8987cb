//! Decides how a prepared folder becomes a package: `SHA256SUMS` of every file, then one tgz.
//! Knows nothing of what the files mean.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;

use api::Digest;

use super::tree::{files_below, gzip, keep};
use super::{BuildError, Tree, reading, writing};
use crate::digest::{CHUNK, Measured, of_reader};

/// The file with the sums of all others.
pub(crate) const SUMS_FILE: &str = "SHA256SUMS";
/// The file with the signatures of the sums.
pub const SUMS_SIGNATURE_FILE: &str = "SHA256SUMS.sig";
/// The blobs are packed already, so a fast level costs little space.
const LEVEL: u32 = 1;

/// Writes `SHA256SUMS` into a folder and packs the folder as `target`, all of it below the folder
/// `root`. Gives the digest of the package.
///
/// # Errors
/// When a file cannot be read or written, or the folder holds what is neither file nor folder.
pub fn write_package(folder: &Path, root: &str, target: &Path) -> Result<Digest, BuildError> {
    write_sums(folder)?;
    pack(folder, root, target)
}

/// Packs a folder whose sums are written, and perhaps signed, as `target`, all of it below the
/// folder `root`. Gives the digest of the package.
///
/// # Errors
/// When a file cannot be read or written, or the folder holds what is neither file nor folder.
pub fn pack(folder: &Path, root: &str, target: &Path) -> Result<Digest, BuildError> {
    let parent = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(parent).map_err(writing(target))?;
    let measured = Measured::new(BufWriter::with_capacity(CHUNK, &mut file));
    let packed = Tree::folder(root, folder)?.write_tar(gzip(measured, LEVEL), target)?;
    let mut measured = packed.finish().map_err(writing(target))?;
    measured.flush().map_err(writing(target))?;
    let (buffered, digest, _) = measured.finish();
    drop(buffered);
    keep(file, target)?;
    Ok(digest)
}

/// Writes `SHA256SUMS` as `sha256sum` does, sorted by path.
///
/// # Errors
/// When a file cannot be read, or the sums cannot be written.
pub fn write_sums(folder: &Path) -> Result<(), BuildError> {
    let mut sums = String::new();
    for (name, path, _) in files_below(folder)? {
        if name == SUMS_FILE || name == SUMS_SIGNATURE_FILE {
            continue;
        }
        // sha256sum writes such names escaped; no file of a package needs one.
        if name.contains(['\n', '\r', '\\']) {
            return Err(BuildError::Path(name));
        }
        let file = File::open(&path).map_err(reading(&path))?;
        let (digest, _) = of_reader(file).map_err(reading(&path))?;
        writeln!(sums, "{}  {name}", digest.hex()).expect("a String takes all that is written");
    }
    let path = folder.join(SUMS_FILE);
    fs::write(&path, sums).map_err(writing(&path))
}
