//! Decides what the project's texts must hold and must not: its licence, links that lead
//! somewhere, and nothing that is true on one machine only.

use super::Finding;
use super::tree::{File, Tree};
use std::collections::BTreeSet;

/// Folders that exist on one machine only; each is followed by a name.
const MACHINE_FOLDERS: &[&str] = &["/work/", "/home/", "/Users/", "/root/"];
/// Hosts of package registries, in two parts so that none stands here either; clients are
/// configured by the machine, not by the project.
const REGISTRY_HOSTS: &[[&str; 2]] = &[
    ["registry", "npmjs"],
    ["proxy", "golang"],
    ["static", "crates"],
    ["index", "crates"],
    ["deb", "debian"],
    ["pypi", "org"],
];
/// Pages whose paths a newcomer follows.
const GUIDES: &[&str] = &["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"];
/// Where a path of the project begins.
const FOLDERS: &[&str] = &[
    "bench/", "crates/", "deploy/", "docs/", "e2e/", "fuzz/", "package/", "release/", "xtask/",
    ".ci/", ".cargo/",
];
/// The page that says of every folder what it decides.
const MAP: &str = "ARCHITECTURE.md";

/// The licence is there and every crate says it.
pub(super) fn licence(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !tree.file("LICENSE").is_some_and(|file| file.text.contains("Apache License")) {
        findings.push(Finding::of_file("LICENSE", "must hold the Apache License"));
    }
    for package in tree.packages.iter().filter(|p| p.license.as_deref() != Some("Apache-2.0")) {
        findings.push(Finding::of_file(&package.name, "must say `license.workspace = true`"));
    }
    findings
}

/// Texts that are true on one machine only.
pub(super) fn machine_text(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let foreign = |file: &&File| {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        ["Cargo.lock", "go.sum", "package-lock.json"].contains(&name)
            || file.path.starts_with("xtask/src/tidy/")
    };
    let hosts: Vec<String> = REGISTRY_HOSTS.iter().map(|parts| parts.join(".")).collect();
    for file in tree.files.iter().filter(|file| !foreign(file)) {
        for (at, line) in file.text.lines().enumerate() {
            if let Some(folder) = MACHINE_FOLDERS.iter().find(|folder| names_folder(line, folder)) {
                let text = format!("a path of one machine: {folder}");
                findings.push(Finding::at(&file.path, at + 1, text));
            }
            if let Some(host) = hosts.iter().find(|host| line.contains(*host)) {
                let text = format!("a host of a package registry: {host}");
                findings.push(Finding::at(&file.path, at + 1, text));
            }
        }
    }
    findings
}

/// Whether the line holds the folder as the beginning of a path, with something after it.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + folder.len()..].chars().next();
        let begins = !before.is_some_and(|c| c.is_alphanumeric() || "._-~$})>".contains(c));
        begins && after.is_some_and(|c| c.is_ascii_lowercase() || c == '.')
    })
}

/// Relative links of Markdown that lead nowhere.
pub(super) fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, line) in prose(&file.text) {
            for link in line.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
                let path = link.split('#').next().unwrap_or_default();
                if path.is_empty() || path.contains("://") || path.starts_with("mailto:") {
                    continue;
                }
                if !tree.holds(&resolve(&file.path, path)) {
                    findings.push(Finding::at(&file.path, at, format!("no such page: {path}")));
                }
            }
        }
    }
    findings
}

/// The lines of a page outside its code blocks, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut code = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        if line.trim_start().starts_with("```") {
            code = !code;
            return None;
        }
        (!code).then_some((at + 1, line))
    })
}

fn resolve(page: &str, link: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    for part in link.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The folders that have a row on the map: those of the project, and each crate.
fn folders(tree: &Tree) -> BTreeSet<String> {
    let folder = |file: &File| {
        let (first, rest) = file.path.split_once('/')?;
        let of_crate = rest.split_once('/').filter(|_| first == "crates");
        Some(of_crate.map_or_else(|| first.to_owned(), |(name, _)| format!("crates/{name}")))
    };
    tree.files.iter().filter_map(folder).filter(|folder| !folder.starts_with('.')).collect()
}

/// Paths in backticks in the guides that do not exist, and folders that the map lacks.
pub(super) fn named_paths(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(map) = tree.file(MAP) {
        let lacks = |folder: &String| !map.text.contains(&format!("| `{folder}` |"));
        let lacking = folders(tree).into_iter().filter(lacks);
        findings.extend(lacking.map(|f| Finding::of_file(MAP, format!("has no row for {f}"))));
    }
    for file in GUIDES.iter().filter_map(|path| tree.file(path)) {
        for (at, line) in prose(&file.text) {
            for word in line.split('`').skip(1).step_by(2) {
                let is_path = FOLDERS.iter().any(|folder| word.starts_with(folder))
                    && !word.contains([' ', '*', '<', '{']);
                if is_path && !tree.holds(word) {
                    findings.push(Finding::at(&file.path, at, format!("no such path: {word}")));
                }
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Package;

    #[test]
    fn a_missing_licence_is_found() {
        let mut tree = Tree::of(&[("LICENSE", "Apache License")]);
        assert!(licence(&tree).is_empty());
        tree.packages = vec![Package { name: "ac".to_owned(), ..Package::default() }];
        assert_eq!(licence(&tree).len(), 1);
        assert_eq!(licence(&Tree::of(&[])).len(), 1);
    }

    #[test]
    fn paths_and_hosts_of_one_machine_are_found() {
        let host = REGISTRY_HOSTS[0].join(".");
        let bad = format!("cd {}main\nsee (/home/user/x)\nhttps://{host}\n", MACHINE_FOLDERS[0]);
        let bad = bad.as_str();
        let good = "target/home/x\nmkdir /root\n$HOME/root/x\n/home/<name>\n/work/ \n";
        let tree = Tree::of(&[("a.md", bad), ("b.sh", good), ("Cargo.lock", bad)]);
        let lines: Vec<_> = machine_text(&tree).into_iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 2, 3]);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let page = "[a](../b.md#x) [c](gone.md) [d](https://x.y) [e](#here)\n```\n[f](no)\n```\n";
        let tree = Tree::of(&[("docs/a.md", page), ("b.md", "")]);
        let found = links(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("gone.md"));
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let page = "`crates/ac/src` and `crates/gone.rs` and `crates/*/x` and `cargo test`";
        let tree = Tree::of(&[("CONTRIBUTING.md", page), ("crates/ac/src/main.rs", "")]);
        let found = named_paths(&tree);
        assert_eq!(found.len(), 1);
        assert!(found[0].text.contains("gone.rs"));
    }

    #[test]
    fn a_folder_without_a_row_is_found() {
        let map = "| path | what |\n| `crates/ac` | x |\n| `docs` | x |\n";
        let tree = Tree::of(&[
            (MAP, map),
            ("crates/ac/src/main.rs", ""),
            ("crates/api/src/lib.rs", ""),
            ("docs/user/a.md", ""),
            ("fuzz/targets.rs", ""),
            (".ci/run", ""),
        ]);
        let found: Vec<_> = named_paths(&tree).into_iter().map(|f| f.text).collect();
        assert_eq!(found, ["has no row for crates/api", "has no row for fuzz"]);
    }
}
