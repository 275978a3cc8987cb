//! `ac version`.

use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;

/// Prints the version of this program.
pub(super) fn run(environment: &Environment, printer: &mut Printer<'_>) -> Result<u8, Failure> {
    printer.data(&format!("{} {}\n", environment.program, env!("CARGO_PKG_VERSION")))?;
    Ok(0)
}
