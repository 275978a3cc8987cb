//! Decides what is common to all documents: their length, that each can be read in one way only,
//! and that blobs lie where the document lies.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{DOCUMENT_LIMIT, Descriptor};

/// Largest blob that a document may name, in bytes: more is negative for other tools.
const SIZE_LIMIT: u64 = i64::MAX as u64;

/// Why a document is refused.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Longer than [`DOCUMENT_LIMIT`].
    #[error("the document has {0} bytes, more than the {DOCUMENT_LIMIT} that are read")]
    TooLong(u64),
    /// No JSON of the expected form.
    #[error("the document is malformed")]
    Malformed(#[source] serde_json::Error),
    /// It could be read as two things.
    #[error("the document is ambiguous: it holds both manifests and layers or a config")]
    Ambiguous,
    /// What it says of itself is not what it was given as.
    #[error("the document says it is '{said}', but it was given as '{given}'")]
    MediaType {
        /// By the document.
        said: String,
        /// By the descriptor or the registry.
        given: String,
    },
    /// Not of the expected kind.
    #[error("'{0}' is not an image manifest")]
    NotAnImage(String),
    /// A rule is broken.
    #[error("the document breaks a rule: {0}")]
    Rule(String),
}

/// Checks what is common to manifests and indexes: length, one meaning only, one media type only.
///
/// # Errors
/// When one of them does not hold.
pub fn check(bytes: &[u8], given: &str) -> Result<(), DocumentError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape {
        schema_version: u32,
        media_type: Option<String>,
        manifests: Option<serde::de::IgnoredAny>,
        layers: Option<serde::de::IgnoredAny>,
        config: Option<serde::de::IgnoredAny>,
        fs_layers: Option<serde::de::IgnoredAny>,
    }
    once(bytes)?;
    let shape: Shape = serde_json::from_slice(bytes).map_err(DocumentError::Malformed)?;
    if shape.schema_version != 2 || shape.fs_layers.is_some() {
        return Err(DocumentError::Rule("its schemaVersion is not 2".to_owned()));
    }
    if shape.manifests.is_some() && (shape.layers.is_some() || shape.config.is_some()) {
        return Err(DocumentError::Ambiguous);
    }
    match shape.media_type {
        Some(said) if said != given => Err(DocumentError::MediaType {
            said: api::text::line(&said, 128),
            given: api::text::line(given, 128),
        }),
        _ => Ok(()),
    }
}

/// Checks that bytes are not too long, and JSON in which nothing stands twice.
pub(super) fn once(bytes: &[u8]) -> Result<(), DocumentError> {
    let length = bytes.len() as u64;
    if length > DOCUMENT_LIMIT {
        return Err(DocumentError::TooLong(length));
    }
    let mut from = serde_json::Deserializer::from_slice(bytes);
    Once.deserialize(&mut from).and_then(|()| from.end()).map_err(DocumentError::Malformed)
}

/// Checks what a document says of one of its blobs.
pub(super) fn check_descriptor(descriptor: &Descriptor) -> Result<(), DocumentError> {
    let Descriptor { digest, size, urls, .. } = descriptor;
    if !urls.is_empty() {
        return Err(DocumentError::Rule(format!("{digest} is said to lie somewhere else")));
    }
    if *size > SIZE_LIMIT {
        return Err(DocumentError::Rule(format!("{digest} is said to have {size} bytes")));
    }
    Ok(())
}

/// Any JSON in which no object has a member twice, however deep.
struct Once;

impl<'de> DeserializeSeed<'de> for Once {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Once {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON in which no member stands twice")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        while from.next_element_seed(Once)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<(), A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = from.next_key::<String>()? {
            from.next_value_seed(Once)?;
            let shown = api::text::line(&name, 64);
            if !names.insert(name) {
                return Err(A::Error::custom(format!("'{shown}' stands twice")));
            }
        }
        Ok(())
    }
}
