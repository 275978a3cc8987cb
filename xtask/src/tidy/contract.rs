//! Decides which texts belong to the contract and so stand in `api` only (I10): the platform's
//! domains, the names of `api::names`, and the kinds and reasons of `api`.

use std::collections::BTreeSet;

use super::Finding;
use super::source::{Kind, shipped, tokens};
use super::tree::Tree;

/// Where the names are written.
const NAMES: &str = "crates/api/src/names.rs";
/// Pieces that make any text a text of the contract.
const PIECES: &[&str] = &["cpaas.io", "cpaas-system", "alauda.io", "tkestack.io"];

/// Texts of the contract that stand outside `api`.
pub(super) fn contract_strings(tree: &Tree) -> Vec<Finding> {
    let names = names(tree);
    let words = words();
    let mut findings = Vec::new();
    for file in tree.rust().filter(|file| is_bound(&file.path) && !file.is_of_tests()) {
        for token in shipped(&file.text).iter().filter(|token| token.kind == Kind::Text) {
            let text = token.text.as_str();
            let belongs = PIECES.iter().any(|piece| text.contains(piece))
                || names.contains(text)
                || words.contains(text);
            if belongs {
                let shown = api::text::line(text, 60);
                findings.push(Finding::at(
                    &file.path,
                    token.line,
                    format!("\"{shown}\" belongs to the contract: use its name in `api`"),
                ));
            }
        }
    }
    findings
}

fn is_bound(path: &str) -> bool {
    // The table of rights names resources as the files of `package` do, which it is held against.
    let held = ["xtask/src/tidy", "xtask/src/rights.rs"];
    let mut free =
        ["crates/api/", "bench/", "e2e/", "release/", "package/", "docs/"].iter().chain(&held);
    !free.any(|prefix| path.starts_with(prefix))
}

/// Every text of `api::names` that nobody writes by chance.
fn names(tree: &Tree) -> BTreeSet<String> {
    let source = tree.file(NAMES).map_or("", |file| file.text.as_str());
    let texts = tokens(source).into_iter().filter(|token| token.kind == Kind::Text);
    // Names of Kubernetes itself are everybody's.
    let telling = |text: &String| {
        text.contains(['-', '/']) && !text.contains('{') && !text.starts_with("kube-")
    };
    texts.map(|token| token.text).filter(telling).collect()
}

/// Kinds and reasons of two words or more: `CheckReason`, not `Ready`.
fn words() -> BTreeSet<String> {
    let mut words = BTreeSet::new();
    words.extend(api::checks::CheckName::ALL.iter().map(|word| word.as_str()));
    words.extend(api::checks::CheckReason::ALL.iter().map(|word| word.as_str()));
    words.extend(api::conditions::ConditionType::ALL.iter().map(|word| word.as_str()));
    words.extend(api::conditions::ConditionReason::ALL.iter().map(|word| word.as_str()));
    words.extend(api::conditions::ManifestReason::ALL.iter().map(|word| word.as_str()));
    words.extend(api::StalledReason::ALL.iter().map(|word| word.as_str()));
    let mut words: BTreeSet<String> = words.into_iter().map(str::to_owned).collect();
    for crd in api::crds::own().into_iter().chain(api::crds::platform()) {
        words.insert(crd.spec.names.kind);
        words.insert(crd.spec.names.plural);
    }
    words.retain(|word| {
        let capitals = word.chars().filter(char::is_ascii_uppercase).count();
        capitals >= 2 || word.len() >= 12
    });
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str =
        "pub const CVO_CONFIG: &str = \"cvo-config\"; pub const X: &str = \"global\";";

    #[test]
    fn a_domain_a_name_a_reason_and_a_kind_are_found() {
        let source = "const A: &str = \"config.cpaas.io/x\";\nconst B: &str = \"cvo-config\";\n\
                      const C: &str = \"UnexemptResourcePatches\";\n\
                      const D: &str = \"ClusterVersionShadow\";\n\
                      const E: &str = \"global Ready Cluster\"; // cpaas.io";
        let tree = Tree::of(&[(NAMES, API), ("crates/ac/src/a.rs", source)]);
        let lines: Vec<_> = contract_strings(&tree).into_iter().map(|f| f.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
    }

    #[test]
    fn tests_and_the_api_itself_are_free() {
        let test = "#[cfg(test)]\nmod tests { const A: &str = \"cpaas.io\"; }";
        let plain = "const A: &str = \"cpaas.io\";";
        let tree = Tree::of(&[
            ("crates/ac/src/a.rs", test),
            ("crates/ac/tests/a.rs", plain),
            ("crates/api/src/a.rs", plain),
            ("e2e/src/a.rs", plain),
        ]);
        assert!(contract_strings(&tree).is_empty());
    }
}
