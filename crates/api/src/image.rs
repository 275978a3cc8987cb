//! Digests and image references, as far as the contracts need them.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A text that is no digest or no image reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// Not `sha256:` and 64 hexadecimal digits.
    #[error("'{0}' is not a digest of the form sha256:<64 hexadecimal digits>")]
    Digest(String),
    /// Not `<registry>/<repository>[:<tag>][@<digest>]`.
    #[error("'{0}' is not an image reference of the form <registry>/<repository>@<digest>")]
    Reference(String),
}

/// `sha256:` and 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The digest of some bytes.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::Digest as _;
        let hash = sha2::Sha256::digest(bytes);
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        Self(format!("sha256:{hex}"))
    }

    /// The digest at the end of an image reference, where it has one.
    #[must_use]
    pub fn of_image(image: &str) -> Option<Self> {
        image.rsplit_once('@').and_then(|(_, digest)| digest.parse().ok())
    }

    /// The whole text with its algorithm.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The hexadecimal part.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Digest {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let hex = text.strip_prefix("sha256:").unwrap_or_default();
        let valid = hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !valid {
            return Err(ImageError::Digest(crate::text::line(text, 96)));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Digest {
    type Error = ImageError;

    fn try_from(text: String) -> Result<Self, ImageError> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.0
    }
}

impl JsonSchema for Digest {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Digest".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^sha256:[0-9a-f]{64}$" })
    }
}

/// `<registry>/<repository>[:<tag>][@<digest>]`; the registry is always given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageRef {
    /// Host and port.
    pub registry: String,
    /// Path below the registry.
    pub repository: String,
    /// Tag, where the reference has one.
    pub tag: Option<String>,
    /// Digest, where the reference has one.
    pub digest: Option<Digest>,
}

impl fmt::Display for ImageRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

impl FromStr for ImageRef {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let refused = || ImageError::Reference(crate::text::line(text, 128));
        if text.len() > 512 {
            return Err(refused());
        }
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (registry, path) = name.split_once('/').ok_or_else(refused)?;
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag.to_owned())),
            None => (path, None),
        };
        let host = |b: u8| b.is_ascii_alphanumeric() || b".-:[]".contains(&b);
        let part = |p: &str| {
            p.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
                && p.bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"._-".contains(&b))
        };
        let tag_ok = tag.as_deref().is_none_or(|t| {
            !t.is_empty()
                && t.len() <= 128
                && t.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        });
        if registry.is_empty()
            || !registry.bytes().all(host)
            || !repository.split('/').all(part)
            || !tag_ok
        {
            return Err(refused());
        }
        Ok(Self { registry: registry.to_owned(), repository: repository.to_owned(), tag, digest })
    }
}

/// Whether a text is the address of a registry: a host, with a port or without.
#[must_use]
pub fn is_address(text: &str) -> bool {
    !text.contains('/') && format!("{text}/x").parse::<ImageRef>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_survive_a_round_trip() {
        let digest = format!("sha256:{}", "a".repeat(64));
        for text in [
            "10.0.0.10:11443/acp/product-image:v4.3.0".to_owned(),
            format!("registry.local/acp/x@{digest}"),
            format!("[fd00::1]:11443/a/b/c:t@{digest}"),
        ] {
            assert_eq!(text.parse::<ImageRef>().unwrap().to_string(), text);
        }
        for text in ["x", "/x", "r/", "r/X", "r/a//b", "r/a:", "r/a@sha256:00", "r/../a"] {
            assert!(text.parse::<ImageRef>().is_err(), "{text}");
        }
    }
}
