//! Decides how a blob is read while it is sent: in pieces, measured, and never to its end if it is
//! not the blob that was named. Knows nothing of requests.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api::Digest;
use futures::Stream;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::RegistryError;
use crate::build::Content;
use crate::digest::{CHUNK, Measure};

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

/// What the stream of a blob tells those who wait for it.
#[derive(Debug, Default)]
pub(super) struct Flow {
    sent: AtomicU64,
    fault: Mutex<Option<RegistryError>>,
}

impl Flow {
    /// Begins at an offset.
    pub(super) fn from(offset: u64) -> Self {
        Self { sent: AtomicU64::new(offset), ..Self::default() }
    }

    /// How many bytes of the blob have left so far.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Why the blob could not be read, if that is why it stopped.
    pub(super) fn fault(&self) -> Option<RegistryError> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn keep(&self, fault: RegistryError) -> io::Error {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        io::Error::other("the blob cannot be read")
    }
}

/// The bytes of a blob from an offset on; the last piece leaves only if all bytes have the digest.
pub(super) fn pieces(
    source: BlobSource,
    offset: u64,
    flow: Arc<Flow>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    futures::stream::try_unfold((None, Some(source)), move |(reader, source)| {
        let flow = Arc::clone(&flow);
        async move {
            let mut reader: Pieces = match (reader, source) {
                (Some(reader), _) => reader,
                (None, Some(source)) => {
                    Pieces::open(source, offset).await.map_err(|fault| flow.keep(fault))?
                }
                (None, None) => return Ok(None),
            };
            let piece = reader.next(&flow).await.map_err(|fault| flow.keep(fault))?;
            Ok(piece.map(|piece| (piece, (Some(reader), None))))
        }
    })
}

/// Reads a blob piece by piece.
pub(super) struct Pieces {
    reader: Box<dyn AsyncRead + Send + Unpin>,
    measure: Option<Measure>,
    source: BlobSource,
    offset: u64,
}

impl Pieces {
    pub(super) async fn open(source: BlobSource, offset: u64) -> Result<Self, RegistryError> {
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
    pub(super) async fn next(&mut self, flow: &Flow) -> Result<Option<Vec<u8>>, RegistryError> {
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
