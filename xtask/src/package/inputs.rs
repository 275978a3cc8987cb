//! Decides whether a package must be built again: only when a file that goes into it, or the source
//! of packaging, has changed. Knows nothing of what the files mean.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use api::Digest;
use artifacts::build::Tree;
use artifacts::digest::{Measure, of_reader};
use serde::{Deserialize, Serialize};

use super::content::Source;
use super::template::Template;
use super::{Form, Package, PackageBuilder, RECIPE};

/// What of the project shapes every package: its files, the packaging, the writers, the CRDs.
const OWN: [&str; 4] =
    ["package", "xtask/src/package", "crates/artifacts/src/build", "crates/api/src"];

/// What a package was built of, and where its note is kept.
#[derive(Debug)]
pub(super) struct Stamp {
    inputs: Digest,
    name: String,
}

/// The note beside a package.
#[derive(Serialize, Deserialize)]
struct Note {
    inputs: Digest,
    package: Package,
}

/// Waits until no other process writes under this lock; it ends with the file.
pub(super) async fn locked(path: PathBuf) -> Result<File> {
    let locked = tokio::task::spawn_blocking(move || -> Result<File> {
        let file = File::create(&path).with_context(|| path.display().to_string())?;
        file.lock().with_context(|| path.display().to_string())?;
        Ok(file)
    });
    locked.await?
}

impl Stamp {
    /// Takes the digest of everything that goes into a package.
    pub(super) fn of(
        builder: &PackageBuilder,
        template: &Template,
        sources: &BTreeMap<String, Source>,
    ) -> Result<Self> {
        let mut files: Vec<PathBuf> = sources.values().map(|source| source.file.clone()).collect();
        let programs = &builder.programs;
        files.extend([&programs.operator, &programs.prepare, &programs.ac].map(Clone::clone));
        files.push(builder.helm.clone());
        let own = OWN.map(|folder| builder.root.join(folder));
        let folders = [&template.folder].into_iter().chain(&own).chain(template.charts.values());
        for folder in folders {
            let tree = Tree::folder("", folder)?;
            files.extend(tree.paths().map(|path| folder.join(path)));
        }
        let mut measure = Measure::default();
        measure.update(format!("{RECIPE} {:?}\n", builder.layers).as_bytes());
        for signer in &builder.signers {
            let line = signer.sign(b"the inputs of a package");
            measure.update(format!("{} {line}\n", signer.id).as_bytes());
        }
        for path in files {
            let file = File::open(&path).with_context(|| path.display().to_string())?;
            let (digest, _) = of_reader(file).with_context(|| path.display().to_string())?;
            let name = path.strip_prefix(&template.folder).unwrap_or(&path).display();
            measure.update(format!("{name} {digest}\n").as_bytes());
        }
        Ok(Self { inputs: measure.digest(), name: format!(".acp-core-{}.json", template.version) })
    }

    /// The package, if it was built of these files in at least these forms and is still there.
    pub(super) fn built(&self, out: &Path, form: Form) -> Option<Package> {
        let note: Note = serde_json::from_slice(&fs::read(out.join(&self.name)).ok()?).ok()?;
        let there = |path: &Option<PathBuf>| path.as_ref().is_some_and(|path| path.exists());
        let complete = (!form.archive || there(&note.package.archive))
            && (!form.folder || there(&note.package.folder));
        (note.inputs == self.inputs && complete).then_some(note.package)
    }

    /// Removes the note before anything is written, so that half a package is never taken for one.
    pub(super) fn forget(&self, out: &Path) -> Result<()> {
        match fs::remove_file(out.join(&self.name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Notes what a package was built of.
    pub(super) fn keep(&self, out: &Path, package: &Package) -> Result<()> {
        let note = Note { inputs: self.inputs.clone(), package: package.clone() };
        Ok(fs::write(out.join(&self.name), serde_json::to_vec_pretty(&note)?)?)
    }
}
