//! Who pulls, and who waits: one at a time of each digest, so that the others find what it brought,
//! and few at a time of all.
//!
//! Must not know what is pulled; whoever waits says for how long.

use api::Digest;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// The turns of all digests.
#[derive(Debug)]
pub(crate) struct Turns {
    of: Mutex<BTreeMap<Digest, Arc<tokio::sync::Mutex<()>>>>,
    all: Arc<Semaphore>,
}

/// The turn of one; it ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Turn {
    _one: OwnedMutexGuard<()>,
    /// None: nothing bounds it, for a semaphore that nobody closes gives one.
    _of_all: Option<OwnedSemaphorePermit>,
}

impl Turns {
    /// So many turns at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self { of: Mutex::default(), all: Arc::new(Semaphore::new(at_a_time)) }
    }

    /// Returns once it is the turn of whoever asks.
    pub(crate) async fn of(&self, digest: &Digest) -> Turn {
        let one = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody holds or waits for any more.
            of.retain(|_, one| Arc::strong_count(one) > 1);
            Arc::clone(of.entry(digest.clone()).or_default())
        };
        // First that of the digest: who waits for the same takes no place of others.
        let one = one.lock_owned().await;
        Turn { _one: one, _of_all: Arc::clone(&self.all).acquire_owned().await.ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn one_of_each_digest_and_two_of_all_have_their_turn() {
        let turns = Arc::new(Turns::new(2));
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let brought: Arc<Mutex<BTreeMap<Digest, usize>>> = Arc::default();
        let rounds: Vec<_> = (0..200)
            .map(|round| {
                let digest = Digest::of(format!("{}", round % 5).as_bytes());
                let (turns, brought) = (Arc::clone(&turns), Arc::clone(&brought));
                let (now, most) = (Arc::clone(&now), Arc::clone(&most));
                tokio::spawn(async move {
                    let _turn = turns.of(&digest).await;
                    if brought.lock().unwrap().contains_key(&digest) {
                        return;
                    }
                    most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    now.fetch_sub(1, Ordering::SeqCst);
                    *brought.lock().unwrap().entry(digest).or_default() += 1;
                })
            })
            .collect();
        for round in rounds {
            round.await.unwrap();
        }
        let brought = brought.lock().unwrap();
        assert_eq!(brought.values().copied().collect::<Vec<_>>(), [1; 5], "each once");
        assert_eq!(most.load(Ordering::SeqCst), 2);
        assert!(turns.of.lock().unwrap().len() <= 5);
    }
}
