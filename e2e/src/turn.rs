//! Decides how many platforms work on this machine at a time: tests wait longer than they compute,
//! so four do; tests that measure how long something takes have fewer beside them, and some need
//! the machine for themselves.

use tokio::sync::{Mutex, MutexGuard, Semaphore, SemaphorePermit};

/// Platforms at a time. Tests run in one thread more, for one that takes no place: `cargo xtask
/// test`.
const PLATFORMS: u32 = 4;

static MACHINE: Semaphore = Semaphore::const_new(PLATFORMS as usize);

/// Who needs a core waits here for others who do, where nobody stands behind. Whole clusters would
/// also have the same names and addresses.
static CORE: Mutex<()> = Mutex::const_new(());

/// A place on the machine, given up when this value is dropped.
#[derive(Debug)]
pub struct Turn {
    _places: Option<SemaphorePermit<'static>>,
    _core: Option<MutexGuard<'static, ()>>,
}

impl Turn {
    /// Waits for a place beside other platforms.
    pub async fn beside_others() -> Self {
        Self::places(1).await
    }

    /// Takes no place: for what waits nearly all the time, for minutes, and is no matter to others.
    #[must_use]
    pub const fn at_rest() -> Self {
        Self { _places: None, _core: None }
    }

    /// Waits until nobody else has asked for a core and only two platforms work on the machine: for
    /// whole clusters, which wait a lot, and for what is measured by a limit.
    pub async fn with_a_core() -> Self {
        let core = CORE.lock().await;
        let turn = Self::places(PLATFORMS - 2).await;
        Self { _core: Some(core), ..turn }
    }

    /// Waits until nobody else works on the machine. Whoever comes later waits too.
    pub async fn alone() -> Self {
        Self::places(PLATFORMS).await
    }

    async fn places(count: u32) -> Self {
        match MACHINE.acquire_many(count).await {
            Ok(places) => Self { _places: Some(places), _core: None },
            Err(closed) => unreachable!("nobody closes it: {closed}"),
        }
    }
}
