//! Connections that break while a package is copied: what was cut goes again, nothing is lost.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use artifacts::build::LayoutWriter;
use artifacts::layout::Layout;
use artifacts::registry::Registry;
use artifacts::sync::{Plan, Silent, check, sync};
use sandbox::registry::Access;

use crate::fixture::{Platform, image};

/// When a connection is broken.
#[derive(Clone, Copy)]
enum Cut {
    /// The first `times` connections, each after `bytes` bytes to the registry.
    Each { bytes: u64, times: u64 },
    /// All of them for good, when they have carried `bytes` bytes together.
    Outage { bytes: u64 },
}

/// Carries connections to `target` and breaks them; gives the address where it listens.
fn cutting(target: &str, cut: Cut) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let target = target.to_owned();
    let count = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for client in listener.incoming() {
            let Ok(client) = client else { break };
            let Ok(server) = TcpStream::connect(&target) else { continue };
            let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            let count = Arc::clone(&count);
            thread::spawn(move || {
                carry(client, server, |carried, n| breaks(cut, &count, carried, n))
            });
            thread::spawn(move || carry(back_from, back_to, |_, _| false));
        }
    });
    address
}

fn breaks(cut: Cut, count: &AtomicU64, carried: u64, n: u64) -> bool {
    match cut {
        Cut::Each { bytes, times } => {
            carried > bytes && count.fetch_add(1, Ordering::SeqCst) < times
        }
        Cut::Outage { bytes } => count.fetch_add(n, Ordering::SeqCst) + n > bytes,
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, breaks: impl Fn(u64, u64) -> bool) {
    let mut buffer = [0; 16 * 1024];
    let mut carried = 0;
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || to.write_all(&buffer[..n]).is_err() {
            break;
        }
        carried += n as u64;
        if breaks(carried, n as u64) {
            break;
        }
    }
    // The other thread may have closed it already.
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// A layout with one image for each length of a layer.
fn plan(folder: &Path, lengths: &[usize]) -> Plan {
    let mut layout = LayoutWriter::create(folder).unwrap();
    for (number, length) in lengths.iter().enumerate() {
        let repository = format!("acp/image-{number}");
        image(number as u64, *length).write(&mut layout, &repository, "v1").unwrap();
    }
    layout.finish().unwrap();
    Plan::of_layout(&Layout::open(folder).unwrap())
}

fn through(platform: &Platform, cut: Cut, attempts: u32) -> Registry {
    let mut settings = platform.settings();
    settings.retry.attempts = attempts;
    settings.address = cutting(platform.server.address(), cut);
    Registry::new(settings).unwrap()
}

fn received(requests: &[Access]) -> u64 {
    requests.iter().map(|r| r.received).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_is_cut_again_and_again_ends_whole() {
    let work = tempfile::tempdir().unwrap();
    let plan = plan(work.path(), &[6_000_000, 100_000, 10]);
    for bytes in [1, 500, 5_000, 100_000, 2_000_000, 5_900_000] {
        let platform = Platform::start().await;
        let registry = through(&platform, Cut::Each { bytes, times: 3 }, 5);
        let report = sync(plan.clone(), &registry, 3, Arc::new(Silent)).await.unwrap();
        assert_eq!(report.failed.len(), 0, "cut after {bytes}: {report:?}");
        assert_eq!(check(&plan, &platform.client(), 4).await.unwrap(), [], "cut after {bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_upload_goes_on_where_the_registry_says_it_stopped() {
    let platform = Platform::start().await;
    let work = tempfile::tempdir().unwrap();
    let plan = plan(work.path(), &[8_000_000]);
    // No connection carries the whole layer, so it never arrives by beginning anew.
    let registry = through(&platform, Cut::Each { bytes: 3_000_000, times: u64::MAX }, 2);
    let report = sync(plan.clone(), &registry, 1, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failed.len(), 0, "{report:?}");
    let requests = platform.requests(0);
    let received = received(&requests);
    assert!(received < 8_100_000, "sent again: {received} {requests:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_after_an_outage_sends_only_what_is_missing() {
    let platform = Platform::start().await;
    let work = tempfile::tempdir().unwrap();
    let plan = plan(work.path(), &[4_000_000, 3_000_000]);
    let registry = through(&platform, Cut::Outage { bytes: 5_500_000 }, 3);
    let report = sync(plan.clone(), &registry, 1, Arc::new(Silent)).await.unwrap();
    assert_eq!(report.failed.len(), 2, "{report:?}");
    assert!(report.failed.iter().all(|(_, error)| error.may_pass()), "{report:?}");
    let before = platform.requests(0).len();
    let report = sync(plan.clone(), &platform.client(), 4, Arc::new(Silent)).await.unwrap();
    assert_eq!((report.uploaded, report.failed.len()), (2, 0), "{report:?}");
    let received = received(&platform.requests(before));
    assert!(received > 3_000_000 && received < 3_100_000, "more than one layer: {received}");
}
