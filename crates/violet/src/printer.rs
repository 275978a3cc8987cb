//! Where output goes: what was found and done to standard output, warnings, progress and errors to
//! standard error.

use crate::failure::Failure;
use api::failure::Failed;
use api::names::VIOLET;
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
        Self { out: Box::new(std::io::stdout()), notes: Box::new(std::io::stderr()) }
    }
}

impl Printer<'_> {
    /// Writes data, one line or several.
    ///
    /// # Errors
    /// The reader of standard output is gone, or its disk is full.
    pub(crate) fn say(&mut self, text: &str) -> Result<(), Failure> {
        let text = text.trim_end_matches('\n');
        let written = writeln!(self.out, "{text}").and_then(|()| self.out.flush());
        written.map_err(Failure::Output)
    }

    /// Writes a note, one line.
    pub fn note(&mut self, text: &str) {
        // Where standard error is closed nobody can be told, and the work still counts.
        let _unheard = writeln!(self.notes, "{text}");
    }

    /// Says why something failed, its causes once each, and what to do.
    pub(crate) fn failure(&mut self, failure: &Failure) {
        for line in failure.lines(VIOLET) {
            self.note(&line);
        }
    }
}
