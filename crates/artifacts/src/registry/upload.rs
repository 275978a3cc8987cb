//! Decides how a blob gets into a registry: mounted from another repository, in one request if it
//! is small, else streamed and continued where the registry says it stopped. Knows nothing of
//! images.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api::Digest;
use futures::Stream;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use reqwest::{Body, Method, Response, Url};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{BLOB_TIME, Call, Payload, Registry, RegistryError, Scope};
use crate::build::Content;
use crate::digest::{CHUNK, Measure};

/// Blobs up to this length go in one request, in bytes.
const SMALL: u64 = 1024 * 1024;
/// How often a blob is begun anew or continued while some of it arrives each time.
const CONTINUATIONS: u32 = 100;
const OCTETS: &str = "application/octet-stream";

/// A blob that is sent.
#[derive(Debug, Clone)]
pub struct BlobSource {
    /// Where its bytes are.
    pub content: Content,
    /// Of its bytes.
    pub digest: Digest,
    /// In bytes.
    pub size: u64,
}

/// What came of the wish to mount a blob.
#[derive(Debug, PartialEq, Eq)]
pub enum Mount {
    /// It is there.
    Mounted,
    /// It must be sent; the registry has opened an upload for it.
    Open(Url),
}

/// What the stream of a blob tells those who wait for it.
#[derive(Debug, Default)]
struct Flow {
    sent: AtomicU64,
    fault: Mutex<Option<RegistryError>>,
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
            let Err(Stopped { error, upload }) = push.attempt(session.take(), sent).await else {
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
                session = push.offset(url).await?;
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

/// Why an attempt stopped, and the upload that may be continued.
struct Stopped {
    error: RegistryError,
    upload: Option<Url>,
}

impl From<RegistryError> for Stopped {
    fn from(error: RegistryError) -> Self {
        Self { error, upload: None }
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
            _ => self.stream(url, offset, sent).await?,
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

    /// Streams the blob from an offset on, and gives the address at which the upload is ended.
    async fn stream(
        &self,
        url: Url,
        offset: u64,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<Url, Stopped> {
        let flow = Arc::new(Flow { sent: AtomicU64::new(offset), ..Flow::default() });
        let left = self.source.size - offset;
        let body = Body::wrap_stream(pieces(self.source.clone(), offset, Arc::clone(&flow)));
        let range = format!("{offset}-{}", self.source.size - 1);
        let mut call = self.call(Method::PATCH, url.clone());
        call.0 = call
            .0
            .header(CONTENT_TYPE, OCTETS)
            .header(CONTENT_RANGE, &range)
            .payload(Payload::Stream(body, left));
        let result = tokio::select! {
            result = call.send(&[202, 204]) => result,
            stalled = self.watch(&flow, sent) => Err(stalled),
        };
        sent(flow.sent.load(Ordering::Relaxed));
        if let Some(fault) = flow.fault.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(fault.into());
        }
        match result {
            Ok(answer) => Ok(self.registry.session(&answer, self.name)?),
            // Begun anew: the registry has another idea of where the upload is.
            Err(RegistryError::NotFound { words, .. }) => Err(self.anew(words)),
            Err(RegistryError::Refused { status: 416, words, .. }) => Err(self.anew(words)),
            Err(error) => Err(Stopped { error, upload: Some(url) }),
        }
    }

    fn anew(&self, words: String) -> Stopped {
        self.registry.transport.unavailable(self.action, words, true, None).into()
    }

    /// Reports what has left, and ends when nothing leaves any more.
    async fn watch(&self, flow: &Flow, sent: &(dyn Fn(u64) + Send + Sync)) -> RegistryError {
        let tick = std::time::Duration::from_millis(100);
        let (mut last, mut still) = (0, std::time::Duration::ZERO);
        loop {
            tokio::time::sleep(tick).await;
            let now = flow.sent.load(Ordering::Relaxed);
            still = if now == last { still + tick } else { std::time::Duration::ZERO };
            last = now;
            sent(now);
            // When all has left, the registry may need its time to store it.
            let patience = match now == self.source.size {
                true => BLOB_TIME,
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
        mut url: Url,
        whole: bool,
        sent: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<(), Stopped> {
        url.query_pairs_mut().append_pair("digest", self.source.digest.as_str());
        let mut call = self.call(Method::PUT, url);
        let bytes = if whole { self.whole().await? } else { Vec::new() };
        call.0 = call.0.time(BLOB_TIME).header(CONTENT_TYPE, OCTETS);
        call.0 = call.0.payload(Payload::Bytes(bytes));
        match call.send(&[201]).await {
            Ok(_) => {
                sent(self.source.size);
                Ok(())
            }
            // The upload is gone, or its bytes were harmed on the way.
            Err(RegistryError::NotFound { words, .. }) => Err(self.anew(words)),
            Err(RegistryError::Refused { status: 400 | 416, words, .. }) => Err(self.anew(words)),
            Err(error) => Err(error.into()),
        }
    }

    /// A small blob, checked.
    async fn whole(&self) -> Result<Vec<u8>, RegistryError> {
        let flow = Flow::default();
        let mut reader = Pieces::open(self.source.clone(), 0).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = reader.next(&flow).await? {
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
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

/// The bytes of a blob from an offset on; the last piece leaves only if all bytes have the digest.
fn pieces(
    source: BlobSource,
    offset: u64,
    flow: Arc<Flow>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    let keep = move |flow: &Flow, fault: RegistryError| {
        *flow.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        io::Error::other("the blob cannot be read")
    };
    futures::stream::try_unfold((None, Some(source)), move |(reader, source)| {
        let flow = Arc::clone(&flow);
        async move {
            let mut reader: Pieces = match (reader, source) {
                (Some(reader), _) => reader,
                (None, Some(source)) => {
                    Pieces::open(source, offset).await.map_err(|fault| keep(&flow, fault))?
                }
                (None, None) => return Ok(None),
            };
            let piece = reader.next(&flow).await.map_err(|fault| keep(&flow, fault))?;
            Ok(piece.map(|piece| (piece, (Some(reader), None))))
        }
    })
}

struct Pieces {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    measure: Option<Measure>,
    source: BlobSource,
    offset: u64,
}

impl Pieces {
    async fn open(source: BlobSource, offset: u64) -> Result<Self, RegistryError> {
        let reader: Box<dyn AsyncRead + Send + Unpin> = match &source.content {
            Content::Bytes(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Content::File(path) => match File::open(path).await {
                Ok(file) => Box::new(file),
                Err(e) => return Err(fault(&source, e.to_string())),
            },
        };
        Ok(Self { reader, measure: Some(Measure::default()), source, offset })
    }

    /// The next piece that must be sent; all before the offset is only measured.
    async fn next(&mut self, flow: &Flow) -> Result<Option<Vec<u8>>, RegistryError> {
        loop {
            let Some(measure) = &mut self.measure else { return Ok(None) };
            let left = self.source.size - measure.length();
            let mut piece = Vec::with_capacity(CHUNK.min(usize::try_from(left).unwrap_or(CHUNK)));
            // One byte more than there should be, so that a blob that has grown is seen.
            let want = left.saturating_add(1).min(CHUNK as u64);
            (&mut self.reader)
                .take(want)
                .read_buf(&mut piece)
                .await
                .map_err(|e| fault(&self.source, e.to_string()))?;
            let before = measure.length();
            measure.update(&piece);
            let end = measure.length();
            if end > self.source.size || (piece.is_empty() && end < self.source.size) {
                let reason = format!("it does not have {} bytes any more", self.source.size);
                return Err(fault(&self.source, reason));
            }
            if end == self.source.size {
                let found = self.measure.take().map(Measure::digest);
                if found.as_ref() != Some(&self.source.digest) {
                    let reason = format!("its digest is not {}", self.source.digest);
                    return Err(fault(&self.source, reason));
                }
            }
            if end > self.offset {
                let skip = usize::try_from(self.offset.saturating_sub(before)).unwrap_or(0);
                if skip > 0 {
                    piece.drain(..skip);
                }
                flow.sent.store(end, Ordering::Relaxed);
                return Ok(Some(piece));
            }
        }
    }
}

fn fault(source: &BlobSource, reason: String) -> RegistryError {
    let path = match &source.content {
        Content::File(path) => path.clone(),
        Content::Bytes(_) => PathBuf::from(source.digest.as_str()),
    };
    RegistryError::File { path, reason }
}
