//! Whether the pages for users show what programs print today, by the word of each code block:
//!
//! - none: commands to run, and nothing else;
//! - `output`: every line stands in one text that a test recorded, ages and digests aside;
//! - `console`: a session on a real platform, which begins with its command; what `ac` answers in
//!   it is an output as well;
//! - `yaml`: a file, or a part of one.

#![expect(clippy::unwrap_used, reason = "a test ends where something fails")]

use std::fs;
use std::path::{Path, PathBuf};

const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/user");
const CRATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
/// What a command to run begins with.
const PROGRAMS: &[&str] =
    &["#", "ac", "bash", "cd", "export", "install", "kubectl", "ln", "tar", "violet"];
/// The commands whose whole answers tests record. What follows an upgrade, or sums a package up,
/// has the moments and figures of its own.
const RECORDED: &[&str] = &["ac adm upgrade", "ac adm release import-manifest"];
const FOLLOWS: &str = "--watch";

/// A code block of a page.
struct Block {
    /// Page and line, for whoever mends it.
    at: String,
    word: String,
    lines: Vec<String>,
}

/// The code blocks of a page.
fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.trim_start().strip_prefix("```"), open.as_mut()) {
            (Some(word), None) => {
                let at = format!("{page}:{}", number + 1);
                open = Some(Block { at, word: word.to_owned(), lines: Vec::new() });
            }
            (Some(_), Some(_)) => found.extend(open.take()),
            (None, Some(block)) => block.lines.push(line.to_owned()),
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{page}: a code block has no end");
    found
}

/// A line without what differs from run to run: blanks, ages, moments, images.
fn essence(line: &str) -> String {
    line.split_whitespace().map(essence_of_word).collect::<Vec<_>>().join(" ")
}

fn essence_of_word(word: &str) -> String {
    let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let digits = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_age = digits(core)
        && core.ends_with(['s', 'm', 'h', 'd'])
        && core.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c));
    let is_moment = core.len() == 20 && digits(core) && core.ends_with('Z') && core.contains('T');
    if is_age {
        word.replace(core, "AGE")
    } else if is_moment {
        word.replace(core, "MOMENT")
    } else if word.contains("@sha256:") {
        "IMAGE".to_owned()
    } else {
        word.to_owned()
    }
}

/// The essence of every line of a recorded text.
type Recorded = Vec<String>;

/// Every text that the tests of a crate recorded.
fn recorded(folder: &Path) -> Vec<Recorded> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            all.extend(recorded(&path));
        } else if path.extension().is_some_and(|kind| kind == "snap") {
            all.push(fs::read_to_string(path).unwrap().lines().map(essence).collect());
        }
    }
    all
}

/// The line that no recorded text has beside all lines before it; none: one text has them all.
/// A line may lack its beginning: a message is shown without the condition that it stands in.
fn unrecorded(lines: &[String], all: &[Recorded]) -> Option<String> {
    let wanted = || lines.iter().filter(|line| !line.trim().is_empty());
    let has =
        |text: &Recorded, line: &str| text.iter().any(|found| found.ends_with(&essence(line)));
    let reach = all.iter().map(|text| wanted().take_while(|line| has(text, line)).count()).max();
    wanted().nth(reach.unwrap_or_default()).cloned()
}

/// The line of a block that is no command; a command goes on over an open quote and a `\`.
fn no_command(block: &Block) -> Option<String> {
    let (mut quotes, mut goes_on) = (0, false);
    for line in &block.lines {
        let first = line.split_whitespace().next().unwrap_or_default();
        let begins = quotes % 2 == 0 && !goes_on && !first.is_empty();
        if begins && !PROGRAMS.contains(&first) {
            return Some(line.clone());
        }
        quotes += line.matches('\'').count();
        goes_on = line.ends_with('\\');
    }
    None
}

/// What is wrong with a block; nothing where nothing is.
fn fault(block: &Block, all: &[Recorded]) -> Option<String> {
    let fault = match block.word.as_str() {
        "" => no_command(block).map(|line| format!("is no command: {line}")),
        "output" => unrecorded(&block.lines, all).map(|line| format!("no test recorded: {line}")),
        "console" => {
            let (command, answer) = block.lines.split_first()?;
            match command.trim_start().strip_prefix("$ ") {
                None => Some(format!("begins with no command: {command}")),
                Some(command) => (RECORDED.iter().any(|c| command.starts_with(c))
                    && !command.contains(FOLLOWS))
                .then(|| unrecorded(answer, all))
                .flatten()
                .map(|line| format!("no test recorded: {line}")),
            }
        }
        "yaml" => None,
        word => Some(format!("has a word that says nothing: {word}")),
    };
    fault.map(|fault| format!("{} {fault}", block.at))
}

fn all_recorded() -> Vec<Recorded> {
    ["ac", "planner"]
        .iter()
        .flat_map(|name| recorded(&Path::new(CRATES).join(name).join("tests")))
        .collect()
}

#[test]
fn the_pages_show_what_programs_print() {
    let all = all_recorded();
    let mut faults = Vec::new();
    let mut outputs = 0;
    for entry in fs::read_dir(PAGES).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        for block in blocks(&name, &fs::read_to_string(&path).unwrap()) {
            outputs += usize::from(block.word == "output");
            faults.extend(fault(&block, &all));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(outputs > 10, "{outputs} outputs are no documents");
}

#[test]
fn a_block_that_is_out_of_date_is_found() {
    let all = all_recorded();
    let of = |word: &str, text: &str| {
        let block = blocks("page", &format!("```{word}\n{text}\n```")).remove(0);
        fault(&block, &all).is_some()
    };
    let verdict = "Cluster global: upgrading 4.2.1 -> 4.3.0, RUNNING for 5h. Stage 1 of 4.";
    assert!(!of("output", verdict), "an age is the clock's");
    assert!(of("output", &verdict.replace("of 4", "of 3")));
    assert!(of("output", &format!("{verdict}\nerror: no kubeconfig: ~/.kube/config not found")));
    assert!(of("console", &format!("$ ac adm upgrade\n{verdict} More.")));
    assert!(of("console", verdict));
    assert!(of("", verdict));
    assert!(of("text", verdict));
    assert!(!of("", "kubectl patch x -p '{\n  \"spec\": {}\n}'\nac \\\n  version"));
}
