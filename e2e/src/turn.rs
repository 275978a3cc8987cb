//! Decides how many platforms work on this machine at a time: tests wait longer than they compute,
//! so four do; tests that measure how long something takes have fewer beside them, and some need
//! the machine for themselves.

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Platforms at a time. Tests run in one thread more, for one that takes no place: `cargo xtask
/// test`.
const PLATFORMS: u32 = 4;

static MACHINE: Semaphore = Semaphore::const_new(PLATFORMS as usize);

/// Whole clusters come one after the other: they have the same names and addresses. Who waits for
/// them waits here, where nobody stands behind.
static CLUSTERS: Mutex<()> = Mutex::const_new(());

/// A place on the machine, given up when this value is dropped.
#[derive(Debug)]
pub struct Turn {
    _places: Option<SemaphorePermit<'static>>,
    _clusters: Option<MutexGuard<'static, ()>>,
}

impl Turn {
    /// Waits for a place beside other platforms.
    pub async fn beside_others() -> Self {
        Self::places(1).await
    }

    /// Takes no place: for what waits nearly all the time, for minutes, and is no matter to others.
    #[must_use]
    pub const fn at_rest() -> Self {
        Self { _places: None, _clusters: None }
    }

    /// Waits until no other whole clusters are up and only two platforms work on the machine: they
    /// wait a lot, but they need a core of their own.
    pub async fn whole_clusters() -> Self {
        let clusters = CLUSTERS.lock().await;
        let turn = Self::places(PLATFORMS - 2).await;
        Self { _clusters: Some(clusters), ..turn }
    }

    /// Waits until only one other works on the machine: what is measured then is told by a limit.
    pub async fn measured() -> Self {
        Self::places(PLATFORMS - 1).await
    }

    /// Waits until nobody else works on the machine. Whoever comes later waits too.
    pub async fn alone() -> Self {
        Self::places(PLATFORMS).await
    }

    async fn places(count: u32) -> Self {
        match MACHINE.acquire_many(count).await {
            Ok(places) => Self { _places: Some(places), _clusters: None },
            Err(closed) => unreachable!("nobody closes it: {closed}"),
        }
    }
}
