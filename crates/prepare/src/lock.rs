//! Decides that two runs of one package on one host do not go on at once, and tells the second who
//! holds it up. A lock ends with its process, however that ends.

use crate::failure::Failure;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

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
        let Opened { mut file, path, is_ours } = open(package)?;
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
        if is_ours {
            file.set_len(0).map_err(failed)?;
            file.rewind().map_err(failed)?;
            writeln!(file, "{}", std::process::id()).map_err(failed)?;
        }
        Ok(Self { _file: file })
    }
}

/// The file that is locked.
struct Opened {
    file: File,
    path: PathBuf,
    /// Whether who holds it may write it down there; another user's file is only locked.
    is_ours: bool,
}

/// The lock's file: in the package, or where that is read-only, one that is named after it.
fn open(package: &Path) -> Result<Opened, Failure> {
    let path = package.join(FILE);
    let first = match open_file(&path, true) {
        Ok(file) => return Ok(Opened { file, path, is_ours: true }),
        Err(error) => error,
    };
    // Another user has locked this package before, and goes by this file.
    if first.kind() == std::io::ErrorKind::PermissionDenied
        && let Ok(file) = open_file(&path, false)
    {
        return Ok(Opened { file, path, is_ours: false });
    }
    let name = api::Digest::of(package.as_os_str().as_encoded_bytes());
    let other = Path::new(RUN).join(format!("acp-upgrade-{}.lock", &name.hex()[..16]));
    match first.kind() {
        std::io::ErrorKind::ReadOnlyFilesystem | std::io::ErrorKind::PermissionDenied => {
            match open_file(&other, true) {
                Ok(file) => Ok(Opened { file, path: other, is_ours: true }),
                // On a read-only medium the other place is the only one, and its error counts.
                Err(source) if first.kind() == std::io::ErrorKind::ReadOnlyFilesystem => {
                    Err(Failure::Lock { path: other, source })
                }
                Err(_) => Err(Failure::Lock { path, source: first }),
            }
        }
        _ => Err(Failure::Lock { path, source: first }),
    }
}

/// No link is followed, and no file that has another name: the process id would go there.
fn open_file(path: &Path, write: bool) -> std::io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(write).create(write).truncate(false).custom_flags(flags);
    let file = options.open(path)?;
    let metadata = file.metadata()?;
    match metadata.is_file() && metadata.nlink() == 1 {
        true => Ok(file),
        false => Err(std::io::Error::other("it is no plain file with one name")),
    }
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
    fn a_lock_that_leads_elsewhere_is_not_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, canary) = (folder.path().join(FILE), folder.path().join("canary"));
        std::fs::write(&canary, "as it was").unwrap();
        std::os::unix::fs::symlink(&canary, &lock).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        assert!(matches!(refused, Failure::Lock { .. }), "{refused}");
        std::fs::remove_file(&lock).unwrap();
        std::fs::hard_link(&canary, &lock).unwrap();
        let refused = Lock::take(folder.path()).unwrap_err();
        assert!(refused.to_string().contains(FILE), "{refused}");
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "as it was");
    }

    #[test]
    fn a_folder_that_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let refused = Lock::take(&folder.path().join("gone")).unwrap_err();
        assert!(matches!(refused, Failure::Lock { .. }), "{refused}");
    }
}
