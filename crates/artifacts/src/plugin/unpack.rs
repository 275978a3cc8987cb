//! Decides how the archive of a plugin package becomes a folder: one pass, each file at a known
//! place, each with the sum that `SHA256SUMS` says, and no more bytes than such a file unpacks to.
//! Knows nothing of what the files mean.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::path::Path;

use api::Digest;
use flate2::bufread::GzDecoder;

use super::PluginError;
use super::contents::{check_sums, is_known, length_limit};
use crate::archive::Files;
use crate::beneath::{self, BeneathError};
use crate::build::package::{SUMS_FILE, SUMS_SIGNATURE_FILE};
use crate::digest::{CHUNK, Measure};
use crate::package::parse_sums;

/// Most bytes that a package unpacks to.
const UNPACKED_LIMIT: u64 = 64 * 1024 * 1024 * 1024;
/// Most bytes that one packed byte becomes: layers are packed already, programs shrink to a third.
const RATIO_LIMIT: u64 = 128;
/// What a short package may unpack to whatever its length, in bytes.
const SLACK: u64 = 1024 * 1024;

/// Takes each file of a package, in the order in which they stand.
pub(super) trait Take {
    /// A file by its path below the root folder; its place and its length were checked.
    fn take<R: Read>(
        &mut self,
        path: &str,
        size: u64,
        files: &mut Files<R>,
    ) -> Result<(), PluginError>;
}

/// What is known of an archive before it is read, and who is told while it is.
pub(super) struct Reading<'a, F> {
    /// Its digest, where somebody vouches for it.
    pub(super) digest: Option<&'a Digest>,
    /// Told how many bytes were read since it was told last.
    pub(super) read: F,
}

/// Reads the archive to its end; gives the name of the root folder and the length of the archive.
pub(super) fn walk(
    file: &Path,
    reading: Reading<'_, impl FnMut(u64)>,
    taker: &mut impl Take,
) -> Result<(String, u64), PluginError> {
    let (opened, length) = opened(file)?;
    let limit = length.saturating_mul(RATIO_LIMIT).saturating_add(SLACK).min(UNPACKED_LIMIT);
    let measure = reading.digest.map(|_| Measure::default());
    let told = Told { inner: opened, read: reading.read, measure };
    let mut packed = GzDecoder::new(BufReader::with_capacity(CHUNK, told));
    let mut limited = (&mut packed).take(limit);
    let walked = walk_files(&mut limited, taker);
    // What ends where the limit is does not end there by itself.
    if limited.limit() == 0 {
        return Err(PluginError::TooLarge { limit });
    }
    let root = walked?;
    let mut rest = packed.into_inner();
    if !rest.fill_buf().map_err(PluginError::reading(file))?.is_empty() {
        return Err(PluginError::Refused("bytes follow its packed archive".to_owned()));
    }
    let found = rest.into_inner().measure.map(Measure::digest);
    if found.as_ref() != reading.digest {
        let text = "it was changed: its SHA-256 is not that of the package that it came with";
        return Err(PluginError::Refused(text.to_owned()));
    }
    Ok((root, length))
}

fn opened(file: &Path) -> Result<(File, u64), PluginError> {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    beneath::open(folder.unwrap_or(Path::new(".")), name).map_err(|error| match error {
        BeneathError::Io(source) => PluginError::reading(file)(source),
        refused => PluginError::Refused(refused.to_string()),
    })
}

fn walk_files(reader: impl Read, taker: &mut impl Take) -> Result<String, PluginError> {
    let (mut files, mut root) = (Files::new(reader), None::<String>);
    while let Some(file) = files.next()? {
        let refused = |reason: &str| {
            let shown = api::text::line(&file.path, 128);
            Err(PluginError::Refused(format!("it holds '{shown}'{reason}")))
        };
        let Some((first, path)) = file.path.split_once('/') else {
            return refused(", which is not in its folder");
        };
        match &root {
            None => root = Some(first.to_owned()),
            Some(root) if root == first => {}
            Some(_) => return refused(", which is not in its folder"),
        }
        if !is_known(path) {
            return refused(", which no plugin package holds");
        }
        if let Some(limit) = length_limit(path).filter(|limit| file.size > *limit) {
            return refused(&format!(", which is longer than {limit} bytes"));
        }
        let path = path.to_owned();
        taker.take(&path, file.size, &mut files)?;
    }
    root.ok_or_else(|| PluginError::Refused("it holds no file".to_owned()))
}

/// Writes the files of a package below an empty folder; gives the name of its root folder.
pub(super) fn unpack(
    file: &Path,
    into: &Path,
    reading: Reading<'_, impl FnMut(u64)>,
) -> Result<String, PluginError> {
    fs::create_dir_all(into).map_err(PluginError::writing(into))?;
    if fs::read_dir(into).map_err(PluginError::writing(into))?.next().is_some() {
        return Err(PluginError::Io {
            action: "write",
            path: into.to_owned(),
            source: io::ErrorKind::DirectoryNotEmpty.into(),
        });
    }
    let mut written = Written { into, digests: BTreeMap::new(), sums: Vec::new() };
    let (root, _) = walk(file, reading, &mut written)?;
    if !written.digests.contains_key(SUMS_FILE) {
        return Err(PluginError::Refused(format!("it holds no {SUMS_FILE}")));
    }
    let sums = parse_sums(&written.sums).map_err(|reason| PluginError::rule(SUMS_FILE, reason))?;
    check_sums(written.digests.keys().map(String::as_str), &sums)?;
    for (path, found) in &written.digests {
        let is_summed = path != SUMS_FILE && path != SUMS_SIGNATURE_FILE;
        if is_summed && sums.get(path) != Some(found) {
            let reason = format!("it was cut or changed: its SHA-256 is not that in {SUMS_FILE}");
            return Err(PluginError::rule(path, reason));
        }
    }
    Ok(root)
}

/// What was written so far.
struct Written<'a> {
    into: &'a Path,
    digests: BTreeMap<String, Digest>,
    sums: Vec<u8>,
}

impl Take for Written<'_> {
    fn take<R: Read>(
        &mut self,
        path: &str,
        _: u64,
        files: &mut Files<R>,
    ) -> Result<(), PluginError> {
        let target = self.into.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(PluginError::writing(parent))?;
        }
        // Never over what is there: each file is new in a folder that was empty.
        let new = OpenOptions::new().write(true).create_new(true).open(&target);
        let mut out = new.map_err(PluginError::writing(&target))?;
        let (mut measure, sums) = (Measure::default(), &mut self.sums);
        files.pieces(|piece| {
            measure.update(piece);
            if path == SUMS_FILE {
                sums.extend_from_slice(piece);
            }
            out.write_all(piece).map_err(PluginError::writing(&target))
        })?;
        self.digests.insert(path.to_owned(), measure.digest());
        Ok(())
    }
}

/// Tells how many bytes pass through it, and measures them where their digest is asked for.
struct Told<R, F> {
    inner: R,
    read: F,
    measure: Option<Measure>,
}

impl<R: Read, F: FnMut(u64)> Read for Told<R, F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        (self.read)(n as u64);
        if let Some(measure) = &mut self.measure {
            measure.update(&buffer[..n]);
        }
        Ok(n)
    }
}
