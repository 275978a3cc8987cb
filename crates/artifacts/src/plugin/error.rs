//! Decides why a plugin package is refused, and that the error names the file.

use std::io;
use std::path::{Path, PathBuf};

use crate::archive::FilesError;
use crate::content::ChartError;
use crate::layout::LayoutError;
use crate::package::PackageError;

/// Why a plugin package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It is cut, or no packed tar.
    #[error("it was cut or is no package: it cannot be read {place}")]
    Broken {
        /// `at its begin`, `after 'podinfo-1.0.0/plugin.yaml'`.
        place: String,
        /// Why.
        source: io::Error,
    },
    /// The archive holds what no plugin package holds, or lacks what each has.
    #[error("{0}")]
    Refused(String),
    /// It would fill the disk.
    #[error("it unpacks to more than {limit} bytes, which no package of its length does")]
    TooLarge {
        /// What is allowed.
        limit: u64,
    },
    /// A rule is broken.
    #[error("{file} is refused: {reason}")]
    Rule {
        /// Which file, by its path in the package.
        file: String,
        /// Why.
        reason: String,
    },
    /// A chart is none, or a trap for whoever unpacks it.
    #[error("{file} is no chart")]
    Chart {
        /// Which file or artifact.
        file: String,
        /// Why.
        source: ChartError,
    },
    /// A file of it is missing, changed or refused, as it may be in a core package.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It cannot be opened, or its files cannot be written.
    #[error("cannot {action} {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl PluginError {
    pub(super) fn rule(file: &str, reason: String) -> Self {
        Self::Rule { file: file.to_owned(), reason }
    }

    pub(super) fn reading(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { action: "read", path: path.to_owned(), source }
    }

    pub(super) fn writing(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { action: "write", path: path.to_owned(), source }
    }
}

impl From<FilesError> for PluginError {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Broken { place, source } => Self::Broken { place, source },
            FilesError::Rule(text) => Self::Refused(text),
        }
    }
}

impl From<LayoutError> for PluginError {
    fn from(error: LayoutError) -> Self {
        Self::Package(error.into())
    }
}
