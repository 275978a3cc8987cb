//! Decides whether a plugin package that an administrator added is whole: every file in it has the
//! sum that its own `SHA256SUMS` says. It is read once, and nothing of it is unpacked.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;

use api::Digest;
use flate2::bufread::GzDecoder;

use super::sums::{SUMS_LIMIT, parse};
use crate::archive::{Files, FilesError};
use crate::beneath::{self, BeneathError};
use crate::build::package::{SUMS_FILE, SUMS_SIGNATURE_FILE};
use crate::digest::{self, CHUNK, MeasuredReader};

/// Why a plugin package is refused.
#[derive(Debug, thiserror::Error)]
pub enum AddedError {
    /// It is not opened.
    #[error("{0}")]
    File(String),
    /// It is cut, or no packed tar.
    #[error("it was cut or is no package: it cannot be read {place}")]
    Broken {
        /// `at its begin`, `after 'logging/plugin.yaml'`.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// It is not as it was made.
    #[error("{0}")]
    Rule(String),
}

/// Reads a plugin package and compares; gives its digest and its length.
pub(crate) fn check_added(path: &Path) -> Result<(Digest, u64), AddedError> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(Path::new("."));
    let (file, _) = beneath::open(folder, name).map_err(|error| match error {
        BeneathError::Io(source) => AddedError::File(source.to_string()),
        refused => AddedError::File(refused.to_string()),
    })?;
    let buffered = BufReader::with_capacity(CHUNK, MeasuredReader::new(file));
    let mut packed = GzDecoder::new(buffered);
    let (files, sums) = read(&mut packed)?;
    let mut buffered = packed.into_inner();
    let at_end = buffered.fill_buf().map_err(|e| AddedError::File(e.to_string()))?.is_empty();
    if !at_end {
        return Err(AddedError::Rule("bytes follow its packed archive".to_owned()));
    }
    compare(&files, &sums)?;
    Ok(buffered.into_inner().finish())
}

type Sums = BTreeMap<String, Digest>;

/// The digests of the files by their path in the archive, and its sums by that of `SHA256SUMS`.
fn read(reader: impl io::Read) -> Result<(Sums, BTreeMap<String, Sums>), AddedError> {
    let (mut files, mut sums) = (Sums::new(), BTreeMap::new());
    let mut archive = Files::new(reader);
    while let Some(file) = archive.next()? {
        let path = file.path;
        let digest = if path.rsplit('/').next() == Some(SUMS_FILE) && file.size <= SUMS_LIMIT {
            let bytes = archive.bytes()?;
            let prefix = path.strip_suffix(SUMS_FILE).unwrap_or_default().to_owned();
            let text = parse(&bytes).map_err(|e| AddedError::Rule(format!("{path}: {e}")))?;
            sums.insert(prefix, text);
            digest::of(&bytes)
        } else {
            archive.digest()?
        };
        files.insert(path, digest);
    }
    Ok((files, sums))
}

/// Every file must be under the outermost sums, and every sum must be that of a file.
fn compare(files: &Sums, sums: &BTreeMap<String, Sums>) -> Result<(), AddedError> {
    let outermost = sums.iter().min_by_key(|(prefix, _)| prefix.matches('/').count());
    let Some((prefix, sums)) = outermost.filter(|(prefix, _)| prefix.matches('/').count() <= 1)
    else {
        return Err(AddedError::Rule(format!("it holds no {SUMS_FILE}")));
    };
    for (path, found) in files {
        let name = path.strip_prefix(prefix.as_str()).unwrap_or(path);
        if name == SUMS_FILE || name == SUMS_SIGNATURE_FILE {
            continue;
        }
        match sums.get(name) {
            Some(expected) if expected == found && path.starts_with(prefix.as_str()) => {}
            Some(_) => {
                let text =
                    format!("'{path}' in it was changed: its sum is not the one in {SUMS_FILE}");
                return Err(AddedError::Rule(text));
            }
            None => {
                return Err(AddedError::Rule(format!("its {SUMS_FILE} does not name '{path}'")));
            }
        }
    }
    match sums.keys().find(|name| !files.contains_key(&format!("{prefix}{name}"))) {
        None => Ok(()),
        Some(name) => {
            Err(AddedError::Rule(format!("'{name}', which its {SUMS_FILE} names, is missing")))
        }
    }
}

impl From<FilesError> for AddedError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Broken { place, source } => Self::Broken { place, source },
            FilesError::Rule(text) => Self::Rule(text),
        }
    }
}
