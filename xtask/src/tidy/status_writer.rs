//! Decides whether one function alone writes the status of a ClusterVersionShadow (I1).

use super::Finding;
use super::source::{Token, shipped};
use super::tree::Tree;

/// The only file that may write it.
const WRITER: &str = "crates/operator/src/status_writer.rs";
/// Names of calls that write a status.
const WRITES: [&str; 4] = ["patch_status", "replace_status", "apply_status", "write_status"];

/// No file but the writer both names the object and writes a status, and the writer writes once.
pub(super) fn one_status_writer(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let sources = tree.rust().filter(|file| {
        file.path.starts_with("crates/") && !file.is_of_tests() && file.path != WRITER
    });
    for file in sources {
        let tokens = shipped(&file.text);
        let names_it = tokens.iter().any(|t| {
            t.is("ClusterVersionShadow") || t.is("ClusterVersionShadowStatus") || t.is("cvsh")
        });
        for token in tokens.iter().filter(|token| names_it && is_write(token)) {
            findings.push(Finding::at(
                &file.path,
                token.line,
                format!("only {WRITER} writes the status of a ClusterVersionShadow"),
            ));
        }
    }
    let calls = tree.file(WRITER).map(|file| {
        let tokens = shipped(&file.text);
        tokens.windows(2).filter(|pair| is_write(&pair[0]) && pair[1].is("(")).count()
    });
    match calls {
        None => findings.push(Finding::of_file(WRITER, "is missing; it holds I1")),
        Some(1) => {}
        Some(n) => findings.push(Finding::of_file(WRITER, format!("writes in {n} places, not 1"))),
    }
    findings
}

fn is_write(token: &Token) -> bool {
    WRITES.iter().any(|name| token.is(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = "fn w(api: Api<ClusterVersionShadow>) { api.patch_status(x) }";

    #[test]
    fn a_second_writer_is_found() {
        let tree = Tree::of(&[(WRITER, WRITE), ("crates/operator/src/round.rs", WRITE)]);
        let findings = one_status_writer(&tree);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].path, "crates/operator/src/round.rs");
    }

    #[test]
    fn the_writer_must_be_there_and_write_once() {
        assert!(one_status_writer(&Tree::of(&[(WRITER, WRITE)])).is_empty());
        assert_eq!(one_status_writer(&Tree::of(&[])).len(), 1);
        let twice = format!("{WRITE}\n{WRITE}");
        assert_eq!(one_status_writer(&Tree::of(&[(WRITER, &twice)])).len(), 1);
    }

    #[test]
    fn other_objects_have_their_own_writers() {
        let other = "fn w(api: Api<ResourcePatch>) { api.patch_status(x) }";
        let tree = Tree::of(&[(WRITER, WRITE), ("crates/cluster/src/a.rs", other)]);
        assert!(one_status_writer(&tree).is_empty());
    }
}
