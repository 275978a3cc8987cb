//! Whose turn it is to be looked at for edits of others: everything installed once in ten minutes,
//! a few components at a time. When that was is written down nowhere, for an idle cluster is not
//! written to: the time of day tells whose turn it is.

use super::wake::DRIFT_INTERVAL_S;
use jiff::Timestamp;
use std::ops::Range;

/// Components of which drift is looked for in one round.
const DRIFT_AT_A_TIME: usize = 4;
/// For how long after the beginning of its turn a group is looked at, in seconds: the round that
/// the turn wakes may come a little late.
const DRIFT_OPEN_S: i64 = 10;
/// How long after every full ten minutes the first turn begins, in seconds: at the full minutes
/// everything else is busy that goes by the clock.
const DRIFT_AFTER_S: i64 = 90;

/// Which of those that share ten minutes have their turn.
#[derive(Debug, Clone)]
pub(crate) struct Turn {
    /// Those that are to be looked at now; none where no turn has just begun.
    pub(crate) open: Range<usize>,
    /// When the next turn begins.
    pub(crate) next: Option<Timestamp>,
}

impl Turn {
    /// None where there are none to be looked at.
    pub(crate) fn at(now: Timestamp, components: usize) -> Option<Self> {
        let groups = components.div_ceil(DRIFT_AT_A_TIME);
        let count = i64::try_from(groups).ok().filter(|count| *count > 0)?;
        let length_s = (DRIFT_INTERVAL_S / count).max(DRIFT_OPEN_S);
        let at_s = (now.as_second() - DRIFT_AFTER_S).rem_euclid(length_s * count);
        let passed_s = at_s % length_s;
        let next_s = now.as_second() - passed_s + length_s;
        let first = usize::try_from(at_s / length_s).ok()? * DRIFT_AT_A_TIME;
        let open = match passed_s < DRIFT_OPEN_S {
            true => first..(first + DRIFT_AT_A_TIME).min(components),
            false => 0..0,
        };
        Some(Self { open, next: Timestamp::from_second(next_s).ok() })
    }
}
