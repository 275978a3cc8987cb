//! Decides whether one function alone writes the status of a ClusterVersionShadow (I1).

use super::Finding;
use super::source::{Kind, Token, shipped};
use super::tree::Tree;

/// The only file that may write it.
const WRITER: &str = "crates/cluster/src/status_writer.rs";
/// Names of calls of a client that write a status.
const WRITES: [&str; 3] = ["patch_status", "replace_status", "apply_status"];

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
        for line in writes(&tokens).into_iter().filter(|_| names_it) {
            findings.push(Finding::at(
                &file.path,
                line,
                format!("only {WRITER} writes the status of a ClusterVersionShadow"),
            ));
        }
    }
    let calls = tree.file(WRITER).map(|file| writes(&shipped(&file.text)).len());
    match calls {
        None => findings.push(Finding::of_file(WRITER, "is missing; it holds I1")),
        Some(1) => {}
        Some(n) => findings.push(Finding::of_file(WRITER, format!("writes in {n} places, not 1"))),
    }
    findings
}

/// The lines on which a status is written: by one of the names, or by naming the subresource as
/// calls through `ApiServer` do, `Some("status")`.
fn writes(tokens: &[Token]) -> Vec<usize> {
    let by_name = |at: usize| {
        let called = tokens.get(at + 1).is_some_and(|next| next.is("("));
        called && WRITES.iter().any(|name| tokens[at].is(name))
    };
    let by_subresource = |at: usize| match tokens.get(at..at + 3) {
        Some([some, open, what]) => {
            some.is("Some") && open.is("(") && what.kind == Kind::Text && what.text == "status"
        }
        _ => false,
    };
    let found = (0..tokens.len()).filter(|at| by_name(*at) || by_subresource(*at));
    found.map(|at| tokens[at].line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str =
        "fn w() { patch(&reference::<ClusterVersionShadow>(), Some(\"status\"), x) }";
    const OTHER_WAY: &str = "fn w(api: Api<ClusterVersionShadow>) { api.patch_status(x) }";

    #[test]
    fn a_second_writer_is_found() {
        let tree = Tree::of(&[
            (WRITER, WRITE),
            ("crates/operator/src/round.rs", WRITE),
            ("crates/prepare/src/deploy.rs", OTHER_WAY),
        ]);
        let paths: Vec<_> = one_status_writer(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(paths, ["crates/operator/src/round.rs", "crates/prepare/src/deploy.rs"]);
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
