//! Reads what the package deploys: YAML files in the order of their names, each with the digest
//! that the package says, placeholders filled in. Must not talk to a cluster.

use super::Arriving;
use crate::failure::Failure;
use api::names::CVO;
use artifacts::package::{DEPLOY, Package, PackageError};
use serde_json::Value;
use std::path::Path;

/// Largest file, in bytes.
const FILE_LIMIT: u64 = 4 * 1024 * 1024;
/// Most files.
const COUNT_LIMIT: usize = 100;

/// One file.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct File {
    /// Its objects, in their order.
    pub(super) objects: Vec<Value>,
}

impl File {
    /// Whether it holds the operator itself.
    pub(super) fn holds_operator(&self) -> bool {
        self.objects.iter().any(|object| {
            let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
            text("/kind") == Some("Deployment") && text("/metadata/name") == Some(CVO)
        })
    }
}

/// Reads every file.
///
/// # Errors
/// When a file is missing, changed, no YAML, or has a placeholder that nobody fills.
pub(super) fn read(package: &Package, arriving: &Arriving) -> Result<Vec<File>, Failure> {
    let folder = package.folder().join(DEPLOY);
    let mut files = Vec::new();
    for name in package.listed_in(DEPLOY).filter(|name| name.ends_with(".yaml")) {
        if files.len() == COUNT_LIMIT {
            return Err(rule(&folder, format!("it holds more than {COUNT_LIMIT} files")));
        }
        let path = package.folder().join(name);
        let bytes = package.read_listed(name, FILE_LIMIT)?;
        let refused = |reason: String| rule(&path, reason);
        let text = std::str::from_utf8(&bytes).map_err(|e| refused(e.to_string()))?;
        let documents: Vec<Value> = serde_saphyr::from_multiple(text)
            .map_err(|e| refused(api::text::line(&e.to_string(), 256)))?;
        let mut objects = Vec::with_capacity(documents.len());
        for mut object in documents.into_iter().filter(|d| !d.is_null()) {
            fill(&mut object, arriving).map_err(refused)?;
            planner::apply::reference(&object).map_err(|e| refused(e.to_string()))?;
            objects.push(object);
        }
        files.push(File { objects });
    }
    if !files.iter().any(File::holds_operator) {
        return Err(rule(&folder, format!("no file has the Deployment {CVO}")));
    }
    Ok(files)
}

fn rule(path: &Path, reason: String) -> Failure {
    Failure::Package(PackageError::Rule { path: path.to_owned(), reason })
}

/// Fills the placeholders in every text of an object; texts of foreign origin stay texts.
fn fill(value: &mut Value, arriving: &Arriving) -> Result<(), String> {
    match value {
        Value::String(text) if text.contains("${") => {
            let filled = text
                .replace("${REGISTRY}", &arriving.registry)
                .replace("${CVO_IMAGE}", &arriving.operator_image())
                .replace("${VERSION}", &arriving.version.to_string())
                .replace("${PULL_SECRET}", &arriving.pull_secret);
            if filled.contains("${") {
                return Err(format!("nobody fills the placeholder in '{text}'"));
            }
            *text = filled;
            Ok(())
        }
        Value::Array(all) => all.iter_mut().try_for_each(|one| fill(one, arriving)),
        Value::Object(all) => all.values_mut().try_for_each(|one| fill(one, arriving)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::Digest;
    use serde_json::json;

    fn arriving() -> Arriving {
        Arriving {
            version: "4.3.0".parse().unwrap(),
            partial: Vec::new(),
            registry: "r:1\"\nkind: Secret".to_owned(),
            pull_secret: "pull".to_owned(),
            pull_secret_named: true,
            operator: Digest::of(b"operator"),
            product: Digest::of(b"product"),
        }
    }

    #[test]
    fn placeholders_are_filled_in_texts_only() {
        let mut object =
            json!({ "a": ["${VERSION}", { "b": "x-${PULL_SECRET}" }], "r": "${REGISTRY}" });
        fill(&mut object, &arriving()).unwrap();
        let expected = json!({
            "a": ["4.3.0", { "b": "x-pull" }], "r": "r:1\"\nkind: Secret",
        });
        assert_eq!(object, expected);
        let mut odd = json!({ "a": "${OTHER}" });
        assert!(fill(&mut odd, &arriving()).unwrap_err().contains("${OTHER}"));
    }
}
