//! Decides how cargo is called from a program that cargo may have started itself.

use std::path::Path;
use std::process::Command;

/// cargo in the folder of the project.
///
/// What cargo tells the program that it runs about that program's own package is left out: build
/// scripts of libraries look at it, and would have them compiled anew each time.
#[must_use]
pub fn cargo<'a>(root: &Path, words: impl IntoIterator<Item = &'a str>) -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(program);
    command.args(words).current_dir(root);
    let told = std::env::vars_os().map(|(name, _)| name).filter(|name| {
        let name = name.to_string_lossy();
        name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
    });
    for name in told {
        command.env_remove(name);
    }
    command
}
