//! Decides what the layer of a product image may hold, and gives its files only if the whole layer
//! is the one that was named. Knows nothing of what the files mean.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use api::Digest;
use api::release::{OPERATION_LIMIT, PRODUCT_IMAGE_LIMIT, RELEASE_FILE, RELEASE_FOLDER};
use flate2::bufread::GzDecoder;

use super::{ContentError, is_release_path};
use crate::archive::{Broken, Entries, Found};
use crate::digest::MeasuredReader;
use crate::oci::Mismatch;

/// Most files and folders in the layer of a product image.
const ENTRY_LIMIT: usize = 4 * OPERATION_LIMIT;
/// What the tar adds to the files at most: headers, padding and its end.
const TAR_OVERHEAD: u64 = (ENTRY_LIMIT as u64 + 20) * 1024;

/// The files of a layer by their path below the release's folder.
pub(super) fn read(
    layer: &[u8],
    packed: bool,
    diff_id: &Digest,
) -> Result<BTreeMap<String, Vec<u8>>, ContentError> {
    if !packed {
        return read_tar(layer, diff_id);
    }
    let mut packed = GzDecoder::new(layer);
    let files = read_tar(&mut packed, diff_id)?;
    // Whatever follows the first member would be content to some readers and not to others.
    if packed.into_inner().is_empty() {
        return Ok(files);
    }
    Err(ContentError::NotProduct("bytes follow its packed layer".to_owned()))
}

/// Reads every file of the layer, and gives them only if the whole tar has its digest.
fn read_tar(
    reader: impl Read,
    diff_id: &Digest,
) -> Result<BTreeMap<String, Vec<u8>>, ContentError> {
    let limit = PRODUCT_IMAGE_LIMIT + TAR_OVERHEAD;
    let mut measured = MeasuredReader::new(reader.take(limit + 1));
    let result = read_entries(&mut measured);
    if measured.length() > limit {
        return Err(ContentError::TooLarge);
    }
    let files = result?;
    let found = measured.finish().0;
    if found != *diff_id {
        let source = Mismatch::Digest { expected: diff_id.clone(), found };
        return Err(ContentError::Mismatch { part: "unpacked layer", source });
    }
    Ok(files)
}

fn read_entries(reader: impl Read) -> Result<BTreeMap<String, Vec<u8>>, ContentError> {
    let (mut files, mut plain) = (BTreeMap::new(), BTreeSet::new());
    let mut left = PRODUCT_IMAGE_LIMIT;
    let mut entries = Entries::new(reader);
    while let Some(found) = entries.next()? {
        if found.number >= ENTRY_LIMIT {
            let many = format!("its layer has more than {ENTRY_LIMIT} entries");
            return Err(ContentError::NotProduct(many));
        }
        let shown = api::text::line(&found.path, 128);
        let holds = |reason: &str| {
            Err(ContentError::NotProduct(format!("its layer holds '{shown}'{reason}")))
        };
        if let Some(oddity) = found.oddity {
            return holds(&format!(", but {oddity}"));
        }
        if found.kind.is_dir() && found.size == 0 && is_release_folder(&found.path) {
            continue;
        }
        let Some(name) = file_name(&found) else { return holds("") };
        // Two files here are one on machines that do not tell case apart.
        if !plain.insert(name.to_lowercase()) {
            return holds(" twice");
        }
        left = left.checked_sub(found.size).ok_or(ContentError::FileTooLarge(shown))?;
        files.insert(name.to_owned(), entries.bytes()?);
    }
    Ok(files)
}

/// The path below the release's folder of a file that may stand there.
fn file_name(found: &Found) -> Option<&str> {
    let name = found.path.strip_prefix(RELEASE_FOLDER)?.strip_prefix('/')?;
    (found.kind.is_file() && (name == RELEASE_FILE || is_release_path(name))).then_some(name)
}

fn is_release_folder(path: &str) -> bool {
    let rest = path.strip_prefix(RELEASE_FOLDER).unwrap_or(path);
    matches!(rest, "/" | "/charts/" | "/manifests/")
}

impl From<Broken> for ContentError {
    fn from(broken: Broken) -> Self {
        Self::Layer { place: broken.place, source: broken.source }
    }
}
