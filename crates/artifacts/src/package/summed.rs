//! Decides whether the files of an extracted folder are those that its `SHA256SUMS` names. Knows
//! nothing of what the files mean, nor of whose keys count.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use api::Digest;

use super::PackageError;
use super::sums::read_sums;
use crate::beneath::{self, BeneathError};
use crate::build::package::SUMS_FILE;
use crate::digest::{self, CHUNK, Measure};

/// A folder whose sums were read.
#[derive(Debug, Clone)]
pub(crate) struct Summed {
    /// Where it is.
    pub(crate) folder: PathBuf,
    /// The digests by path, as `SHA256SUMS` says.
    pub(crate) sums: BTreeMap<String, Digest>,
}

impl Summed {
    pub(crate) fn read(folder: &Path) -> Result<Self, PackageError> {
        Ok(Self { folder: folder.to_owned(), sums: read_sums(folder)? })
    }

    /// Reads every file and compares. `read` is told how many bytes were read since it was told
    /// last.
    pub(crate) fn verify(&self, mut read: impl FnMut(u64)) -> Result<(), PackageError> {
        let mut buffer = vec![0; CHUNK];
        for (name, expected) in &self.sums {
            let path = self.folder.join(name);
            let (mut file, _) = beneath::open(&self.folder, name)
                .map_err(|e| PackageError::unopened(&self.folder, name, e))?;
            let mut measure = Measure::default();
            loop {
                let n =
                    file.read(&mut buffer).map_err(|e| PackageError::reading(path.clone(), e))?;
                if n == 0 {
                    break;
                }
                measure.update(&buffer[..n]);
                read(n as u64);
            }
            if measure.digest() != *expected {
                return Err(PackageError::Changed { path });
            }
        }
        Ok(())
    }

    /// How many bytes the files have.
    pub(crate) fn size(&self) -> Result<u64, PackageError> {
        self.sums.keys().try_fold(0, |sum: u64, name| {
            let length = beneath::length(&self.folder, name)
                .map_err(|e| PackageError::unopened(&self.folder, name, e))?;
            Ok(sum.saturating_add(length))
        })
    }

    /// The bytes of a file, which are those that the sums were written for.
    pub(crate) fn listed(&self, name: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
        let path = self.folder.join(name);
        let rule = |reason| Err(PackageError::Rule { path: path.clone(), reason });
        let Some(expected) = self.sums.get(name) else {
            return rule(format!("{SUMS_FILE} does not name it"));
        };
        let (file, length) = beneath::open(&self.folder, name)
            .map_err(|e| PackageError::unopened(&self.folder, name, e))?;
        let mut bytes = Vec::new();
        if length <= limit {
            let read = file.take(limit.saturating_add(1)).read_to_end(&mut bytes);
            read.map_err(|e| PackageError::reading(path.clone(), e))?;
        }
        if length.max(bytes.len() as u64) > limit {
            return rule(format!("it is longer than {limit} bytes"));
        }
        match digest::of(&bytes) == *expected {
            true => Ok(bytes),
            false => Err(PackageError::Changed { path }),
        }
    }

    /// A file that stands under no sums; none where there is no such file.
    pub(crate) fn unlisted(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, PackageError> {
        let (file, _) = match beneath::open(&self.folder, name) {
            Ok(found) => found,
            Err(BeneathError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => {
                return Ok(None);
            }
            Err(error) => return Err(PackageError::unopened(&self.folder, name, error)),
        };
        let mut bytes = Vec::new();
        let path = self.folder.join(name);
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| PackageError::reading(path.clone(), e))?;
        if bytes.len() as u64 > limit {
            let reason = format!("it is longer than {limit} bytes");
            return Err(PackageError::Rule { path, reason });
        }
        Ok(Some(bytes))
    }
}
