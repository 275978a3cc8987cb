//! `acp-prepare`, the program behind `upgrade.sh`: sync, preflight of the package in hand, deploy.
//!
//! Must not know how artifacts are copied, how a check is judged or what an upgrade does:
//! `artifacts` and `planner` do.

mod arguments;
mod credentials;
pub mod decision;
mod deploy;
mod environment;
mod failure;
mod kubeconfig;
mod lock;
mod phases;
mod platform;
mod plugins;
mod preflight;
mod printer;
mod sync;
mod trust;

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
        Ok(Parsed::Run(parsed)) => phases::run(&parsed, environment, printer).await,
        Ok(Parsed::Show(text)) => printer.say(&text).map(|()| 0),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            printer.failure(&failure);
            failure.exit_code(failure::USAGE)
        }
    }
}
