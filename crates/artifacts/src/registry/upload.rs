//! Decides how a blob gets into a registry: mounted from another repository, in one request if it
//! is small, else streamed and continued where the registry says it stopped. Knows nothing of
//! images.

use std::sync::Arc;
use std::time::Duration;

use api::Digest;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, Response, Url};

use super::call::{Call, Payload, Scope};
use super::pieces::{BlobSource, Flow, pieces, whole};
use super::{Registry, RegistryError};
use crate::oci::Mismatch;

/// Blobs up to this length go in one request, in bytes.
const SMALL: u64 = 1024 * 1024;
/// How often a blob is begun anew or continued while some of it arrives each time.
const CONTINUATIONS: u32 = 100;
const OCTETS: &str = "application/octet-stream";

/// What came of the wish to mount a blob.
#[derive(Debug, PartialEq, Eq)]
pub enum Mount {
    /// It is there.
    Mounted,
    /// It must be sent; the registry has opened an upload for it.
    Open(Url),
}

impl Registry {
    /// Asks the registry to take a blob over from another of its repositories.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn mount_blob(
        &self,
        repository: &str,
        digest: &Digest,
        from: &str,
    ) -> Result<Mount, RegistryError> {
        let name = format!("{repository}@{digest}");
        let action = format!("mount blob {name}");
        self.transport
            .retrying(|| async {
                let mut url = self.transport.url(repository, &["blobs", "uploads", ""]);
                url.query_pairs_mut()
                    .append_pair("mount", digest.as_str())
                    .append_pair("from", from);
                let scope = Scope::mount(repository, from);
                let call = Call::new(Method::POST, url, scope, &action, &name);
                let answer = self.transport.send(call).await?;
                let answer = self.transport.expect(answer, &[201, 202], &action, &name).await?;
                match answer.status().as_u16() {
                    201 => Ok(Mount::Mounted),
                    _ => self.session(&answer, &name).map(Mount::Open),
                }
            })
            .await
    }

    /// Sends a blob. `open` is an upload that the registry has opened already; `sent` is told how
    /// many bytes of the blob have left so far, also when that becomes less.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn push_blob(
        &self,
        repository: &str,
        source: &BlobSource,
        open: Option<Url>,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), RegistryError> {
        let name = format!("{repository}@{}", source.digest);
        let action = format!("push blob {name}");
        let push = Push { registry: self, repository, source, name: &name, action: &action };
        let (mut session, mut arrived) = (open.map(|url| (url, 0)), 0);
        let (mut failed, mut continued) = (0, 0);
        loop {
            let Err(Stopped { error, upload, refused }) = push.attempt(session.take(), sent).await
            else {
                return Ok(());
            };
            failed += 1;
            self.transport.pause(failed, error).await?;
            // What was sent last may have arrived although its answer did not.
            if self.has_blob(repository, &source.digest, source.size).await? {
                sent(source.size);
                return Ok(());
            }
            if let Some(url) = upload {
                session = push.offset(url).await?.filter(|(_, offset)| Some(*offset) != refused);
            }
            // As long as more has arrived each time, the registry is not down.
            let offset = session.as_ref().map_or(0, |(_, offset)| *offset);
            if offset > arrived && continued < CONTINUATIONS {
                (arrived, failed, continued) = (offset, 0, continued + 1);
            }
        }
    }

    /// Where an upload goes on: on the registry itself only.
    fn session(&self, answer: &Response, name: &str) -> Result<Url, RegistryError> {
        let url = self.transport.location(answer, name)?;
        if self.transport.is_own(&url) {
            return Ok(url);
        }
        let reason = "the registry wants the blob to be sent to another host".to_owned();
        Err(RegistryError::Invalid { what: name.to_owned(), reason })
    }
}

/// Why an attempt stopped, and the upload that may be continued; `refused` is the offset at which
/// the registry would not have it continued.
struct Stopped {
    error: RegistryError,
    upload: Option<Url>,
    refused: Option<u64>,
}

impl From<RegistryError> for Stopped {
    fn from(error: RegistryError) -> Self {
        Self { error, upload: None, refused: None }
    }
}

struct Push<'a> {
    registry: &'a Registry,
    repository: &'a str,
    source: &'a BlobSource,
    name: &'a str,
    action: &'a str,
}

impl Push<'_> {
    async fn attempt(
        &self,
        session: Option<(Url, u64)>,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Stopped> {
        let (url, offset) = match session {
            Some(session) => session,
            None => (self.open().await?, 0),
        };
        let url = match self.source.size {
            0..=SMALL if offset == 0 => return self.finish(url, true, sent).await,
            size if offset == size => url,
            _ => match self.stream(url, offset, sent).await? {
                Some(url) => url,
                None => return Ok(()),
            },
        };
        self.finish(url, false, sent).await
    }

    /// Opens an upload.
    async fn open(&self) -> Result<Url, RegistryError> {
        let url = self.registry.transport.url(self.repository, &["blobs", "uploads", ""]);
        let answer = self.call(Method::POST, url).send(&[202]).await?;
        self.registry.session(&answer, self.name)
    }

    /// How much of an upload has arrived. None: the registry does not know it any more, or does not
    /// say.
    async fn offset(&self, url: Url) -> Result<Option<(Url, u64)>, RegistryError> {
        let answer = match self.call(Method::GET, url).send(&[204]).await {
            Ok(answer) => answer,
            // 404 and 416: the upload is over; anything else passes, and a new upload shows it.
            Err(error) => {
                tracing::debug!(%error, "the upload is begun anew");
                return Ok(None);
            }
        };
        let range = answer.headers().get(RANGE).and_then(|value| value.to_str().ok());
        let end = range.and_then(|text| text.strip_prefix("0-")).and_then(|end| end.parse().ok());
        let offset = match end {
            // An empty upload is said to be `0-0` as well; one byte is not worth the doubt.
            None | Some(0) => return Ok(None),
            Some(end) => u64::saturating_add(end, 1),
        };
        if offset > self.source.size {
            return Ok(None);
        }
        Ok(Some((self.registry.session(&answer, self.name)?, offset)))
    }

    /// Streams the blob from an offset on, and gives the address at which the upload is ended. From
    /// its begin it goes with the request that ends the upload: a request less, and the registry
    /// reads nothing again; what arrived of it is continued in the same way.
    async fn stream(
        &self,
        url: Url,
        offset: u64,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Option<Url>, Stopped> {
        let flow = Arc::new(Flow::from(offset));
        let left = self.source.size - offset;
        let body = Body::wrap_stream(pieces(self.source.clone(), offset, Arc::clone(&flow)));
        let payload = Payload::Stream(body, left);
        let range = format!("{offset}-{}", self.source.size - 1);
        let (mut call, good) = match offset {
            0 => (self.call(Method::PUT, self.ending(&url)), &[201][..]),
            _ => (self.call(Method::PATCH, url.clone()), &[202, 204][..]),
        };
        call.0 = call.0.header(CONTENT_TYPE, OCTETS).payload(payload);
        if offset > 0 {
            call.0 = call.0.header(CONTENT_RANGE, &range);
        }
        let result = tokio::select! {
            result = call.send(good) => result,
            stalled = self.watch(&flow, sent) => Err(stalled),
        };
        sent(flow.sent());
        if let Some(fault) = flow.fault() {
            return Err(fault.into());
        }
        match result {
            Ok(answer) if offset == 0 => {
                self.agree(&answer)?;
                Ok(None)
            }
            Ok(answer) => Ok(Some(self.registry.session(&answer, self.name)?)),
            // The upload is gone, or its bytes were harmed on the way.
            Err(
                RegistryError::NotFound { words, .. }
                | RegistryError::Refused { status: 400, words, .. },
            ) => Err(self.anew(words)),
            // The registry has another idea of where the upload is, and is asked for it.
            Err(RegistryError::Refused { status: 416, words, .. }) => {
                Err(Stopped { upload: Some(url), refused: Some(offset), ..self.anew(words) })
            }
            Err(error) => Err(Stopped { error, upload: Some(url), refused: None }),
        }
    }

    /// The address that ends an upload under the blob's digest.
    fn ending(&self, upload: &Url) -> Url {
        let mut url = upload.clone();
        url.query_pairs_mut().append_pair("digest", self.source.digest.as_str());
        url
    }

    fn anew(&self, words: String) -> Stopped {
        self.registry.transport.unavailable(self.action, words, true, None).into()
    }

    /// Reports what has left, and ends when nothing leaves any more.
    async fn watch(&self, flow: &Flow, sent: &(dyn Fn(u64) + Send + Sync)) -> RegistryError {
        let tick = Duration::from_millis(100);
        let (mut last, mut still) = (0, Duration::ZERO);
        loop {
            tokio::time::sleep(tick).await;
            let now = flow.sent();
            still = if now == last { still + tick } else { Duration::ZERO };
            last = now;
            sent(now);
            // When all has left, the registry may need its time to store it.
            let patience = match now == self.source.size {
                true => self.registry.transport.blob_time(),
                false => self.registry.transport.patience(),
            };
            if still >= patience {
                let words = format!("nothing moved for {} s", patience.as_secs());
                return self.registry.transport.unavailable(self.action, words, true, None);
            }
        }
    }

    /// Ends an upload under the blob's digest; a small blob goes with it.
    async fn finish(
        &self,
        upload: Url,
        is_whole: bool,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Stopped> {
        let mut call = self.call(Method::PUT, self.ending(&upload));
        let bytes = match is_whole {
            true => whole(self.source.clone()).await?,
            false => Vec::new(),
        };
        call.0 = call.0.time(self.registry.transport.blob_time()).header(CONTENT_TYPE, OCTETS);
        call.0 = call.0.payload(Payload::Bytes(bytes));
        match call.send(&[201]).await {
            Ok(answer) => {
                self.agree(&answer)?;
                sent(self.source.size);
                Ok(())
            }
            // The upload is gone, or its bytes were harmed on the way.
            Err(RegistryError::NotFound { words, .. }) => Err(self.anew(words)),
            Err(RegistryError::Refused { status: 400 | 416, words, .. }) => Err(self.anew(words)),
            // What was streamed may be there still; what went with this request is sent again.
            Err(error) if is_whole => Err(error.into()),
            Err(error) => Err(Stopped { error, upload: Some(upload), refused: None }),
        }
    }

    /// A registry that has stored the blob under another digest has not stored it.
    fn agree(&self, answer: &Response) -> Result<(), RegistryError> {
        match self.registry.transport.stated_digest(answer) {
            Some(found) if found != self.source.digest => {
                let expected = self.source.digest.clone();
                let source = Mismatch::Digest { expected, found };
                Err(RegistryError::Mismatch { what: self.name.to_owned(), source })
            }
            _ => Ok(()),
        }
    }

    fn call(&self, method: Method, url: Url) -> Sending<'_> {
        let scope = Scope::push(self.repository);
        Sending(Call::new(method, url, scope, self.action, self.name), self)
    }
}

/// A request of an upload.
struct Sending<'a>(Call<'a>, &'a Push<'a>);

impl Sending<'_> {
    async fn send(self, good: &[u16]) -> Result<Response, RegistryError> {
        let Self(call, push) = self;
        let transport = &push.registry.transport;
        let answer = transport.send(call).await?;
        transport.expect(answer, good, push.action, push.name).await
    }
}
