//! Decides how images, layouts, charts and packages are written: the same files always give the
//! same bytes. Nothing here reads what others wrote, and nothing talks to a registry.

pub mod image;
pub mod layout;
pub mod package;
mod plugin;
mod signature;
pub mod tree;

use std::path::{Path, PathBuf};

pub use image::{Compression, ImageBuilder, product_image};
pub use layout::LayoutWriter;
pub use package::write_package;
pub use signature::sign_package;
pub use tree::{Content, Tree, tgz, write_tgz};

/// Why something cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A file cannot be read or written.
    #[error("cannot {action} {path}")]
    Io {
        /// `read` or `write`.
        action: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A path that may not stand in an archive.
    #[error("'{0}' may not stand in an archive: paths are relative, without '.' and '..'")]
    Path(String),
    /// Neither file nor folder.
    #[error("{0} is neither a file nor a folder")]
    Kind(PathBuf),
    /// A file became longer or shorter while it was read.
    #[error("{0} changed while it was read")]
    Changed(PathBuf),
    /// The layout would be mixed with another one.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// A name that no registry accepts, or that stands twice.
    #[error("'{0}' is not the name of an image, or stands twice")]
    Name(String),
    /// A release that could not be read again.
    #[error("the release cannot be built")]
    Release(#[from] api::release::ReleaseError),
    /// A chart of the release is refused.
    #[error("the release cannot be built")]
    Chart(#[from] crate::content::ContentError),
    /// The release and its files do not fit together.
    #[error("the release cannot be built: {0}")]
    Content(String),
}

pub(crate) fn reading(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError + '_ {
    |source| BuildError::Io { action: "read", path: path.to_owned(), source }
}

pub(crate) fn writing(path: &Path) -> impl FnOnce(std::io::Error) -> BuildError + '_ {
    |source| BuildError::Io { action: "write", path: path.to_owned(), source }
}
