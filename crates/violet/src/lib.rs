//! `violet`, the command line for plugin packages: shows and verifies them, brings them into the
//! registry and the catalogue of a platform, and clears the catalogue of what nobody uses.
//!
//! A command is a function that writes to the printer it is given. Must not know how a package is
//! read, how bytes are copied or what an installation does: `artifacts` and the operator do.

mod arguments;
mod clusters;
mod commands;
mod connection;
mod destination;
mod environment;
mod failure;
mod package;
mod printer;
mod signature;

pub use arguments::command;
pub use environment::Environment;
pub use failure::Failure;
pub use printer::Printer;

use api::failure::Failed;
use arguments::Parsed;
use std::ffi::OsString;

/// Runs one command line to its end and answers its exit status.
pub async fn run(
    arguments: Vec<OsString>,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> u8 {
    let outcome = match arguments::parse(arguments) {
        Ok(Parsed::Run(parsed)) => commands::run(*parsed, environment, printer).await,
        Ok(Parsed::Show(text)) => printer.say(&text),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit_code(failure::USAGE)
        }
    }
}
