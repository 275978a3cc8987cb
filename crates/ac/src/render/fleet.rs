//! Many clusters: one line for each.

use super::View;
use crate::assessment::{Assessment, State};
use crate::layout::{Cell, Table, Tone};
use api::names::GLOBAL;
use api::objects::Cluster;

/// Longest reason in a line of a terminal, in bytes.
const WHY: usize = 120;
/// Where a line is shorter, in cells, the reason is said in a word: each cluster has one
/// line, and its own status says the rest.
const WIDE: usize = 160;

/// How every cluster stands: how many are how, then one line for each in the order given.
#[must_use]
pub fn fleet(all: &[Assessment], view: &View<'_>) -> String {
    let mut out = view.look.prose(Tone::Strong, "", 2, &verdict(all));
    if all.is_empty() {
        return out;
    }
    out.push('\n');
    let mut table = Table::new(2, &["CLUSTER", "STATE", "CURRENT", "TARGET", "WHY"]);
    for one in all {
        let version = |held: &Option<String>| held.clone().unwrap_or_else(|| "-".to_owned());
        table.row(vec![
            one.cluster.as_str().into(),
            Cell::toned(tone(one.state), one.state.as_str()),
            version(&one.current).into(),
            version(&one.target).into(),
            why(one, view.look.width).into(),
        ]);
    }
    out.push_str(&table.text(view.look));
    let more = format!("\nMore: {} adm upgrade status --cluster=<name>\n", view.program);
    out + &more
}

fn verdict(all: &[Assessment]) -> String {
    let clusters =
        if all.len() == 1 { "1 cluster".to_owned() } else { format!("{} clusters", all.len()) };
    let mut counts: Vec<(State, usize)> = Vec::new();
    for one in all {
        match counts.iter_mut().find(|(state, _)| *state == one.state) {
            Some((_, count)) => *count += 1,
            None => counts.push((one.state, 1)),
        }
    }
    let counts: Vec<String> =
        counts.iter().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
    match counts.as_slice() {
        [] => "No cluster has a ClusterVersionShadow yet.".to_owned(),
        counts => format!("{clusters}: {}.", counts.join(", ")),
    }
}

/// What wants attention first, on one line; while stages run, how far they are.
fn why(one: &Assessment, width: Option<usize>) -> String {
    let in_full = width.is_none_or(|width| width >= WIDE);
    // Off a terminal nothing is too long.
    let limit = if width.is_some() { WHY } else { api::text::MESSAGE_LIMIT };
    let first = one.attention().into_iter().next().map(|item| {
        if !in_full {
            return if item.reason.is_empty() { item.subject } else { item.reason };
        }
        item.one_line()
    });
    let running = || {
        let reconciling = one.condition(api::ConditionType::Reconciling)?;
        let message = reconciling.message.as_str();
        let shown = if in_full { message } else { message.split(';').next().unwrap_or_default() };
        Some(shown.to_owned()).filter(|_| one.state == State::Upgrading)
    };
    api::text::line(&first.or_else(running).unwrap_or_default(), limit)
}

const fn tone(state: State) -> Tone {
    match state {
        State::Stalled | State::Blocked | State::Refused => Tone::Bad,
        State::AtTarget => Tone::Good,
        State::NotUpgradable | State::NotInstalled => Tone::Plain,
        State::NoResult
        | State::Unknown
        | State::Unreachable
        | State::WaitingForPreflight
        | State::Requested
        | State::Upgrading => Tone::Wait,
    }
}

/// The registered clusters: the global one first, then by name.
#[must_use]
pub fn clusters(registered: &[Cluster], all: &[Assessment], view: &View<'_>) -> String {
    let name = |cluster: &Cluster| cluster.metadata.name.clone().unwrap_or_default();
    let mut sorted: Vec<&Cluster> = registered.iter().collect();
    sorted.sort_by_key(|cluster| (name(cluster) != GLOBAL, name(cluster)));
    let header = ["NAME", "TYPE", "PHASE", "KUBERNETES", "CURRENT", "TARGET", "STATE"];
    let mut table = Table::new(0, &header);
    for cluster in sorted {
        let name = name(cluster);
        let status = cluster.status.clone().unwrap_or_default();
        let one = all.iter().find(|one| one.cluster == name);
        let version = |held: Option<&String>| held.cloned().unwrap_or_else(|| "-".to_owned());
        let or_none = |text: String| if text.is_empty() { "-".to_owned() } else { text };
        let state = one.map_or(State::NoResult, |one| one.state);
        table.row(vec![
            name.into(),
            or_none(cluster.spec.kind.clone()).into(),
            or_none(status.phase).into(),
            or_none(status.version).into(),
            version(one.and_then(|one| one.current.as_ref())).into(),
            version(one.and_then(|one| one.target.as_ref())).into(),
            Cell::toned(tone(state), state.as_str()),
        ]);
    }
    if registered.is_empty() {
        return "No cluster is registered.\n".to_owned();
    }
    table.text(view.look)
}
