//! A way to a registry that stands still at a moment that a test chooses, so that what is done to a
//! run at that moment is done while it runs. Knows nothing of what is carried.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

/// A way to a registry; it ends with this value.
pub(crate) struct Link {
    pub(crate) address: String,
    state: Arc<State>,
}

struct State {
    /// Whether it is time to stand still, by the bytes that were carried so far.
    stops: Box<dyn Fn(u64) -> bool + Send + Sync>,
    carried: AtomicU64,
    stands: AtomicBool,
    over: AtomicBool,
}

impl Link {
    /// A way that stands still for good before it carries the next bytes to the registry.
    pub(crate) fn to(target: &str, stops: impl Fn(u64) -> bool + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(State {
            stops: Box::new(stops),
            carried: AtomicU64::default(),
            stands: AtomicBool::default(),
            over: AtomicBool::default(),
        });
        let (target, own) = (target.to_owned(), Arc::clone(&state));
        // It listens as long as the process of the tests: nobody knows of it after its test.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&target) else { continue };
                let back = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let state = Arc::clone(&own);
                thread::spawn(move || {
                    carry(client, server, || state.lets_through(), &state.carried)
                });
                thread::spawn(move || carry(back.0, back.1, || true, &AtomicU64::default()));
            }
        });
        Self { address, state }
    }

    /// Whether it stands still.
    pub(crate) fn stands(&self) -> bool {
        self.state.stands.load(Ordering::SeqCst)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.state.over.store(true, Ordering::SeqCst);
    }
}

impl State {
    /// Waits where the way stands still; whether it goes on.
    fn lets_through(&self) -> bool {
        if !self.stands.load(Ordering::SeqCst) && (self.stops)(self.carried.load(Ordering::SeqCst))
        {
            self.stands.store(true, Ordering::SeqCst);
        }
        while self.stands.load(Ordering::SeqCst) {
            if self.over.load(Ordering::SeqCst) {
                return false;
            }
            thread::sleep(Duration::from_millis(10));
        }
        true
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, goes_on: impl Fn() -> bool, count: &AtomicU64) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer) {
        if n == 0 || !goes_on() || to.write_all(&buffer[..n]).is_err() {
            break;
        }
        count.fetch_add(n as u64, Ordering::SeqCst);
    }
    // The other direction may have closed both already.
    let _closed = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
