//! What `ac adm upgrade status` shows: preflight, stages and history.

use super::{Detail, View, check_tone, stages};
use crate::assessment::{Assessment, State, Tally};
use crate::elapsed;
use crate::layout::{Cell, Table, Tone};
use api::{CheckState, HistoryEntry, Preflight};

/// Upgrades that are shown without `--verbose`.
const HISTORY_SHOWN: usize = 3;

/// The status of a cluster.
#[must_use]
pub fn status(assessment: &Assessment, view: &View<'_>) -> String {
    let mut out = view.verdict(assessment);
    out.push_str(&view.attention(assessment));
    out.push('\n');
    out.push_str(&preflight(assessment, view));
    out.push_str(&stages::stages(assessment, view));
    out.push_str(&history(assessment, view));
    if view.detail > Detail::Brief {
        out.push('\n');
        out.push_str(&view.conditions(assessment));
    }
    if view.detail == Detail::Wide {
        out.push_str(&images(assessment, view));
    }
    out.push('\n');
    out.push_str(&more(assessment, view));
    out
}

fn preflight(assessment: &Assessment, view: &View<'_>) -> String {
    let line = |text: String| view.look.prose(Tone::Plain, "", 2, &text);
    if let Some(found) = assessment.preflight() {
        let said = format!("Preflight for {}: {}", found.version, counts(found, view));
        let signature = found.signature.as_ref();
        let trusted = signature.map(|s| format!("Release {}: {}", found.version, s.words()));
        return line(said) + &trusted.map(line).unwrap_or_default() + &checks(found, view);
    }
    let last = assessment.status.preflight.as_ref().filter(|last| !last.checks.is_empty());
    if let (State::Refused, Some(target)) = (assessment.state, &assessment.target) {
        return line(format!("Preflight for {target}: not made, for the request is refused"));
    }
    match (&assessment.target, last) {
        (Some(target), Some(last)) => line(format!(
            "Preflight for {target}: no result yet (the last one was for {})",
            last.version
        )),
        (Some(target), None) => line(format!("Preflight for {target}: no result yet")),
        (None, Some(last)) => {
            let counts = counts(last, view);
            let version = &last.version;
            line(format!("Preflight: nothing to check now; the last, for {version}: {counts}"))
                + &checks(last, view)
        }
        (None, None) => line("Preflight: no result yet".to_owned()),
    }
}

fn counts(preflight: &Preflight, view: &View<'_>) -> String {
    let tally = Tally::of(preflight);
    let parts = [
        (tally.failed, "failed"),
        (tally.retry, "to be tried again"),
        (tally.disabled, "disabled"),
        (tally.passed, "passed"),
    ];
    let counted: Vec<String> = parts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let observed = preflight.observed_at.as_ref().map_or_else(String::new, |at| {
        let ago = elapsed::between(at, view.now);
        format!("; observed {} ({ago} ago)", elapsed::moment(at))
    });
    format!("{} of {} checks{observed}", counted.join(", "), tally.total)
}

/// Brief: what is not Passed, whose messages stand above already. Otherwise every check.
fn checks(preflight: &Preflight, view: &View<'_>) -> String {
    let brief = view.detail == Detail::Brief;
    let header: &[&str] = if brief {
        &["NAME", "POLICY", "STATE", "REASON"]
    } else {
        &["NAME", "POLICY", "STATE", "REASON", "MESSAGE"]
    };
    let mut table = Table::new(2, header);
    let mut rows = 0;
    for check in &preflight.checks {
        if brief && check.state == CheckState::Passed {
            continue;
        }
        let mut cells = vec![
            check.name.as_str().into(),
            check.policy.as_str().into(),
            Cell::toned(check_tone(check.state), check.state.as_str()),
            check.reason.as_str().into(),
        ];
        if !brief {
            cells.push(check.message.as_str().into());
        }
        table.row(cells);
        rows += 1;
    }
    if rows == 0 { String::new() } else { table.text(view.look) }
}

fn history(assessment: &Assessment, view: &View<'_>) -> String {
    let all = &assessment.status.history;
    if all.is_empty() {
        return String::new();
    }
    let brief = view.detail == Detail::Brief;
    let shown = if brief { HISTORY_SHOWN } else { all.len() };
    let mut table = Table::new(2, &["VERSION", "STATE", "STARTED", "COMPLETED", "TOOK"]);
    for entry in all.iter().take(shown) {
        table.row(history_row(entry));
    }
    let mut out = format!("\nHistory, newest first\n{}", table.text(view.look));
    let hidden = all.len().saturating_sub(shown);
    if hidden > 0 {
        out.push_str(&format!("  {hidden} older (shown with --verbose)\n"));
    }
    out
}

fn history_row(entry: &HistoryEntry) -> Vec<Cell> {
    let moment = |time: &Option<api::Time>| time.as_ref().map_or_else(String::new, elapsed::moment);
    let took = match (&entry.started_time, &entry.completion_time) {
        (Some(start), Some(end)) => elapsed::between(start, end.0),
        _ => "-".to_owned(),
    };
    vec![
        entry.version.as_str().into(),
        entry.state.as_str().into(),
        moment(&entry.started_time).into(),
        moment(&entry.completion_time).into(),
        took.into(),
    ]
}

fn images(assessment: &Assessment, view: &View<'_>) -> String {
    let status = &assessment.status;
    let mut table = Table::new(0, &["IMAGE OF", "VERSION", "IMAGE"]);
    let named = [("current", &status.current), ("desired", &status.desired)];
    let held = named.iter().filter_map(|(name, held)| held.as_ref().map(|held| (*name, held)));
    let offers = status.available_updates.iter().map(|offer| ("offer", offer));
    let mut rows = 0;
    for (name, held) in held.chain(offers) {
        let image = if held.image.is_empty() { "unknown" } else { &held.image };
        table.row(vec![name.into(), held.version.as_str().into(), image.into()]);
        rows += 1;
    }
    if rows == 0 { String::new() } else { format!("\n{}", table.text(view.look)) }
}

/// The last line: the flag or command for more.
fn more(assessment: &Assessment, view: &View<'_>) -> String {
    let command = assessment.status_command(view.program);
    let moving =
        matches!(assessment.state.exit_code(), 3 | 4) && assessment.state != State::Refused;
    match (moving, view.detail) {
        (true, Detail::Brief) => format!("More: {command} --verbose; follow it with --watch\n"),
        (true, _) => format!("Follow: {command} --watch\n"),
        (false, Detail::Brief) => format!("More: {command} --verbose\n"),
        (false, Detail::Verbose) => format!("More: {command} -o wide (images), -o json\n"),
        (false, Detail::Wide) => format!("For programs: {command} -o json\n"),
    }
}
