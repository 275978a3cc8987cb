//! Whether the programs take every command line that the pages for users have.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};

/// What ends the words of our own program on a line of a shell.
const ENDS: &[&str] = &["<", ">", "|", "&&", ";", "\\"];
/// Fewer would say that they are not found any more.
const AT_LEAST: usize = 20;

/// The program that a line of a code block runs.
fn program(line: &str) -> Option<(clap::Command, &str)> {
    let line = line.trim_start();
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let of = |name: &str, command: fn() -> clap::Command| {
        line.strip_prefix(name).map(|words| (command(), words))
    };
    of("ac ", || ac::command("ac"))
        .or_else(|| of("kubectl acp ", || ac::command("kubectl-acp")))
        .or_else(|| of("violet ", violet::command))
        .or_else(|| of("bash upgrade.sh", prepare::command))
}

/// The command lines of our programs in the code blocks of a page that do not parse, with why, and
/// how many there are.
fn wrong(page: &str, text: &str) -> (usize, Vec<String>) {
    let (mut is_code, mut count, mut wrong) = (false, 0, Vec::new());
    for (number, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
            continue;
        }
        let Some((command, words)) = program(line).filter(|_| is_code) else { continue };
        count += 1;
        let words = words.split_whitespace().take_while(|word| !ENDS.contains(word));
        let name = command.get_name().to_owned();
        let parsed = command.try_get_matches_from(std::iter::once(name.as_str()).chain(words));
        if let Err(error) = parsed {
            wrong.push(format!("{page}:{}: {line}\n{error}", number + 1));
        }
    }
    (count, wrong)
}

#[test]
fn every_command_line_of_the_pages_is_one() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut pages = vec![root.join("README.md")];
    for entry in fs::read_dir(root.join("docs/user"))? {
        pages.push(entry?.path());
    }
    let (mut count, mut all) = (0, Vec::new());
    for page in pages.iter().filter(|page| page.extension().is_some_and(|e| e == "md")) {
        let text = fs::read_to_string(page).with_context(|| page.display().to_string())?;
        let (more, wrong) = wrong(&page.display().to_string(), &text);
        count += more;
        all.extend(wrong);
    }
    ensure!(all.is_empty(), "{}", all.join("\n"));
    ensure!(count >= AT_LEAST, "only {count} command lines were found");
    Ok(())
}

#[test]
fn a_flag_that_is_not_there_is_found() {
    let page = "```\n$ violet push a.tgz --skip-crd | cat\nac adm upgrade --to=4.3.0\n```\nac x\n";
    let (count, wrong) = wrong("page", page);
    assert_eq!((count, wrong.len()), (2, 1), "{wrong:?}");
}
