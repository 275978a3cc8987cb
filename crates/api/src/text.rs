//! What text of foreign origin may look like in a reason, a message or on a terminal.

/// Longest message in a status, in bytes.
pub const MESSAGE_LIMIT: usize = 1024;
/// A text that was cut says so.
const MARK: &str = "...";
/// Names shown in a message before the rest is counted.
const NAMES_SHOWN: usize = 20;

/// Stands where an object was nested more deeply than it is read.
pub const TOO_DEEP: &str = "(nested too deeply to be read)";

/// One line without tabs and control characters, at most `limit` bytes, cut with `...`.
#[must_use]
pub fn line(text: &str, limit: usize) -> String {
    let mut out = String::with_capacity(text.len().min(limit));
    let mut space = false;
    // Where it is cut if the rest does not fit: the mark must fit into the limit.
    let mut cut = 0;
    for c in text.chars() {
        if out.len() + MARK.len() <= limit {
            cut = out.len();
        }
        if c.is_whitespace() {
            space = !out.is_empty();
        } else if !is_hidden(c) {
            if space {
                out.push(' ');
                space = false;
            }
            out.push(c);
            if out.len() > limit {
                out.truncate(cut);
                out.push_str(&MARK[..MARK.len().min(limit)]);
                return out;
            }
        }
    }
    out
}

/// A message for a status: one line, at most [`MESSAGE_LIMIT`] bytes.
#[must_use]
pub fn message(text: &str) -> String {
    line(text, MESSAGE_LIMIT)
}

/// Characters that could change what a terminal or a reader sees (controls, direction marks).
fn is_hidden(c: char) -> bool {
    let directs = ['\u{200b}'..='\u{200f}', '\u{202a}'..='\u{202e}', '\u{2060}'..='\u{2069}'];
    c.is_control() || c == '\u{feff}' || directs.iter().any(|range| range.contains(&c))
}

/// Whether a text can be sent as a token: no spaces, no control characters, plain ASCII.
#[must_use]
pub fn is_token(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// `a, b, c and 4 more`: at most twenty names, the rest counted.
#[must_use]
pub fn names<S: AsRef<str>>(all: &[S]) -> String {
    let shown: Vec<&str> = all.iter().take(NAMES_SHOWN).map(AsRef::as_ref).collect();
    match all.len().saturating_sub(NAMES_SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_text_becomes_one_plain_line() {
        assert_eq!(line("a\tb\n\u{1b}[31mred\u{202e}", 64), "a b [31mred");
        assert!(line(&"x".repeat(5000), MESSAGE_LIMIT).len() <= MESSAGE_LIMIT);
        assert!(line(&"é".repeat(5000), MESSAGE_LIMIT).ends_with("..."));
    }

    #[test]
    fn a_text_that_fits_is_not_cut() {
        for text in ["x", "12345678", "1234 678", "123456é"] {
            assert_eq!(line(text, 8), text);
            assert_eq!(line(&format!("{text}\n"), 8), text, "what is left out needs no room");
        }
        assert_eq!(line("123456789", 8), "12345...");
        assert_eq!(line("1234éé78", 8), "1234...");
        assert_eq!(line("123456789", 2), "..");
    }

    #[test]
    fn long_lists_are_counted() {
        let all: Vec<String> = (0..23).map(|n| format!("n{n}")).collect();
        assert!(names(&all).ends_with("n19 and 3 more"));
    }
}
