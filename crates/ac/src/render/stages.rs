//! The stages of an upgrade and what happens in them.

use super::{Detail, View, phase_tone};
use crate::assessment::Assessment;
use crate::elapsed;
use crate::layout::{Cell, Table, Tone};
use api::{Operation, Phase, Stage, Time};

/// The section on stages; empty where none are known.
pub(super) fn stages(assessment: &Assessment, view: &View<'_>) -> String {
    let all = &assessment.status.stages;
    if all.is_empty() {
        return String::new();
    }
    let finished = all.iter().filter(|stage| stage.phase == Phase::Finished).count();
    let operations = all.iter().flat_map(|stage| &stage.operations);
    let (done, count) = (
        operations.clone().filter(|operation| operation.phase == Phase::Finished).count(),
        operations.count(),
    );
    let mut out =
        format!("\nStages: {finished} of {} finished, {done} of {count} operations\n", all.len());
    let mut table = Table::new(2, &["PRIO", "STAGE", "PHASE", "ELAPSED", "DONE/ALL"]);
    for stage in all {
        table.row(stage_row(stage, view));
    }
    // The operations stand between the rows of the table, so the table is cut at its lines.
    let rows = table.text(view.look);
    let mut lines = rows.lines();
    out.extend(lines.next().map(|header| format!("{header}\n")));
    for (stage, line) in all.iter().zip(lines) {
        out.push_str(&format!("{line}\n"));
        out.push_str(&operations_of(stage, view));
    }
    out
}

fn stage_row(stage: &Stage, view: &View<'_>) -> Vec<Cell> {
    let done = stage.operations.iter().filter(|o| o.phase == Phase::Finished).count();
    vec![
        stage.priority.to_string().into(),
        stage.name.as_str().into(),
        Cell::toned(phase_tone(stage.phase), stage.phase.as_str()),
        took(stage.started_time.as_ref(), stage.completion_time.as_ref(), view).into(),
        format!("{done}/{}", stage.operations.len()).into(),
    ]
}

fn took(start: Option<&Time>, end: Option<&Time>, view: &View<'_>) -> String {
    elapsed::since(start, end.map_or(view.now, |end| end.0))
}

/// Brief: what has begun and not finished. Otherwise every operation.
fn operations_of(stage: &Stage, view: &View<'_>) -> String {
    let brief = view.detail == Detail::Brief;
    let shown = |operation: &&Operation| match operation.phase {
        Phase::Finished => !brief,
        Phase::Pending => !brief || stage.phase == Phase::Running,
        Phase::Running | Phase::Failed => true,
    };
    let operations: Vec<&Operation> = stage.operations.iter().filter(shown).collect();
    let mut out = String::new();
    // What an operation says of itself is not said twice.
    let said = |o: &&&Operation| !o.message.is_empty() && stage.message.contains(&o.message);
    let repeated = operations.iter().any(|operation| said(&operation));
    if !stage.message.is_empty() && stage.phase != Phase::Finished && !repeated {
        out.push_str(&view.look.prose(Tone::Plain, "         ", 9, &stage.message));
    }
    let mut table =
        Table::new(9, &["NAME", "ACTION", "CURRENT", "TARGET", "PHASE", "ELAPSED", "MESSAGE"]);
    for operation in &operations {
        // What a blocker says stands above already, with its remedy; the rest is said here.
        let blocked = operation.blocker.as_ref().is_some_and(|b| b.message == operation.message);
        let message = if blocked { "" } else { &operation.message };
        table.row(vec![
            operation.name.as_str().into(),
            operation.action.as_str().into(),
            operation.current_version.as_str().into(),
            operation.target_version.as_str().into(),
            Cell::toned(phase_tone(operation.phase), operation.phase.as_str()),
            took(operation.started_time.as_ref(), operation.completion_time.as_ref(), view).into(),
            message.into(),
        ]);
    }
    if !operations.is_empty() {
        out.push_str(&table.text(view.look));
        let hidden = stage.operations.len() - operations.len();
        if hidden > 0 {
            out.push_str(&format!("         {hidden} Finished (shown with --verbose)\n"));
        }
    }
    out
}
