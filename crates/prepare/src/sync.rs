//! Brings the artifacts of the package into the registry, and says which are missing there. Must
//! not touch the cluster.

use crate::failure::{Failure, hints};
use crate::plugins::Plugin;
use crate::printer::Printer;
use api::failure::chain;
use artifacts::package::Package;
use artifacts::progress::{Shown, summary};
use artifacts::registry::Registry;
use artifacts::sync::{PARALLEL, Plan, check, sync};
use std::sync::Arc;
use std::time::Instant;

/// What the core package and its plugin packages bring.
///
/// # Errors
/// When two of them bring different artifacts under one name.
pub(crate) fn plan(package: &Package, plugins: &[Plugin]) -> Result<Plan, Failure> {
    let plugins = plugins.iter().map(|plugin| plugin.opened().package.layout());
    Ok(Plan::of_layouts(std::iter::once(package.layout()).chain(plugins))?)
}

/// Sends what is missing.
///
/// # Errors
/// When the registry does not answer or does not let us in, or something could not be sent.
pub(crate) async fn run(
    plan: Plan,
    registry: &Registry,
    is_terminal: bool,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let began = Instant::now();
    let shown = Shown::new(is_terminal);
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

/// Checks that all artifacts are in the registry.
///
/// # Errors
/// When the registry cannot be asked, or artifacts are missing: they are listed.
pub(crate) async fn verify(
    plan: &Plan,
    registry: &Registry,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    let artifacts = plan.artifacts.len();
    let missing = check(plan, registry, PARALLEL).await?;
    if missing.is_empty() {
        return printer
            .say(&format!("Checked {artifacts} artifacts: all are in {}.", registry.address()));
    }
    for one in &missing {
        printer.note(&format!("missing: {}: {}", one.name, one.reason));
    }
    Err(Failure::Missing { missing, artifacts, registry: registry.address().to_owned() })
}
