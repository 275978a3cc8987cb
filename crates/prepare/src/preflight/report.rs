//! How a preflight is printed: Summary, Checks, what clears the failed ones, what is switched off.
//! Must not judge.

use api::names::{CVO_CONFIG, NAMESPACE};
use api::objects::{Check, Preflight};
use api::{CheckName, CheckState};
use planner::preflight::config_of;
use planner::snapshot::{Observed, Snapshot};
use std::fmt::Write as _;

/// The whole text.
pub(super) fn text(snapshot: &Snapshot, result: &Preflight) -> String {
    let mut out = String::from("Summary\n");
    for (name, value) in summary(snapshot, result) {
        line(&mut out, &format!("  {name:<15}  {value}"));
    }
    out.push_str("\nChecks\n");
    checks(&mut out, result);
    remedies(&mut out, result);
    out.push('\n');
    let config = config_of(snapshot);
    let disabled: Vec<&str> = config.disabled.iter().map(|name| name.as_str()).collect();
    let disabled = if disabled.is_empty() { "none".to_owned() } else { disabled.join(", ") };
    line(&mut out, &format!("Disabled by {NAMESPACE}/{CVO_CONFIG}: {disabled}"));
    if let Observed::Unknown(error) = &snapshot.cvo_config {
        let error = api::text::line(error, 256);
        line(&mut out, &format!("{NAMESPACE}/{CVO_CONFIG} could not be read: {error}"));
    }
    out
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{}", text.trim_end()).expect("a String takes all that is written");
}

fn count(result: &Preflight, state: CheckState) -> usize {
    result.checks.iter().filter(|check| check.state == state).count()
}

fn summary(snapshot: &Snapshot, result: &Preflight) -> Vec<(&'static str, String)> {
    let current = match snapshot.installed_version() {
        Ok(Some(version)) => version.to_string(),
        Ok(None) => "none (nothing is installed yet)".to_owned(),
        Err(error) => format!("unknown: {}", api::text::line(&error, 256)),
    };
    let observed = result.observed_at.as_ref().map_or_else(String::new, |at| at.0.to_string());
    let mut rows = vec![
        ("Cluster", snapshot.cluster.clone()),
        ("Result", verdict(result)),
        ("Current version", current),
        ("Desired version", result.version.clone()),
        ("Desired image", result.image.clone()),
        ("Observed at", observed),
    ];
    if let Some(signature) = &result.signature {
        rows.push(("Signature", signature.words()));
    }
    if matches!(snapshot.release_keys, Observed::Value(None) | Observed::KindAbsent) {
        let why = "of this package (the installed release has recorded none)";
        rows.push(("Licence keys", why.to_owned()));
    }
    rows
}

fn verdict(result: &Preflight) -> String {
    let (failed, retry) = (count(result, CheckState::Failed), count(result, CheckState::Retry));
    let word = match (failed, retry) {
        (0, 0) => "PASSED",
        (0, _) => "UNKNOWN",
        _ => "BLOCKED",
    };
    let counts = [
        (failed, "failed"),
        (retry, "retry"),
        (count(result, CheckState::Disabled), "disabled"),
        (count(result, CheckState::Passed), "passed"),
    ];
    let counts = counts.into_iter().filter(|(n, _)| *n > 0);
    let counts: Vec<String> = counts.map(|(n, what)| format!("{n} {what}")).collect();
    format!("{word}   {}   (read-only: nothing was changed)", counts.join(", "))
}

/// What needs a person first.
fn rank(check: &Check) -> u8 {
    match check.state {
        CheckState::Failed => 0,
        CheckState::Retry => 1,
        CheckState::Disabled => 2,
        CheckState::Passed => 3,
    }
}

fn checks(out: &mut String, result: &Preflight) {
    let mut sorted: Vec<&Check> = result.checks.iter().collect();
    sorted.sort_by_key(|check| rank(check));
    let names = CheckName::ALL.iter().map(|name| name.as_str().len()).max().unwrap_or(0);
    let reasons = sorted.iter().map(|check| check.reason.as_str().len()).max().unwrap_or(0);
    let reasons = reasons.max("REASON".len());
    let mut row = |state: &str, name: &str, reason: &str, message: &str| {
        line(out, &format!("  {state:<8}  {name:<names$}  {reason:<reasons$}  {message}"));
    };
    row("STATE", "NAME", "REASON", "MESSAGE");
    for check in sorted {
        let message = api::text::message(&check.message);
        row(check.state.as_str(), &check.name, check.reason.as_str(), &message);
    }
}

fn remedies(out: &mut String, result: &Preflight) {
    let failed = || result.checks.iter().filter(|check| check.state == CheckState::Failed);
    if failed().next().is_some() {
        out.push_str("\nHow to clear the failed checks\n");
    }
    for check in failed() {
        line(out, &format!("  {}:", check.name));
        line(out, &format!("    {}", api::text::message(&check.remedy)));
    }
    if count(result, CheckState::Retry) > 0 {
        out.push_str("\nChecks in state Retry could not be answered now: run preflight again.\n");
    }
}
