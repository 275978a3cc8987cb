//! Decides whether the project keeps its own rules, so that taste and architecture fail like any
//! other test. Changes nothing and knows nothing of what the programs do.

mod contract;
mod dependencies;
mod documents;
mod invariants;
mod layout;
mod purity;
pub(crate) mod source;
mod status_writer;
mod tree;

use std::fmt;
use std::path::Path;

use anyhow::{Result, ensure};

use tree::Tree;

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// Zero: the whole file.
    line: usize,
    text: String,
}

impl Finding {
    fn of_file(path: &str, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line: 0, text: text.into() }
    }

    fn at(path: &str, line: usize, text: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(formatter, "{}: {}", self.path, self.text),
            line => write!(formatter, "{}:{line}: {}", self.path, self.text),
        }
    }
}

/// A rule under the name by which ARCHITECTURE.md speaks of it.
struct Rule {
    name: &'static str,
    findings: fn(&Tree) -> Vec<Finding>,
}

const RULES: &[Rule] = &[
    Rule { name: "dependency_edges", findings: dependencies::edges },
    Rule { name: "clientless_crates", findings: dependencies::clientless },
    Rule { name: "pure_planner", findings: purity::pure_planner },
    Rule { name: "one_status_writer", findings: status_writer::one_status_writer },
    Rule { name: "contract_strings", findings: contract::contract_strings },
    Rule { name: "invariants_held", findings: invariants::invariants_held },
    Rule { name: "file_size", findings: layout::file_size },
    Rule { name: "line_width", findings: layout::line_width },
    Rule { name: "module_docs", findings: layout::module_docs },
    Rule { name: "module_names", findings: layout::module_names },
    Rule { name: "attributes", findings: layout::attributes },
    Rule { name: "thin_upgrade_script", findings: layout::thin_upgrade_script },
    Rule { name: "licence", findings: documents::licence },
    Rule { name: "machine_text", findings: documents::machine_text },
    Rule { name: "links", findings: documents::links },
    Rule { name: "named_paths", findings: documents::named_paths },
];

/// Whether a rule of this name exists.
fn is_rule(name: &str) -> bool {
    RULES.iter().any(|rule| rule.name == name)
}

/// Every finding of every rule, each with the name of its rule.
fn check(tree: &Tree) -> Vec<String> {
    let mut all = Vec::new();
    for rule in RULES {
        let mut findings = (rule.findings)(tree);
        findings.sort();
        all.extend(findings.iter().map(|finding| format!("{finding} [{}]", rule.name)));
    }
    all
}

/// Checks the project below `root`, prints what is wrong and fails if anything is.
pub(crate) fn run(root: &Path) -> Result<()> {
    let tree = Tree::read(root)?;
    let findings = check(&tree);
    for finding in &findings {
        eprintln!("{finding}");
    }
    ensure!(findings.is_empty(), "tidy: {} findings", findings.len());
    let long = layout::long_files(&tree);
    println!(
        "tidy: {} rules hold for {} files; {} are longer than {} lines",
        RULES.len(),
        tree.files.len(),
        long.len(),
        layout::AIM
    );
    for (lines, path) in long {
        println!("  {lines:>4} {path}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_project_is_tidy() {
        let tree = Tree::read(&crate::root()).unwrap();
        let findings = check(&tree);
        assert!(findings.is_empty(), "\n{}", findings.join("\n"));
    }

    #[test]
    fn rules_have_names_of_their_own() {
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }
}
