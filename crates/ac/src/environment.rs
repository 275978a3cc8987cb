//! All that a command may know of the process it runs in.
//!
//! The only place that reads environment variables and the terminal.

use crate::layout::Look;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::io::IsTerminal;
use std::path::Path;

/// Cells in a line where a terminal does not tell.
const WIDTH: u16 = 80;
/// Name of the binary as a plugin of kubectl.
const PLUGIN: &str = "kubectl-acp";
/// Environment variables that matter.
const VARIABLES: [&str; 6] =
    ["KUBECONFIG", "HOME", "NO_COLOR", "TERM", "KUBERNETES_SERVICE_HOST", "COLUMNS"];

/// A terminal's size in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terminal {
    /// Cells in a line.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

/// What a command may know of its process.
#[derive(Debug, Clone)]
pub struct Environment {
    /// How the user calls this program: `ac` or `kubectl acp`.
    pub program: String,
    /// Environment variables that are set.
    pub variables: BTreeMap<&'static str, OsString>,
    /// Whether stdout is a terminal.
    pub stdout_is_terminal: bool,
    /// The clock.
    pub now: fn() -> Timestamp,
}

impl Environment {
    /// The environment of this process.
    #[must_use]
    pub fn of_process(arguments: &[OsString]) -> Self {
        let variable = |name| std::env::var_os(name).map(|value| (name, value));
        Self {
            program: program(arguments.first().map(OsString::as_os_str)),
            variables: VARIABLES.into_iter().filter_map(variable).collect(),
            stdout_is_terminal: std::io::stdout().is_terminal(),
            now: Timestamp::now,
        }
    }

    /// A variable that is set to something.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.variables.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    /// The terminal that stdout is, with its size at this moment.
    #[must_use]
    pub fn terminal(&self) -> Option<Terminal> {
        if !self.stdout_is_terminal {
            return None;
        }
        let columns = self.variable("COLUMNS").and_then(OsStr::to_str);
        let (width, height) = terminal_size::terminal_size()
            .map_or((columns.and_then(|c| c.parse().ok()).unwrap_or(WIDTH), 24), |(w, h)| {
                (w.0, h.0)
            });
        Some(Terminal { width: usize::from(width.max(40)), height: usize::from(height.max(5)) })
    }

    /// Whether the terminal can go back and draw again.
    #[must_use]
    pub fn can_redraw(&self) -> bool {
        self.stdout_is_terminal && self.variable("TERM") != Some(OsStr::new("dumb"))
    }

    /// How output looks at this moment.
    #[must_use]
    pub fn look(&self) -> Look {
        Look {
            width: self.terminal().map(|terminal| terminal.width),
            colour: self.can_redraw() && self.variable("NO_COLOR").is_none(),
        }
    }
}

fn program(called: Option<&OsStr>) -> String {
    let stem = called.and_then(|path| Path::new(path).file_stem()).and_then(OsStr::to_str);
    match stem {
        // kubectl finds a plugin under either spelling.
        Some(stem) if stem.replace('_', "-") == PLUGIN => PLUGIN.replacen('-', " ", 1),
        _ => "ac".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(stdout_is_terminal: bool, variables: &[(&'static str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| (*name, OsString::from(value)));
        Environment {
            variables: variables.collect(),
            stdout_is_terminal,
            ..Environment::of_process(&[])
        }
    }

    #[test]
    fn colour_and_redrawing_are_for_terminals_that_can() {
        let of = |is_terminal, variables: &[(&'static str, &str)]| {
            let environment = environment(is_terminal, variables);
            (environment.look().colour, environment.can_redraw())
        };
        assert_eq!(of(true, &[]), (true, true));
        assert_eq!(of(true, &[("NO_COLOR", "1")]), (false, true));
        // As the convention has it: one that is set to nothing is not set.
        assert_eq!(of(true, &[("NO_COLOR", "")]), (true, true));
        assert_eq!(of(true, &[("TERM", "dumb")]), (false, false));
        assert_eq!(of(false, &[]), (false, false));
    }

    #[test]
    fn what_goes_elsewhere_has_no_width() {
        assert_eq!(environment(false, &[("COLUMNS", "80")]).look().width, None);
        assert!(environment(true, &[("COLUMNS", "80")]).look().width.is_some());
    }

    #[test]
    fn the_program_is_called_as_the_user_calls_it() {
        let called = |path: &str| program(Some(OsStr::new(path)));
        assert_eq!(called("/usr/local/bin/kubectl-acp"), "kubectl acp");
        assert_eq!(called("kubectl_acp"), "kubectl acp");
        assert_eq!(called("./ac"), "ac");
    }
}
