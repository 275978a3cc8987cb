//! Decides how a file below a folder that others filled is opened: through no link, and only if it
//! is a regular file without special rights. Knows nothing of what the file means.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, RawMode, Stat, openat, statat};

/// Why a file is not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BeneathError {
    /// A link, a device, a pipe or a folder.
    #[error("it is no regular file")]
    Kind,
    /// On the way to it stands what is no folder; a link is none either.
    #[error("{0} on its way is no folder")]
    Way(String),
    /// Whoever runs it would get the rights of its owner.
    #[error("it has the right to run as its owner or group")]
    Rights,
    /// The system refuses.
    #[error("it cannot be read")]
    Io(#[source] io::Error),
}

impl From<rustix::io::Errno> for BeneathError {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// Opens a file by its path below a folder; the folder itself may be reached by any way. The
/// length is that of the open file.
pub(crate) fn open(folder: &Path, name: &str) -> Result<(File, u64), BeneathError> {
    let (parent, last) = parent(folder, name)?;
    // Looked at before it is opened: to open a device may already do something.
    regular(&statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW)?)?;
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(openat(&parent, last, flags, Mode::empty())?);
    let length = regular(&rustix::fs::fstat(&file)?)?;
    Ok((file, length))
}

/// The length of a file by its path below a folder.
pub(crate) fn length(folder: &Path, name: &str) -> Result<u64, BeneathError> {
    let (parent, last) = parent(folder, name)?;
    regular(&statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// What stands at a path below a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found {
    File,
    Folder,
    Other,
}

/// What stands at a path below a folder; no link is followed.
pub(crate) fn kind(folder: &Path, name: &str) -> Result<Found, BeneathError> {
    let (parent, last) = parent(folder, name)?;
    let stat = statat(&parent, last, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Found::File,
        FileType::Directory => Found::Folder,
        _ => Found::Other,
    })
}

/// The folder in which the last part of a path is, opened without following a link.
fn parent<'a>(folder: &Path, name: &'a str) -> Result<(OwnedFd, &'a str), BeneathError> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, folder, flags, Mode::empty())?;
    let (way, last) = name.rsplit_once('/').unwrap_or(("", name));
    let mut done = 0;
    for part in way.split('/').filter(|part| !part.is_empty()) {
        done += part.len() + 1;
        let next = openat(&at, part, flags | OFlags::NOFOLLOW, Mode::empty());
        at = next.map_err(|errno| match errno {
            rustix::io::Errno::NOTDIR | rustix::io::Errno::LOOP => {
                BeneathError::Way(way[..done - 1].to_owned())
            }
            errno => errno.into(),
        })?;
    }
    Ok((at, last))
}

fn regular(stat: &Stat) -> Result<u64, BeneathError> {
    const SPECIAL: RawMode = 0o6000;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(BeneathError::Kind);
    }
    if stat.st_mode & SPECIAL != 0 {
        return Err(BeneathError::Rights);
    }
    Ok(u64::try_from(stat.st_size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    #[test]
    fn no_link_pipe_device_or_special_right_is_opened() {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        fs::write(at("a/b/file"), "text").unwrap();
        let (mut file, length) = open(work.path(), "a/b/file").unwrap();
        let mut text = String::new();
        io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert_eq!((text.as_str(), length), ("text", 4));
        symlink("file", at("a/b/link")).unwrap();
        symlink("a", at("way")).unwrap();
        rustix::fs::mkfifoat(CWD, at("a/b/pipe"), Mode::RUSR).unwrap();
        fs::write(at("a/b/special"), "x").unwrap();
        fs::set_permissions(at("a/b/special"), fs::Permissions::from_mode(0o4755)).unwrap();
        let refused = |name: &str| open(work.path(), name).unwrap_err().to_string();
        for name in ["a/b/link", "a/b/pipe", "a/b", "a"] {
            assert_eq!(refused(name), "it is no regular file", "{name}");
        }
        assert_eq!(refused("way/b/file"), "way on its way is no folder");
        assert_eq!(refused("a/b/file/x"), "a/b/file on its way is no folder");
        assert!(refused("a/b/special").contains("the right to run as its owner"));
        let lost = open(work.path(), "a/lost").unwrap_err();
        assert!(matches!(lost, BeneathError::Io(e) if e.kind() == io::ErrorKind::NotFound));
        assert_eq!(kind(work.path(), "a/b/pipe").unwrap(), Found::Other);
    }
}
