//! Decides what a package must hold, what in it must stand under its sums, and for which machines
//! it is. Reads names and the first bytes of programs only.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use api::{Digest, ImageRef};

use super::machine::machine;
use super::{DEPLOY, FILE_LIMIT, IMAGES, PLUGINS, PROGRAMS, UPGRADE_SCRIPT};
use super::{Package, PackageError, PluginFile};
use crate::beneath::{self, BeneathError, Found};
use crate::build::layout::{BLOBS, INDEX_FILE};
use crate::build::package::SUMS_FILE;
use crate::layout::Layout;

/// What the file of a plugin package ends with.
const PLUGIN_SUFFIX: &str = ".tgz";

/// Checks that a folder looks like a core package at all.
pub(super) fn check_shape(folder: &Path) -> Result<(), PackageError> {
    let parts = [
        (SUMS_FILE, Found::File),
        (UPGRADE_SCRIPT, Found::File),
        (PROGRAMS, Found::Folder),
        (IMAGES, Found::Folder),
    ];
    for (name, expected) in parts {
        match found(folder, name)? {
            Some(found) if found == expected => {}
            Some(_) => {
                let reason = match expected {
                    Found::Folder => "it is no folder",
                    Found::File | Found::Other => "it is no regular file",
                };
                return Err(rule(folder, name, reason.to_owned()));
            }
            None => {
                let (folder, missing) = (folder.to_owned(), name.to_owned());
                return Err(PackageError::NotPackage { folder, missing });
            }
        }
    }
    Ok(())
}

/// What runs, what is applied and what is pushed must be under the sums; an administrator adds
/// plugins only.
pub(super) fn check_listed(package: &Package) -> Result<(), PackageError> {
    let folder = &package.summed.folder;
    let mut required = BTreeSet::from([UPGRADE_SCRIPT.to_owned()]);
    required.insert(format!("{IMAGES}/{INDEX_FILE}"));
    let mut open = vec![PROGRAMS.to_owned(), DEPLOY.to_owned()];
    while let Some(name) = open.pop() {
        match found(folder, &name)? {
            Some(Found::Folder) => {
                let inner = names(folder, &name)?;
                open.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
            }
            Some(Found::File) => {
                required.insert(name);
            }
            Some(Found::Other) => {
                return Err(rule(folder, &name, "it is no regular file".to_owned()));
            }
            None => {}
        }
        if required.len() + open.len() > FILE_LIMIT {
            let reason = format!("it holds more than {FILE_LIMIT} files");
            return Err(PackageError::Rule { path: folder.clone(), reason });
        }
    }
    for image in package.layout.images() {
        let blobs = image.manifest.blobs().chain([&image.descriptor]);
        required.extend(blobs.map(|d| format!("{IMAGES}/{BLOBS}/{}", d.digest.hex())));
    }
    match required.into_iter().find(|name| !package.summed.sums.contains_key(name)) {
        None => Ok(()),
        Some(name) => Err(rule(folder, &name, format!("{SUMS_FILE} does not name it"))),
    }
}

/// Checks that programs and images are for machines of one architecture.
pub(super) fn check_architecture(package: &Package, expected: &str) -> Result<(), PackageError> {
    let other = |path: String, found: &str| {
        let (found, expected) = (api::text::line(found, 64), expected.to_owned());
        Err(PackageError::Architecture { path, found, expected })
    };
    let folder = &package.summed.folder;
    for name in names(folder, PROGRAMS)? {
        let name = format!("{PROGRAMS}/{name}");
        if found(folder, &name)? != Some(Found::File) {
            continue;
        }
        match machine(folder, &name)? {
            Some(found) if found != expected => {
                return other(folder.join(name).display().to_string(), found);
            }
            _ => {}
        }
    }
    check_images(&package.layout, expected)
}

/// Checks that every image of a layout is for machines of one architecture.
pub(crate) fn check_images(layout: &Layout, expected: &str) -> Result<(), PackageError> {
    for image in layout.images().filter(|image| !image.is_signature()) {
        match layout.config(image)? {
            Some(config) if config.architecture != expected => {
                let path = image.name();
                let found = api::text::line(&config.architecture, 64);
                let expected = expected.to_owned();
                return Err(PackageError::Architecture { path, found, expected });
            }
            _ => {}
        }
    }
    Ok(())
}

/// The plugin packages, those that an administrator added too.
pub(super) fn plugins(
    folder: &Path,
    sums: &BTreeMap<String, Digest>,
) -> Result<Vec<PluginFile>, PackageError> {
    let mut plugins = Vec::new();
    match found(folder, PLUGINS)? {
        None => return Ok(plugins),
        Some(Found::Folder) => {}
        Some(_) => return Err(rule(folder, PLUGINS, "it is no folder".to_owned())),
    }
    for file in names(folder, PLUGINS)? {
        let Some(stem) = file.strip_suffix(PLUGIN_SUFFIX) else { continue };
        let name = format!("{PLUGINS}/{file}");
        let size =
            beneath::length(folder, &name).map_err(|e| PackageError::unopened(folder, &name, e))?;
        if format!("x/{stem}").parse::<ImageRef>().is_err() || stem.contains([':', '@', '/']) {
            let reason = "its name cannot be one in a registry: a-z, 0-9, '.', '_', '-' only";
            return Err(rule(folder, &name, reason.to_owned()));
        }
        let digest = sums.get(&name).cloned();
        let (stem, path) = (stem.to_owned(), folder.join(name));
        plugins.push(PluginFile { stem, path, size, digest });
    }
    Ok(plugins)
}

/// What stands at a path below the package; none if nothing does.
pub(crate) fn found(folder: &Path, name: &str) -> Result<Option<Found>, PackageError> {
    match beneath::kind(folder, name) {
        Ok(found) => Ok(Some(found)),
        Err(BeneathError::Io(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(PackageError::unopened(folder, name, error)),
    }
}

/// Names in a folder, sorted.
pub(crate) fn names(folder: &Path, name: &str) -> Result<BTreeSet<String>, PackageError> {
    let path = folder.join(name);
    let failed = |e| PackageError::reading(path.clone(), e);
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(&path).map_err(failed)? {
        match entry.map_err(failed)?.file_name().into_string() {
            Ok(name) => names.insert(name),
            Err(name) => {
                let (path, reason) = (path.join(name), "its name is not UTF-8".to_owned());
                return Err(PackageError::Rule { path, reason });
            }
        };
        if names.len() > FILE_LIMIT {
            let reason = format!("it holds more than {FILE_LIMIT} files");
            return Err(PackageError::Rule { path, reason });
        }
    }
    Ok(names)
}

fn rule(folder: &Path, name: &str, reason: String) -> PackageError {
    PackageError::Rule { path: folder.join(name), reason }
}
