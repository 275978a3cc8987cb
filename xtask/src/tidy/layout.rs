//! Decides how large a file and how wide a line may be, how a file begins and what it is called.

use super::Finding;
use super::source::{Kind, attribute_end, shipped, tokens};
use super::tree::{File, Tree};

/// Lines that a file aims at.
pub(super) const AIM: usize = 300;
/// Lines from which a file fails.
const LIMIT: usize = 600;
/// Columns of a line of Rust.
const WIDTH: usize = 100;
/// Lines of upgrade.sh: everything else is in acp-prepare.
const SCRIPT_LIMIT: usize = 80;
const SCRIPT: &str = "package/upgrade.sh";
/// Names that say nothing of what is inside.
const EMPTY_NAMES: &[&str] =
    &["utils", "util", "helpers", "helper", "common", "manager", "misc", "mod"];

fn is_code(file: &File) -> bool {
    let ends = [".rs", ".sh", ".go", ".ts", ".tsx"];
    ends.iter().any(|end| file.path.ends_with(end)) && !file.path.ends_with(".gen.ts")
}

/// Files of code that are longer than the limit.
pub(super) fn file_size(tree: &Tree) -> Vec<Finding> {
    let code = tree.files.iter().filter(|file| is_code(file));
    let sized = code.map(|file| (file, file.text.lines().count()));
    let too_long = sized.filter(|(_, lines)| *lines > LIMIT);
    too_long
        .map(|(file, lines)| {
            Finding::of_file(&file.path, format!("{lines} lines, at most {LIMIT}"))
        })
        .collect()
}

/// Files of code that are longer than they aim to be, the longest first.
pub(super) fn long_files(tree: &Tree) -> Vec<(usize, &str)> {
    let code = tree.files.iter().filter(|file| is_code(file));
    let mut long: Vec<_> = code
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .filter(|(lines, _)| *lines > AIM)
        .collect();
    long.sort_by(|a, b| b.cmp(a));
    long
}

/// Lines of Rust that are too wide. A line may be wide for the sake of a text, which is kept whole
/// so that it can be searched for.
pub(super) fn line_width(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let wide = |line: &str| line.chars().count() > WIDTH;
        if !file.text.lines().any(wide) {
            continue;
        }
        let texts: Vec<_> =
            tokens(&file.text).into_iter().filter(|token| token.kind == Kind::Text).collect();
        for (at, line) in file.text.lines().enumerate().filter(|(_, line)| wide(line)) {
            // The path of an import cannot be broken.
            if line.starts_with("use ") && !line.contains('{') {
                continue;
            }
            let starts = texts.iter().filter(|token| token.line == at + 1);
            let quoted: usize = starts.map(|token| token.text.chars().count()).sum();
            let goes_on = texts.iter().any(|token| {
                let last = token.line + token.text.matches('\n').count();
                token.line <= at && at < last
            });
            let rest = line.chars().count().saturating_sub(quoted);
            if !goes_on && (rest > WIDTH || quoted == 0) {
                findings.push(Finding::at(&file.path, at + 1, format!("wider than {WIDTH}")));
            }
        }
    }
    findings
}

/// Files of Rust that do not begin by saying what they decide.
pub(super) fn module_docs(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust().filter(|file| {
        let first = file.text.lines().next().unwrap_or_default();
        !first.starts_with("//!") || first.contains("To be written")
    });
    bare.map(|file| Finding::of_file(&file.path, "must begin with `//!` and what it decides"))
        .collect()
}

/// Files and folders whose name says nothing.
pub(super) fn module_names(tree: &Tree) -> Vec<Finding> {
    let empty = tree.files.iter().filter(|file| is_code(file)).filter(|file| {
        let parts = file.path.split('/');
        parts.map(|part| part.split('.').next().unwrap_or(part)).any(|p| EMPTY_NAMES.contains(&p))
    });
    empty.map(|file| Finding::of_file(&file.path, "a name that says nothing")).collect()
}

/// Attributes that hide something: a test that is not run, a lint that is silenced for ever.
pub(super) fn attributes(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in tree.rust() {
        let all = tokens(&file.text);
        for at in 0..all.len() {
            let Some(end) = attribute_end(&all, at) else { continue };
            let attribute = &all[at..end];
            let names = |word: &str| attribute.iter().any(|token| token.is(word));
            let line = all[at].line;
            if names("ignore") {
                findings.push(Finding::at(&file.path, line, "a test that is not run"));
            }
            if names("allow") || (names("expect") && !names("reason")) {
                let text = "write `#[expect(lint, reason = \"why\")]`";
                findings.push(Finding::at(&file.path, line, text));
            }
        }
        for token in shipped(&file.text) {
            if token.is("danger_accept_invalid_certs") {
                findings.push(Finding::at(&file.path, token.line, "accepts any certificate"));
            }
        }
    }
    findings
}

/// upgrade.sh finds the program and passes its arguments, nothing else.
pub(super) fn thin_upgrade_script(tree: &Tree) -> Vec<Finding> {
    let Some(script) = tree.file(SCRIPT) else {
        return vec![Finding::of_file(SCRIPT, "is missing")];
    };
    let lines = script.text.lines().count();
    let long = lines >= SCRIPT_LIMIT;
    let text = format!("{lines} lines, must stay under {SCRIPT_LIMIT}");
    long.then(|| Finding::of_file(SCRIPT, text)).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&Tree) -> Vec<Finding>, path: &str, text: &str) -> usize {
        rule(&Tree::of(&[(path, text)])).len()
    }

    #[test]
    fn a_long_file_is_found() {
        assert_eq!(count(file_size, "a.rs", &"x\n".repeat(LIMIT)), 0);
        assert_eq!(count(file_size, "a.rs", &"x\n".repeat(LIMIT + 1)), 1);
        assert_eq!(long_files(&Tree::of(&[("a.rs", &"x\n".repeat(AIM + 1))])).len(), 1);
    }

    #[test]
    fn a_wide_line_is_found_unless_a_text_makes_it_wide() {
        let comment = format!("// {}", "x".repeat(WIDTH));
        assert_eq!(count(line_width, "a.rs", &comment), 1);
        let text = format!("const A: &str = \"{}\";", "x".repeat(WIDTH));
        assert_eq!(count(line_width, "a.rs", &text), 0);
        let second = format!("const A: &str = \"a\n{}\";", "x".repeat(WIDTH));
        assert_eq!(count(line_width, "a.rs", &second), 0);
        let code = format!("const {}: &str = \"x\";", "A".repeat(WIDTH));
        assert_eq!(count(line_width, "a.rs", &code), 1);
    }

    #[test]
    fn a_file_without_its_purpose_is_found() {
        assert_eq!(count(module_docs, "a.rs", "//! Decides.\n"), 0);
        assert_eq!(count(module_docs, "a.rs", "fn main() {}\n"), 1);
        assert_eq!(count(module_docs, "a.rs", "//! To be written.\n"), 1);
    }

    #[test]
    fn a_name_that_says_nothing_is_found() {
        assert_eq!(count(module_names, "crates/ac/src/utils.rs", ""), 1);
        assert_eq!(count(module_names, "crates/ac/src/status/mod.rs", ""), 1);
        assert_eq!(count(module_names, "crates/ac/src/status.rs", ""), 0);
    }

    #[test]
    fn hidden_tests_and_silenced_lints_are_found() {
        assert_eq!(count(attributes, "a.rs", "#[test]\n#[ignore]\nfn a() {}"), 1);
        assert_eq!(count(attributes, "a.rs", "#![allow(dead_code)]"), 1);
        assert_eq!(count(attributes, "a.rs", "#[expect(dead_code)]"), 1);
        assert_eq!(count(attributes, "a.rs", "#[expect(dead_code, reason = \"x\")]"), 0);
        assert_eq!(count(attributes, "a.rs", "b.danger_accept_invalid_certs(true)"), 1);
    }

    #[test]
    fn a_fat_or_missing_upgrade_script_is_found() {
        assert_eq!(count(thin_upgrade_script, SCRIPT, &"x\n".repeat(SCRIPT_LIMIT)), 1);
        assert_eq!(count(thin_upgrade_script, SCRIPT, "x\n"), 0);
        assert_eq!(count(thin_upgrade_script, "a", ""), 1);
    }
}
