//! How a program of ours says that it failed: why, with every cause once, and what to do about it.
//!
//! Must not know what can fail: each program has its own errors.

use crate::text::line;
use std::error::Error;

/// Longest explanation of a failure, in bytes.
const LIMIT: usize = 4096;
/// What to do where a program cannot write what it has to say.
pub const OUTPUT_HINT: &str =
    "free some space where the output goes, or send it elsewhere; then run the same command again";
/// Exit status of a program whose output nobody reads any more: `… | head` has what it wanted.
const READER_GONE: u8 = 141;

/// A failure that a program ends with.
pub trait Failed: Error + Sized {
    /// What to do, one line each.
    fn hints(&self, program: &str) -> Vec<String>;

    /// The error of writing the output, where that is what failed.
    fn output(&self) -> Option<&std::io::Error>;

    /// Whether the command line itself is wrong.
    fn is_usage(&self) -> bool;

    /// Whether nobody is there to be told.
    fn is_silent(&self) -> bool {
        self.output().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
    }

    /// The exit status: `usage` for a wrong command line, 141 where nobody reads, else 1.
    fn exit_code(&self, usage: u8) -> u8 {
        match (self.is_silent(), self.is_usage()) {
            (true, _) => READER_GONE,
            (false, true) => usage,
            (false, false) => 1,
        }
    }

    /// All that is said of it, line by line.
    fn lines(&self, program: &str) -> Vec<String> {
        if self.is_silent() {
            return Vec::new();
        }
        let hints = self.hints(program).into_iter().map(|hint| format!("hint: {hint}"));
        std::iter::once(format!("error: {}", chain(self))).chain(hints).collect()
    }
}

/// An error and its causes on one line; a cause that the text before repeats is left out.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = line(&error.to_string(), LIMIT);
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = line(&error.to_string(), LIMIT);
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    line(&text, LIMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Outer(String, #[source] std::io::Error);

    impl Failed for Outer {
        fn hints(&self, program: &str) -> Vec<String> {
            vec![format!("run {program} again")]
        }

        fn output(&self) -> Option<&std::io::Error> {
            Some(&self.1)
        }

        fn is_usage(&self) -> bool {
            false
        }
    }

    #[test]
    fn every_cause_is_said_once_and_then_what_to_do() {
        let error = Outer("cannot write".to_owned(), std::io::Error::other("disk\u{1b}[2J full"));
        assert_eq!(error.lines("ac"), ["error: cannot write: disk[2J full", "hint: run ac again"]);
        assert_eq!(error.exit_code(64), 1);
        let repeated = Outer("cannot write: gone".to_owned(), std::io::Error::other("gone"));
        assert_eq!(chain(&repeated), "cannot write: gone");
    }

    #[test]
    fn a_reader_that_has_gone_is_told_nothing() {
        let gone = Outer("x".to_owned(), std::io::ErrorKind::BrokenPipe.into());
        assert_eq!((gone.lines("ac"), gone.exit_code(64)), (Vec::new(), 141));
    }
}
