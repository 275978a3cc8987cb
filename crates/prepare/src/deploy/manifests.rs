//! Reads what the package deploys: YAML files in the order of their names, each with the digest
//! that the package says, placeholders filled in. Must not talk to a cluster.

use super::Arriving;
use crate::failure::Failure;
use api::Digest;
use api::names::CVO;
use artifacts::package::{Package, PackageError};
use serde_json::Value;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Folder of the files, below the package.
const FOLDER: &str = "deploy";
/// The sums of the package's files.
const SUMS: &str = "SHA256SUMS";
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
    let folder = package.folder().join(FOLDER);
    let mut files = Vec::new();
    for path in paths(&folder)? {
        let bytes = checked(package.folder(), &path)?;
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

fn io(path: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    let path = path.to_owned();
    move |source| {
        Failure::Package(match source.kind() {
            std::io::ErrorKind::NotFound => PackageError::Missing(path),
            _ => PackageError::Io { path, source },
        })
    }
}

fn paths(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(io(folder))? {
        let path = entry.map_err(io(folder))?.path();
        if path.extension().is_some_and(|e| e == "yaml") {
            paths.push(path);
        }
        if paths.len() > COUNT_LIMIT {
            return Err(rule(folder, format!("it holds more than {COUNT_LIMIT} files")));
        }
    }
    paths.sort();
    Ok(paths)
}

/// The bytes of a file, which are those that the package was made with.
fn checked(package: &Path, path: &Path) -> Result<Vec<u8>, Failure> {
    let read = |path: &Path| {
        let mut bytes = Vec::new();
        let file = fs::File::open(path).map_err(io(path))?;
        file.take(FILE_LIMIT + 1).read_to_end(&mut bytes).map_err(io(path))?;
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(rule(path, format!("it is longer than {FILE_LIMIT} bytes")));
        }
        Ok(bytes)
    };
    let sums = read(&package.join(SUMS))?;
    let sums = String::from_utf8_lossy(&sums);
    let bytes = read(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let listed = sums.lines().find_map(|line| {
        let (hex, listed) = line.split_once("  ")?;
        (listed == format!("{FOLDER}/{name}")).then_some(hex)
    });
    match listed {
        None => Err(rule(path, format!("{SUMS} does not name it"))),
        Some(hex) if hex != Digest::of(&bytes).hex() => {
            Err(Failure::Package(PackageError::Changed { path: path.to_owned() }))
        }
        Some(_) => Ok(bytes),
    }
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

    #[test]
    fn a_file_that_was_changed_or_added_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FOLDER).join("00.yaml");
        fs::create_dir(path.parent().unwrap()).unwrap();
        fs::write(&path, "a: 1\n").unwrap();
        let sums = |hex: &str| {
            fs::write(folder.path().join(SUMS), format!("{hex}  deploy/00.yaml\n")).unwrap();
        };
        sums(Digest::of(b"a: 1\n").hex());
        assert_eq!(checked(folder.path(), &path).unwrap(), b"a: 1\n");
        sums(Digest::of(b"a: 2\n").hex());
        let changed = checked(folder.path(), &path).unwrap_err().to_string();
        assert!(changed.contains("00.yaml was cut or changed"), "{changed}");
        fs::write(folder.path().join(SUMS), "").unwrap();
        assert!(checked(folder.path(), &path).unwrap_err().to_string().contains("does not name"));
    }
}
