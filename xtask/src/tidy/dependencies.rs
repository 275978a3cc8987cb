//! Decides which crate may depend on which: pointing down only, and no client below the hands.

use super::Finding;
use super::tree::{CLIENTLESS, Package, Tree};

/// Every crate of the workspace with the crates of the workspace that it may depend on directly.
/// None: any of them.
const EDGES: &[(&str, Option<&[&str]>)] = &[
    ("api", Some(&[])),
    ("planner", Some(&["api"])),
    ("artifacts", Some(&["api"])),
    ("cluster", Some(&["api", "planner"])),
    ("operator", Some(&["api", "artifacts", "cluster", "planner"])),
    ("prepare", Some(&["api", "artifacts", "cluster", "planner"])),
    ("ac", Some(&["api", "artifacts"])),
    ("violet", Some(&["api", "artifacts", "cluster"])),
    ("sandbox", Some(&["api", "artifacts"])),
    ("e2e", None),
    ("bench", None),
    ("xtask", None),
];

/// Crates that talk to something; nothing that must stay without a client is built from them.
const CLIENTS: &[&str] =
    &["tokio", "reqwest", "hyper", "kube_client", "kube_runtime", "oci_client", "rustls", "mio"];

/// The only crates from outside that the planner depends on.
const OF_PLANNER: &[&str] = &[
    "base64",
    "jiff",
    "json-patch",
    "k8s-openapi",
    "nodejs-semver",
    "semver",
    "serde",
    "serde_json",
    "sha2",
    "hex",
    "thiserror",
];

fn is_shipped(kind: Option<&str>) -> bool {
    kind != Some("dev")
}

/// Dependencies between our crates are those of the table.
pub(super) fn edges(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let ours = |name: &str| tree.packages.iter().any(|package| package.name == name);
    for package in &tree.packages {
        let manifest = manifest(package);
        let Some((_, allowed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::of_file(
                &manifest,
                format!("{} has no row in the table of edges; see docs/decisions", package.name),
            ));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| ours(&d.name)) {
            // A test of a lower crate may use a higher one; what ships may not.
            let free = !is_shipped(dependency.kind.as_deref());
            let fits = allowed.is_none_or(|names| names.contains(&dependency.name.as_str()));
            if !fits && !free {
                findings.push(Finding::of_file(
                    &manifest,
                    format!("{} must not depend on {}", package.name, dependency.name),
                ));
            }
        }
    }
    findings
}

/// `api` and `planner` are built from nothing that talks; the planner from a short list only.
pub(super) fn clientless(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for name in CLIENTLESS {
        for reached in tree.reach.get(name).into_iter().flatten() {
            if CLIENTS.contains(&reached.as_str()) {
                findings.push(Finding::of_file(
                    &format!("crates/{name}/Cargo.toml"),
                    format!("{name} is built from {reached}"),
                ));
            }
        }
    }
    let ours = |name: &str| tree.packages.iter().any(|package| package.name == name);
    for package in tree.packages.iter().filter(|package| package.name == "planner") {
        for dependency in &package.dependencies {
            let listed = OF_PLANNER.contains(&dependency.name.as_str()) || ours(&dependency.name);
            if is_shipped(dependency.kind.as_deref()) && !listed {
                findings.push(Finding::of_file(
                    &manifest(package),
                    format!("planner must not depend on {}", dependency.name),
                ));
            }
            if dependency.features.iter().any(|feature| feature == "client") {
                findings.push(Finding::of_file(&manifest(package), "planner must have no client"));
            }
        }
    }
    findings
}

fn manifest(package: &Package) -> String {
    match package.name.as_str() {
        "bench" | "e2e" | "xtask" => format!("{}/Cargo.toml", package.name),
        name => format!("crates/{name}/Cargo.toml"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::tree::Dependency;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        let dependency = |(name, kind): &(&str, Option<&str>)| Dependency {
            name: (*name).to_owned(),
            kind: kind.map(str::to_owned),
            ..Dependency::default()
        };
        let dependencies = dependencies.iter().map(dependency).collect();
        Package { name: name.to_owned(), dependencies, ..Package::default() }
    }

    fn tree(packages: &[Package]) -> Tree {
        Tree { packages: packages.to_vec(), ..Tree::default() }
    }

    #[test]
    fn an_edge_that_points_up_is_found() {
        let all = [
            package("api", &[("cluster", None)]),
            package("cluster", &[("api", None), ("planner", None), ("kube", None)]),
            package("planner", &[("api", None), ("cluster", Some("dev"))]),
            package("unheard-of", &[]),
        ];
        let texts: Vec<_> = edges(&tree(&all)).into_iter().map(|f| f.text).collect();
        assert_eq!(texts[0], "api must not depend on cluster");
        assert!(texts[1].starts_with("unheard-of has no row"));
        assert_eq!(texts.len(), 2);
    }

    #[test]
    fn a_client_below_the_hands_is_found() {
        let mut bad = tree(&[package("planner", &[("api", None), ("tokio", None)])]);
        bad.reach.insert("api".to_owned(), vec!["serde".to_owned(), "tokio".to_owned()]);
        let texts: Vec<_> = clientless(&bad).into_iter().map(|f| f.text).collect();
        assert!(texts.contains(&"api is built from tokio".to_owned()));
        assert!(texts.iter().any(|text| text.starts_with("planner must not depend on")));
    }
}
