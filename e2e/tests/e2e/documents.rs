//! Whether the pages for users show what was printed on real clusters just now: by the commands of
//! the job, and by questions that are asked once more when it is done. What else `ac` prints is
//! held by its own tests.

use anyhow::{Context as _, Result, ensure};
use e2e::packages::root;
use e2e::shell::Said;
use e2e::site::Site;
use std::fs;
use std::time::Duration;

/// The commands of the job whose answers are compared.
const TYPED: [&str; 2] = ["bash upgrade.sh", "ac adm release verify"];
/// Questions of which the pages show the answer after an upgrade.
const ASKED: [&str; 5] = [
    "kubectl get cvsh",
    "kubectl get apprelease",
    "kubectl get resourcepatches",
    "kubectl get moduleconfigs",
    "kubectl -n cpaas-system get ",
];
/// How the job types `ac`.
const AC_OF_INSTALLED: &str = "\"$INSTALLED/bin/ac\"";
/// How long an answer may take.
const ANSWER_LIMIT: Duration = Duration::from_secs(60);
/// What waiting says depends on the moment; so does whether anything is said.
const WAITING: &str = "Waiting for ";
/// An answer that another test brings about.
const ERROR: &str = "error: ";

/// A line without figures, digests, ages and chance names.
fn essence(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_whitespace() {
        let number = |c: char| c.is_ascii_digit() || ".:".contains(c);
        let is_age = word.ends_with(['s', 'm', 'h', 'd'])
            && word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || "smhd".contains(c));
        let is_chance = is_age
            || word.contains("cluster-version-operator-")
            || word.contains("sha256")
            || word.parse::<jiff::Timestamp>().is_ok();
        let kept: String = word.chars().filter(|c| !number(*c)).collect();
        words.push(if is_chance { "CHANCE".to_owned() } else { kept });
    }
    words.join(" ")
}

/// Every session of a page: each command and its answer.
fn sessions(page: &str) -> Vec<(String, Vec<String>)> {
    let blocks = page.split("```console\n").skip(1).filter_map(|rest| rest.split_once("```"));
    let mut all: Vec<(String, Vec<String>)> = Vec::new();
    for (block, _) in blocks {
        // What comes before the first command of a block belongs to none.
        let before = all.len();
        for line in block.lines() {
            if let Some(command) = line.trim_start().strip_prefix("$ ") {
                all.push((command.to_owned(), Vec::new()));
                continue;
            }
            let Some((command, answer)) = all.get_mut(before..).and_then(<[_]>::last_mut) else {
                continue;
            };
            match command.ends_with('\\') && answer.is_empty() {
                true => {
                    command.push('\n');
                    command.push_str(line);
                }
                false => answer.push(line.trim_start().to_owned()),
            }
        }
    }
    all
}

/// The sessions of all pages whose command begins so, with the name of the page.
fn sessions_of(commands: &[&str]) -> Result<Vec<(String, String, Vec<String>)>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(root().join("docs/user"))? {
        let path = entry?.path();
        let page = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for (command, answer) in sessions(&page) {
            let is_error = answer.first().is_some_and(|line| line.starts_with(ERROR));
            if commands.iter().any(|begin| command.starts_with(begin)) && !is_error {
                all.push((name.clone(), command, answer));
            }
        }
    }
    Ok(all)
}

/// Each session of a page is one that was seen: every line of it was printed.
pub(crate) fn show_what_was_said(seen: &[(&str, Said)]) -> Result<()> {
    let all = sessions_of(&TYPED)?;
    for (page, command, answer) in &all {
        let typed = |(typed, _): &&(&str, Said)| {
            typed.replace(AC_OF_INSTALLED, "ac").rsplit(" && ").next() == Some(command)
        };
        let said: Vec<&Said> = seen.iter().filter(typed).map(|(_, said)| said).collect();
        compare(answer, &said).with_context(|| format!("{page}: {command}"))?;
    }
    ensure!(all.len() > 3, "only {} sessions of {TYPED:?} in docs/user", all.len());
    Ok(())
}

/// Each question of a page is answered as the page shows.
pub(crate) async fn show_what_is_answered(site: &Site) -> Result<()> {
    let all = sessions_of(&ASKED)?;
    let shell = site.shell()?.silent();
    for (page, command, answer) in &all {
        let said = shell.run(command, ANSWER_LIMIT).await?.expect(0)?;
        compare(answer, &[&said]).with_context(|| format!("{page}: {command}"))?;
    }
    ensure!(all.len() > 6, "only {} sessions of {ASKED:?} in docs/user", all.len());
    Ok(())
}

/// Every line of an answer was printed by one of them.
fn compare(answer: &[String], said: &[&Said]) -> Result<()> {
    let mut first_other = None;
    for said in said {
        let printed: Vec<String> = said.text.lines().map(essence).collect();
        let shown = answer.iter().filter(|line| !line.starts_with(WAITING));
        let other = shown.map(|line| essence(line)).find(|line| !printed.contains(line));
        let Some(other) = other else { return Ok(()) };
        first_other.get_or_insert((other, printed));
    }
    let (other, printed) = first_other.context("it was never typed")?;
    anyhow::bail!("it does not print '{other}', but:\n{}", printed.join("\n"))
}
