//! The keys that sign releases: how a release lists them, how the installed release records them,
//! and until when one counts. Knows nothing of what was signed.

use crate::image::Digest;
use crate::names::{RELEASE_IMAGE, RELEASE_LICENSE_KEYS, RELEASE_SIGNING_KEYS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Most keys of one release.
pub const SIGNING_KEY_LIMIT: usize = 16;
/// Longest text of recorded keys that is read, in bytes.
const TEXT_LIMIT: usize = 64 * 1024;
/// Longest id of a key, in bytes.
const ID_LIMIT: usize = 64;
/// What precedes the 32 bytes of an ed25519 public key in its DER form (RFC 8410).
const PUBLIC_DER: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];
/// What precedes the 32 bytes of an ed25519 seed in its DER form (RFC 8410).
const SEED_DER: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// A key whose signature makes a release trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningKey {
    /// Its name, for people.
    pub id: String,
    /// The ed25519 public key: PEM, or base64 of its 32 bytes.
    pub public_key: String,
    /// The last day on which a version that it signed may be offered and begun (UTC).
    pub not_after: Date,
}

/// Why keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither PEM nor base64 of an ed25519 key.
    #[error("{0} is no ed25519 key: PEM, or base64 of its 32 bytes")]
    Malformed(String),
    /// The list cannot be read.
    #[error("the list of keys cannot be read: {0}")]
    List(String),
    /// A rule of the list is broken.
    #[error("{0}")]
    Rule(String),
}

impl SigningKey {
    /// A key of a file: never ends, and is named by whoever gives it.
    ///
    /// # Errors
    /// When the text is no ed25519 public key.
    pub fn given(id: &str, text: &str) -> Result<Self, KeyError> {
        let key = Self {
            id: crate::text::line(id, ID_LIMIT),
            public_key: text.trim().to_owned(),
            not_after: Date::MAX,
        };
        key.verifying().map(|_| key.clone())
    }

    /// Whether its last day is over.
    #[must_use]
    pub fn is_expired(&self, at: Timestamp) -> bool {
        at.to_zoned(TimeZone::UTC).date() > self.not_after
    }

    /// Whether it made a signature (base64) over these bytes.
    #[must_use]
    pub fn made(&self, bytes: &[u8], signature: &str) -> bool {
        let decoded = STANDARD.decode(signature).ok();
        let signature = decoded.and_then(|bytes| Signature::from_slice(&bytes).ok());
        match (self.verifying(), signature) {
            (Ok(key), Some(signature)) => key.verify_strict(bytes, &signature).is_ok(),
            _ => false,
        }
    }

    fn verifying(&self) -> Result<VerifyingKey, KeyError> {
        let malformed = || KeyError::Malformed(format!("key '{}'", self.id));
        let bytes = match pem(&self.public_key, "PUBLIC KEY") {
            Some(der) => der.strip_prefix(&PUBLIC_DER).map(<[u8]>::to_vec),
            None => STANDARD.decode(self.public_key.trim()).ok(),
        };
        let bytes: [u8; 32] =
            bytes.and_then(|bytes| bytes.try_into().ok()).ok_or_else(malformed)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| malformed())?;
        if key.is_weak() { Err(malformed()) } else { Ok(key) }
    }
}

/// Checks a list of keys: each can be used, and no id and no key stands twice.
///
/// # Errors
/// Names the first that breaks a rule.
pub fn check(keys: &[SigningKey]) -> Result<(), KeyError> {
    if keys.len() > SIGNING_KEY_LIMIT {
        return Err(KeyError::Rule(format!("more than {SIGNING_KEY_LIMIT} signing keys")));
    }
    let (mut ids, mut bytes) = (BTreeSet::new(), BTreeSet::new());
    for key in keys {
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if key.id.is_empty() || key.id.len() > ID_LIMIT || !key.id.chars().all(plain) {
            let id = crate::text::line(&key.id, ID_LIMIT);
            return Err(KeyError::Rule(format!("'{id}' cannot be the id of a key")));
        }
        if !ids.insert(&key.id) || !bytes.insert(key.verifying()?.to_bytes()) {
            return Err(KeyError::Rule(format!("signing key '{}' stands twice", key.id)));
        }
    }
    Ok(())
}

/// What the installed release recorded in ConfigMap `release-keys`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReleaseKeys {
    /// Licence keys; None: none were recorded.
    pub license: Option<Vec<String>>,
    /// Signing keys; None: none were recorded. An empty list trusts nothing.
    pub signing: Option<Vec<SigningKey>>,
    /// The product image of the installed release.
    pub image: Option<Digest>,
}

impl ReleaseKeys {
    /// Reads the data of the ConfigMap.
    ///
    /// # Errors
    /// When the signing keys or the digest are malformed: then nothing is trusted.
    pub fn parse(data: &BTreeMap<String, String>) -> Result<Self, KeyError> {
        let lines = |text: &String| {
            text.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty()).collect()
        };
        let signing = data.get(RELEASE_SIGNING_KEYS).map(|text| parse_list(text)).transpose()?;
        let digest = |text: &String| {
            text.trim().parse().map_err(|_| {
                KeyError::Rule(format!("{RELEASE_IMAGE} is no digest of a product image"))
            })
        };
        let image =
            data.get(RELEASE_IMAGE).filter(|text| !text.is_empty()).map(digest).transpose()?;
        Ok(Self { license: data.get(RELEASE_LICENSE_KEYS).map(lines), signing, image })
    }
}

/// Signing keys as they are recorded.
#[must_use]
pub fn list_text(keys: &[SigningKey]) -> String {
    serde_json::to_string_pretty(keys).expect("a list of texts and dates is JSON")
}

fn parse_list(text: &str) -> Result<Vec<SigningKey>, KeyError> {
    if text.len() > TEXT_LIMIT {
        return Err(KeyError::List(format!("longer than {TEXT_LIMIT} bytes")));
    }
    let keys: Vec<SigningKey> = serde_saphyr::from_str(text)
        .map_err(|error| KeyError::List(crate::text::line(&error.to_string(), 256)))?;
    check(&keys)?;
    Ok(keys)
}

/// Makes signatures; for packaging and the tests.
#[derive(Clone)]
pub struct Signer {
    /// The id of its key, which a signature names for people.
    pub id: String,
    key: ed25519_dalek::SigningKey,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Signer {
    /// A signer with the seed of its key.
    #[must_use]
    pub fn new(id: &str, seed: &[u8; 32]) -> Self {
        Self { id: id.to_owned(), key: ed25519_dalek::SigningKey::from_bytes(seed) }
    }

    /// A signer with a private key as `openssl genpkey -algorithm ed25519` writes it.
    ///
    /// # Errors
    /// When the text is no such key.
    pub fn from_pem(id: &str, text: &str) -> Result<Self, KeyError> {
        let seed = pem(text, "PRIVATE KEY")
            .and_then(|der| <[u8; 32]>::try_from(der.strip_prefix(&SEED_DER)?).ok())
            .ok_or_else(|| KeyError::Malformed(format!("private key '{id}'")))?;
        Ok(Self::new(id, &seed))
    }

    /// Its public key, as a release lists it.
    #[must_use]
    pub fn public(&self, not_after: Date) -> SigningKey {
        let public_key = STANDARD.encode(self.key.verifying_key().to_bytes());
        SigningKey { id: self.id.clone(), public_key, not_after }
    }

    /// The same signer under the id that a list gives its key.
    #[must_use]
    pub fn named_by(mut self, keys: &[SigningKey]) -> Self {
        let own = self.key.verifying_key();
        if let Some(key) = keys.iter().find(|key| key.verifying().is_ok_and(|key| key == own)) {
            self.id.clone_from(&key.id);
        }
        self
    }

    /// The signature (base64) over these bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> String {
        use ed25519_dalek::Signer as _;
        STANDARD.encode(self.key.sign(bytes).to_bytes())
    }
}

/// The bytes of the only block of a PEM text that bears this label.
fn pem(text: &str, label: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    let body = text.strip_prefix(&format!("-----BEGIN {label}-----"))?;
    let body = body.strip_suffix(&format!("-----END {label}-----"))?;
    STANDARD.decode(body.split_whitespace().collect::<String>()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> Date {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_read_from_pem_and_base64_alike() {
        // openssl genpkey -algorithm ed25519; openssl pkey -pubout.
        let private = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcH\n-----END PRIVATE KEY-----\n";
        let signer = Signer::from_pem("a", private).unwrap();
        let listed = signer.public(day("2030-01-01"));
        let raw = STANDARD.decode(&listed.public_key).unwrap();
        let der = STANDARD.encode([&PUBLIC_DER[..], &raw].concat());
        let text = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        let given = SigningKey::given("b", &text).unwrap();
        let signature = signer.sign(b"text");
        assert!(given.made(b"text", &signature) && listed.made(b"text", &signature));
        assert!(!given.made(b"texT", &signature));
        assert_eq!(Signer::from_pem("c", private).unwrap().named_by(&[listed]).id, "a");
        assert!(SigningKey::given("d", "bm8ga2V5").is_err());
        // The neutral element: a signature of it fits many texts.
        assert!(
            SigningKey::given("e", &STANDARD.encode([[1].as_slice(), &[0; 31]].concat())).is_err()
        );
    }

    #[test]
    fn the_last_day_counts() {
        let key = Signer::new("a", &[1; 32]).public(day("2026-12-31"));
        assert!(!key.is_expired("2026-12-31T23:59:59Z".parse().unwrap()));
        assert!(key.is_expired("2027-01-01T00:00:00Z".parse().unwrap()));
    }

    #[test]
    fn what_is_recorded_is_read_again() {
        let keys = vec![Signer::new("a", &[1; 32]).public(day("2026-12-31"))];
        let image = Digest::of(b"image");
        let data = BTreeMap::from([
            (RELEASE_SIGNING_KEYS.to_owned(), list_text(&keys)),
            (RELEASE_LICENSE_KEYS.to_owned(), "x\n\ny".to_owned()),
            (RELEASE_IMAGE.to_owned(), image.to_string()),
        ]);
        let read = ReleaseKeys::parse(&data).unwrap();
        assert_eq!(read.signing, Some(keys.clone()));
        assert_eq!(read.license, Some(vec!["x".to_owned(), "y".to_owned()]));
        assert_eq!(read.image, Some(image));
        assert_eq!(ReleaseKeys::parse(&BTreeMap::new()).unwrap(), ReleaseKeys::default());
        let yaml =
            format!("- id: a\n  publicKey: {}\n  notAfter: 2026-12-31\n", keys[0].public_key);
        assert_eq!(parse_list(&yaml).unwrap(), keys);
        assert!(parse_list(&format!("{yaml}{yaml}")).is_err(), "a key stands twice");
        for broken in ["{}", "- id: a", "[1]"] {
            assert!(parse_list(broken).is_err(), "{broken}");
        }
        assert_eq!(parse_list("[]").unwrap(), Vec::new());
    }
}
