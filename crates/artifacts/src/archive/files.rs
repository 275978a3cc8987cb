//! Decides which files a tar that others wrote gives: regular ones, each once, at plain paths.
//! Folders are passed over; anything else is refused. Knows nothing of what the files mean.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tar::EntryType;

use super::{Broken, Entries, is_plain};

/// Most entries of one archive.
const ENTRY_LIMIT: usize = 16 * 1024;

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    /// It is cut, or no tar.
    #[error("it cannot be read {place}")]
    Broken {
        /// `at its begin`, `after 'logging/plugin.yaml'`.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// It holds what it may not hold.
    #[error("{0}")]
    Rule(String),
}

impl From<Broken> for FilesError {
    fn from(broken: Broken) -> Self {
        Self::Broken { place: broken.place, source: broken.source }
    }
}

/// A file before its bytes.
#[derive(Debug)]
pub(crate) struct File {
    /// In the archive.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
}

/// The files of a tar, one after the other.
#[derive(Debug)]
pub(crate) struct Files<R> {
    entries: Entries<R>,
    seen: BTreeSet<String>,
}

impl<R: Read> Files<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { entries: Entries::new(reader), seen: BTreeSet::new() }
    }

    /// The next file; none after the last one, when the tar was read to its end.
    pub(crate) fn next(&mut self) -> Result<Option<File>, FilesError> {
        let mut renamed = None;
        while let Some(found) = self.entries.next()? {
            if found.number >= ENTRY_LIMIT {
                let text = format!("it holds more than {ENTRY_LIMIT} entries");
                return Err(FilesError::Rule(text));
            }
            if let Some(oddity) = found.oddity {
                return Err(holds(&found.path, &format!(", but {oddity}")));
            }
            match found.kind {
                EntryType::XHeader | EntryType::GNULongName => {
                    let read = self.entries.renamed(&found)?;
                    renamed = read.map_err(|reason| holds(&found.path, reason))?;
                    continue;
                }
                EntryType::Regular | EntryType::Directory => {}
                _ => return Err(holds(&found.path, ": no file")),
            }
            let path = renamed.take().unwrap_or_else(|| found.path.clone());
            if !is_plain(&path) {
                return Err(holds(&path, ": a path that leaves its folder"));
            }
            if found.kind.is_dir() {
                continue;
            }
            // Two files here are one on machines that do not tell case apart.
            if !self.seen.insert(path.to_lowercase()) {
                return Err(holds(&path, " twice"));
            }
            return Ok(Some(File { path, size: found.size }));
        }
        Ok(None)
    }

    /// The bytes of the file that came last; the caller has checked its size.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, FilesError> {
        Ok(self.entries.bytes()?)
    }

    /// Hands on the bytes of the file that came last, piece by piece.
    pub(crate) fn pieces<E: From<FilesError>>(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut buffer = vec![0; crate::digest::CHUNK];
        loop {
            match self.entries.piece(&mut buffer).map_err(FilesError::from)? {
                0 => return Ok(()),
                n => take(&buffer[..n])?,
            }
        }
    }
}

/// What is refused, with its path.
fn holds(path: &str, reason: &str) -> FilesError {
    FilesError::Rule(format!("it holds '{}'{reason}", api::text::line(path, 128)))
}
