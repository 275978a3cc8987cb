//! Brings the artifacts of the package into the registry, and says which are missing there. Must
//! not touch the cluster.

mod progress;

use crate::failure::{Failure, hints};
use crate::printer::Printer;
use api::failure::chain;
use artifacts::package::Package;
use artifacts::registry::Registry;
use artifacts::sync::{PARALLEL, Plan, Report, check, sync};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(crate) use progress::bytes;

/// Sends what is missing.
///
/// # Errors
/// When the registry does not answer or does not let us in, or something could not be sent.
pub(crate) async fn run(
    package: &Package,
    registry: &Registry,
    is_terminal: bool,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let plan = Plan::of_package(package)?;
    let began = Instant::now();
    let shown = progress::Shown::new(is_terminal);
    let report = sync(plan, registry, PARALLEL, Arc::clone(&shown) as _).await;
    shown.end();
    let report = report?;
    let mut said = Vec::new();
    for (name, error) in &report.failed {
        printer.note(&format!("failed: {name}: {}", chain(error.as_ref())));
        for hint in
            hints::registry(error).into_iter().filter(|h| !said.contains(h)).collect::<Vec<_>>()
        {
            said.push(hint);
        }
    }
    for hint in said {
        printer.note(&format!("hint: {hint}"));
    }
    printer.say(&summary(&report, began.elapsed()))?;
    match report.failed.len() {
        0 => Ok(()),
        failed => Err(Failure::Incomplete { failed, artifacts: report.artifacts }),
    }
}

fn summary(report: &Report, time: Duration) -> String {
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
fn elapsed(time: Duration) -> String {
    match time.as_secs() {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        seconds @ 10..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds / 60 % 60),
    }
}

/// Checks that all artifacts are in the registry.
///
/// # Errors
/// When the registry cannot be asked, or artifacts are missing: they are listed.
pub(crate) async fn verify(
    package: &Package,
    registry: &Registry,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let plan = Plan::of_package(package)?;
    let artifacts = plan.artifacts.len();
    let missing = check(&plan, registry, PARALLEL).await?;
    if missing.is_empty() {
        return printer
            .say(&format!("Checked {artifacts} artifacts: all are in {}.", registry.address()));
    }
    for one in &missing {
        printer.note(&format!("missing: {}: {}", one.name, one.reason));
    }
    Err(Failure::Missing { missing, artifacts, registry: registry.address().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

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
