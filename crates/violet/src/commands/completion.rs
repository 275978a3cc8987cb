//! `violet completion bash|zsh|fish|powershell`.

use crate::arguments::{Shell, command};
use crate::failure::Failure;
use crate::printer::Printer;
use api::names::VIOLET;
use clap_complete::{Shell as Script, generate};

/// Prints the script for a shell.
pub(super) fn run(shell: Shell, printer: &mut Printer<'_>) -> Result<(), Failure> {
    let script = match shell {
        Shell::Bash => Script::Bash,
        Shell::Zsh => Script::Zsh,
        Shell::Fish => Script::Fish,
        Shell::Powershell => Script::PowerShell,
    };
    let mut text = Vec::new();
    generate(script, &mut command(), VIOLET, &mut text);
    printer.say(&String::from_utf8_lossy(&text))
}
