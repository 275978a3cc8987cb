//! The process of `violet`: arguments, environment, clock and terminal in, exit status out.

use std::process::ExitCode;
use violet::{Environment, Printer};

fn main() -> ExitCode {
    // An error means that a provider is installed already, which is what is wanted.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let mut printer = Printer::of_process();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.note(&format!("error: the program cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let arguments: Vec<_> = std::env::args_os().collect();
    let environment = Environment::of_process();
    ExitCode::from(runtime.block_on(violet::run(arguments, &environment, &mut printer)))
}
