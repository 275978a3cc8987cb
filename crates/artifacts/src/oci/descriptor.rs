//! Decides what names a blob, and whether bytes are the ones that are named.

use std::collections::BTreeMap;

use api::Digest;
use serde::{Deserialize, Serialize};

use super::{ARCHITECTURE, OS};

/// What names a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is.
    pub media_type: String,
    /// Of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
    /// Other addresses of the blob; what has some is refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// Of an image in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Of an artifact in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// For people and tools.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    /// Names bytes in memory.
    #[must_use]
    pub fn of(media_type: &str, bytes: &[u8]) -> Self {
        Self::new(media_type, crate::digest::of(bytes), bytes.len() as u64)
    }

    /// Names a blob whose digest and size are known.
    #[must_use]
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            urls: Vec::new(),
            platform: None,
            artifact_type: None,
            annotations: BTreeMap::new(),
        }
    }

    /// Checks that bytes are the ones that the descriptor names.
    ///
    /// # Errors
    /// When their number or their digest is another.
    pub fn verify(&self, bytes: &[u8]) -> Result<(), Mismatch> {
        self.verify_measured(&crate::digest::of(bytes), bytes.len() as u64)
    }

    /// The same for bytes that were measured while they streamed by.
    ///
    /// # Errors
    /// When their number or their digest is another.
    pub fn verify_measured(&self, found: &Digest, size: u64) -> Result<(), Mismatch> {
        if size != self.size {
            return Err(Mismatch::Size { expected: self.size, found: size });
        }
        if *found != self.digest {
            let (expected, found) = (self.digest.clone(), found.clone());
            return Err(Mismatch::Digest { expected, found });
        }
        Ok(())
    }
}

/// Bytes are not the ones that a descriptor names.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// Too few or too many.
    #[error("{found} bytes instead of {expected}")]
    Size {
        /// As the descriptor says.
        expected: u64,
        /// As they are.
        found: u64,
    },
    /// Other ones.
    #[error("the bytes have digest {found} instead of {expected}")]
    Digest {
        /// As the descriptor says.
        expected: Digest,
        /// As they are.
        found: Digest,
    },
}

/// On what an image runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// As Go names it.
    pub architecture: String,
    /// As Go names it.
    pub os: String,
}

impl Default for Platform {
    fn default() -> Self {
        Self { architecture: ARCHITECTURE.to_owned(), os: OS.to_owned() }
    }
}
