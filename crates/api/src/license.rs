//! The platform licence: its form and how its signature is verified.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest licence that is read, in bytes.
const LIMIT: usize = 16 * 1024;

/// The licence as it stands in the Secret: a signed text and its signature.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SignedLicense {
    /// The [`License`] as JSON, exactly the bytes that are signed.
    pub payload: String,
    /// Base64 of the ed25519 signature over the bytes of `payload`.
    pub signature: String,
}

/// What is licensed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct License {
    /// ProductBase.status.globalID of the platform.
    #[serde(rename = "globalID")]
    pub global_id: String,
    /// When it ends (RFC 3339).
    pub expires: Timestamp,
}

/// Why a licence does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LicenseError {
    /// Not of the form of [`SignedLicense`] and [`License`].
    #[error("the licence is malformed")]
    Malformed,
    /// No key of the release made this signature.
    #[error("the licence is not signed by a key of the release")]
    Signature,
}

/// Reads a licence whose signature was made by one of the keys (base64 ed25519 public keys).
///
/// # Errors
/// When the text is malformed or no key made the signature.
pub fn verify(text: &str, keys: &[String]) -> Result<License, LicenseError> {
    if text.len() > LIMIT {
        return Err(LicenseError::Malformed);
    }
    let signed: SignedLicense = serde_json::from_str(text).map_err(|_| LicenseError::Malformed)?;
    let signature =
        STANDARD.decode(signed.signature.trim()).map_err(|_| LicenseError::Malformed)?;
    let signature = Signature::from_slice(&signature).map_err(|_| LicenseError::Malformed)?;
    let made_by = |key: &String| {
        let bytes: Option<[u8; 32]> =
            STANDARD.decode(key.trim()).ok().and_then(|b| b.try_into().ok());
        bytes
            .and_then(|b| VerifyingKey::from_bytes(&b).ok())
            .is_some_and(|k| k.verify_strict(signed.payload.as_bytes(), &signature).is_ok())
    };
    if !keys.iter().any(made_by) {
        return Err(LicenseError::Signature);
    }
    serde_json::from_str(&signed.payload).map_err(|_| LicenseError::Malformed)
}

/// Signs a licence with a 32-byte ed25519 seed; for the sandbox and the tests.
#[must_use]
pub fn sign(license: &License, seed: &[u8; 32]) -> SignedLicense {
    use ed25519_dalek::Signer as _;
    let payload = serde_json::json!(license).to_string();
    let key = ed25519_dalek::SigningKey::from_bytes(seed);
    let signature = STANDARD.encode(key.sign(payload.as_bytes()).to_bytes());
    SignedLicense { payload, signature }
}

/// The base64 public key of a seed.
#[must_use]
pub fn public_key(seed: &[u8; 32]) -> String {
    STANDARD.encode(ed25519_dalek::SigningKey::from_bytes(seed).verifying_key().to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_key_of_the_release_counts() {
        let license =
            License { global_id: "g".into(), expires: "2027-01-01T00:00:00Z".parse().unwrap() };
        let text = serde_json::to_string(&sign(&license, &[7; 32])).unwrap();
        assert_eq!(verify(&text, &[public_key(&[7; 32])]), Ok(license));
        assert_eq!(verify(&text, &[public_key(&[8; 32])]), Err(LicenseError::Signature));
        assert_eq!(
            verify(&text.replace("2027", "2037"), &[public_key(&[7; 32])]),
            Err(LicenseError::Signature)
        );
        assert_eq!(verify("{}", &[]), Err(LicenseError::Malformed));
    }
}
