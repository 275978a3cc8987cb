//! What changed between two looks at a cluster, one line a change.

use crate::assessment::{Assessment, State};
use api::checks::CheckReason;
use api::{ConditionType, Operation, Stage};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// The changes from one look to the next; the first look has only its verdict.
#[must_use]
pub fn changes(before: Option<&Assessment>, after: &Assessment, now: Timestamp) -> Vec<String> {
    let Some(before) = before else { return vec![after.verdict(now)] };
    let mut lines = Vec::new();
    checks(before, after, &mut lines);
    stages(before, after, &mut lines);
    conditions(before, after, &mut lines);
    let moved = |of: &Assessment| (of.state, of.current.clone(), of.target.clone());
    if moved(before) != moved(after) {
        lines.push(after.verdict(now));
    }
    lines
}

/// The same of one of many clusters: a line where it stands otherwise, or something else wants
/// attention, and what.
#[must_use]
pub fn moves(before: Option<&Assessment>, after: &Assessment, now: Timestamp) -> Vec<String> {
    let first = |of: &Assessment| of.attention().into_iter().next();
    let stands = |of: &Assessment| {
        let first = first(of).map(|item| (item.subject, item.reason));
        (of.state, of.current.clone(), of.target.clone(), first)
    };
    if before.map(stands) == Some(stands(after)) {
        return Vec::new();
    }
    let why = first(after).map(|item| format!(" {}", item.one_line())).unwrap_or_default();
    vec![format!("{}{why}", after.verdict(now))]
}

fn checks(before: &Assessment, after: &Assessment, lines: &mut Vec<String>) {
    let Some(preflight) = after.preflight() else { return };
    let old = before.preflight().map(|old| {
        old.checks.iter().map(|check| (check.name.as_str(), check)).collect::<BTreeMap<_, _>>()
    });
    let old = old.unwrap_or_default();
    for check in &preflight.checks {
        let same = old.get(check.name.as_str()).is_some_and(|was| {
            (was.state, was.reason, &was.message) == (check.state, check.reason, &check.message)
        });
        // A run that passes is told by its condition; only what is new or differs is a line.
        let news = !same && (!old.is_empty() || check.state != api::CheckState::Passed);
        if news {
            let expected = check.reason == CheckReason::AsExpected;
            let reason = if expected { "" } else { check.reason.as_str() };
            let text = [reason, &check.message];
            lines.push(sentence(&format!("check {}: {}", check.name, check.state), &text));
        }
    }
}

fn stages(before: &Assessment, after: &Assessment, lines: &mut Vec<String>) {
    let old: BTreeMap<&str, &Stage> =
        before.status.stages.iter().map(|stage| (stage.name.as_str(), stage)).collect();
    for stage in &after.status.stages {
        let was = old.get(stage.name.as_str());
        let phase = stage.phase.as_str();
        let changed = was.map_or(phase != "Pending", |was| was.phase != stage.phase);
        if changed {
            lines.push(format!("stage {}: {phase}", stage.name));
        }
        let operations: BTreeMap<&str, &Operation> = was
            .map(|was| was.operations.iter().map(|o| (o.name.as_str(), o)).collect())
            .unwrap_or_default();
        for operation in &stage.operations {
            let was = operations.get(operation.name.as_str()).copied();
            lines.extend(operation_change(&stage.name, was, operation));
        }
    }
}

fn operation_change(stage: &str, was: Option<&Operation>, is: &Operation) -> Option<String> {
    let blank = Operation::default();
    let was = was.unwrap_or(&blank);
    // Since when it is blocked is no news.
    let blocked = |operation: &Operation| {
        operation.blocker.as_ref().map(|blocker| (blocker.reason, blocker.message.clone()))
    };
    let same = (was.phase, &was.message) == (is.phase, &is.message);
    if same && blocked(was) == blocked(is) {
        return None;
    }
    let (phase, action) = (is.phase.as_str(), is.action.as_str());
    let versions = match (is.current_version.is_empty(), is.target_version.is_empty()) {
        (false, false) if is.current_version == is.target_version => {
            format!(" {}", is.target_version)
        }
        (false, false) => format!(" {} -> {}", is.current_version, is.target_version),
        (true, false) => format!(" {}", is.target_version),
        (false, true) => format!(" {}", is.current_version),
        (true, true) => String::new(),
    };
    let head = format!("operation {stage}/{} ({action}{versions}): {phase}", is.name);
    Some(match &is.blocker {
        Some(blocker) => sentence(&head, &[blocker.reason.as_str(), &blocker.message]),
        None if is.message.is_empty() => head,
        None => format!("{head}: {}", is.message),
    })
}

fn conditions(before: &Assessment, after: &Assessment, lines: &mut Vec<String>) {
    for kind in ConditionType::ALL {
        let Some(is) = after.condition(*kind) else { continue };
        let text = |state: &Assessment| {
            state.condition(*kind).map(|c| (c.status.clone(), c.reason.clone(), c.message.clone()))
        };
        // The message of Reconciling says what it waits for; operations say the same with names.
        let in_operations = *kind == ConditionType::Reconciling && after.state == State::Upgrading;
        let changed = match (text(before), text(after)) {
            (Some(was), Some(now)) if in_operations => (was.0, was.1) != (now.0, now.1),
            (was, now) => was != now,
        };
        if changed {
            let head = format!("condition {kind}: {}", is.status);
            lines.push(sentence(&head, &[&is.reason, &is.message]));
        }
    }
}

/// `head: reason: message`, without the parts that are empty.
fn sentence(head: &str, parts: &[&str]) -> String {
    let mut out = head.to_owned();
    let mut mark = " ";
    for part in parts.iter().filter(|part| !part.is_empty()) {
        out.push_str(mark);
        out.push_str(part);
        mark = ": ";
    }
    out
}
