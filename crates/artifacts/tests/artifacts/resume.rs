//! Uploads that are cut again and again: only unfinished blobs go again, from where the registry
//! says they stopped, and no manifest comes before its blobs.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use artifacts::build::{Content, LayoutWriter};
use artifacts::digest;
use artifacts::layout::Layout;
use artifacts::registry::{BlobSource, RegistryError};
use artifacts::sync::{Plan, Silent, sync};

use crate::fixture::{image, noise};
use crate::uploads::{Faults, Memory, Uploads};

/// Numbers that look like chance, the same in every run.
fn chance(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed;
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below.max(1)
    }
}

fn blob(seed: u64, length: usize) -> BlobSource {
    let bytes = noise(seed, length);
    BlobSource { digest: digest::of(&bytes), size: length as u64, content: Content::Bytes(bytes) }
}

fn plan(folder: &Path, lengths: &[usize]) -> Plan {
    let mut layout = LayoutWriter::create(folder).unwrap();
    for (number, length) in lengths.iter().enumerate() {
        let repository = format!("acp/image-{number}");
        image(number as u64, *length).write(&mut layout, &repository, "v1").unwrap();
    }
    layout.finish().unwrap();
    Plan::of_layout(&Layout::open(folder).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_cuts_of_one_blob_send_no_byte_twice() {
    let mut chance = chance(1);
    let source = blob(1, 8_000_000);
    // Each connection carries at least a byte more, and all fifty together less than the blob.
    let cuts: Vec<u64> = (0..50).map(|_| 2 + chance(150_000)).collect();
    let uploads = Uploads::start(Faults { cuts, ..Faults::none(Memory::Keeps) });
    uploads.client().push_blob("a/b", &source, None, &|_| {}).await.unwrap();
    assert_eq!(uploads.holds(), (1, 0));
    assert_eq!(uploads.received(source.size), source.size);
}

/// Layers and configs, large and small: each is cut fifty times, at a byte of its own.
#[tokio::test(flavor = "multi_thread")]
async fn each_blob_of_a_release_is_cut_at_fifty_bytes_and_ends_whole() {
    let mut chance = chance(7);
    let work = tempfile::tempdir().unwrap();
    let plan = plan(work.path(), &[1_500_000, 400_000, 1_000, 10]);
    let blobs: Vec<BlobSource> =
        plan.artifacts.into_iter().flat_map(|artifact| artifact.blobs).collect();
    assert!(blobs.iter().any(|blob| blob.size < 1_000), "small ones as well");
    for blob in &blobs {
        for _ in 0..50 {
            let cut = chance(blob.size);
            let uploads = Uploads::start(Faults { cuts: vec![cut], ..Faults::none(Memory::Keeps) });
            uploads.client().push_blob("a/b", blob, None, &|_| {}).await.unwrap();
            // Up to a mebibyte a blob goes in one request, and begins anew.
            let again = if blob.size > 1024 * 1024 { u64::from(cut == 1) } else { cut };
            let what = format!("{} bytes, cut after {cut}", blob.size);
            assert_eq!(uploads.received(blob.size), blob.size + again, "{what}");
            assert_eq!(uploads.holds(), (1, 0), "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_cut_at_its_first_bytes_or_its_last_one_ends_whole() {
    for cut in [0, 1, 2, 255, 256 * 1024, 3_999_998, 3_999_999] {
        let source = blob(2, 4_000_000);
        let uploads = Uploads::start(Faults { cuts: vec![cut], ..Faults::none(Memory::Keeps) });
        uploads.client().push_blob("a/b", &source, None, &|_| {}).await.unwrap();
        // One byte is not told from none: that upload begins anew.
        let again = if cut == 1 { 1 } else { 0 };
        assert_eq!(uploads.received(source.size), source.size + again, "cut after {cut}");
        assert_eq!(uploads.holds(), (1, 0), "cut after {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_kept_less_forgot_or_contradicts_itself_gets_the_blob_all_the_same() {
    for (memory, most) in [(Memory::Loses, 2), (Memory::Forgets, 2), (Memory::Contradicts, 4)] {
        let source = blob(3, 4_000_000);
        let cuts = vec![1_000_000];
        let uploads = Uploads::start(Faults { cuts, ..Faults::none(memory) });
        let pushed = uploads.client().push_blob("a/b", &source, None, &|_| {}).await;
        pushed.unwrap_or_else(|error| panic!("{memory:?}: {error:?}"));
        assert_eq!(uploads.holds(), (1, 0), "{memory:?}");
        let received = uploads.received(source.size);
        assert!(received <= most * source.size, "{memory:?}: {received}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stops_reading_is_left_and_the_upload_goes_on() {
    let source = blob(4, 4_000_000);
    let cuts = vec![1_000_000];
    let uploads = Uploads::start(Faults { cuts, stalls: true, ..Faults::none(Memory::Keeps) });
    let mut settings = uploads.settings();
    settings.patience = Duration::from_millis(500);
    settings.retry.longest = Duration::from_secs(3);
    settings.retry.first = Duration::from_secs(3);
    let registry = artifacts::registry::Registry::new(settings).unwrap();
    registry.push_blob("a/b", &source, None, &|_| {}).await.unwrap();
    assert_eq!(uploads.holds(), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_stored_something_else_is_not_believed() {
    let other = digest::of(b"other").to_string();
    let faults = Faults { stored_as: Some(other), ..Faults::none(Memory::Keeps) };
    let uploads = Uploads::start(faults);
    for length in [10, 4_000_000] {
        let source = blob(5, length);
        let pushed = uploads.client().push_blob("a/b", &source, None, &|_| {}).await;
        let error = pushed.unwrap_err();
        assert!(matches!(error, RegistryError::Mismatch { .. }), "{error:?}");
        assert!(error.to_string().contains(source.digest.as_str()), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_runs_that_die_send_finished_blobs_once_and_no_manifest_too_early() {
    let mut chance = chance(6);
    let work = tempfile::tempdir().unwrap();
    let plan = plan(work.path(), &[3_000_000, 2_000_000, 1_500_000, 400_000, 1_000, 10]);
    let blobs: usize = plan.artifacts.iter().map(|artifact| artifact.blobs.len()).sum();
    let uploads = Uploads::start(Faults::none(Memory::Keeps));
    for run in 0..50 {
        // What a run may finish before it dies grows, so that some blobs come and others do not.
        let mut cuts: Vec<u64> = (0..run / 6).map(|_| u64::MAX).collect();
        cuts.push(chance(3_000_000));
        uploads.fails(Faults { cuts, ends: true, ..Faults::none(Memory::Keeps) });
        let mut settings = uploads.settings();
        settings.retry.attempts = 1;
        let registry = artifacts::registry::Registry::new(settings).unwrap();
        let report = sync(plan.clone(), &registry, 3, Arc::new(Silent)).await;
        let whole = report.is_ok_and(|report| report.failed.is_empty());
        let (held, manifests) = uploads.holds();
        assert!(whole == (held == blobs && manifests == 6), "run {run}: {held} {manifests}");
        assert_eq!(uploads.breaches(), (0, Vec::new()), "run {run}");
    }
    uploads.fails(Faults::none(Memory::Keeps));
    let report = sync(plan.clone(), &uploads.client(), 3, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.failed.len(), uploads.holds()), (0, (blobs, 6)));
    assert_eq!(uploads.breaches(), (0, Vec::new()));
}

#[tokio::test]
async fn a_pipe_in_the_place_of_a_blob_is_not_waited_for() {
    let work = tempfile::tempdir().unwrap();
    let path = work.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
    assert!(made.success());
    let uploads = Uploads::start(Faults::none(Memory::Keeps));
    for size in [10, 4_000_000] {
        let content = Content::File(path.clone());
        let source = BlobSource { content, digest: digest::of(b"x"), size };
        let error = uploads.client().push_blob("a/b", &source, None, &|_| {}).await.unwrap_err();
        assert!(error.to_string().contains("pipe: it is no regular file"), "{error}");
    }
}
