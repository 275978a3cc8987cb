//! Decides how figures are written down: one table for people, one list for programs.

use anyhow::{Context as _, Result};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::Path;

/// Which of two figures is the better one: here, always.
const BETTER: &str = "lower";

/// What must be reached.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Goal {
    /// We are at least so many times better than the peer.
    TimesBetter(f64),
    /// We take at most so many times what the peer takes.
    AtMostTimes(f64),
    /// Our own figure is below this.
    Below(f64),
    /// Our own figure is nothing.
    Nothing,
    /// Shown beside another row; nothing is asked of it.
    Shown,
}

/// One comparison.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// The work.
    pub(crate) name: String,
    /// Unit of both figures.
    pub(crate) unit: &'static str,
    /// Our figure.
    pub(crate) ours: f64,
    /// What a user would take instead, and its figure.
    pub(crate) peer: Option<(&'static str, f64)>,
    /// What must be reached.
    pub(crate) goal: Goal,
}

/// A row as programs read it.
#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    unit: &'a str,
    ours: f64,
    peer: Option<&'a str>,
    peer_value: Option<f64>,
    ratio: Option<f64>,
    better: &'a str,
    goal: String,
}

impl Row {
    /// How many times better ours is; above 1 is better.
    fn ratio(&self) -> Option<f64> {
        let (_, peer) = self.peer?;
        (self.ours > 0.0).then(|| peer / self.ours)
    }

    /// Whether the goal is reached; None where nothing is asked.
    pub(crate) fn is_met(&self) -> Option<bool> {
        match self.goal {
            Goal::TimesBetter(times) => Some(self.ratio()? >= times),
            Goal::AtMostTimes(times) => Some(self.ratio()? * times >= 1.0),
            Goal::Below(limit) => Some(self.ours < limit),
            Goal::Nothing => Some(self.ours == 0.0),
            Goal::Shown => None,
        }
    }

    fn goal(&self) -> String {
        match self.goal {
            Goal::TimesBetter(times) => format!(">= {times}x"),
            Goal::AtMostTimes(times) => format!("<= {times}x the peer's"),
            Goal::Below(limit) => format!("< {limit} {}", self.unit),
            Goal::Nothing => "0".to_owned(),
            Goal::Shown => "none".to_owned(),
        }
    }

    fn entry(&self) -> Entry<'_> {
        Entry {
            name: &self.name,
            unit: self.unit,
            ours: round(self.ours),
            peer: self.peer.map(|(name, _)| name),
            peer_value: self.peer.map(|(_, value)| round(value)),
            ratio: self.ratio().map(round),
            better: BETTER,
            goal: self.goal(),
        }
    }
}

fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// The table for people.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut text = "| work | ours | beside | its figure | ratio | goal | reached |\n\
                    | --- | ---: | --- | ---: | ---: | --- | --- |\n"
        .to_owned();
    for row in rows {
        let unit = row.unit;
        let (peer, value) = row.peer.map_or(("", String::new()), |(peer, value)| {
            (peer, format!("{} {unit}", round(value)))
        });
        let ratio = row.ratio().map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let reached = match row.is_met() {
            Some(true) => "yes",
            Some(false) => "NO",
            None => "",
        };
        let ours = round(row.ours);
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "| {} | {ours} {unit} | {peer} | {value} | {ratio} | {} | {reached} |",
            row.name,
            row.goal()
        );
    }
    text
}

/// Writes both files; `machine` and `date` head the table.
///
/// # Errors
/// When a file cannot be written.
pub(crate) fn write(folder: &Path, rows: &[Row], machine: &str, date: &str) -> Result<()> {
    let entries: Vec<Entry<'_>> = rows.iter().map(Row::entry).collect();
    let json = serde_json::to_string_pretty(&entries)? + "\n";
    let path = folder.join("results.json");
    std::fs::write(&path, json).with_context(|| path.display().to_string())?;
    let text = format!(
        "Written by `make bench` on {date}: {machine}.\n\
         A ratio above 1 says how many times better ours is.\n\
         The 500 objects are changed by the operator's own executor, called by the benchmark \
         itself.\n\
         The install of a plugin begins when the API server has accepted its ModuleInfo; that of \
         Helm with its process.\n\
         Clusters without a real API server have the fake of the tests.\n\n{}",
        table(rows)
    );
    xtask::figures::write(&folder.join("RESULTS.md"), xtask::figures::COMPARED, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(ours: f64, peer: f64, goal: Goal) -> Row {
        Row { name: "work".to_owned(), unit: "s", ours, peer: Some(("peer", peer)), goal }
    }

    #[test]
    fn a_goal_is_reached_or_not() {
        assert_eq!(row(1.0, 10.0, Goal::TimesBetter(10.0)).is_met(), Some(true));
        assert_eq!(row(1.1, 10.0, Goal::TimesBetter(10.0)).is_met(), Some(false));
        assert_eq!(row(1.2, 1.0, Goal::AtMostTimes(1.3)).is_met(), Some(true));
        assert_eq!(row(1.4, 1.0, Goal::AtMostTimes(1.3)).is_met(), Some(false));
        assert_eq!(row(63.0, 0.0, Goal::Below(64.0)).is_met(), Some(true));
        assert_eq!(row(64.0, 0.0, Goal::Below(64.0)).is_met(), Some(false));
        assert_eq!(row(1.0, 0.0, Goal::Nothing).is_met(), Some(false));
        assert_eq!(row(1.0, 1.0, Goal::Shown).is_met(), None);
    }
}
