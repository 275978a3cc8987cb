//! Tars and packed tars byte by byte, as no writer of ours would make them.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// One entry: a header of 512 bytes and what follows it.
#[derive(Clone)]
pub(crate) struct Entry {
    header: [u8; 512],
    data: Vec<u8>,
}

impl Entry {
    /// An entry of a kind (`0` a file, `5` a folder, `2` a symbolic link ...) whose sizes fit.
    pub(crate) fn new(kind: u8, name: &[u8], data: &[u8]) -> Self {
        let mut entry = Self { header: [0; 512], data: data.to_vec() };
        entry.header[..name.len().min(100)].copy_from_slice(&name[..name.len().min(100)]);
        entry.header[156] = kind;
        entry.header[257..263].copy_from_slice(b"ustar\0");
        entry.header[263..265].copy_from_slice(b"00");
        entry.octal(100, 8, 0o644).octal(108, 8, 0).octal(116, 8, 0).octal(136, 12, 0);
        entry.octal(124, 12, data.len() as u64);
        entry
    }

    /// A file.
    pub(crate) fn file(name: &str, data: &[u8]) -> Self {
        Self::new(b'0', name.as_bytes(), data)
    }

    /// What follows the header.
    pub(crate) fn data(&self) -> &[u8] {
        &self.data
    }

    /// How much follows the header, in bytes.
    pub(crate) fn length(&self) -> usize {
        self.data.len()
    }

    fn octal(&mut self, at: usize, length: usize, number: u64) -> &mut Self {
        let text = format!("{number:0width$o}\0", width = length - 1);
        self.header[at..at + length].copy_from_slice(text.as_bytes());
        self
    }

    /// Other bytes in the header.
    pub(crate) fn with(mut self, at: usize, bytes: &[u8]) -> Self {
        self.header[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    /// Where a link leads.
    pub(crate) fn to(self, target: &str) -> Self {
        self.with(157, target.as_bytes())
    }

    /// Its rights.
    pub(crate) fn mode(mut self, mode: u64) -> Self {
        self.octal(100, 8, mode);
        self
    }

    /// What the header says of its length.
    pub(crate) fn says(mut self, length: u64) -> Self {
        self.octal(124, 12, length);
        self
    }

    /// The bytes with a sum that fits, or not.
    fn bytes(&self, sum_fits: bool) -> Vec<u8> {
        let mut header = self.header;
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum::<u32>();
        let sum = if sum_fits { sum } else { sum + 1 };
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let mut bytes = header.to_vec();
        bytes.extend_from_slice(&self.data);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
        bytes
    }
}

/// Entries without an end.
pub(crate) fn open_tar(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.bytes(true)).collect()
}

/// A whole tar.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = open_tar(entries);
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// A tar whose last entry has a wrong sum.
pub(crate) fn missummed(entries: &[Entry]) -> Vec<u8> {
    let (last, others) = entries.split_last().unwrap();
    let mut bytes = open_tar(others);
    bytes.extend(last.bytes(false));
    bytes.resize(bytes.len() + 1024, 0);
    bytes
}

/// Packed.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

/// A record of an extension: its length, a key and a value.
pub(crate) fn record(key: &str, value: &str) -> Vec<u8> {
    let rest = format!(" {key}={value}\n");
    let mut length = rest.len();
    while format!("{length}{rest}").len() != length {
        length += 1;
    }
    format!("{length}{rest}").into_bytes()
}
