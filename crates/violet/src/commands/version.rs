//! `violet version`.

use crate::failure::Failure;
use crate::printer::Printer;
use api::names::VIOLET;

/// Prints the version of this program.
pub(super) fn run(printer: &mut Printer<'_>) -> Result<(), Failure> {
    printer.say(&format!("{VIOLET} {}", env!("CARGO_PKG_VERSION")))
}
