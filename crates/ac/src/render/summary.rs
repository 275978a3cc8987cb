//! What `ac adm upgrade` shows: versions, offers and conditions.

use super::View;
use crate::assessment::{Assessment, State, Tally};
use crate::layout::Table;

/// The summary of a cluster.
#[must_use]
pub fn summary(assessment: &Assessment, view: &View<'_>) -> String {
    let mut out = view.verdict(assessment);
    out.push_str(&view.attention(assessment));
    out.push('\n');
    out.push_str(&versions(assessment, view));
    out.push_str(&not_offered(assessment, view));
    out.push('\n');
    out.push_str(&view.conditions(assessment));
    out.push('\n');
    out.push_str(&next(assessment, view.program));
    out
}

fn versions(assessment: &Assessment, view: &View<'_>) -> String {
    let status = &assessment.status;
    let held = |held: &Option<api::VersionImage>| {
        held.as_ref().map_or_else(String::new, |held| held.version.clone())
    };
    let offers: Vec<&str> =
        status.available_updates.iter().map(|offer| offer.version.as_str()).collect();
    let offers = if offers.is_empty() { "none".to_owned() } else { offers.join(", ") };
    let mut table = Table::new(0, &["CURRENT", "DESIRED", "AVAILABLE UPDATES"]);
    table.row(vec![held(&status.current).into(), held(&status.desired).into(), offers.into()]);
    table.text(view.look)
}

fn not_offered(assessment: &Assessment, view: &View<'_>) -> String {
    if assessment.status.not_offered.is_empty() {
        return String::new();
    }
    let mut table = Table::new(0, &["NOT OFFERED", "REASON", "MESSAGE"]);
    for version in &assessment.status.not_offered {
        table.row(vec![
            version.version.as_str().into(),
            version.reason.as_str().into(),
            version.message.as_str().into(),
        ]);
    }
    format!("\n{}", table.text(view.look))
}

/// The last line: the command for what comes next.
fn next(assessment: &Assessment, program: &str) -> String {
    let status = assessment.status_command(program);
    match assessment.state {
        State::AtTarget | State::NotInstalled if ready_to_go(assessment) => {
            let cluster = &assessment.cluster;
            format!("Next: {program} adm upgrade --cluster={cluster} --to-latest\n")
        }
        State::Requested
        | State::WaitingForPreflight
        | State::Upgrading
        | State::Blocked
        | State::Stalled
        | State::Unreachable
        | State::Unknown => format!("Follow: {status} --watch\n"),
        _ => format!("More: {status} --verbose\n"),
    }
}

fn ready_to_go(assessment: &Assessment) -> bool {
    let tally = assessment.preflight().map(Tally::of);
    tally.is_some_and(|tally| tally.failed == 0 && tally.retry == 0)
}
