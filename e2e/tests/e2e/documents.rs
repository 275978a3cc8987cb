//! Whether the pages for users show what `upgrade.sh` printed on real clusters just now. What `ac`
//! prints is held by its own tests.

use anyhow::{Context as _, Result, ensure};
use e2e::packages::root;
use e2e::shell::Said;
use std::fs;

/// The command whose answers are compared.
const COMMAND: &str = "bash upgrade.sh";
/// What waiting says depends on the moment; so does whether anything is said.
const WAITING: &str = "Waiting for ";
/// An answer that another test brings about.
const ERROR: &str = "error: ";

/// A line without figures, digests and chance names.
fn essence(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let number = |c: char| c.is_ascii_digit() || ".:".contains(c);
        let is_chance = word.contains("cluster-version-operator-") || word.contains("sha256");
        let kept: String = word.chars().filter(|c| !number(*c)).collect();
        words.push(if is_chance { "CHANCE".to_owned() } else { kept });
    }
    words.join(" ")
}

/// Every session of a page: the command and its answer.
fn sessions(page: &str) -> Vec<(String, Vec<String>)> {
    let blocks = page.split("```console\n").skip(1).filter_map(|rest| rest.split_once("\n```"));
    blocks
        .filter_map(|(block, _)| {
            let (command, answer) = block.split_once('\n').unwrap_or((block, ""));
            let command = command.strip_prefix("$ ")?.to_owned();
            Some((command, answer.lines().map(str::to_owned).collect()))
        })
        .collect()
}

/// Each session of a page is one that was seen: every line of it was printed.
pub(crate) fn show_what_was_said(seen: &[(&str, Said)]) -> Result<()> {
    let mut compared = 0;
    for entry in fs::read_dir(root().join("docs/user"))? {
        let path = entry?.path();
        let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        for (command, answer) in sessions(&page) {
            let is_error = answer.first().is_some_and(|line| line.starts_with(ERROR));
            if !command.starts_with(COMMAND) || is_error {
                continue;
            }
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            compare(&command, &answer, seen).with_context(|| format!("{name}: {command}"))?;
            compared += 1;
        }
    }
    ensure!(compared > 2, "only {compared} sessions of {COMMAND} in docs/user");
    Ok(())
}

fn compare(command: &str, answer: &[String], seen: &[(&str, Said)]) -> Result<()> {
    let mut first_other = None;
    for (_, said) in seen.iter().filter(|(typed, _)| *typed == command) {
        let printed: Vec<String> = said.text.lines().map(essence).collect();
        let shown = answer.iter().filter(|line| !line.starts_with(WAITING));
        let other = shown.map(|line| essence(line)).find(|line| !printed.contains(line));
        let Some(other) = other else { return Ok(()) };
        first_other.get_or_insert((other, printed));
    }
    let (other, printed) = first_other.context("it was never typed")?;
    anyhow::bail!("it does not print '{other}', but:\n{}", printed.join("\n"))
}
