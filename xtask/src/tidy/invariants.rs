//! Decides whether every invariant of ARCHITECTURE.md is held by a test or a rule that exists.

use std::collections::BTreeSet;

use super::Finding;
use super::source::test_names;
use super::tree::Tree;

const PAGE: &str = "ARCHITECTURE.md";
/// The page is read in one sitting.
const PAGE_LIMIT: usize = 150;
/// Invariants I1 to this one.
const COUNT: usize = 13;
/// What the last column says of an invariant whose part of the product is still to come.
const TO_COME: &str = "to come";
/// Invariants whose part of the product is still to come.
const LATER: [usize; 1] = [9];

/// Each row `| I3 | what holds | holders |` names, in backticks, tests or rules that exist.
pub(super) fn invariants_held(tree: &Tree) -> Vec<Finding> {
    let Some(page) = tree.file(PAGE) else {
        return vec![Finding::of_file(PAGE, "is missing")];
    };
    let mut findings = Vec::new();
    let lines = page.text.lines().count();
    if lines > PAGE_LIMIT {
        findings.push(Finding::of_file(PAGE, format!("{lines} lines, at most {PAGE_LIMIT}")));
    }
    let tests: BTreeSet<String> = tree.rust().flat_map(|file| test_names(&file.text)).collect();
    for number in 1..=COUNT {
        let start = format!("| I{number} |");
        let row = page.text.lines().enumerate().find(|(_, line)| line.starts_with(&start));
        let Some((at, row)) = row else {
            findings.push(Finding::of_file(PAGE, format!("I{number} has no row")));
            continue;
        };
        let last = row.trim_end().trim_end_matches('|').rsplit('|').next().unwrap_or_default();
        let holders: Vec<&str> = last.split('`').skip(1).step_by(2).collect();
        let excused = LATER.contains(&number) && last.contains(TO_COME);
        if holders.is_empty() && !excused {
            findings.push(Finding::at(PAGE, at + 1, format!("nothing holds I{number}")));
        }
        for holder in holders {
            if !tests.contains(holder) && !super::is_rule(holder) {
                findings.push(Finding::at(
                    PAGE,
                    at + 1,
                    format!(
                        "I{number} is held by `{holder}`, which is no test and no rule of tidy"
                    ),
                ));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(third: &str) -> String {
        let row = |n: usize| match n {
            3 => third.to_owned(),
            9 => "| I9 | x | to come |\n".to_owned(),
            _ => format!("| I{n} | x `y` | `pure_planner`, `a_test` |\n"),
        };
        (1..=COUNT).map(row).collect()
    }

    fn texts(third: &str) -> Vec<String> {
        let tests = ("crates/planner/tests/a.rs", "#[test]\nfn a_test() {}\nfn no_test() {}");
        let tree = Tree::of(&[(PAGE, &page(third)), tests]);
        invariants_held(&tree).into_iter().map(|finding| finding.text).collect()
    }

    #[test]
    fn an_invariant_that_nothing_holds_is_found() {
        assert!(texts("| I3 | x | test `a_test` |\n").is_empty());
        assert_eq!(texts(""), ["I3 has no row"]);
        assert_eq!(texts("| I3 | x `y` | to come |\n"), ["nothing holds I3"]);
        assert!(texts("| I3 | x | `no_test` |\n")[0].contains("`no_test`"));
    }

    #[test]
    fn a_long_page_is_found() {
        let long = format!("{}{}", page("| I3 | x | `a_test` |\n"), "\n".repeat(PAGE_LIMIT));
        let tests = ("a.rs", "#[test]\nfn a_test() {}");
        assert_eq!(invariants_held(&Tree::of(&[(PAGE, &long), tests])).len(), 1);
    }
}
