//! Decides how a blob is read while it is sent: in pieces, measured, and never to its end if it is
//! not the blob that was named. Knows nothing of requests.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use api::Digest;
use futures::Stream;

use super::RegistryError;
use crate::beneath::{self, BeneathError};
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

/// How many pieces of a blob are read ahead of those that leave.
const AHEAD: usize = 2;

/// The bytes of a blob from an offset on; the last piece leaves only if all bytes have the digest.
/// They are read once and hashed on the way, on a thread that may block.
pub(super) fn pieces(
    source: BlobSource,
    offset: u64,
    flow: Arc<Flow>,
) -> impl Stream<Item = io::Result<Vec<u8>>> + Send {
    let (to, from) = tokio::sync::mpsc::channel(AHEAD);
    tokio::task::spawn_blocking(move || {
        // Who does not take the next piece has gone, and nobody waits for the rest.
        let given = read_checked(&source, offset, |piece| to.blocking_send(Ok(piece)).is_ok());
        if let Err(fault) = given {
            // The same: nobody is there to be told.
            let _gone = to.blocking_send(Err(fault));
        }
    });
    futures::stream::unfold(from, move |mut from| {
        let flow = Arc::clone(&flow);
        async move {
            let piece = match from.recv().await? {
                Ok(piece) => {
                    flow.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                    Ok(piece)
                }
                Err(fault) => Err(flow.keep(fault)),
            };
            Some((piece, from))
        }
    })
}

/// A small blob as a whole, checked.
pub(super) async fn whole(source: BlobSource) -> Result<Vec<u8>, RegistryError> {
    let reading = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::with_capacity(usize::try_from(source.size).unwrap_or(0));
        read_checked(&source, 0, |piece| {
            bytes.extend_from_slice(&piece);
            true
        })?;
        Ok(bytes)
    });
    match reading.await {
        Ok(read) => read,
        // It is never cancelled.
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

/// Reads a blob and gives what must be sent until `give` takes no more; all before the offset is
/// only measured.
fn read_checked(
    source: &BlobSource,
    offset: u64,
    mut give: impl FnMut(Vec<u8>) -> bool,
) -> Result<(), RegistryError> {
    let refused = |reason: String| fault(source, reason);
    let other_length = || refused(format!("it does not have {} bytes any more", source.size));
    let mut reader: Box<dyn Read + '_> = match &source.content {
        Content::Bytes(bytes) => Box::new(&bytes[..]),
        Content::File(path) => {
            let name = path.file_name().and_then(|name| name.to_str());
            let (Some(folder), Some(name)) = (path.parent(), name) else {
                return Err(refused("it has no name".to_owned()));
            };
            let (file, length) = beneath::open(folder, name).map_err(|e| refused(said(&e)))?;
            if length != source.size {
                return Err(other_length());
            }
            Box::new(file)
        }
    };
    let mut measure = Measure::default();
    loop {
        let left = source.size - measure.length();
        // One byte more than there should be, so that a blob that has grown is seen.
        let want = left.saturating_add(1).min(CHUNK as u64);
        let mut piece = Vec::with_capacity(usize::try_from(want).unwrap_or(CHUNK));
        let read = (&mut reader).take(want).read_to_end(&mut piece);
        read.map_err(|e| refused(e.to_string()))?;
        let before = measure.length();
        measure.update(&piece);
        let end = measure.length();
        if end > source.size || (piece.is_empty() && end < source.size) {
            return Err(other_length());
        }
        let is_last = end == source.size;
        if is_last && measure.clone().digest() != source.digest {
            return Err(refused(format!("its digest is not {}", source.digest)));
        }
        let skip = usize::try_from(offset.saturating_sub(before)).unwrap_or(usize::MAX);
        if skip < piece.len() {
            piece.drain(..skip);
            if !give(piece) {
                return Ok(());
            }
        }
        if is_last {
            return Ok(());
        }
    }
}

/// What the opening of a file says, with its cause.
fn said(error: &BeneathError) -> String {
    match error {
        BeneathError::Io(source) => source.to_string(),
        refused => refused.to_string(),
    }
}

fn fault(source: &BlobSource, reason: String) -> RegistryError {
    let path = match &source.content {
        Content::File(path) => path.clone(),
        Content::Bytes(_) => PathBuf::from(source.digest.as_str()),
    };
    RegistryError::File { path, reason }
}
