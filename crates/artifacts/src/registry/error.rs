//! Decides what can go wrong with a registry, and which of it passes by itself. No error ever
//! holds a password or a token.

use std::path::PathBuf;
use std::time::Duration;

use crate::content::ContentError;
use crate::oci::{DocumentError, Mismatch};

/// The words of every system for a full disk, in lower case.
const FULL: &str = "no space left";
/// The status of a server that has no room, as it begins our words for it.
const INSUFFICIENT_STORAGE: &str = "507 ";

/// Whether words are about a full disk.
pub(super) fn says_full(words: &str) -> bool {
    words.starts_with(INSUFFICIENT_STORAGE) || words.to_lowercase().contains(FULL)
}

/// Why a registry did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// It does not have what was asked for.
    #[error("{registry} has no {what}: {words}")]
    NotFound {
        /// Host and port.
        registry: String,
        /// What was asked for.
        what: String,
        /// As the registry says.
        words: String,
    },
    /// The account may not, or its password is wrong.
    #[error("{registry} denies to {action} ({status}): {words}")]
    Denied {
        /// Host and port.
        registry: String,
        /// `pull acp/product-image:v4.3.0`.
        action: String,
        /// 401: who asks is not known. 403: who asks may not.
        status: u16,
        /// As the registry says.
        words: String,
    },
    /// It cannot be reached, does not answer, or cannot work; after all attempts.
    #[error("cannot {action} at {registry}: {words}")]
    Unavailable {
        /// Host and port.
        registry: String,
        /// What was asked for.
        action: String,
        /// As the registry or the connection says.
        words: String,
        /// Whether it may pass by itself.
        passing: bool,
        /// When the registry asks to be asked again.
        after: Option<Duration>,
    },
    /// It refuses what it was given.
    #[error("{registry} refuses to {action} ({status}): {words}")]
    Refused {
        /// Host and port.
        registry: String,
        /// What was asked for.
        action: String,
        /// Of its answer.
        status: u16,
        /// As the registry says.
        words: String,
    },
    /// It gave other bytes than those that were asked for.
    #[error("the registry gave other bytes for {what}")]
    Mismatch {
        /// What was asked for.
        what: String,
        /// What differs.
        source: Mismatch,
    },
    /// It gave a document that is refused.
    #[error("{what} is refused")]
    Document {
        /// What was asked for.
        what: String,
        /// Why.
        source: DocumentError,
    },
    /// It gave an image that is no product image, or an artifact that is no chart.
    #[error("{what} is refused")]
    Content {
        /// What was asked for.
        what: String,
        /// Why.
        source: ContentError,
    },
    /// It gave what breaks the protocol, or what we do not follow for safety.
    #[error("{what} is refused: {reason}")]
    Invalid {
        /// What was asked for.
        what: String,
        /// Why.
        reason: String,
    },
    /// A file that is sent cannot be read or is not the one that was named.
    #[error("cannot send {path}: {reason}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Address, certificate or credentials that cannot be used.
    #[error("the registry cannot be used: {0}")]
    Settings(String),
}

impl RegistryError {
    /// Whether the same may work later without anybody doing anything.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        matches!(self, Self::Unavailable { passing: true, .. })
    }

    /// Whether the registry says that it has no room: a person must make some, whatever status it
    /// says it with.
    #[must_use]
    pub fn is_full(&self) -> bool {
        match self {
            Self::Unavailable { words, .. } | Self::Refused { words, .. } => says_full(words),
            _ => false,
        }
    }

    /// Whether the bytes or the document are at fault, so that asking again is of no use.
    #[must_use]
    pub const fn is_invalid(&self) -> bool {
        matches!(
            self,
            Self::Mismatch { .. }
                | Self::Document { .. }
                | Self::Content { .. }
                | Self::Invalid { .. }
        )
    }
}
