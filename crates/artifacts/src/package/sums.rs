//! Decides how `SHA256SUMS` is read, and that it names nothing outside the package.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use api::Digest;

use super::{FILE_LIMIT, PackageError, failed};

/// Longest `SHA256SUMS`, in bytes.
const SUMS_LIMIT: u64 = 4 * 1024 * 1024;

/// The digests by path.
pub(super) fn read_sums(path: &Path) -> Result<BTreeMap<String, Digest>, PackageError> {
    let rule = |reason: String| PackageError::Rule { path: path.to_owned(), reason };
    let mut text = String::new();
    let file = File::open(path).map_err(|e| failed(path, e))?;
    file.take(SUMS_LIMIT + 1).read_to_string(&mut text).map_err(|e| failed(path, e))?;
    if text.len() as u64 > SUMS_LIMIT {
        return Err(rule(format!("it is longer than {SUMS_LIMIT} bytes")));
    }
    if !text.ends_with('\n') {
        return Err(rule("it was cut: its last line has no end".to_owned()));
    }
    let mut sums = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = || rule(format!("line {} is not '<sha256>  <path>'", number + 1));
        let (hex, name) = line.split_once("  ").ok_or_else(wrong)?;
        let digest = format!("sha256:{hex}").parse().map_err(|_| wrong())?;
        let inside = !name.split('/').any(|part| matches!(part, "" | "." | ".."));
        if !inside || sums.insert(name.to_owned(), digest).is_some() {
            return Err(wrong());
        }
        if sums.len() > FILE_LIMIT {
            return Err(rule(format!("it names more than {FILE_LIMIT} files")));
        }
    }
    Ok(sums)
}
