//! Where output goes: data to stdout, notes and errors to stderr, never mixed.

use crate::environment::Environment;
use crate::failure::Failure;
use api::failure::Failed;
use std::io::Write;

/// Two places to write to.
pub struct Printer<'a> {
    out: Box<dyn Write + 'a>,
    notes: Box<dyn Write + 'a>,
}

impl Printer<'static> {
    /// Stdout and stderr.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(std::io::stdout(), std::io::stderr())
    }
}

impl<'a> Printer<'a> {
    /// A printer that writes data to `out` and notes to `notes`.
    pub fn new(out: impl Write + 'a, notes: impl Write + 'a) -> Self {
        Self { out: Box::new(out), notes: Box::new(notes) }
    }

    /// Writes data as it is.
    ///
    /// # Errors
    /// The reader of stdout is gone, or the disk is full.
    pub fn data(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush()).map_err(Failure::Output)
    }

    /// Writes a note, one line.
    pub fn note(&mut self, text: &str) {
        // Where stderr is closed nobody can be told, and the data still counts.
        let _unheard = writeln!(self.notes, "{text}");
    }

    /// Says why a command failed, its causes once each, and what to do.
    pub fn failure(&mut self, failure: &Failure, environment: &Environment) {
        if let Failure::Usage { rendered: Some(text), .. } = failure {
            self.note(text.trim_end());
            return;
        }
        for line in failure.lines(&environment.program) {
            self.note(&line);
        }
    }
}
