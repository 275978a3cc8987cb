//! Decides what must hold before a change is taken, in which order it is asked, and how it is told.
//! Every step is a command that a person can run by hand, but for the tools, which whoever needs
//! one builds.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail, ensure};
use sandbox::Narrator;
use xtask::package::build_tools;

use crate::times::{BUILD, Times};
use crate::{codegen, tidy};

/// Threads of other tests, also on machines with fewer cores.
const THREADS: usize = 4;
/// The one test binary that needs root and real clusters.
const CLUSTER_TESTS: &str = "e2e";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Leaves out the tests of the whole product on clusters, which take most of the time.
    #[arg(long)]
    quick: bool,
}

/// Runs every step, then says where the time went; fails if a step failed.
pub(crate) fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let mut times = Times::begin();
    let mut totals = Totals::default();
    let built = steps(root, arguments, &mut times, &mut totals);
    if let Err(error) = built {
        eprintln!("error: {error:#}");
    }
    println!("\n{}", times.table());
    println!("{totals}");
    let failed = times.failed();
    ensure!(failed.is_empty(), "not passed: {}", failed.join(", "));
    ensure!(totals.passed > 0, "no test was run");
    Ok(())
}

fn steps(root: &Path, arguments: &Arguments, times: &mut Times, totals: &mut Totals) -> Result<()> {
    components(root)?;
    let tools = tools(root, !arguments.quick);
    told(times, "format", || plain(root, &["fmt", "--all", "--check"]));
    told(times, "tidy", || tidy::run(root));
    told(times, "generated files", || codegen::check(root));
    let lints = ["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"];
    told(times, "lints", || plain(root, &lints));
    // One build of everything: a build of a part would choose other features and compile twice.
    let build = told(times, BUILD, || plain(root, &["build", "--workspace", "--all-targets"]));
    // Also where nothing is tested: what was started is not left running.
    told(times, "tools", || match tools.join() {
        Ok(built) => built,
        Err(_) => bail!("the build of the tools ended in a panic"),
    });
    if !build {
        times.skip("tests");
        if !arguments.quick {
            times.skip("tests on real clusters");
        }
        return Ok(());
    }
    told(times, "tests", || {
        // Every unit test, those beside the tests on clusters too; then all others but these.
        let units = ["--lib", "--bins"];
        // Those that start an API server wait more than they compute.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = format!("--test-threads={}", cores.max(THREADS));
        let others = ["--exclude", CLUSTER_TESTS, "--test", "*", "--", &threads];
        let documents = ["--exclude", CLUSTER_TESTS, "--doc"];
        let mut failed = Vec::new();
        for part in [&units[..], &others, &documents] {
            let run = [&["test", "--workspace", "--no-fail-fast"], part].concat();
            failed.extend(tests(root, &run, Shown::Failures, totals).err());
        }
        failed.into_iter().next().map_or(Ok(()), Err)
    });
    if !arguments.quick {
        told(times, "tests on real clusters", || {
            // One more than there are places on the machine: `e2e::turn`.
            let threads = ["--", "--test-threads=5"];
            let run = ["test", "--workspace", "--test", CLUSTER_TESTS, "--no-fail-fast"];
            let run = [&run[..], &threads].concat();
            tests(root, &run, Shown::Everything, totals)
        });
    }
    Ok(())
}

/// Builds the Go programs beside the Rust ones: each of both leaves a core idle for minutes.
fn tools(root: &Path, of_releases: bool) -> JoinHandle<Result<()>> {
    let root = root.to_owned();
    std::thread::spawn(move || {
        let cache = crate::sandbox::cache()?;
        let runtime = tokio::runtime::Runtime::new().context("start a runtime")?;
        runtime.block_on(build_tools(&root, &cache, of_releases, Narrator::stderr()))
    })
}

/// Runs a step under its heading; whether it passed.
fn told(times: &mut Times, name: &str, step: impl FnOnce() -> Result<()>) -> bool {
    println!("\n== {name}");
    let error = times.step(name, step);
    if let Some(error) = &error {
        eprintln!("== {name} FAILED: {error:#}");
    }
    error.is_none()
}

/// rustfmt and clippy come with most installations of Rust, but not with the smallest.
fn components(root: &Path) -> Result<()> {
    for (verb, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        let probe = cargo(root, &[verb, "--version"]).stdout(Stdio::null()).status();
        if probe.is_ok_and(|status| status.success()) {
            continue;
        }
        let added = Command::new("rustup").args(["component", "add", component]).status();
        let added = added.with_context(|| format!("install {component}, which Rust lacks here"))?;
        ensure!(added.success(), "rustup could not install {component}");
    }
    Ok(())
}

fn cargo(root: &Path, arguments: &[&str]) -> Command {
    let mut command = xtask::cargo::cargo(root, arguments.iter().copied());
    command.stdin(Stdio::null());
    // The build of everything leaves our programs beside this one: the packages of the tests on
    // real clusters are made of them.
    if let Some(folder) = std::env::current_exe().ok().as_deref().and_then(Path::parent) {
        command.env("ACP_PROGRAMS", folder);
    }
    command
}

fn plain(root: &Path, arguments: &[&str]) -> Result<()> {
    let status = cargo(root, arguments).status().context("start cargo")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}

/// How much of a test run's output is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Each binary's closing line, and what failed.
    Failures,
    /// Every test as it ends.
    Everything,
}

fn tests(root: &Path, arguments: &[&str], shown: Shown, totals: &mut Totals) -> Result<()> {
    let mut child = cargo(root, arguments).stdout(Stdio::piped()).spawn().context("start cargo")?;
    let Some(output) = child.stdout.take() else { bail!("cargo has no output") };
    for line in BufReader::new(output).lines() {
        let line = line.context("read cargo's output")?;
        totals.count(&line);
        if shown == Shown::Everything || !is_routine(&line) {
            println!("{line}");
        }
    }
    let status = child.wait().context("wait for cargo")?;
    ensure!(status.success(), "`cargo {}` failed", arguments.join(" "));
    Ok(())
}

/// A line that says only that a test passed or that a binary begins.
fn is_routine(line: &str) -> bool {
    line.is_empty()
        || line.starts_with("running ")
        || (line.starts_with("test ") && line.ends_with(" ok"))
}

/// Tests of the whole run.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    passed: u64,
    failed: u64,
    ignored: u64,
    binaries: u64,
}

impl Totals {
    /// Counts `test result: ok. 12 passed; 0 failed; 1 ignored; ...`.
    fn count(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|l| l.split_once(". "))
        else {
            return;
        };
        self.binaries += 1;
        for part in counts.split(';') {
            let Some((number, what)) = part.trim().split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => {}
            }
        }
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { passed, failed, ignored, binaries } = self;
        write!(
            formatter,
            "Tests: {passed} passed, {failed} failed, {ignored} ignored in {binaries} binaries"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted() {
        let mut totals = Totals::default();
        totals.count("test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out");
        totals.count("test result: FAILED. 2 passed; 5 failed; 0 ignored; 0 measured");
        totals.count("test a::b ... ok");
        assert_eq!(totals, Totals { passed: 14, failed: 5, ignored: 1, binaries: 2 });
    }

    #[test]
    fn a_failing_test_fails_the_step_and_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("Cargo.toml", "[package]\nname = \"x\"\n[lib]\npath = \"x.rs\"\n[workspace]\n");
        write("x.rs", "#[test]\nfn good() {}\n#[test]\nfn bad() { panic!(\"why\") }\n");
        let mut totals = Totals::default();
        let mut times = Times::begin();
        let run = ["test", "--lib", "--offline"];
        let passed =
            told(&mut times, "x", || tests(folder.path(), &run, Shown::Failures, &mut totals));
        assert!(!passed);
        assert_eq!(times.failed(), ["x"]);
        assert_eq!(totals, Totals { passed: 1, failed: 1, ignored: 0, binaries: 1 });
    }

    #[test]
    fn closing_lines_and_failures_are_shown() {
        assert!(is_routine("test a::b ... ok") && is_routine("running 3 tests"));
        assert!(!is_routine("test a::b ... FAILED"));
        assert!(!is_routine("test result: ok. 12 passed; 0 failed"));
    }
}
