//! The commands: each is a function that writes to the printer it is given.

mod completion;
mod gc;
mod list;
mod push;
mod show;
mod verify;
mod version;

use crate::arguments::{Arguments, Command};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;

/// Runs a command.
///
/// # Errors
/// Says why it cannot do what it is asked to.
pub(crate) async fn run(
    arguments: Arguments,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<(), Failure> {
    match arguments.command {
        Command::Push(flags) => push::run(&flags, environment, printer).await,
        Command::Show(flags) => show::run(&flags, environment, printer),
        Command::List(flags) => list::run(&flags, environment, printer).await,
        Command::Verify(flags) => verify::run(&flags, environment, printer).await,
        Command::Gc(flags) => gc::run(&flags, environment, printer).await,
        Command::Completion { shell } => completion::run(shell, printer),
        Command::Version => version::run(printer),
    }
}
