//! Decides what stands in the folder of a core package beside its images: the programs, upgrade.sh
//! and what deploy applies. Knows nothing of what the release holds.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{Context, Result};

use super::content::Programs;

/// Files of `package/` that go into every package as they are, and whether they are programs.
const FILES: &[(&str, bool)] = &[("upgrade.sh", true), ("plugins/README.md", false)];
/// The folder whose files deploy applies in the order of their names.
const DEPLOY: &str = "deploy";
/// The rights of the release: after those of the operator, before the operator.
const RIGHTS_FILE: &str = "21-release-rbac.yaml";

/// Fills the folder of a package; `source` is the project's `package/`.
pub(super) fn write_folder(
    source: &Path,
    folder: &Path,
    programs: &Programs,
    rights: &str,
) -> Result<()> {
    for (name, is_program) in FILES {
        copy(&source.join(name), &folder.join(name), *is_program)?;
    }
    copy(&programs.prepare, &folder.join("bin/acp-prepare"), true)?;
    copy(&programs.ac, &folder.join("bin/ac"), true)?;
    copy(&programs.violet, &folder.join("bin/violet"), true)?;
    let deploy = source.join(DEPLOY);
    for entry in fs::read_dir(&deploy).with_context(|| deploy.display().to_string())? {
        let entry = entry?;
        copy(&entry.path(), &folder.join(DEPLOY).join(entry.file_name()), false)?;
    }
    for crd in api::crds::own() {
        let file = format!("10-crd-{}.yaml", crd.spec.names.plural);
        fs::write(folder.join(DEPLOY).join(file), serde_saphyr::to_string(&crd)?)?;
    }
    fs::write(folder.join(DEPLOY).join(RIGHTS_FILE), rights)?;
    Ok(())
}

fn copy(from: &Path, to: &Path, is_program: bool) -> Result<()> {
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::copy(from, to).with_context(|| format!("cannot copy {}", from.display()))?;
    let mode = if is_program { 0o755 } else { 0o644 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode))?;
    Ok(())
}

/// Moves a finished folder to its place; what stood there goes.
pub(crate) fn replace(folder: &Path, target: &Path) -> Result<()> {
    if target.exists() {
        fs::remove_dir_all(target)
            .with_context(|| format!("cannot remove {}", target.display()))?;
    }
    fs::rename(folder, target).with_context(|| format!("cannot write {}", target.display()))
}
