//! Decides how bench/RESULTS.md is laid out: one section for each command that measures, each
//! written again by its own. Knows no figure.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result};

/// The section of the comparison with other tools.
pub const COMPARED: &str = "Beside other tools";
/// The section of the tests of faults at their full size: a line for each part that was run.
pub const FAULTS: &str = "Faults at full size";
/// What stands before each of its lines.
const FAULTS_HEAD: &str = "Written by `cargo xtask soak`, a part at a time.";
/// What a line begins with in which a test tells a figure of its full size.
pub const FIGURE: &str = "figure: ";
/// All of them, in their order.
const SECTIONS: [&str; 2] = [COMPARED, FAULTS];
const TITLE: &str = "# Results";

/// Writes one section anew and leaves the others as they are.
///
/// # Errors
/// When the file cannot be read or written.
pub fn write(path: &Path, section: &str, text: &str) -> Result<()> {
    let text = with(&read(path)?, section, text);
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

/// Writes the line of one part of the tests of faults anew and leaves the others as they are.
///
/// # Errors
/// When the file cannot be read or written.
pub fn write_part(path: &Path, part: &str, text: &str) -> Result<()> {
    let before = read(path)?;
    let before = found(&before, FAULTS).unwrap_or_default();
    write(path, FAULTS, &with_part(before, part, text))
}

fn with_part(before: &str, part: &str, text: &str) -> String {
    let begins = format!("- {part}, ");
    let lines = before.lines().filter(|line| line.starts_with("- ") && !line.starts_with(&begins));
    let mut lines: Vec<String> = lines.map(str::to_owned).collect();
    lines.push(format!("{begins}{text}"));
    lines.sort();
    format!("{FAULTS_HEAD}\n\n{}", lines.join("\n"))
}

fn read(path: &Path) -> Result<String> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| path.display().to_string()),
    }
}

fn with(before: &str, section: &str, text: &str) -> String {
    let mut all = format!("{TITLE}\n");
    for name in SECTIONS {
        let content = if name == section { Some(text) } else { found(before, name) };
        if let Some(content) = content {
            // Writing to a String cannot fail.
            let _ = write!(all, "\n## {name}\n\n{}\n", content.trim());
        }
    }
    all
}

/// What stands below a heading.
fn found<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\n## {name}\n"))?;
    Some(rest.split_once("\n## ").map_or(rest, |(section, _)| section))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_written_again_and_the_other_stays() {
        let one = with("", FAULTS, "old\n");
        let two = with(&one, COMPARED, "| a |\n");
        let three = with(&two, FAULTS, "new");
        let wanted =
            "# Results\n\n## Beside other tools\n\n| a |\n\n## Faults at full size\n\nnew\n";
        assert_eq!(three, wanted);
    }

    #[test]
    fn a_part_is_written_again_and_the_others_stay() {
        let one = with_part("", "storm", "1 min: all lost");
        let two = with_part(&one, "kills", "2 min: 86 kills");
        let three = with_part(&two, "storm", "3 min: nothing lost");
        let lines = "- kills, 2 min: 86 kills\n- storm, 3 min: nothing lost";
        assert_eq!(three, format!("{FAULTS_HEAD}\n\n{lines}"));
    }
}
