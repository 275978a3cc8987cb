//! The text of what is shown: verdict first, then what blocks and the command that clears it, then
//! counts, then detail; the last line names the command or flag for more.
//!
//! Pure: the objects, the time, the look and the name of the program are arguments. The wording
//! may change between versions; programs read `-o json`.

mod changes;
mod fleet;
mod stages;
mod status;
mod summary;

pub use changes::{changes, moves};
pub use fleet::{clusters, fleet};
pub use status::status;
pub use summary::summary;

use crate::assessment::{Assessment, Attention, Kind};
use crate::elapsed;
use crate::layout::{Cell, Look, Table, Tone};
use api::conditions::ConditionStatus;
use api::{CheckState, ConditionType, Phase};
use jiff::Timestamp;

/// What the operator answers to a request: the verdict and what wants attention.
#[must_use]
pub fn answer(assessment: &Assessment, view: &View<'_>) -> String {
    let attention = view.attention(assessment);
    let end = if attention.is_empty() { "" } else { "\n" };
    format!("{}{attention}{end}", view.verdict(assessment))
}

/// How much is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What is not as it should be.
    #[default]
    Brief,
    /// Every check, operation, condition and upgrade.
    Verbose,
    /// The images too.
    Wide,
}

/// For whom, when and how something is rendered.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The terminal, or none.
    pub look: Look,
    /// The moment of which all ages speak.
    pub now: Timestamp,
    /// How the reader calls this program: `ac` or `kubectl acp`.
    pub program: &'a str,
    /// How much is shown.
    pub detail: Detail,
}

impl View<'_> {
    fn verdict(&self, assessment: &Assessment) -> String {
        let verdict = self.look.prose(Tone::Strong, "", 2, &assessment.verdict(self.now));
        verdict + &self.unknown(assessment)
    }

    /// Says that the operator is newer than this program; empty where it is not.
    fn unknown(&self, assessment: &Assessment) -> String {
        if assessment.unknown.is_empty() {
            return String::new();
        }
        let text = format!(
            "Shown in part: the cluster version operator is newer than this ac ({}) and says what it does not know: {}. Use the ac of the operator's release.",
            env!("CARGO_PKG_VERSION"),
            api::text::names(&assessment.unknown)
        );
        self.look.prose(Tone::Wait, "", 2, &text)
    }

    /// The section on what wants attention; empty where nothing does.
    fn attention(&self, assessment: &Assessment) -> String {
        let all = assessment.attention();
        if all.is_empty() {
            return String::new();
        }
        let mut out = "\nAttention\n".to_owned();
        for item in &all {
            out.push_str(&self.attention_item(item));
        }
        out
    }

    fn attention_item(&self, item: &Attention) -> String {
        let tone = if item.kind == Kind::Waiting { Tone::Wait } else { Tone::Bad };
        let word = self.look.paint(tone, item.kind.as_str());
        let pad = " ".repeat(10_usize.saturating_sub(item.kind.as_str().len()));
        let reason =
            if item.reason.is_empty() { String::new() } else { format!("   {}", item.reason) };
        let age = match &item.since {
            Some(since) => format!("   for {}", elapsed::between(since, self.now)),
            None => String::new(),
        };
        let mut out = format!("  {word}{pad}{}{reason}{age}\n", item.subject);
        let indent = " ".repeat(12);
        if !item.message.is_empty() {
            out.push_str(&self.look.prose(Tone::Plain, &indent, 12, &item.message));
        }
        // A command is copied: it is never broken over lines.
        if !item.remedy.is_empty() {
            out.push_str(&format!("{indent}Fix: {}\n", item.remedy));
        }
        out
    }

    fn conditions(&self, assessment: &Assessment) -> String {
        let mut table = Table::new(0, &["CONDITION", "STATUS", "SINCE", "REASON", "MESSAGE"]);
        for kind in ConditionType::ALL {
            let Some(found) = assessment.condition(*kind) else {
                table.row(vec![kind.as_str().into(), "no result yet".into()]);
                continue;
            };
            let since = elapsed::between(&found.last_transition_time, self.now);
            table.row(vec![
                kind.as_str().into(),
                Cell::toned(condition_tone(*kind, &found.status), &found.status),
                since.into(),
                found.reason.as_str().into(),
                found.message.as_str().into(),
            ]);
        }
        table.text(self.look)
    }
}

fn condition_tone(kind: ConditionType, status: &str) -> Tone {
    let holds = status == ConditionStatus::True.as_str();
    match kind {
        ConditionType::Stalled if holds => Tone::Bad,
        ConditionType::Reconciling if holds => Tone::Wait,
        ConditionType::Ready | ConditionType::PreflightReady if holds => Tone::Good,
        _ => Tone::Plain,
    }
}

fn check_tone(state: CheckState) -> Tone {
    match state {
        CheckState::Passed => Tone::Good,
        CheckState::Failed => Tone::Bad,
        CheckState::Retry | CheckState::Disabled => Tone::Wait,
    }
}

fn phase_tone(phase: Phase) -> Tone {
    match phase {
        Phase::Pending => Tone::Plain,
        Phase::Running => Tone::Wait,
        Phase::Finished => Tone::Good,
        Phase::Failed => Tone::Bad,
    }
}
