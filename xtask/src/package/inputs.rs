//! Decides whether a package must be built again: only when a file that goes into it, or the source
//! of packaging, has changed. Knows nothing of what the files mean.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use api::Digest;
use artifacts::build::Tree;
use artifacts::digest::{Measure, of_reader};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::content::Source;
use super::workshop::Workshop;

/// Part of every note of what a package was built of: raise it when packages must be built again
/// though no file of theirs has changed.
const RECIPE: &str = "3";
/// What of the project shapes every package: the packaging, the writers, the CRDs.
const OWN: [&str; 4] = [
    "xtask/src/package",
    "xtask/src/plugin_package",
    "crates/artifacts/src/build",
    "crates/api/src",
];

/// What a package was built of, and where its note is kept.
#[derive(Debug)]
pub(crate) struct Stamp {
    inputs: Digest,
    name: String,
}

/// The note beside a package.
#[derive(Serialize, Deserialize)]
struct Note<P> {
    inputs: Digest,
    package: P,
}

/// Waits until no other process writes under this lock; it ends with the file.
pub(crate) async fn locked(path: PathBuf) -> Result<File> {
    let locked = tokio::task::spawn_blocking(move || -> Result<File> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        file.lock().with_context(|| path.display().to_string())?;
        Ok(file)
    });
    locked.await?
}

impl Stamp {
    /// Takes the digest of everything that goes into the package `name`: its files and folders,
    /// those of the project and the sources of its images. Paths below `base` count as they are
    /// there, wherever it is.
    pub(crate) fn of(
        workshop: &Workshop,
        name: &str,
        base: &Path,
        mut files: Vec<PathBuf>,
        mut folders: Vec<PathBuf>,
        sources: &BTreeMap<String, Source>,
    ) -> Result<Self> {
        files.extend(sources.values().map(|source| source.file.clone()));
        files.push(workshop.helm.clone());
        folders.extend(OWN.map(|folder| workshop.root.join(folder)));
        for folder in folders {
            let tree = Tree::folder("", &folder)?;
            files.extend(tree.paths().map(|path| folder.join(path)));
        }
        let mut measure = Measure::default();
        measure.update(format!("{RECIPE} {:?}\n", workshop.layers).as_bytes());
        for signer in &workshop.signers {
            let line = signer.sign(b"the inputs of a package");
            measure.update(format!("{} {line}\n", signer.id).as_bytes());
        }
        for path in files {
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            let (digest, _) = of_reader(file).with_context(|| path.display().to_string())?;
            let name = path.strip_prefix(base).unwrap_or(&path).display();
            measure.update(format!("{name} {digest}\n").as_bytes());
        }
        Ok(Self { inputs: measure.digest(), name: format!(".{name}.json") })
    }

    /// The package, if it was built of these files and is still there.
    pub(crate) fn built<P: DeserializeOwned>(
        &self,
        out: &Path,
        is_there: impl Fn(&P) -> bool,
    ) -> Option<P> {
        let note: Note<P> = serde_json::from_slice(&fs::read(out.join(&self.name)).ok()?).ok()?;
        (note.inputs == self.inputs && is_there(&note.package)).then_some(note.package)
    }

    /// Removes the note before anything is written, so that half a package is never taken for one.
    pub(crate) fn forget(&self, out: &Path) -> Result<()> {
        match fs::remove_file(out.join(&self.name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Notes what a package was built of.
    pub(crate) fn keep(&self, out: &Path, package: &impl Serialize) -> Result<()> {
        let note = Note { inputs: self.inputs.clone(), package };
        Ok(fs::write(out.join(&self.name), serde_json::to_vec_pretty(&note)?)?)
    }
}
