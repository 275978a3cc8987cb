//! Decides what a machine needs before a sandbox runs on it, says in one line each what is missing
//! and what to do, and installs what the distribution has. Knows nothing of clusters.

use std::fmt;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::narration::Narrator;
use crate::node::is_version_2;
use crate::process::{command, run};

/// Where programs are looked for.
const FOLDERS: [&str; 5] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/bin"];
/// Programs and the distribution's packages that bring them.
const PROGRAMS: [(&str, &str); 15] = [
    ("containerd", "containerd"),
    ("ctr", "containerd"),
    ("runc", "runc"),
    ("iptables", "iptables"),
    ("conntrack", "conntrack"),
    ("ip", "iproute2"),
    ("busybox", "busybox-static"),
    ("setpriv", "util-linux"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("mount", "mount"),
    ("hostname", "hostname"),
    ("jq", "jq"),
    ("skopeo", "skopeo"),
    ("shellcheck", "shellcheck"),
];
/// Files that are no programs, and their packages.
const FILES: [(&str, &str); 2] = [
    ("/usr/lib/cni/ptp", "containernetworking-plugins"),
    ("/usr/lib/cni/portmap", "containernetworking-plugins"),
];
/// Go 1 that builds the tools.
const GO_MINOR: u32 = 26;
/// Rust 1 that builds this workspace.
const RUST_MINOR: u32 = 95;
/// Tools, two clusters, images and packages take about this much, in GiB.
const DISK_GIB: u64 = 20;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What it is, such as `root` or `package runc`.
    pub what: String,
    /// How it stands.
    pub state: State,
}

/// How a thing stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It is there.
    Present(String),
    /// It works without, or nobody tried.
    Doubtful(String),
    /// [`install`] brings it: the name of the distribution's package.
    Installable(String),
    /// A person must bring it: what to do.
    Missing(String),
}

impl Finding {
    fn new(what: &str, state: State) -> Self {
        Self { what: what.to_owned(), state }
    }

    /// Whether a sandbox cannot run as things are.
    pub fn blocks(&self) -> bool {
        matches!(self.state, State::Installable(_) | State::Missing(_))
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = &self.what;
        match &self.state {
            State::Present(detail) => write!(formatter, "ok       {what}: {detail}"),
            State::Doubtful(detail) => write!(formatter, "note     {what}: {detail}"),
            State::Installable(package) => {
                write!(formatter, "missing  {what}: apt-get install {package}")
            }
            State::Missing(remedy) => write!(formatter, "missing  {what}: {remedy}"),
        }
    }
}

/// Looks at everything; `cache` is where the sandbox would keep its files.
pub async fn check(cache: &Path) -> Vec<Finding> {
    let mut findings = vec![root().await];
    findings.push(language("Go", "go", "version", GO_MINOR).await);
    findings.push(language("Rust", "cargo", "--version", RUST_MINOR).await);
    findings.push(cgroups());
    findings.push(disk(cache).await);
    findings.extend(packages(&FOLDERS.map(Path::new)));
    findings
}

/// Installs the distribution's packages that are missing. Where something is missing that only a
/// person can bring, that is said first and nothing is installed.
pub async fn install(findings: &[Finding], narrator: &Narrator) -> Result<()> {
    require_of_a_person(findings)?;
    let mut wanted: Vec<&str> = Vec::new();
    for finding in findings {
        if let State::Installable(package) = &finding.state
            && !wanted.contains(&package.as_str())
        {
            wanted.push(package);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let limit = Duration::from_secs(900);
    let what = format!("installing {}", wanted.join(" "));
    narrator.say(&what);
    let work = async {
        run(command("apt-get", ["update", "-q"]).env("DEBIAN_FRONTEND", "noninteractive"), limit)
            .await?;
        let mut install = command("apt-get", ["install", "-y", "-q", "--no-install-recommends"]);
        install.args(&wanted).env("DEBIAN_FRONTEND", "noninteractive");
        run(&mut install, limit).await
    };
    narrator.during(&what, work).await.context("install the missing packages")?;
    Ok(())
}

/// Fails with one line for each thing that blocks.
pub fn require(findings: &[Finding]) -> Result<()> {
    refuse(findings, Finding::blocks)
}

/// Fails with one line for each thing that only a person can bring.
fn require_of_a_person(findings: &[Finding]) -> Result<()> {
    refuse(findings, |finding| matches!(finding.state, State::Missing(_)))
}

fn refuse(findings: &[Finding], blocks: fn(&Finding) -> bool) -> Result<()> {
    let blocking: Vec<String> =
        findings.iter().filter(|finding| blocks(finding)).map(Finding::to_string).collect();
    if !blocking.is_empty() {
        bail!("this machine lacks what a sandbox needs:\n{}", blocking.join("\n"));
    }
    Ok(())
}

async fn root() -> Finding {
    whoever(&run(&mut command("id", ["-u"]), Duration::from_secs(5)).await.unwrap_or_default())
}

fn whoever(id: &str) -> Finding {
    let state = match id.trim() {
        "0" => State::Present("uid 0".to_owned()),
        _ => State::Missing("run this as root (namespaces)".to_owned()),
    };
    Finding::new("root", state)
}

/// A language's tool, at a minor version or a later one.
async fn language(what: &str, program: &str, argument: &str, minor: u32) -> Finding {
    let remedy = format!("install {what} 1.{minor} or later and put {program} on PATH");
    let state = match run(&mut command(program, [argument]), Duration::from_secs(20)).await {
        Ok(said) if minor_of(&said).is_some_and(|found| found < minor) => {
            State::Missing(format!("{} is too old: {remedy}", said.trim()))
        }
        Ok(said) => State::Present(said.trim().to_owned()),
        Err(_) => State::Missing(remedy),
    };
    Finding::new(what, state)
}

/// The 26 of `go version go1.26.8 linux/amd64`.
fn minor_of(said: &str) -> Option<u32> {
    let numbered = said.split([' ', '\n']).map(|word| word.trim_start_matches("go"));
    let version = numbered.into_iter().find_map(|word| word.strip_prefix("1."))?;
    version.split('.').next()?.parse().ok()
}

fn cgroups() -> Finding {
    let state = if is_version_2() {
        State::Doubtful("version 2: written, never run".to_owned())
    } else if Path::new("/sys/fs/cgroup/cpuset/cpuset.cpus").exists() {
        State::Present("version 1".to_owned())
    } else {
        State::Missing("mount the control groups at /sys/fs/cgroup".to_owned())
    };
    Finding::new("cgroup", state)
}

async fn disk(cache: &Path) -> Finding {
    // The cache may not be there yet: its nearest ancestor is on the same disk.
    let there = cache.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let mut df = command("df", ["--output=avail", "--block-size=1G"]);
    let said = run(df.arg(there), Duration::from_secs(10)).await.unwrap_or_default();
    room(there, said.lines().nth(1).and_then(|line| line.trim().parse().ok()))
}

/// Whether so many GiB are enough.
fn room(there: &Path, free: Option<u64>) -> Finding {
    let state = match free {
        Some(free) if free >= DISK_GIB => State::Present(format!("{free} GiB free")),
        Some(free) => State::Missing(format!(
            "{free} GiB free in {}: make room for {DISK_GIB} GiB, or set XDG_CACHE_HOME",
            there.display()
        )),
        None => State::Doubtful(format!("cannot tell how much {} has free", there.display())),
    };
    Finding::new("disk", state)
}

fn packages(folders: &[&Path]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (program, package) in PROGRAMS {
        let found = folders.iter().map(|folder| folder.join(program));
        findings.push(installed(program, package, found.into_iter().find(|path| path.exists())));
    }
    for (file, package) in FILES {
        let path = Path::new(file).to_owned();
        findings.push(installed(file, package, fs::metadata(&path).is_ok().then_some(path)));
    }
    findings
}

fn installed(what: &str, package: &str, found: Option<std::path::PathBuf>) -> Finding {
    let state = match found {
        Some(path) => State::Present(path.display().to_string()),
        None => State::Installable(package.to_owned()),
    };
    Finding::new(what, state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_compiler_is_seen() {
        assert_eq!(minor_of("go version go1.26.8 linux/amd64\n"), Some(26));
        assert_eq!(minor_of("cargo 1.95.0 (f2d3ce0bd 2026-03-21)"), Some(95));
        assert_eq!(minor_of("v20.20.2"), None);
    }

    #[test]
    fn what_is_missing_is_found_missing() {
        assert!(whoever("1000\n").blocks() && whoever("").blocks());
        assert!(!whoever("0\n").blocks());
        let there = Path::new("/somewhere");
        assert!(room(there, Some(DISK_GIB - 1)).to_string().contains("/somewhere: make room"));
        assert!(!room(there, Some(DISK_GIB)).blocks() && !room(there, None).blocks());
        let folder = tempfile::tempdir().unwrap();
        let (program, package) = PROGRAMS[0];
        let said = || packages(&[folder.path()])[0].to_string();
        assert_eq!(said(), format!("missing  {program}: apt-get install {package}"));
        fs::write(folder.path().join(program), "").unwrap();
        assert!(said().starts_with("ok"), "{}", said());
    }

    #[test]
    fn each_missing_thing_is_one_line_with_what_to_do() {
        let findings = [
            Finding::new("root", State::Present("uid 0".to_owned())),
            Finding::new("runc", State::Installable("runc".to_owned())),
            Finding::new("Go", State::Missing("install Go".to_owned())),
        ];
        let said = require(&findings).unwrap_err().to_string();
        assert_eq!(
            said,
            "this machine lacks what a sandbox needs:\n\
             missing  runc: apt-get install runc\nmissing  Go: install Go"
        );
        assert!(require(&findings[..1]).is_ok());
    }

    #[tokio::test]
    async fn nothing_is_installed_where_a_person_must_act_first() {
        let findings = [
            Finding::new("root", State::Missing("run this as root (namespaces)".to_owned())),
            Finding::new("nothing", State::Installable("no-such-package".to_owned())),
        ];
        let said = install(&findings, &Narrator::new(|_| {})).await.unwrap_err().to_string();
        assert_eq!(
            said,
            "this machine lacks what a sandbox needs:\n\
             missing  root: run this as root (namespaces)"
        );
    }
}
