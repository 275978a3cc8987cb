//! A plugin package at hand: a packed one is unpacked into a folder that goes away with it. What a
//! process left behind that was killed goes away with the next package.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};

use api::Digest;
use api::text::line;
use tempfile::TempDir;

use super::{PluginError, PluginPackage};
use crate::progress::bytes;

/// What the folders of unpacked packages are called.
const PREFIX: &str = "acp-plugin-";
/// In such a folder: a file that is locked for as long as the folder is used.
const LOCK: &str = "lock";
/// In such a folder: what was unpacked.
const CONTENT: &str = "content";
/// A folder that is younger may be one that is not locked yet.
const YOUNG: Duration = Duration::from_secs(10);

/// A package that was read and checked.
#[derive(Debug)]
pub struct Opened {
    /// The package.
    pub package: PluginPackage,
    /// Where it was unpacked, and what locks that.
    _folder: Option<(TempDir, Option<File>)>,
}

impl Opened {
    /// Opens a package and checks every sum. A packed one is unpacked below `temporary`, and must
    /// have the digest where somebody vouches for one.
    ///
    /// # Errors
    /// When the package is not as it was made, or cannot be unpacked.
    pub fn open(
        path: &Path,
        digest: Option<&Digest>,
        temporary: &Path,
    ) -> Result<Self, PluginError> {
        // Nothing is shown of the reading: a disk is quick where a registry is not.
        let unseen = |_: u64| {};
        if path.is_dir() {
            let package = PluginPackage::open(path)?;
            package.verify(unseen)?;
            return Ok(Self { package, _folder: None });
        }
        sweep(temporary, SystemTime::now());
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(temporary);
        let folder = folder.map_err(PluginError::writing(temporary))?;
        // Where nothing can be locked, nothing is removed either.
        let lock = File::create(folder.path().join(LOCK));
        let lock = lock.and_then(|file| file.lock().map(|()| file)).ok();
        let content = folder.path().join(CONTENT);
        fs::create_dir(&content).map_err(PluginError::writing(&content))?;
        let package = PluginPackage::unpack_known(path, digest, &content, unseen)?;
        Ok(Self { package, _folder: Some((folder, lock)) })
    }

    /// `podinfo 1.0.0 (Agnostic)`.
    #[must_use]
    pub fn title(&self) -> String {
        let package = &self.package;
        format!(
            "{} {} ({})",
            line(package.name(), 64),
            line(package.version(), 64),
            package.lifecycle().as_str()
        )
    }

    /// `podinfo 1.0.0 (Agnostic): 3 artifacts, 12 MiB`.
    #[must_use]
    pub fn words(&self) -> String {
        let artifacts = self.package.layout().images().count();
        format!("{}: {artifacts} artifacts, {}", self.title(), bytes(self.package.size()))
    }
}

/// Removes folders of processes that were killed. What cannot be looked at or removed stays where
/// it is: it takes space and does no other harm.
fn sweep(temporary: &Path, now: SystemTime) {
    let user = rustix::process::geteuid().as_raw();
    for entry in fs::read_dir(temporary).into_iter().flatten().flatten() {
        let is_named = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // Of the entry itself, not of what a link leads to.
        let Some(metadata) = entry.metadata().ok().filter(|_| is_named) else { continue };
        let age = metadata.modified().ok().and_then(|at| now.duration_since(at).ok());
        let is_ours = metadata.is_dir() && metadata.uid() == user;
        if !is_ours || age.is_none_or(|age| age < YOUNG) {
            continue;
        }
        let lock = File::options().write(true).open(entry.path().join(LOCK));
        let unused = match lock {
            Ok(lock) => lock.try_lock().is_ok(),
            // Its maker died before there was one.
            Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        };
        if unused && let Err(error) = fs::remove_dir_all(entry.path()) {
            tracing::debug!(folder = %entry.path().display(), %error, "it cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let work = tempfile::tempdir().unwrap();
        let folder = |name: &str| {
            let path = work.path().join(name);
            fs::create_dir_all(path.join(CONTENT)).unwrap();
            path
        };
        let (left, used, other) = (folder("acp-plugin-1"), folder("acp-plugin-2"), folder("mine"));
        let target = folder("elsewhere");
        let link = work.path().join("acp-plugin-3");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let lock = File::create(used.join(LOCK)).unwrap();
        lock.lock().unwrap();
        sweep(work.path(), SystemTime::now());
        assert!(left.is_dir(), "it may be one that is not locked yet");
        sweep(work.path(), SystemTime::now() + YOUNG);
        assert!(!left.exists(), "nobody uses it");
        assert!(used.is_dir() && other.is_dir() && target.is_dir() && link.is_symlink());
        drop(lock);
        sweep(work.path(), SystemTime::now() + YOUNG);
        assert!(!used.exists());
    }
}
