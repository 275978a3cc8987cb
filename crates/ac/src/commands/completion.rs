//! `ac completion bash|zsh|fish|powershell`.

use crate::arguments::{self, Shell};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::printer::Printer;
use clap_complete::{Shell as Script, generate};

/// Prints the script for a shell.
pub(super) fn run(
    shell: Shell,
    environment: &Environment,
    printer: &mut Printer<'_>,
) -> Result<u8, Failure> {
    let script = match shell {
        Shell::Bash => Script::Bash,
        Shell::Zsh => Script::Zsh,
        Shell::Fish => Script::Fish,
        Shell::Powershell => Script::PowerShell,
    };
    // A shell completes the name of a file, which has no space in it.
    let name = environment.program.replace(' ', "-");
    let mut text = Vec::new();
    generate(script, &mut arguments::command(&name), name.as_str(), &mut text);
    printer.data(&String::from_utf8_lossy(&text))?;
    Ok(0)
}
