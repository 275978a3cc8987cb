//! How text is laid out: wrapping with a hanging indent, tables, colour. A command that a reader
//! copies is never broken, and nothing is ever cut.
//!
//! Must not know what the text is about, nor read the terminal itself.

use unicode_width::UnicodeWidthStr;

/// The least room in which the last column of a table is wrapped beside the others, in cells.
const LAST_COLUMN_ROOM: usize = 24;
/// A last cell this short stays on its line, even if it passes the edge by a little.
const SHORT: usize = 10;
/// Space between two columns.
const GAP: usize = 3;

/// What the reader looks at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// Cells in a line of the terminal; `None` off a terminal, where lines stay whole.
    pub width: Option<usize>,
    /// Whether colour may be used. It only ever repeats what a word says.
    pub colour: bool,
}

/// What a text means to the reader.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    /// Nothing special.
    #[default]
    Plain,
    /// The line that matters most.
    Strong,
    /// As it should be.
    Good,
    /// Under way, or known later.
    Wait,
    /// A person must act.
    Bad,
}

impl Look {
    /// The text in the colour of its tone, where colour may be used.
    #[must_use]
    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Strong => "1",
            Tone::Good => "32",
            Tone::Wait => "33",
            Tone::Bad => "31",
        };
        if self.colour && !text.is_empty() {
            format!("\u{1b}[{code}m{text}\u{1b}[0m")
        } else {
            text.to_owned()
        }
    }

    /// Prose: `lead` and the text after it; further lines begin at column `hang`.
    #[must_use]
    pub fn prose(self, tone: Tone, lead: &str, hang: usize, text: &str) -> String {
        let room = |taken: usize| self.width.map(|width| width.saturating_sub(taken));
        let first = lead.width();
        let lines = wrap(text, room(first), room(hang));
        let mut out = String::new();
        for (at, line) in lines.iter().enumerate() {
            let before = if at == 0 { lead.to_owned() } else { " ".repeat(hang) };
            out.push_str(before.trim_end_matches(if line.is_empty() { ' ' } else { '\0' }));
            out.push_str(&self.paint(tone, line));
            out.push('\n');
        }
        out
    }
}

/// Breaks a text at spaces. A word longer than the room stays whole.
fn wrap(text: &str, first: Option<usize>, others: Option<usize>) -> Vec<String> {
    let (Some(first), Some(others)) = (first, others) else {
        return vec![text.to_owned()];
    };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let room = if lines.is_empty() { first } else { others };
        if !line.is_empty() && line.width() + 1 + word.width() > room {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
}

/// A cell of a table.
#[derive(Debug, Clone, Default)]
pub struct Cell {
    tone: Tone,
    text: String,
}

impl Cell {
    /// A cell with a tone.
    #[must_use]
    pub fn toned(tone: Tone, text: &str) -> Self {
        Self { tone, text: text.to_owned() }
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(Tone::Plain, text)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self { tone: Tone::Plain, text }
    }
}

/// Columns of words; the last column may hold sentences.
#[derive(Debug, Clone)]
pub struct Table {
    indent: usize,
    rows: Vec<Vec<Cell>>,
}

impl Table {
    /// A table with the header that users know.
    #[must_use]
    pub fn new(indent: usize, header: &[&str]) -> Self {
        Self { indent, rows: vec![header.iter().map(|name| Cell::from(*name)).collect()] }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(cells);
    }

    /// The table as text. An empty cell before the last column shows a dash.
    #[must_use]
    pub fn text(&self, look: Look) -> String {
        // A last column that nobody filled is only noise.
        let filled = |row: &Vec<Cell>| row.iter().rposition(|cell| !cell.text.is_empty());
        let bodies = self.rows.iter().skip(1).filter_map(filled).max();
        let columns = bodies.map_or(0, |last| last + 1);
        let width = |column: usize| {
            let cell = |row: &Vec<Cell>| row.get(column).map_or(0, |cell| cell.text.width());
            self.rows.iter().map(cell).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let mut out = String::new();
        for row in &self.rows {
            out.push_str(&self.line(look, &widths, &row[..columns.min(row.len())]));
        }
        out
    }

    fn line(&self, look: Look, widths: &[usize], row: &[Cell]) -> String {
        let mut lead = " ".repeat(self.indent);
        let mut taken = self.indent;
        let Some((last, others)) = row.split_last() else { return "\n".to_owned() };
        for (cell, width) in others.iter().zip(widths) {
            let text = if cell.text.is_empty() { "-" } else { &cell.text };
            lead.push_str(&look.paint(cell.tone, text));
            lead.push_str(&" ".repeat(width.saturating_sub(text.width()) + GAP));
            taken += width + GAP;
        }
        let room = look.width.map_or(usize::MAX, |width| width.saturating_sub(taken));
        if last.text.width() <= room.max(SHORT) {
            let line = format!("{lead}{}", look.paint(last.tone, &last.text));
            return format!("{}\n", line.trim_end());
        }
        // Too narrow for a column of its own: the sentence goes below its row.
        if room < LAST_COLUMN_ROOM {
            let below = self.indent + 4;
            let sentence = look.prose(last.tone, &" ".repeat(below), below, &last.text);
            return format!("{}\n{sentence}", lead.trim_end());
        }
        let mut out = String::new();
        for (at, line) in wrap(&last.text, Some(room), Some(room)).iter().enumerate() {
            out.push_str(if at == 0 { &lead } else { "" });
            out.push_str(&" ".repeat(if at == 0 { 0 } else { taken }));
            out.push_str(&look.paint(last.tone, line));
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NARROW: Look = Look { width: Some(40), colour: false };

    #[test]
    fn prose_hangs_and_keeps_long_words_whole() {
        let long = "x".repeat(60);
        let text = NARROW.prose(Tone::Plain, "  Fix: ", 7, &format!("one two {long} three"));
        assert_eq!(text, format!("  Fix: one two\n       {long}\n       three\n"));
    }

    #[test]
    fn off_a_terminal_lines_stay_whole() {
        let sentence = "word ".repeat(80);
        let text = Look::default().prose(Tone::Strong, "", 2, sentence.trim());
        assert_eq!(text.lines().count(), 1);
    }

    #[test]
    fn the_last_column_wraps_below_itself() {
        let mut table = Table::new(0, &["A", "MESSAGE"]);
        table.row(vec!["".into(), "these are more words than fit into one line".into()]);
        assert_eq!(
            table.text(NARROW),
            "A   MESSAGE\n-   these are more words than fit into\n    one line\n"
        );
    }

    #[test]
    fn colour_does_not_move_columns() {
        let mut table = Table::new(0, &["STATE", "NAME"]);
        table.row(vec![Cell::toned(Tone::Bad, "No"), "x".into()]);
        let painted = table.text(Look { width: None, colour: true });
        assert_eq!(painted, "STATE   NAME\n\u{1b}[31mNo\u{1b}[0m      x\n");
    }
}
