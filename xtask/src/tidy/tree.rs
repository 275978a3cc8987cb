//! Decides what the rules look at: the files of the project and what cargo says of its crates.
//! Knows no rule.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;

/// Folders that hold nothing of the project's own.
const FOREIGN: [&str; 4] = [".git", "target", "dist", "node_modules"];
/// Crates whose whole tree of dependencies is looked at.
pub(super) const CLIENTLESS: [&str; 2] = ["api", "planner"];

/// A file as the rules see it.
#[derive(Clone, Debug)]
pub(super) struct File {
    /// Relative to the root, with `/`.
    pub(super) path: String,
    /// The whole text; empty for a file that is not UTF-8.
    pub(super) text: String,
}

impl File {
    pub(super) fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Whether the file is part of tests, whatever stands in it.
    pub(super) fn is_of_tests(&self) -> bool {
        self.path.starts_with("e2e/")
            || self.path.split('/').any(|part| part == "tests" || part == "tests.rs")
    }
}

/// A crate of the workspace.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) license: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
}

/// A line of a crate's dependencies.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    /// None: normal; else `dev` or `build`.
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) features: Vec<String>,
}

/// The project.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    pub(super) files: Vec<File>,
    pub(super) packages: Vec<Package>,
    /// Every crate that a crate of [`CLIENTLESS`] is built from.
    pub(super) reach: BTreeMap<String, Vec<String>>,
}

impl Tree {
    /// Reads the project below a folder.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self { packages: packages(root)?, ..Self::default() };
        walk(root, root, &mut tree.files)?;
        tree.files.sort_by(|a, b| a.path.cmp(&b.path));
        for name in CLIENTLESS {
            tree.reach.insert(name.to_owned(), reach(root, name)?);
        }
        Ok(tree)
    }

    /// A project of these files, for the rules' own tests.
    #[cfg(test)]
    pub(super) fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File {
            path: (*path).to_owned(),
            text: (*text).to_owned(),
        };
        Self { files: files.iter().map(file).collect(), ..Self::default() }
    }

    pub(super) fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.is_rust())
    }

    pub(super) fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether a file or a folder of this path exists.
    pub(super) fn holds(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.files.iter().any(|file| {
            file.path
                .strip_prefix(path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }
}

fn walk(root: &Path, folder: &Path, files: &mut Vec<File>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("read {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let path: PathBuf = entry.path();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            if !FOREIGN.iter().any(|name| entry.file_name() == *name) {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let relative = path.strip_prefix(root)?.to_string_lossy().replace('\\', "/");
            files.push(File { path: relative, text: String::from_utf8(bytes).unwrap_or_default() });
        }
    }
    Ok(())
}

fn packages(root: &Path) -> Result<Vec<Package>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    let text = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])?;
    let metadata: Metadata = serde_json::from_str(&text).context("read cargo metadata")?;
    Ok(metadata.packages)
}

fn reach(root: &Path, package: &str) -> Result<Vec<String>> {
    let target = ["--target", "x86_64-unknown-linux-gnu"];
    let mut arguments = vec!["tree", "--package", package, "--edges", "normal", "--prefix", "none"];
    arguments.extend(["--format", "{lib}"]);
    arguments.extend(target);
    let text = cargo(root, &arguments)?;
    let mut names: Vec<String> =
        text.lines().map(|line| line.trim().trim_end_matches(" (*)").to_owned()).collect();
    names.sort();
    names.dedup();
    Ok(names)
}

fn cargo(root: &Path, arguments: &[&str]) -> Result<String> {
    let output = xtask::cargo::cargo(root, arguments.iter().copied()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo {} failed: {said}", arguments.join(" "));
    String::from_utf8(output.stdout).context("cargo answered what is not UTF-8")
}
