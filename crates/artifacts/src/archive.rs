//! Decides how far a tar that others wrote is trusted: one entry after the other, nothing behind
//! its end, nothing in a header that two readers could take differently. Knows nothing of what it
//! holds.

mod files;

use std::io::{self, Read};

use tar::{EntryType, Header};

pub(crate) use files::{Files, FilesError};

/// The length of a block, in bytes.
const BLOCK: usize = 512;
/// Longest record of an extension (a long path), in bytes.
const EXTENSION_LIMIT: u64 = 4096;

/// Longest path, in bytes.
const PATH_LIMIT: usize = 1024;

/// A path that an extension gives, or why the extension is refused.
pub(crate) type Renamed = Result<Option<String>, &'static str>;

/// A tar is cut or malformed.
#[derive(Debug)]
pub(crate) struct Broken {
    /// `at its begin`, `after 'release/release.yaml'`.
    pub(crate) place: String,
    /// Why.
    pub(crate) source: io::Error,
}

/// What is known of an entry before its bytes.
#[derive(Debug)]
pub(crate) struct Found {
    /// From 0.
    pub(crate) number: usize,
    /// As the header says; where it is not UTF-8, with signs that say so.
    pub(crate) path: String,
    /// In bytes.
    pub(crate) size: u64,
    /// What it is.
    pub(crate) kind: EntryType,
    /// What in its header could be taken in two ways, or would give rights.
    pub(crate) oddity: Option<&'static str>,
}

/// The entries of a tar. Each stands for itself: extensions that rename or resize the next one are
/// given as entries.
#[derive(Debug)]
pub(crate) struct Entries<R> {
    reader: R,
    /// Bytes of the entry that were not read yet, and what fills its last block.
    left: u64,
    padding: u64,
    number: usize,
    last: Option<String>,
}

impl<R: Read> Entries<R> {
    pub(crate) const fn new(reader: R) -> Self {
        Self { reader, left: 0, padding: 0, number: 0, last: None }
    }

    /// The next entry; none after the last one, when everything up to the end of the reader was
    /// read and nothing but zeros followed.
    pub(crate) fn next(&mut self) -> Result<Option<Found>, Broken> {
        self.next_entry().map_err(|source| self.broken(source))
    }

    /// The bytes of the entry that came last; the caller has checked its size.
    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(self.left).read_to_end(&mut bytes);
        self.left -= bytes.len() as u64;
        match read {
            Ok(_) if self.left == 0 => Ok(bytes),
            Ok(_) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Err(source) => Err(self.broken(source)),
        }
    }

    /// The next bytes of the entry that came last; none after its last one.
    pub(crate) fn piece(&mut self, buffer: &mut [u8]) -> Result<usize, Broken> {
        if self.left == 0 {
            return Ok(0);
        }
        let read = (&mut self.reader).take(self.left).read(buffer);
        match read {
            Ok(0) => Err(self.broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(n) => {
                self.left -= n as u64;
                Ok(n)
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => self.piece(buffer),
            Err(source) => Err(self.broken(source)),
        }
    }

    /// The path that an extension gives to the entry that follows; none if it gives none, or the
    /// reason why it is refused.
    pub(crate) fn renamed(&mut self, found: &Found) -> Result<Renamed, Broken> {
        let bytes = match found.size {
            0..=EXTENSION_LIMIT => self.bytes()?,
            _ => return Ok(Err(": an extension that is too long")),
        };
        Ok(renamed(found.kind, &bytes))
    }

    fn broken(&self, source: io::Error) -> Broken {
        let after = |path: &String| format!("after '{}'", api::text::line(path, 128));
        let place = self.last.as_ref().map_or_else(|| "at its begin".to_owned(), after);
        Broken { place, source }
    }

    fn next_entry(&mut self) -> io::Result<Option<Found>> {
        let rest = self.left.saturating_add(self.padding);
        if io::copy(&mut (&mut self.reader).take(rest), &mut io::sink())? != rest {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        (self.left, self.padding) = (0, 0);
        let mut header = Header::new_old();
        self.reader.read_exact(header.as_mut_bytes())?;
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return self.end().map(|()| None);
        }
        let sum: u32 = header.as_bytes().iter().map(|byte| u32::from(*byte)).sum();
        let own: u32 = header.as_old().cksum.iter().map(|byte| u32::from(*byte)).sum();
        if header.cksum()? != sum - own + 8 * u32::from(b' ') {
            return Err(io::Error::other("the sum of a header is wrong"));
        }
        // Sizes that are not octal are read in several ways, and none is needed for 8 GiB.
        if !header.as_old().size.is_ascii() {
            return Err(io::Error::other("a size is no octal number"));
        }
        let size = header.entry_size()?;
        (self.left, self.padding) = (size, size.next_multiple_of(BLOCK as u64) - size);
        let path = String::from_utf8_lossy(&header.path_bytes()).into_owned();
        let number = self.number;
        (self.number, self.last) = (number + 1, Some(path.clone()));
        let (kind, oddity) = (header.entry_type(), oddity(&header));
        Ok(Some(Found { number, path, size, kind, oddity }))
    }

    /// After a block of zeros, which some readers take for the end, and others only if a second
    /// one follows.
    fn end(&mut self) -> io::Result<()> {
        let (mut buffer, mut zeros) = ([0; 16 * BLOCK], 0);
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) if zeros < BLOCK => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(0) => return Ok(()),
                Ok(n) if buffer[..n].iter().any(|byte| *byte != 0) => {
                    return Err(io::Error::other("bytes follow its end"));
                }
                Ok(n) => zeros += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
    }
}

fn oddity(header: &Header) -> Option<&'static str> {
    let name = &header.as_old().name;
    if name.iter().skip_while(|byte| **byte != 0).any(|byte| *byte != 0) {
        return Some("its name goes on behind its end");
    }
    match header.mode() {
        Ok(mode) if mode & 0o7000 == 0 => None,
        _ => Some("it has special rights"),
    }
}

fn renamed(kind: EntryType, bytes: &[u8]) -> Renamed {
    if kind == EntryType::GNULongName {
        let text = std::str::from_utf8(bytes).map_err(|_| ": a name that is not UTF-8")?;
        return Ok(Some(text.trim_end_matches('\0').to_owned()));
    }
    let mut path = None;
    for record in tar::PaxExtensions::new(bytes) {
        let record = record.map_err(|_| ": a malformed extension")?;
        let (Ok(key), Ok(value)) = (record.key(), record.value()) else {
            return Err(": an extension that is not UTF-8");
        };
        match key {
            "path" if path.is_none() => path = Some(value.to_owned()),
            "mtime" | "atime" | "ctime" | "uid" | "gid" | "uname" | "gname" | "comment" => {}
            // A size, a link, a sparse file or a second path: readers take them differently.
            _ => return Err(": an extension that is not needed"),
        }
    }
    Ok(path)
}

/// Whether a path is one below the folder where it is unpacked, and is taken alike everywhere.
pub(crate) fn is_plain(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    path.len() <= PATH_LIMIT
        && !path.contains(|c: char| c.is_control() || c == '\\' || c == ':')
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
