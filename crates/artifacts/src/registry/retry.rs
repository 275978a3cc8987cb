//! Decides when something is tried again: how often, and after what time. The only place that
//! does.

use std::time::Duration;

/// How often and after what time something is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; one is none again.
    pub attempts: u32,
    /// Before the second attempt.
    pub first: Duration,
    /// Before any attempt.
    pub longest: Duration,
    /// Makes the waits of two programs differ.
    pub seed: u64,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            attempts: 6,
            first: Duration::from_millis(250),
            longest: Duration::from_secs(15),
            seed: 0,
        }
    }
}

impl Retry {
    /// One attempt only: for callers that come again by themselves.
    #[must_use]
    pub const fn never() -> Self {
        Self { attempts: 1, first: Duration::ZERO, longest: Duration::ZERO, seed: 0 }
    }

    /// The wait after the attempt `failed` (from 1), or none if it was the last. `asked` is the
    /// wait that the other side asks for.
    #[must_use]
    pub fn wait(&self, failed: u32, asked: Option<Duration>) -> Option<Duration> {
        if failed >= self.attempts {
            return None;
        }
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failed.saturating_sub(1)));
        let most = doubled.min(self.longest);
        // Between half of it and all of it.
        let share = 512 + u32::try_from(mix(self.seed, failed) % 513).unwrap_or(0);
        let wait = most * share / 1024;
        Some(asked.map_or(wait, |asked| asked.min(self.longest).max(wait)))
    }
}

/// A number that follows from both and looks like chance (splitmix64).
fn mix(seed: u64, step: u32) -> u64 {
    let mut x = seed.wrapping_add(u64::from(step).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_end() {
        let retry = Retry { attempts: 9, seed: 7, ..Retry::default() };
        let waits: Vec<Duration> = (1..9).map(|n| retry.wait(n, None).unwrap()).collect();
        assert_eq!(retry.wait(9, None), None);
        for (n, wait) in waits.iter().enumerate() {
            let most = (Duration::from_millis(250) * (1 << n)).min(retry.longest);
            assert!(*wait >= most / 2 && *wait <= most, "{n}: {wait:?}");
        }
        assert_eq!(Retry::never().wait(1, None), None);
    }

    #[test]
    fn the_wait_that_is_asked_for_is_kept_within_the_bound() {
        let retry = Retry::default();
        assert_eq!(retry.wait(1, Some(Duration::from_secs(5))), Some(Duration::from_secs(5)));
        assert_eq!(retry.wait(1, Some(Duration::from_secs(5000))), Some(retry.longest));
    }

    #[test]
    fn two_seeds_wait_differently() {
        let wait = |seed| Retry { seed, ..Retry::default() }.wait(5, None);
        assert_ne!(wait(1), wait(2));
    }
}
