//! Decides what is run that takes too long for every change: the comparison with other tools, and
//! the tests of faults at their full size.

use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, anyhow, ensure};
use xtask::figures::FIGURE;

/// Tells the tests on real servers to take their full sizes.
const FULL_SIZE: &str = "E2E_SOAK";

/// Compares the product, built as it is shipped, with what a user would take instead, in all works
/// or those that are named.
pub(crate) fn bench(root: &Path, works: &[String]) -> Result<()> {
    let packages = ["operator", "prepare", "ac", "violet", "bench"];
    let packages = packages.into_iter().flat_map(|p| ["-p", p]);
    let build = ["build", "--release", "--locked"].into_iter().chain(packages);
    cargo(root, build, &[])?;
    let run = ["run", "--release", "--locked", "--quiet", "-p", "bench", "--"];
    let run = run.into_iter().chain(works.iter().map(String::as_str));
    cargo(root, run, &[("ACP_PROGRAMS", shipped()?)])
}

/// A part of what is run at full size.
struct Part {
    name: &'static str,
    /// The package and the test binary.
    of: (&'static str, &'static str),
    /// What the names of its tests begin with.
    tests: &'static str,
}

const fn fault(name: &'static str, tests: &'static str) -> Part {
    Part { name, of: ("e2e", "e2e"), tests }
}

const PARTS: [Part; 5] = [
    Part { name: "simulation", of: ("cluster", "simulation"), tests: "" },
    fault("leaders", "fault_leader"),
    fault("links", "fault_links"),
    fault("rest", "fault_rest"),
    fault("writes", "fault_writes"),
];

/// Runs the tests of faults that have a full size at it, all parts or those that are named: hours.
pub(crate) fn soak(root: &Path, names: &[String]) -> Result<()> {
    let known = PARTS.map(|part| part.name);
    for name in names {
        ensure!(known.contains(&name.as_str()), "no part {name}; there are: {}", known.join(", "));
    }
    let wanted = |part: &&Part| names.is_empty() || names.iter().any(|name| name == part.name);
    let mut failed = Vec::new();
    for part in PARTS.iter().filter(wanted) {
        if let Err(error) = part.run(root) {
            eprintln!("error: {}: {error:#}", part.name);
            failed.push(part.name);
        }
    }
    ensure!(failed.is_empty(), "not passed: {}", failed.join(", "));
    Ok(())
}

impl Part {
    fn run(&self, root: &Path) -> Result<()> {
        let begun = Instant::now();
        let (package, binary) = self.of;
        let run = ["test", "--locked", "-p", package, "--test", binary, "--"];
        let run = [&run[..], &["--test-threads=1", "--nocapture", self.tests]].concat();
        let mut command = xtask::cargo::cargo(root, run.iter().copied());
        command.env(FULL_SIZE, "1").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("start cargo")?;
        let (out, errors) = (child.stdout.take(), child.stderr.take());
        let told = std::thread::scope(|scope| {
            let errors = scope.spawn(|| passed_on(errors));
            let mut told = passed_on(out)?;
            told.extend(errors.join().map_err(|_| anyhow!("its output cannot be read"))??);
            anyhow::Ok(told)
        })?;
        let status = child.wait().context("wait for cargo")?;
        ensure!(status.success(), "`cargo {}` failed", run.join(" "));
        ensure!(!told.is_empty(), "it told no figure");
        let (date, minutes) = (jiff::Zoned::now().date(), begun.elapsed().as_secs().div_ceil(60));
        let text = format!("{date}, {minutes} min: {}", told.join("; "));
        xtask::figures::write_part(&root.join("bench/RESULTS.md"), self.name, &text)
    }
}

/// Shows what a test prints; gives the figures of it.
fn passed_on(output: Option<impl Read>) -> Result<Vec<String>> {
    let output = output.context("it has no output")?;
    let mut figures = Vec::new();
    for line in BufReader::new(output).lines() {
        let line = line.context("read its output")?;
        println!("{line}");
        figures.extend(line.strip_prefix(FIGURE).map(str::to_owned));
    }
    Ok(figures)
}

/// Where cargo leaves what it builds for shipping: beside where it left this program.
fn shipped() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let profiles = here.parent().and_then(Path::parent).context("this program has no folder")?;
    Ok(profiles.join("release"))
}

fn cargo<'a>(
    root: &Path,
    words: impl IntoIterator<Item = &'a str>,
    environment: &[(&str, PathBuf)],
) -> Result<()> {
    let words: Vec<&str> = words.into_iter().collect();
    let mut command = xtask::cargo::cargo(root, words.iter().copied());
    command.envs(environment.iter().map(|(name, value)| (name, value)));
    let status = command.status().context("start cargo")?;
    ensure!(status.success(), "`cargo {}` failed", words.join(" "));
    Ok(())
}
