//! Shows how a sync goes on: bars on a terminal, plain lines otherwise; always on standard error.
//! Knows nothing of what is sent.

use crate::sync::{Event, Fate, Progress, Report};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Plain lines on bytes come at most this often.
const LINE_PAUSE: Duration = Duration::from_secs(10);
/// Smaller blobs get no bar of their own, in bytes.
const SMALL: u64 = 1024 * 1024;

/// What is shown.
pub struct Shown {
    is_terminal: bool,
    all: MultiProgress,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    artifacts: usize,
    done: usize,
    bytes: u64,
    present: u64,
    sent: BTreeMap<String, u64>,
    total: Option<ProgressBar>,
    bars: BTreeMap<String, ProgressBar>,
    line: Option<Instant>,
}

impl State {
    fn known(&self) -> u64 {
        self.present + self.sent.values().sum::<u64>()
    }
}

impl Shown {
    /// Shows; bars where standard error is a terminal.
    #[must_use]
    pub fn new(is_terminal: bool) -> Arc<Self> {
        let target =
            if is_terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let all = MultiProgress::with_draw_target(target);
        Arc::new(Self { is_terminal, all, state: Mutex::default() })
    }

    /// Takes the bars away.
    pub fn end(&self) {
        // Where it cannot be drawn any more there is nothing to take away.
        let _undrawn = self.all.clear();
    }

    fn line(&self, text: &str) {
        if self.is_terminal {
            let _undrawn = self.all.println(text);
        } else {
            // Where standard error is closed nobody can be told, and the work still counts.
            let _unheard = writeln!(std::io::stderr(), "{text}");
        }
    }

    fn bar(&self, size: u64, name: &str) -> ProgressBar {
        let bar = self.all.add(ProgressBar::new(size));
        let style = ProgressStyle::with_template(
            "  {bar:24} {bytes:>10} of {total_bytes:>10}  {bytes_per_sec:>12}  {msg}",
        );
        if let Ok(style) = style {
            bar.set_style(style);
        }
        bar.set_message(name.to_owned());
        bar
    }

    fn begun(&self, state: &mut State, artifacts: usize, blobs: usize, size: u64) {
        state.artifacts = artifacts;
        state.bytes = size;
        self.line(&format!("Looking at {artifacts} artifacts ({blobs} blobs, {})", bytes(size)));
        if self.is_terminal {
            let bar = self.bar(size, "all");
            bar.enable_steady_tick(Duration::from_millis(200));
            state.total = Some(bar);
        }
    }

    fn sending(&self, state: &mut State, blob: String, artifact: &str, size: u64) {
        if self.is_terminal && size >= SMALL {
            let bar = self.bar(size, artifact);
            state.bars.insert(blob.clone(), bar);
        }
        state.sent.insert(blob, 0);
    }

    fn sent(&self, state: &mut State, blob: String, sent: u64) {
        if let Some(bar) = state.bars.get(&blob) {
            bar.set_position(sent);
        }
        state.sent.insert(blob, sent);
        let is_due = state.line.is_none_or(|at| at.elapsed() >= LINE_PAUSE);
        if !self.is_terminal && is_due {
            // The first line comes after the first pause: a quick sync says enough at its end.
            if state.line.is_some() {
                self.line(&format!("{} of {} are there", bytes(state.known()), bytes(state.bytes)));
            }
            state.line = Some(Instant::now());
        }
    }

    fn artifact(&self, state: &mut State, name: &str, what: &str) {
        state.done += 1;
        let width = state.artifacts.to_string().len();
        self.line(&format!("[{:>width$}/{}] {name}  {what}", state.done, state.artifacts));
    }
}

impl Progress for Shown {
    fn tell(&self, event: Event) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let state = &mut *state;
        match event {
            Event::Begun { artifacts, blobs, bytes } => self.begun(state, artifacts, blobs, bytes),
            Event::Sending { blob, artifact, size } => {
                self.sending(state, blob.to_string(), &artifact, size);
            }
            Event::Sent { blob, bytes } => self.sent(state, blob.to_string(), bytes),
            Event::Blob { blob, size, .. } => {
                state.sent.remove(blob.as_str());
                state.present += size;
                if let Some(bar) = state.bars.remove(blob.as_str()) {
                    bar.finish_and_clear();
                }
            }
            Event::Artifact { name, fate } => self.artifact(
                state,
                &name,
                match fate {
                    Fate::Present => "unchanged",
                    Fate::Mounted | Fate::Sent => "uploaded",
                },
            ),
            Event::Failed { name, .. } => self.artifact(state, &name, "FAILED"),
        }
        if let Some(total) = &state.total {
            total.set_position(state.known());
        }
    }
}

/// A number of bytes for people.
#[must_use]
pub fn bytes(count: u64) -> String {
    const STEPS: [(&str, u64); 3] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    match STEPS.into_iter().find(|(_, step)| count >= *step) {
        Some((unit, step)) => {
            let tenths = u128::from(count) * 10 / u128::from(step);
            if tenths < 100 {
                format!("{}.{} {unit}", tenths / 10, tenths % 10)
            } else {
                format!("{} {unit}", tenths / 10)
            }
        }
        None => format!("{count} B"),
    }
}

/// What a copy did, for people.
#[must_use]
pub fn summary(report: &Report, time: Duration) -> String {
    format!(
        "Synchronised {} artifacts: {} uploaded ({}), {} unchanged, {} failed in {}. Running it again is safe.",
        report.artifacts,
        report.uploaded,
        bytes(report.uploaded_bytes),
        report.unchanged,
        report.failed.len(),
        elapsed(time),
    )
}

/// `6m12s`, `0.4s`.
#[must_use]
pub fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_for_people() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(1023), "1023 B");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(212 << 20), "212 MiB");
        assert_eq!(bytes(2_040_109_466), "1.9 GiB");
    }

    #[test]
    fn the_last_line_counts_everything() {
        let report = Report {
            artifacts: 87,
            uploaded: 31,
            uploaded_bytes: 2_040_109_466,
            unchanged: 56,
            failed: Vec::new(),
        };
        assert_eq!(
            summary(&report, Duration::from_secs(372)),
            "Synchronised 87 artifacts: 31 uploaded (1.9 GiB), 56 unchanged, 0 failed in 6m12s. Running it again is safe."
        );
        assert_eq!(elapsed(Duration::from_millis(420)), "0.4s");
        assert_eq!(elapsed(Duration::from_secs(7260)), "2h01m");
    }
}
