//! `ac`, the command line of the platform: asks for an upgrade and shows what status says.
//!
//! A command is a function that returns an exit status and writes to the printer it is given.
//! Must not know the planner: whatever is shown stands in a ClusterVersionShadow.

mod api_server;
mod arguments;
pub mod assessment;
mod commands;
mod elapsed;
mod environment;
mod failure;
mod foreign;
mod kubeconfig;
pub mod layout;
mod offer;
mod printer;
pub mod render;
mod shadow;
mod upgrade_status;

pub use arguments::command;
pub use environment::{Environment, Terminal};
pub use failure::Failure;
pub use printer::Printer;
pub use shadow::Shadow;
pub use upgrade_status::UpgradeStatus;

use api::failure::Failed;
use std::ffi::OsString;

/// Runs one command line to its end and answers its exit status.
pub async fn run(
    arguments: Vec<OsString>,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> u8 {
    let outcome = match arguments::parse(arguments, &environment.program) {
        Ok(arguments::Parsed::Run(parsed)) => commands::run(*parsed, environment, printer).await,
        Ok(arguments::Parsed::Show(text)) => printer.data(&text).map(|()| 0),
        Err(failure) => Err(failure),
    };
    match outcome {
        Ok(status) => status,
        Err(failure) => {
            printer.failure(&failure, environment);
            failure.exit_code(failure::USAGE)
        }
    }
}
