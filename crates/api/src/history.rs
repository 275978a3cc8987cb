//! How many entries a history keeps, and which.

use crate::objects::{HistoryEntry, HistoryState};
use crate::version::Version;
use std::collections::BTreeSet;

/// Entries that a history keeps.
pub const HISTORY_LIMIT: usize = 100;
/// The newest entries that pruning never drops.
const NEWEST_KEPT: usize = 5;

/// Prunes a history (newest first): the first entry, the last five and the last Completed of every
/// minor line stay; of the others the oldest go first.
pub fn prune(history: &mut Vec<HistoryEntry>) {
    while history.len() > HISTORY_LIMIT {
        let mut lines = BTreeSet::new();
        let mut oldest = None;
        for (at, entry) in history.iter().enumerate() {
            let line = entry.version.parse::<Version>().map(|v| v.minor_line());
            let last_of_line =
                entry.state == HistoryState::Completed && line.is_ok_and(|line| lines.insert(line));
            let kept = at < NEWEST_KEPT || at + 1 == history.len() || last_of_line;
            if !kept {
                oldest = Some(at);
            }
        }
        match oldest {
            Some(at) => drop(history.remove(at)),
            None => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_keeps_the_first_the_last_five_and_each_line() {
        let entry = |version: String| HistoryEntry {
            version,
            state: HistoryState::Completed,
            ..HistoryEntry::default()
        };
        let mut history: Vec<_> =
            (0..150).rev().map(|n| entry(format!("4.{}.{n}", n / 60))).collect();
        let (first, newest) = (history[149].clone(), history[..5].to_vec());
        prune(&mut history);
        assert_eq!(history.len(), HISTORY_LIMIT);
        assert_eq!(history[HISTORY_LIMIT - 1], first);
        assert_eq!(history[..5], newest);
        for kept in ["4.2.149", "4.1.119", "4.0.59"] {
            assert!(history.iter().any(|e| e.version == kept), "{kept}");
        }
    }
}
