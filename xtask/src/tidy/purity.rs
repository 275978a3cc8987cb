//! Decides whether the planner stays pure (I2): no clock, no IO, no async, no chance.

use super::Finding;
use super::source::{Kind, Token, shipped};
use super::tree::Tree;

/// Words that the planner's sources must not hold.
const WORDS: &[(&str, &str)] = &[
    ("async", "is async"),
    ("await", "is async"),
    ("SystemTime", "reads the clock; the Snapshot carries now"),
    ("Instant", "reads the clock; the Snapshot carries now"),
    ("println", "writes to the terminal"),
    ("eprintln", "writes to the terminal"),
    ("HashMap", "has no order; use BTreeMap"),
    ("HashSet", "has no order; use BTreeSet"),
    ("static", "remembers something between rounds"),
    ("thread_local", "remembers something between rounds"),
    ("OnceLock", "remembers something between rounds"),
    ("LazyLock", "remembers something between rounds"),
];
/// Pairs joined by `::` that the planner's sources must not hold.
const PATHS: &[(&str, &str)] = &[
    // Each of its modules is named by itself, so that these are seen.
    ("std", "{"),
    ("Timestamp", "now"),
    ("Zoned", "now"),
    ("std", "fs"),
    ("std", "env"),
    ("std", "net"),
    ("std", "io"),
    ("std", "process"),
    ("std", "thread"),
    ("std", "sync"),
];

/// What the planner's sources hold that a pure function cannot.
pub(super) fn pure_planner(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = tree.rust().filter(|file| file.path.starts_with("crates/planner/src/"));
    for file in sources.filter(|file| !file.is_of_tests()) {
        let tokens = shipped(&file.text);
        for (at, token) in tokens.iter().enumerate() {
            if let Some(why) = fault(&tokens, at) {
                findings.push(Finding::at(&file.path, token.line, why));
            }
        }
    }
    findings
}

fn fault(tokens: &[Token], at: usize) -> Option<String> {
    let token = &tokens[at];
    if token.kind != Kind::Word {
        return None;
    }
    // `'static` is a lifetime, not a place that remembers.
    let is_lifetime = at > 0 && tokens[at - 1].is("'");
    if let Some((word, why)) = WORDS.iter().find(|(word, _)| token.is(word))
        && !is_lifetime
    {
        return Some(format!("the planner must be pure: `{word}` {why}"));
    }
    let next = tokens.get(at + 3)?;
    let joined = tokens[at + 1].is(":") && tokens[at + 2].is(":");
    let (first, second) = PATHS.iter().find(|(a, b)| token.is(a) && next.is(b))?;
    joined.then(|| format!("the planner must be pure: `{first}::{second}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_async_and_io_are_found() {
        let source = "use std::fs;\nasync fn f() {}\nfn g(x: &'static str) { Timestamp::now(); }\n\
                      // SystemTime\nuse std::{fs};\n#[cfg(test)]\nmod tests { use std::fs; }";
        let tree = Tree::of(&[("crates/planner/src/a.rs", source), ("crates/ac/src/a.rs", source)]);
        let lines: Vec<_> = pure_planner(&tree).into_iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 2, 3, 5]);
    }
}
