//! Decides how one OCI registry is asked: what is there, under which digest, and whether the bytes
//! that come are the ones that were named. Knows nothing of packages and of what is copied.

mod accounts;
mod answer;
mod auth;
mod call;
mod chart;
mod error;
mod given;
mod pieces;
mod retry;
mod settings;
mod transport;
mod upload;

use api::Digest;
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE};

pub use accounts::{AccountError, account_of};
pub use auth::token_realm;
pub use error::RegistryError;
pub use given::{Flags, Given, GivenError, Password};
pub use pieces::BlobSource;
pub use retry::Retry;
pub use settings::{Credentials, Settings};
pub use upload::Mount;

use call::{Call, Payload, Scope};

use crate::content::{ReleaseContent, check_manifest};
use crate::digest;
use crate::oci::{self, DOCUMENT_LIMIT, DOCUMENT_TYPES, Descriptor, Manifest};

/// Where a registry says which digest it gave to a document.
const CONTENT_DIGEST: &str = "docker-content-digest";
/// Longest way over other addresses to a blob.
const REDIRECT_LIMIT: usize = 3;

/// One registry. Copies share connections and tokens.
#[derive(Debug, Clone)]
pub struct Registry {
    transport: std::sync::Arc<transport::Transport>,
}

/// A manifest or an index whose bytes have the digest by which they were asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// As the registry and the document say.
    pub media_type: String,
    /// Of the bytes.
    pub digest: Digest,
    /// As they came.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// A registry; nothing is sent yet. The process must have a rustls provider installed.
    ///
    /// # Errors
    /// When the address or the certificates are none.
    pub fn new(settings: Settings) -> Result<Self, RegistryError> {
        Ok(Self { transport: std::sync::Arc::new(transport::Transport::new(settings)?) })
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        self.transport.address()
    }

    /// Whether the registry answers and lets the account in.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn sign_in(&self) -> Result<(), RegistryError> {
        let (action, what) = ("sign in", "OCI registry");
        self.transport
            .retrying(|| async {
                let url = self.transport.base();
                let call = Call::new(Method::GET, url, Scope::sign_in(), action, what);
                let answer = self.transport.send(call).await?;
                self.transport.expect(answer, &[200], action, what).await.map(|_| ())
            })
            .await
    }

    /// The digest that a tag names now. The bytes are read and hashed here.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn resolve(&self, repository: &str, tag: &str) -> Result<Digest, RegistryError> {
        let name = format!("{repository}:{tag}");
        Ok(self.document(repository, tag, &name, None).await?.digest)
    }

    /// What a tag names now. The bytes are hashed here.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn tagged(&self, repository: &str, tag: &str) -> Result<Document, RegistryError> {
        self.document(repository, tag, &format!("{repository}:{tag}"), None).await
    }

    /// A manifest or index by its digest.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn pull_manifest(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<Document, RegistryError> {
        let name = format!("{repository}@{digest}");
        self.document(repository, digest.as_str(), &name, Some(digest)).await
    }

    /// The release in a product image, every digest checked.
    ///
    /// # Errors
    /// See [`RegistryError`]; one that is no product image is [`RegistryError::Content`].
    pub async fn pull_release(
        &self,
        repository: &str,
        digest: &Digest,
    ) -> Result<ReleaseContent, RegistryError> {
        let name = format!("{repository}@{digest}");
        let refused = |source| RegistryError::Content { what: name.clone(), source };
        let document = self.pull_manifest(repository, digest).await?;
        let manifest = Manifest::parse(&document.bytes, &document.media_type)
            .map_err(|e| refused(e.into()))?;
        check_manifest(&manifest).map_err(refused)?;
        let config = self.pull_blob(repository, &manifest.config).await?;
        let layer = self.pull_blob(repository, &manifest.layers[0]).await?;
        ReleaseContent::read(digest.clone(), &manifest, &config, &layer).map_err(refused)
    }

    /// A blob in memory; the caller has checked that its size is one to read into memory.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn pull_blob(
        &self,
        repository: &str,
        descriptor: &Descriptor,
    ) -> Result<Vec<u8>, RegistryError> {
        let name = format!("{repository}@{}", descriptor.digest);
        let action = format!("pull blob {name}");
        self.transport
            .retrying(|| async {
                let url = self.transport.url(repository, &["blobs", descriptor.digest.as_str()]);
                let call = Call::new(Method::GET, url, Scope::pull(repository), &action, &name)
                    .time(self.transport.blob_time());
                let mut answer = self.transport.send(call).await?;
                for _ in 0..REDIRECT_LIMIT {
                    let Some(target) = self.transport.redirection(&answer, &action)? else { break };
                    let call = Call::new(Method::GET, target, Scope::none(), &action, &name)
                        .time(self.transport.blob_time());
                    answer = self.transport.send(call).await?;
                }
                let answer = self.transport.expect(answer, &[200], &action, &name).await?;
                let bytes = self.transport.read(answer, descriptor.size, &action, &name).await?;
                descriptor
                    .verify(&bytes)
                    .map_err(|source| RegistryError::Mismatch { what: name.clone(), source })?;
                Ok(bytes)
            })
            .await
    }

    /// The digest under which a tag or a digest is known; none if it is not.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn exists(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<Option<Digest>, RegistryError> {
        let name = named(repository, reference);
        let action = format!("look for {name}");
        let found = self
            .transport
            .retrying(|| async {
                let url = self.transport.url(repository, &["manifests", reference]);
                let call = Call::new(Method::HEAD, url, Scope::pull(repository), &action, &name)
                    .header(ACCEPT, &DOCUMENT_TYPES.join(", "));
                let answer = self.transport.send(call).await?;
                let answer = self.transport.expect(answer, &[200], &action, &name).await?;
                Ok(self.transport.stated_digest(&answer))
            })
            .await;
        match found {
            // A registry that does not say the digest is asked for the bytes.
            Ok(None) => match self.document(repository, reference, &name, None).await {
                Ok(document) => Ok(Some(document.digest)),
                Err(RegistryError::NotFound { .. }) => Ok(None),
                Err(error) => Err(error),
            },
            Ok(found) => Ok(found),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a blob is there with the length that it should have.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn has_blob(
        &self,
        repository: &str,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, RegistryError> {
        let name = format!("{repository}@{digest}");
        let action = format!("look for blob {name}");
        let found = self
            .transport
            .retrying(|| async {
                let url = self.transport.url(repository, &["blobs", digest.as_str()]);
                let call = Call::new(Method::HEAD, url, Scope::pull(repository), &action, &name);
                let answer = self.transport.send(call).await?;
                // A registry that keeps its blobs elsewhere has the blob if it says where.
                let answer =
                    self.transport.expect(answer, &[200, 307, 302], &action, &name).await?;
                let length = answer.headers().get(CONTENT_LENGTH).and_then(|v| v.to_str().ok());
                let length = length.and_then(|text| text.parse().ok());
                Ok(answer.status().is_redirection() || length.is_none_or(|n: u64| n == size))
            })
            .await;
        match found {
            Err(RegistryError::NotFound { .. }) => Ok(false),
            other => other,
        }
    }

    /// Writes a manifest whose blobs are there, under a tag.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        bytes: &[u8],
    ) -> Result<(), RegistryError> {
        let name = format!("{repository}:{tag}");
        let action = format!("push {name}");
        let expected = digest::of(bytes);
        self.transport
            .retrying(|| async {
                let url = self.transport.url(repository, &["manifests", tag]);
                let call = Call::new(Method::PUT, url, Scope::push(repository), &action, &name)
                    .header(CONTENT_TYPE, media_type)
                    .payload(Payload::Bytes(bytes.to_vec()));
                let answer = self.transport.send(call).await?;
                let answer = self.transport.expect(answer, &[201], &action, &name).await?;
                match self.transport.stated_digest(&answer) {
                    Some(found) if found != expected => Err(RegistryError::Mismatch {
                        what: name.clone(),
                        source: oci::Mismatch::Digest { expected: expected.clone(), found },
                    }),
                    _ => Ok(()),
                }
            })
            .await
    }

    async fn document(
        &self,
        repository: &str,
        reference: &str,
        name: &str,
        expected: Option<&Digest>,
    ) -> Result<Document, RegistryError> {
        let action = format!("pull {name}");
        self.transport
            .retrying(|| async {
                let url = self.transport.url(repository, &["manifests", reference]);
                let call = Call::new(Method::GET, url, Scope::pull(repository), &action, name)
                    .header(ACCEPT, &DOCUMENT_TYPES.join(", "));
                let answer = self.transport.send(call).await?;
                let answer = self.transport.expect(answer, &[200], &action, name).await?;
                let media_type = media_type(&answer);
                let stated = self.transport.stated_digest(&answer);
                let bytes = self.transport.read(answer, DOCUMENT_LIMIT, &action, name).await?;
                let found = digest::of(&bytes);
                if let Some(expected) = expected.or(stated.as_ref()).filter(|e| **e != found) {
                    let expected = expected.clone();
                    let source = oci::Mismatch::Digest { expected, found };
                    return Err(RegistryError::Mismatch { what: name.to_owned(), source });
                }
                if !DOCUMENT_TYPES.contains(&media_type.as_str()) {
                    let kind = api::text::line(&media_type, 128);
                    return Err(RegistryError::Invalid {
                        what: name.to_owned(),
                        reason: format!("it is given as '{kind}', which is no image"),
                    });
                }
                oci::check(&bytes, &media_type)
                    .map_err(|source| RegistryError::Document { what: name.to_owned(), source })?;
                Ok(Document { media_type, digest: found, bytes })
            })
            .await
    }
}

/// The media type without its parameters.
fn media_type(answer: &reqwest::Response) -> String {
    let text = answer.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim().to_owned()
}

fn named(repository: &str, reference: &str) -> String {
    let separator = if reference.starts_with("sha256:") { '@' } else { ':' };
    format!("{repository}{separator}{reference}")
}
