//! The signature of a product image: its form, which is that of cosign's simple signing, and
//! whether one of them was made by a trusted key for this very image. Also the signature of a
//! package's sums. Needs no network and no log.

use crate::checks::words;
use crate::conditions::ManifestReason;
use crate::image::Digest;
use crate::objects::VersionImage;
use crate::signing_key::{Signer, SigningKey};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Media type of the layer that is a signed payload.
pub const SIGNATURE_LAYER_TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
/// Annotation of that layer: base64 of the signature over its bytes.
pub const SIGNATURE_ANNOTATION: &str = "dev.cosignproject.cosign/signature";
/// What a payload says that it is.
pub const SIGNATURE_TYPE: &str = "cosign container image signature";
/// What a flag would be called that lets a release through that is not trusted: there is none.
pub const FORCING: [&str; 6] = ["force", "insecure", "unsigned", "signature", "trust", "no-verify"];
/// Most signatures of one image, or of one package, that are looked at.
pub const SIGNATURE_LIMIT: usize = 16;
/// Longest payload, in bytes.
pub const PAYLOAD_LIMIT: u64 = 16 * 1024;
/// Longest signature, in bytes of base64.
pub const SIGNATURE_TEXT_LIMIT: usize = 128;

words! {
    /// Whose keys made a signature trusted.
    Trust {
        /// The installed release recorded them.
        InstalledRelease,
        /// The release itself lists them: no installed release has recorded any (first adoption).
        FirstAdoption,
        /// Nobody was asked: this very image is the installed release.
        AlreadyInstalled,
    }
}

/// Why a release is trusted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseSignature {
    /// Id of the key that signed the product image; empty where nobody was asked.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub key: String,
    /// Whose keys made it trusted.
    pub trust: Trust,
}

impl ReleaseSignature {
    /// In a sentence, for people.
    #[must_use]
    pub fn words(&self) -> String {
        let key = crate::text::line(&self.key, 64);
        match self.trust {
            Trust::InstalledRelease => {
                format!("signed by key {key}, which the installed release trusts")
            }
            Trust::FirstAdoption => format!(
                "signed by key {key} of this release itself (first adoption: no installed release has recorded keys)"
            ),
            Trust::AlreadyInstalled => "this very release is installed already".to_owned(),
        }
    }
}

/// A signature as it was found, of which nothing is known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSignature {
    /// What was signed; bytes with the digest of their layer.
    pub payload: Vec<u8>,
    /// Base64 of the signature over them.
    pub signature: String,
}

/// Why no signature makes an image, or the sums of a package, trusted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum SignatureError {
    /// There is none.
    #[error("{0} is not signed")]
    Missing(String),
    /// No trusted key made it.
    #[error("{0}")]
    KeyUnknown(String),
    /// It is malformed, or it is that of something else.
    #[error("{0}")]
    Invalid(String),
    /// The key that made it has expired.
    #[error("{0}")]
    KeyExpired(String),
}

impl SignatureError {
    /// The reason of a ProductManifest that is not Ready for it.
    #[must_use]
    pub const fn reason(&self) -> ManifestReason {
        match self {
            Self::Missing(_) => ManifestReason::SignatureMissing,
            Self::KeyUnknown(_) => ManifestReason::SigningKeyUnknown,
            Self::Invalid(_) => ManifestReason::SignatureInvalid,
            Self::KeyExpired(_) => ManifestReason::SigningKeyExpired,
        }
    }

    /// What a person does about it. There is no way round.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Missing(_) => "use the package as its publisher signed it".to_owned(),
            Self::Invalid(_) => {
                "get the package again from its publisher and extract it into an empty folder"
                    .to_owned()
            }
            Self::KeyUnknown(_) | Self::KeyExpired(_) => OTHER_KEY_REMEDY.to_owned(),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    critical: Critical,
    // Whoever signs may add anything here; nothing of it is ever trusted.
    #[serde(default)]
    optional: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Critical {
    identity: Identity,
    image: Image,
    r#type: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    #[serde(rename = "docker-reference")]
    docker_reference: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    docker_manifest_digest: String,
}

/// What a person does about a key that is not trusted, or not any more.
pub const OTHER_KEY_REMEDY: &str = "use a package that is signed with a key of the installed release; which these are: kubectl -n cpaas-system get configmap release-keys -o yaml";
/// What a person does where it is not known any more whom the platform trusts.
pub const KEYS_BACK_REMEDY: &str = "put the signing keys of the installed release back: kubectl -n cpaas-system edit configmap release-keys";
/// The same where the record is gone.
pub const KEYS_LOST_REMEDY: &str = "restore it from a backup, or write the list signingKeys of the installed release's release.yaml to FILE: kubectl -n cpaas-system create configmap release-keys --from-file=signing-keys=FILE";

/// Whether a platform with this last completed release has never recorded whom it trusts. What the
/// product itself installed has an image, and was verified: where its record is gone, nobody is
/// trusted rather than everybody.
#[must_use]
pub fn is_first_adoption(current: Option<&VersionImage>) -> bool {
    current.is_none_or(|current| current.image.is_empty())
}

/// Where the id of the key stands in a payload, for people.
const KEY_HINT: &str = "key";

/// The tag under which the signatures of an image lie in its repository.
#[must_use]
pub fn signature_tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// Whether a tag is one of signatures.
#[must_use]
pub fn is_signature_tag(tag: &str) -> bool {
    tag.strip_prefix("sha256-")
        .and_then(|rest| rest.strip_suffix(".sig"))
        .is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// Signs an image; `repository` is its path below the registry, for registries differ.
#[must_use]
pub fn sign(repository: &str, digest: &Digest, signer: &Signer) -> FoundSignature {
    let hint = serde_json::Value::String(signer.id.clone());
    let payload = Payload {
        critical: Critical {
            identity: Identity { docker_reference: repository.to_owned() },
            image: Image { docker_manifest_digest: digest.to_string() },
            r#type: SIGNATURE_TYPE.to_owned(),
        },
        optional: Some(BTreeMap::from([(KEY_HINT.to_owned(), hint)])),
    };
    let payload = serde_json::to_vec(&payload).expect("texts are JSON");
    let signature = signer.sign(&payload);
    FoundSignature { payload, signature }
}

/// Gives the id of a trusted key that signed this image. One such signature is enough, whatever
/// the others are. Without `at` no key has expired: what was begun is not judged by the calendar.
///
/// # Errors
/// Says of the signature that came closest why it does not count.
pub fn verify(
    signatures: &[FoundSignature],
    repository: &str,
    digest: &Digest,
    keys: &[SigningKey],
    at: Option<Timestamp>,
) -> Result<String, SignatureError> {
    let mut closest = SignatureError::Missing(format!("{repository}@{digest}"));
    for found in signatures.iter().take(SIGNATURE_LIMIT) {
        match verify_one(found, repository, digest, keys, at) {
            Ok(id) => return Ok(id),
            Err(error) => closest = closest.max(error),
        }
    }
    Err(closest)
}

fn verify_one(
    found: &FoundSignature,
    repository: &str,
    digest: &Digest,
    keys: &[SigningKey],
    at: Option<Timestamp>,
) -> Result<String, SignatureError> {
    let invalid = |text: String| Err(SignatureError::Invalid(text));
    if found.payload.len() as u64 > PAYLOAD_LIMIT || found.signature.len() > SIGNATURE_TEXT_LIMIT {
        return invalid("a signature is too long".to_owned());
    }
    let key = match made_by(&found.payload, &found.signature, keys) {
        Some(key) => key,
        None => return Err(of_nobody(found, keys)),
    };
    let id = &key.id;
    let Ok(payload) = serde_json::from_slice::<Payload>(&found.payload) else {
        return invalid(format!("what key {id} signed is no signature of an image"));
    };
    let Critical { identity, image, r#type } = payload.critical;
    if r#type != SIGNATURE_TYPE {
        let kind = crate::text::line(&r#type, 64);
        return invalid(format!("what key {id} signed is a '{kind}'"));
    }
    if image.docker_manifest_digest != digest.as_str() {
        let other = crate::text::line(&image.docker_manifest_digest, 80);
        return invalid(format!("the signature of key {id} is that of another image, {other}"));
    }
    if identity.docker_reference != repository {
        let other = crate::text::line(&identity.docker_reference, 128);
        return invalid(format!("the signature of key {id} is for {other}, not for {repository}"));
    }
    unexpired(key, at).map(|()| id.clone())
}

/// The id of a trusted key that signed the sums of a package. Each line of `text` is
/// `<key id>  <signature>`; the id is for people.
///
/// # Errors
/// Says of the signature that came closest why it does not count.
pub fn verify_sums(
    sums: &[u8],
    text: &str,
    keys: &[SigningKey],
    at: Option<Timestamp>,
) -> Result<String, SignatureError> {
    let mut closest = SignatureError::Missing("the list of sums".to_owned());
    for line in text.lines().take(SIGNATURE_LIMIT) {
        let Some((hint, signature)) = line.split_once("  ") else {
            return Err(SignatureError::Invalid(
                "the signature of the sums is malformed".to_owned(),
            ));
        };
        let error = match made_by(sums, signature, keys) {
            Some(key) => match unexpired(key, at) {
                Ok(()) => return Ok(key.id.clone()),
                Err(error) => error,
            },
            None => unknown(hint, keys),
        };
        closest = closest.max(error);
    }
    Err(closest)
}

/// The line that says that a signer signed the sums of a package.
#[must_use]
pub fn sign_sums(sums: &[u8], signer: &Signer) -> String {
    format!("{}  {}\n", signer.id, signer.sign(sums))
}

fn made_by<'a>(bytes: &[u8], signature: &str, keys: &'a [SigningKey]) -> Option<&'a SigningKey> {
    keys.iter().find(|key| key.made(bytes, signature))
}

fn unexpired(key: &SigningKey, at: Option<Timestamp>) -> Result<(), SignatureError> {
    if at.is_some_and(|at| key.is_expired(at)) {
        return Err(SignatureError::KeyExpired(format!(
            "key {} made the signature and counts until {} only",
            key.id, key.not_after
        )));
    }
    Ok(())
}

/// No trusted key made it: told by the id that it bears, which proves nothing.
fn of_nobody(found: &FoundSignature, keys: &[SigningKey]) -> SignatureError {
    let payload: Result<Payload, _> = serde_json::from_slice(&found.payload);
    let Ok(payload) = payload else {
        let is_json = serde_json::from_slice::<IgnoredAny>(&found.payload).is_ok();
        let what = if is_json { "is no signature of an image" } else { "is no JSON" };
        return SignatureError::Invalid(format!("what was signed {what}"));
    };
    let optional = payload.optional.unwrap_or_default();
    unknown(optional.get(KEY_HINT).and_then(serde_json::Value::as_str).unwrap_or(""), keys)
}

fn unknown(hint: &str, keys: &[SigningKey]) -> SignatureError {
    let hint = crate::text::line(hint, 64);
    if keys.iter().any(|key| key.id == hint) {
        return SignatureError::Invalid(format!(
            "the signature says that key {hint} made it, which is not true"
        ));
    }
    let who =
        if hint.is_empty() { "a key without a name".to_owned() } else { format!("key {hint}") };
    let trusted: Vec<String> = keys.iter().map(|key| key.id.clone()).collect();
    let trusted = match trusted.as_slice() {
        [] => "no key is".to_owned(),
        ids => format!("trusted: {}", crate::text::names(ids)),
    };
    SignatureError::KeyUnknown(format!("it is signed by {who}, which is not trusted ({trusted})"))
}

#[cfg(test)]
mod tests;
