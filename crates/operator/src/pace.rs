//! How soon the next round comes: when it is due, later and later while rounds fail, and never at
//! once.

use std::time::{Duration, Instant};

/// After a round that failed, how long until the next; twice as long after each that follows.
const AFTER_FAILURE: Duration = Duration::from_millis(250);
/// The longest time until the next round while rounds fail.
const WHILE_FAILING: Duration = Duration::from_secs(4);
/// The same while rounds are made in which only some requests fail, for as long as that may pass.
const WHILE_ANSWERED: Duration = Duration::from_millis(500);
/// How long failures may pass: what fails for longer is asked for less often.
const PASSING: Duration = Duration::from_secs(60);
/// The shortest time between two rounds.
pub(crate) const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// How a round ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// The next is due after this time; None: nothing is under way.
    Whole(Option<Duration>),
    /// The same, but requests failed that what is under way needs.
    InPart(Option<Duration>),
    /// It could not be made.
    Failed,
}

/// The pace of the rounds about one thing.
#[derive(Debug)]
pub(crate) struct Pace {
    /// The longest time without a round: what no watch tells is seen then.
    longest_pause: Duration,
    /// How long the next failure is waited out.
    after_failure: Duration,
    /// Since when no round was whole.
    failing_since: Option<Instant>,
}

impl Pace {
    pub(crate) const fn new(longest_pause: Duration) -> Self {
        Self { longest_pause, after_failure: AFTER_FAILURE, failing_since: None }
    }

    /// How long the next round is waited for, after one that began at that time and has just ended.
    pub(crate) fn after(&mut self, started: Instant, made: Made) -> Duration {
        // It is due by the time at which the round began; a slow one is not followed at once.
        let left = |wait: Option<Duration>| {
            let wait = wait.unwrap_or(self.longest_pause);
            let left = wait.saturating_sub(started.elapsed()).max(wait / 2);
            left.clamp(SHORTEST_PAUSE, self.longest_pause)
        };
        match made {
            Made::Whole(wait) => {
                let left = left(wait);
                self.after_failure = AFTER_FAILURE;
                self.failing_since = None;
                left
            }
            Made::InPart(wait) => {
                let left = left(wait);
                let since = *self.failing_since.get_or_insert(started);
                let passes = since.elapsed() < PASSING;
                left.min(self.fail(if passes { WHILE_ANSWERED } else { WHILE_FAILING }))
            }
            Made::Failed => self.fail(WHILE_FAILING),
        }
    }

    /// How long this failure is waited out.
    fn fail(&mut self, longest: Duration) -> Duration {
        let wait = self.after_failure.min(longest);
        self.after_failure = (wait * 2).min(longest);
        wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESYNC: Duration = Duration::from_secs(30);

    #[test]
    fn failures_are_waited_out_longer_and_longer_until_a_round_is_whole() {
        let mut pace = Pace::new(RESYNC);
        let mut failed = || pace.after(Instant::now(), Made::Failed).as_millis();
        assert_eq!([failed(), failed(), failed(), failed()], [250, 500, 1000, 2000]);
        assert_eq!([failed(), failed()], [4000, 4000]);
        assert!(pace.after(Instant::now(), Made::Whole(None)) > RESYNC / 2);
        assert_eq!(pace.after(Instant::now(), Made::Failed).as_millis(), 250);
    }

    #[test]
    fn what_fails_in_part_is_asked_for_again_soon_until_it_lasts() {
        let mut pace = Pace::new(RESYNC);
        let due = Some(Duration::from_secs(20));
        for expected in [250, 500, 500] {
            assert_eq!(pace.after(Instant::now(), Made::InPart(due)).as_millis(), expected);
        }
        let long_ago = Instant::now().checked_sub(PASSING).unwrap();
        pace.failing_since = Some(long_ago);
        for expected in [500, 1000, 2000, 4000, 4000] {
            assert_eq!(pace.after(Instant::now(), Made::InPart(due)).as_millis(), expected);
        }
    }

    #[test]
    fn a_round_is_never_followed_at_once_nor_put_off_for_ever() {
        let mut pace = Pace::new(RESYNC);
        let mut after = |wait| pace.after(Instant::now(), Made::Whole(wait));
        assert_eq!(after(Some(Duration::ZERO)), SHORTEST_PAUSE);
        assert_eq!(after(Some(Duration::from_secs(3600))), RESYNC);
        let slow = Instant::now().checked_sub(Duration::from_secs(9)).unwrap();
        let left = pace.after(slow, Made::Whole(Some(Duration::from_secs(2))));
        assert_eq!(left, Duration::from_secs(1), "half of what it was due after");
    }
}
