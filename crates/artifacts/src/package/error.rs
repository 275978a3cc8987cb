//! Decides why a package is refused, and that the error names the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::beneath::BeneathError;
use crate::build::package::SUMS_FILE;
use crate::layout::LayoutError;

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The folder is not an extracted core package.
    #[error("{folder} is not an extracted core package: {missing} is missing")]
    NotPackage {
        /// Which folder.
        folder: PathBuf,
        /// What each core package has.
        missing: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that the package names is not there.
    #[error("{0} is missing: the package was not extracted completely")]
    Missing(PathBuf),
    /// A file is not as the package was made.
    #[error("{path} was cut or changed: its SHA-256 is not the one in {SUMS_FILE}")]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// For other machines.
    #[error("{path} is for {found}, but this package must be for {expected}")]
    Architecture {
        /// Which file or image.
        path: String,
        /// As it says.
        found: String,
        /// As the caller needs it.
        expected: String,
    },
    /// A rule is broken.
    #[error("{path} is refused: {reason}")]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its layout is refused.
    #[error("the images of the package are refused")]
    Layout(#[from] LayoutError),
}

impl PackageError {
    /// A file, by its path below the package, that was not opened.
    pub(super) fn unopened(folder: &Path, name: &str, error: BeneathError) -> Self {
        let path = folder.join(name);
        match error {
            BeneathError::Io(source) => Self::reading(path, source),
            refused => Self::Rule { path, reason: refused.to_string() },
        }
    }

    /// A file that could not be read.
    pub(super) fn reading(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::NotFound => Self::Missing(path),
            _ => Self::Io { path, source },
        }
    }
}
