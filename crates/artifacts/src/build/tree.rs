//! Decides how files become a tar: sorted, every time and owner zero, parents before children.
//! Knows nothing of images and packages.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use flate2::GzBuilder;
use flate2::write::GzEncoder;
use tar::{EntryType, Header};

use super::{BuildError, reading, writing};

/// Where the bytes of a file come from.
#[derive(Debug, Clone)]
pub enum Content {
    /// From memory.
    Bytes(Vec<u8>),
    /// From a file that is streamed when the archive is written.
    File(PathBuf),
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<&Path> for Content {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<PathBuf> for Content {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

#[derive(Debug, Clone)]
enum Node {
    File { content: Content, mode: u32 },
    Link(String),
    Directory(u32),
}

/// Files, links and folders by path.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
}

impl Tree {
    /// Adds a file with mode 0644.
    ///
    /// # Errors
    /// When the path may not stand in an archive.
    pub fn file(&mut self, path: &str, content: impl Into<Content>) -> Result<(), BuildError> {
        self.insert(path, Node::File { content: content.into(), mode: 0o644 })
    }

    /// Adds a file with mode 0755.
    ///
    /// # Errors
    /// When the path may not stand in an archive.
    pub fn program(&mut self, path: &str, content: impl Into<Content>) -> Result<(), BuildError> {
        self.insert(path, Node::File { content: content.into(), mode: 0o755 })
    }

    /// Adds a symbolic link.
    ///
    /// # Errors
    /// When the path may not stand in an archive.
    pub fn link(&mut self, path: &str, target: &str) -> Result<(), BuildError> {
        self.insert(path, Node::Link(target.to_owned()))
    }

    /// Adds a folder with a mode of its own; other folders need not be added.
    ///
    /// # Errors
    /// When the path may not stand in an archive.
    pub fn directory(&mut self, path: &str, mode: u32) -> Result<(), BuildError> {
        self.insert(path, Node::Directory(mode))
    }

    /// Everything below a folder, under `prefix` (empty: at the top). Only whether the owner may
    /// execute a file is kept of its mode.
    ///
    /// # Errors
    /// When something cannot be read or is neither file nor folder.
    pub fn folder(prefix: &str, folder: &Path) -> Result<Self, BuildError> {
        let mut tree = Self::default();
        for (path, source, executable) in files_below(folder)? {
            let path = if prefix.is_empty() { path } else { format!("{prefix}/{path}") };
            if executable {
                tree.program(&path, source)?;
            } else {
                tree.file(&path, source)?;
            }
        }
        Ok(tree)
    }

    /// Paths of the files.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.nodes.keys().map(String::as_str)
    }

    fn insert(&mut self, path: &str, node: Node) -> Result<(), BuildError> {
        let path = path.strip_prefix('/').unwrap_or(path);
        if path.split('/').any(|part| matches!(part, "" | "." | "..")) || path.contains('\\') {
            return Err(BuildError::Path(path.to_owned()));
        }
        self.nodes.insert(path.to_owned(), node);
        Ok(())
    }

    /// Writes the tree as a tar and gives the writer back.
    ///
    /// # Errors
    /// When a file cannot be read, changes while it is read, or the writer fails.
    pub fn write_tar<W: Write>(&self, target: W, name: &Path) -> Result<W, BuildError> {
        let mut archive = tar::Builder::new(target);
        let mut folders = BTreeSet::new();
        for (path, node) in &self.nodes {
            for (end, _) in path.match_indices('/') {
                let parent = &path[..end];
                if folders.insert(parent.to_owned()) && !self.nodes.contains_key(parent) {
                    append_directory(&mut archive, parent, 0o755).map_err(writing(name))?;
                }
            }
            match node {
                Node::Directory(mode) => {
                    append_directory(&mut archive, path, *mode).map_err(writing(name))?;
                }
                Node::Link(to) => {
                    let mut header = header(EntryType::Symlink, 0o777, 0);
                    archive.append_link(&mut header, path, to).map_err(writing(name))?;
                }
                Node::File { content: Content::Bytes(bytes), mode } => {
                    let mut header = header(EntryType::Regular, *mode, bytes.len() as u64);
                    archive.append_data(&mut header, path, &bytes[..]).map_err(writing(name))?;
                }
                Node::File { content: Content::File(source), mode } => {
                    append_file(&mut archive, path, source, *mode, name)?;
                }
            }
        }
        archive.into_inner().map_err(writing(name))
    }
}

fn append_file<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    source: &Path,
    mode: u32,
    name: &Path,
) -> Result<(), BuildError> {
    let file = File::open(source).map_err(reading(source))?;
    let size = file.metadata().map_err(reading(source))?.len();
    let mut header = header(EntryType::Regular, mode, size);
    // One byte more than promised is asked for, so that a file that grows is seen too.
    let mut counted = Counted { inner: file.take(size + 1), read: 0, size };
    let written = archive.append_data(&mut header, path, &mut counted);
    if counted.read != size {
        return Err(BuildError::Changed(source.to_owned()));
    }
    written.map_err(writing(name))
}

/// Gives at most `size` bytes on, and counts what there was.
struct Counted<R> {
    inner: R,
    read: u64,
    size: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        let left = self.size.saturating_sub(self.read);
        self.read += n as u64;
        Ok(n.min(usize::try_from(left).unwrap_or(usize::MAX)))
    }
}

fn append_directory<W: Write>(
    archive: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
) -> io::Result<()> {
    let mut header = header(EntryType::Directory, mode, 0);
    archive.append_data(&mut header, format!("{path}/"), io::empty())
}

fn header(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// A gzip writer whose header says neither time, name nor system.
pub(crate) fn gzip<W: Write>(target: W, level: u32) -> GzEncoder<W> {
    GzBuilder::new().mtime(0).operating_system(255).write(target, flate2::Compression::new(level))
}

/// Writes a tree as a tgz.
///
/// # Errors
/// When a file cannot be read or the target cannot be written.
pub fn write_tgz(tree: &Tree, target: &Path) -> Result<(), BuildError> {
    let folder = target.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(writing(target))?;
    let mut packed = gzip(io::BufWriter::with_capacity(crate::digest::CHUNK, &mut file), 6);
    packed = tree.write_tar(packed, target)?;
    packed.finish().and_then(|mut out| out.flush()).map_err(writing(target))?;
    keep(file, target)
}

/// A tree as a tgz in memory, for charts.
///
/// # Errors
/// When a file cannot be read.
pub fn tgz(tree: &Tree) -> Result<Vec<u8>, BuildError> {
    let name = Path::new("tgz");
    tree.write_tar(gzip(Vec::new(), 6), name)?.finish().map_err(writing(name))
}

/// Gives a finished file its name; until then nothing stands under it.
pub(crate) fn keep(file: tempfile::NamedTempFile, target: &Path) -> Result<(), BuildError> {
    use std::os::unix::fs::PermissionsExt;
    file.as_file()
        .set_permissions(std::fs::Permissions::from_mode(0o644))
        .and_then(|()| file.as_file().sync_data())
        .map_err(writing(target))?;
    file.persist(target).map_err(|e| writing(target)(e.error))?;
    Ok(())
}

/// Every file below a folder, sorted: its path from there, where it is, whether it is a program.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<(String, PathBuf, bool)>, BuildError> {
    use std::os::unix::fs::PermissionsExt;
    let mut found = Vec::new();
    let mut open = vec![(String::new(), folder.to_owned())];
    while let Some((prefix, folder)) = open.pop() {
        for entry in std::fs::read_dir(&folder).map_err(reading(&folder))? {
            let entry = entry.map_err(reading(&folder))?;
            let path = entry.path();
            let name = entry.file_name();
            let name = name.to_str().ok_or_else(|| BuildError::Path(path.display().to_string()))?;
            let name = format!("{prefix}{name}");
            let metadata = std::fs::symlink_metadata(&path).map_err(reading(&path))?;
            if metadata.is_dir() {
                open.push((format!("{name}/"), path));
            } else if metadata.is_file() {
                found.push((name, path, metadata.permissions().mode() & 0o100 != 0));
            } else {
                return Err(BuildError::Kind(path));
            }
        }
    }
    found.sort();
    Ok(found)
}
