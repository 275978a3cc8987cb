//! Where output goes: what was found and done to standard output, warnings, progress and errors to
//! standard error.

use crate::failure::Failure;
use api::failure::Failed;
use std::io::Write;

/// Two places to write to.
pub struct Printer<'a> {
    out: Box<dyn Write + Send + 'a>,
    notes: Box<dyn Write + Send + 'a>,
}

impl Printer<'static> {
    /// Standard output and standard error.
    #[must_use]
    pub fn of_process() -> Self {
        Self::new(std::io::stdout(), std::io::stderr())
    }
}

impl<'a> Printer<'a> {
    /// A printer that writes data to `out` and the rest to `notes`.
    pub fn new(out: impl Write + Send + 'a, notes: impl Write + Send + 'a) -> Self {
        Self { out: Box::new(out), notes: Box::new(notes) }
    }

    /// Writes data, one line or several.
    ///
    /// # Errors
    /// The reader of standard output is gone, or its disk is full.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), Failure> {
        let written = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        written.map_err(Failure::Output)
    }

    /// Writes a note, one line.
    pub fn note(&mut self, text: &str) {
        // Where standard error is closed nobody can be told, and the work still counts.
        let _unheard = writeln!(self.notes, "{text}");
    }

    /// Says why a run failed, its causes once each, and what to do.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        for line in failure.lines(api::names::PREPARE) {
            self.note(&line);
        }
    }
}
