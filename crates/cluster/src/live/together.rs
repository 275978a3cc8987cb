//! Many that read of one API server: what is asked for at the same time is one request, and only so
//! many are under way at a time. Who asks is never answered by a request that was sent before: what
//! is read is as fresh as if it was read alone.

use crate::call::CallError;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared, WeakShared};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio::time::Instant;

/// Reads at a time: more would only wait in the server, and time out there.
const IN_FLIGHT: usize = 32;
/// From one request for a thing that many ask for to the next.
const INTERVAL: Duration = Duration::from_millis(100);
/// Things that are remembered before those that nobody asks for any more are forgotten.
const REMEMBERED: usize = 4096;

type Answer = Result<Value, CallError>;
type Request = Shared<BoxFuture<'static, Answer>>;

/// The reads of one API server.
pub(super) struct Together {
    things: Mutex<HashMap<String, Thing>>,
    places: Semaphore,
}

impl Default for Together {
    fn default() -> Self {
        Self { things: Mutex::default(), places: Semaphore::new(IN_FLIGHT) }
    }
}

/// One thing that is read.
#[derive(Default)]
struct Thing {
    /// The request that was not sent yet, as long as somebody waits for it.
    next: Option<WeakShared<BoxFuture<'static, Answer>>>,
    /// How many wait for it.
    askers: usize,
    /// When the next one may be sent; None: at once, for the last was answered and only one had
    /// waited for it.
    due: Option<Instant>,
    /// Tells that it became so.
    free: Arc<Notify>,
}

impl Together {
    /// What `send` answers, which is called after this was; by whoever asks first.
    pub(super) async fn read<S>(self: &Arc<Self>, key: String, send: S) -> Answer
    where
        S: Future<Output = Answer> + Send + 'static,
    {
        self.join(key, send).await
    }

    fn join<S>(self: &Arc<Self>, key: String, send: S) -> Request
    where
        S: Future<Output = Answer> + Send + 'static,
    {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        if things.len() >= REMEMBERED {
            things.retain(|_, thing| !thing.is_at_rest());
        }
        let thing = things.entry(key.clone()).or_default();
        if let Some(next) = thing.next.as_ref().and_then(WeakShared::upgrade) {
            thing.askers += 1;
            return next;
        }
        let all = Arc::clone(self);
        let request = async move {
            all.turn(&key).await;
            // It is never closed; until there is a place, others may still join.
            let _place = all.places.acquire().await;
            let due = Some(Instant::now() + INTERVAL);
            let waited = all.of(&key, |thing| {
                thing.next = None;
                thing.due = due;
                thing.askers
            });
            let answer = send.await;
            if waited == 1 {
                all.of(&key, |thing| {
                    // Unless another one was sent meanwhile.
                    if thing.due == due {
                        thing.due = None;
                        thing.free.notify_waiters();
                    }
                });
            }
            answer
        };
        let request = request.boxed().shared();
        thing.askers = 1;
        thing.next = request.downgrade();
        request
    }

    /// Waits until the next request for a thing may be sent.
    async fn turn(&self, key: &str) {
        loop {
            let free = self.of(key, |thing| Arc::clone(&thing.free));
            // What is told from here on is heard.
            let told = free.notified();
            let due = self.of(key, |thing| thing.due);
            let Some(due) = due.filter(|due| *due > Instant::now()) else { return };
            tokio::select! {
                () = tokio::time::sleep_until(due) => {}
                () = told => {}
            }
        }
    }

    fn of<T>(&self, key: &str, change: impl FnOnce(&mut Thing) -> T) -> T {
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        change(things.entry(key.to_owned()).or_default())
    }
}

impl Thing {
    /// Whether nobody waits for it, and nobody would have to.
    fn is_at_rest(&self) -> bool {
        let is_waited_for = self.next.as_ref().and_then(WeakShared::upgrade).is_some();
        !is_waited_for && self.due.is_none_or(|due| due <= Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// How long a request takes.
    const TAKES: Duration = Duration::from_millis(40);

    /// A server that answers the number of the request.
    #[derive(Default)]
    struct Server {
        together: Arc<Together>,
        requests: Arc<AtomicU64>,
        under_way: Arc<AtomicU64>,
        most: Arc<AtomicU64>,
    }

    impl Server {
        async fn read(&self, key: &str) -> u64 {
            let (requests, most) = (Arc::clone(&self.requests), Arc::clone(&self.most));
            let under_way = Arc::clone(&self.under_way);
            let send = async move {
                let number = requests.fetch_add(1, Ordering::Relaxed) + 1;
                let now = under_way.fetch_add(1, Ordering::Relaxed) + 1;
                most.fetch_max(now, Ordering::Relaxed);
                tokio::time::sleep(TAKES).await;
                under_way.fetch_sub(1, Ordering::Relaxed);
                Ok(json!(number))
            };
            self.together.read(key.to_owned(), send).await.unwrap().as_u64().unwrap()
        }

        /// Asks after so many milliseconds.
        async fn read_after(&self, wait_ms: u64, key: &str) -> u64 {
            tokio::time::sleep(Duration::from_millis(wait_ms)).await;
            self.read(key).await
        }
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_ask_at_once_share_one_request() {
        let server = Server::default();
        let all = futures::future::join_all((0..50).map(|_| server.read("a"))).await;
        // The first was sent before the others asked.
        assert_eq!((all[0], &all[1..]), (1, &[2; 49][..]));
        assert_eq!(server.read("b").await, 3, "another thing is another request");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_answered_by_a_request_that_was_sent_before() {
        let server = Server::default();
        let late = (1..=50).map(|n| server.read_after(n % 30 + 1, "a"));
        let (first, late) =
            futures::future::join(server.read("a"), futures::future::join_all(late)).await;
        assert_eq!((first, late), (1, vec![2; 50]));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_alone_never_waits() {
        let (server, begun) = (Server::default(), Instant::now());
        for number in 1..=10 {
            assert_eq!(server.read("a").await, number);
        }
        assert_eq!(begun.elapsed(), TAKES * 10);
    }

    #[tokio::test(start_paused = true)]
    async fn the_second_of_two_waits_for_the_first_and_no_longer() {
        let (server, begun) = (Server::default(), Instant::now());
        let both = futures::future::join(server.read("a"), server.read_after(1, "a")).await;
        assert_eq!((both, begun.elapsed()), ((1, 2), TAKES * 2));
    }

    #[tokio::test(start_paused = true)]
    async fn only_so_many_are_under_way() {
        let (server, begun) = (Server::default(), Instant::now());
        let names: Vec<String> = (0..IN_FLIGHT * 3).map(|n| n.to_string()).collect();
        // Those that wait for a place are joined.
        let twice = names.iter().chain(&names[IN_FLIGHT..]).map(|name| server.read(name));
        futures::future::join_all(twice).await;
        let most = server.most.load(Ordering::Relaxed);
        let sent = server.requests.load(Ordering::Relaxed);
        let expected = (IN_FLIGHT as u64, 3 * IN_FLIGHT as u64, TAKES * 3);
        assert_eq!((most, sent, begun.elapsed()), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_many_ask_for_is_asked_for_at_an_interval() {
        let server = Server::default();
        // For a second, one after the other; and each again.
        let all = (0..1000).map(|n| server.read_after(n, "a"));
        futures::future::join_all(all).await;
        let sent = server.requests.load(Ordering::Relaxed);
        assert!((10..=14).contains(&sent), "{sent} requests");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_holds_up_nobody() {
        let server = Server::default();
        let hasty = tokio::time::timeout(TAKES + TAKES / 2, server.read("a"));
        let all = futures::future::join3(server.read("a"), hasty, server.read("a")).await;
        assert_eq!((all.0, all.1.ok(), all.2), (1, None, 2));
        // One that waits for its turn, and goes, leaves it to whoever comes.
        let hasty = tokio::time::timeout(TAKES / 2, server.read("a")).await;
        assert_eq!((hasty.ok(), server.read("a").await), (None, 3));
        let gone = tokio::time::timeout(TAKES / 2, server.read("b")).await;
        assert_eq!((gone.ok(), server.read("b").await), (None, 5));
    }
}
