//! Decides that two runs of one package on one host do not go on at once, and tells the second who
//! holds it up. A lock ends with its process, however that ends.

use crate::failure::Failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

/// In the folder of the package.
const FILE: &str = ".upgrade.lock";
/// Where a package that cannot be written to is locked.
const RUN: &str = "/run/lock";

/// A lock that is held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a package.
    ///
    /// # Errors
    /// When another run holds it, or no lock can be written.
    pub(crate) fn take(package: &Path) -> Result<Self, Failure> {
        let (mut file, path) = open(package)?;
        let failed = |source| Failure::Lock { path: path.clone(), source };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Who holds it writes its id a moment later; without it the refusal stands too.
                let _unknown = file.take(32).read_to_string(&mut holder);
                let holder = holder.trim().parse().ok();
                return Err(Failure::Locked { package: package.to_owned(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        file.set_len(0).map_err(failed)?;
        file.rewind().map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// The lock's file: in the package, or where that is read-only, one that is named after it.
fn open(package: &Path) -> Result<(File, PathBuf), Failure> {
    let path = package.join(FILE);
    let first = match open_file(&path) {
        Ok(file) => return Ok((file, path)),
        Err(error) => error,
    };
    let name = api::Digest::of(package.as_os_str().as_encoded_bytes());
    let other = Path::new(RUN).join(format!("acp-upgrade-{}.lock", &name.hex()[..16]));
    match first.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            match open_file(&other) {
                Ok(file) => Ok((file, other)),
                Err(_) => Err(Failure::Lock { path, source: first }),
            }
        }
        _ => Err(Failure::Lock { path, source: first }),
    }
}

fn open_file(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_is_told_who_holds_the_lock() {
        let folder = tempfile::tempdir().unwrap();
        let first = Lock::take(folder.path()).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        let pid = std::process::id();
        assert!(matches!(refused, Failure::Locked { holder: Some(holder), .. } if holder == pid));
        assert!(refused.to_string().contains(&pid.to_string()), "{refused}");
        drop(first);
        Lock::take(folder.path()).unwrap();
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Lock::take(&folder.path().join("gone")).unwrap_err();
        assert!(matches!(refused, Failure::Lock { .. }), "{refused}");
    }
}
