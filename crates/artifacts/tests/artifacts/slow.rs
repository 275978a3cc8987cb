//! A registry that is slow but moves: what takes longer than the patience is not given up as long
//! as bytes come and go.

use std::time::{Duration, Instant};

use artifacts::build::Content;
use artifacts::digest;
use artifacts::oci::{Descriptor, LAYER_TYPE};
use artifacts::registry::{BlobSource, Registry, Retry, Settings};

use crate::fixture::noise;
use crate::server::{Pace, Server};
use crate::uploads::{Faults, Memory, Uploads};

const PATIENCE: Duration = Duration::from_millis(500);
/// About a second for a megabyte.
const TRICKLE: Pace = Pace { bytes: 64 * 1024, pause: Duration::from_millis(70) };
/// So fast that what the system keeps of a stream on its way, some megabytes, passes well within
/// the patience: the client sees bytes leave only when there is room for them.
const STREAM: Pace = Pace { bytes: 128 * 1024, pause: Duration::from_millis(10) };

/// A client that gives up at the first fault: what a second attempt would mend is seen.
fn impatient(mut settings: Settings) -> Registry {
    settings.patience = PATIENCE;
    settings.retry = Retry::never();
    Registry::new(settings).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_leaves_slowly_but_moves_is_sent_once_and_whole() {
    // The small one goes in one request, the large one is streamed.
    for (length, pace) in [(1_000_000, TRICKLE), (24_000_000, STREAM)] {
        let bytes = noise(length as u64, length);
        let (digest, size) = (digest::of(&bytes), length as u64);
        let source = BlobSource { content: Content::Bytes(bytes), digest, size };
        let uploads = Uploads::start(Faults { pace: Some(pace), ..Faults::none(Memory::Keeps) });
        let begun = Instant::now();
        let pushed = impatient(uploads.settings()).push_blob("a/b", &source, None, &|_| {}).await;
        pushed.unwrap_or_else(|error| panic!("{length}: {error}"));
        assert!(begun.elapsed() > PATIENCE * 2, "{length}: it was quick, so it proves nothing");
        assert_eq!(uploads.holds(), (1, 0));
        assert_eq!(uploads.received(size), size, "{length}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_comes_slowly_but_moves_is_read_once_and_whole() {
    let bytes = noise(1, 1_000_000);
    let layer = Descriptor::of(LAYER_TYPE, &bytes);
    let served = bytes.clone();
    let server = Server::slow(TRICKLE, move |_| (200, Vec::new(), served.clone()));
    let begun = Instant::now();
    let pulled = impatient(server.settings(&[])).pull_blob("a/b", &layer).await;
    assert_eq!(pulled.unwrap(), bytes);
    assert!(begun.elapsed() > PATIENCE * 2, "it was quick, so it proves nothing");
    assert_eq!(server.requests().len(), 1);
}
