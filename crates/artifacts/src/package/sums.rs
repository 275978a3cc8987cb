//! Decides how `SHA256SUMS` is read, and that it names nothing outside the package.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::path::Path;

use api::Digest;

use super::{FILE_LIMIT, PackageError};
use crate::beneath;
use crate::build::package::SUMS_FILE;

/// Longest `SHA256SUMS`, in bytes.
pub(crate) const SUMS_LIMIT: u64 = 4 * 1024 * 1024;

/// The digests by path.
pub(super) fn read_sums(folder: &Path) -> Result<BTreeMap<String, Digest>, PackageError> {
    let path = folder.join(SUMS_FILE);
    let rule = |reason: String| PackageError::Rule { path: path.clone(), reason };
    let (file, _) = beneath::open(folder, SUMS_FILE)
        .map_err(|e| PackageError::unopened(folder, SUMS_FILE, e))?;
    let mut bytes = Vec::new();
    file.take(SUMS_LIMIT + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| PackageError::reading(path.clone(), e))?;
    if bytes.len() as u64 > SUMS_LIMIT {
        return Err(rule(format!("it is longer than {SUMS_LIMIT} bytes")));
    }
    parse(&bytes).map_err(rule)
}

/// The digests by path that a `SHA256SUMS` says.
///
/// # Errors
/// What is wrong with the text.
pub fn parse(bytes: &[u8]) -> Result<BTreeMap<String, Digest>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
    if !text.ends_with('\n') {
        return Err("it was cut: its last line has no end".to_owned());
    }
    let (mut sums, mut plain) = (BTreeMap::new(), BTreeSet::new());
    for (number, line) in text.split_terminator('\n').enumerate() {
        let shown = api::text::line(line, 160);
        let wrong = |reason: &str| format!("line {} '{shown}' {reason}", number + 1);
        let form = || wrong("is not '<sha256>  <path>'");
        let (hex, name) = line.split_once("  ").ok_or_else(form)?;
        let digest = format!("sha256:{hex}").parse().map_err(|_| form())?;
        let inside = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !inside || name.contains(|c: char| c.is_control() || c == '\\') {
            return Err(wrong("does not name a file of the package"));
        }
        // Two files here are one on machines that do not tell case apart.
        if !plain.insert(name.to_lowercase()) {
            return Err(wrong("names a file twice"));
        }
        sums.insert(name.to_owned(), digest);
        if sums.len() > FILE_LIMIT {
            return Err(format!("it names more than {FILE_LIMIT} files"));
        }
    }
    Ok(sums)
}
