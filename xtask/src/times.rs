//! Decides how a run says where its time went. Knows nothing of what the steps do.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// How long a run is meant to take on two cores, from nothing, and where everything was built.
const LIMITS: [Duration; 2] = [Duration::from_secs(60 * 60), Duration::from_secs(30 * 60)];
/// A build that takes longer has compiled something.
const BUILT: Duration = Duration::from_secs(60);

/// The step that compiles.
pub(crate) const BUILD: &str = "build";

/// How a step ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It did what it should.
    Passed,
    /// It did not.
    Failed,
    /// It was not begun, because what it needs had failed.
    Skipped,
}

/// The steps of a run with their wall times.
#[derive(Debug)]
pub(crate) struct Times {
    began: Instant,
    rows: Vec<(String, End, Duration)>,
}

impl Times {
    /// A run that begins now.
    pub(crate) fn begin() -> Self {
        Self { began: Instant::now(), rows: Vec::new() }
    }

    /// Runs a step and records its time and its end.
    pub(crate) fn step<E>(
        &mut self,
        name: &str,
        step: impl FnOnce() -> Result<(), E>,
    ) -> Option<E> {
        let began = Instant::now();
        let error = step().err();
        let end = if error.is_none() { End::Passed } else { End::Failed };
        self.rows.push((name.to_owned(), end, began.elapsed()));
        error
    }

    /// Records a step that was not begun.
    pub(crate) fn skip(&mut self, name: &str) {
        self.rows.push((name.to_owned(), End::Skipped, Duration::ZERO));
    }

    /// The names of the steps that did not pass.
    pub(crate) fn failed(&self) -> Vec<&str> {
        let failed = self.rows.iter().filter(|(_, end, _)| *end != End::Passed);
        failed.map(|(name, _, _)| name.as_str()).collect()
    }

    /// The table: one line a step and one for the whole.
    pub(crate) fn table(&self) -> String {
        table(&self.rows, self.began.elapsed())
    }
}

fn table(rows: &[(String, End, Duration)], whole: Duration) -> String {
    let width = rows.iter().map(|(name, _, _)| name.len()).max().unwrap_or(0).max("STEP".len());
    let mut text = String::from("Where the time went\n");
    let mut line = |name: &str, end: &str, time: &str, share: &str| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {name:width$}  {end:7}  {time:>8}  {share:>5}");
    };
    line("STEP", "END", "TIME", "SHARE");
    for (name, end, time) in rows {
        let end = match end {
            End::Passed => "ok",
            End::Failed => "FAILED",
            End::Skipped => "skipped",
        };
        let share = 100.0 * time.as_secs_f64() / whole.as_secs_f64().max(0.001);
        line(name, end, &shown(*time), &format!("{share:.0}%"));
    }
    line("whole run", "", &shown(whole), "");
    let compiled = rows.iter().any(|(name, _, time)| name == BUILD && *time > BUILT);
    let limit = LIMITS[usize::from(!compiled)];
    if whole > limit {
        let _ = writeln!(text, "note: it is meant to take {} at most", shown(limit));
    }
    text
}

/// `4.2s`, `3m07s`.
fn shown(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1}s", time.as_secs_f64())
    } else {
        format!("{}m{:02}s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_tells_steps_ends_and_times() {
        let rows = [
            ("format".to_owned(), End::Passed, Duration::from_millis(4200)),
            ("real clusters".to_owned(), End::Failed, Duration::from_secs(187)),
        ];
        let expected = "Where the time went
  STEP           END          TIME  SHARE
  format         ok           4.2s     2%
  real clusters  FAILED      3m07s    94%
  whole run                  3m20s       
";
        assert_eq!(table(&rows, Duration::from_secs(200)), expected);
        let note = "note: it is meant to take 30m00s at most";
        assert!(table(&rows, Duration::from_secs(1801)).contains(note));
        let compiled = [(BUILD.to_owned(), End::Passed, Duration::from_secs(400))];
        assert!(!table(&compiled, Duration::from_secs(1801)).contains("note"));
        assert!(table(&compiled, Duration::from_secs(3601)).contains("60m00s at most"));
    }

    #[test]
    fn a_failed_and_a_skipped_step_are_remembered() {
        let mut times = Times::begin();
        assert_eq!(times.step("a", || Ok::<(), ()>(())), None);
        assert_eq!(times.step("b", || Err("why")), Some("why"));
        times.skip("c");
        assert_eq!(times.failed(), ["b", "c"]);
    }
}
