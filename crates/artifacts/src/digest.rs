//! Decides what bytes are called: their SHA-256 digest, taken while they stream by. Knows nothing
//! of where the bytes come from or go to.

use std::io::{self, Read, Write};

use api::Digest;
use sha2::{Digest as _, Sha256};

/// How much is read at once from files that are hashed or sent.
pub const CHUNK: usize = 256 * 1024;

/// Takes the digest and the length of bytes that come in pieces.
#[derive(Debug, Clone, Default)]
pub struct Measure {
    hash: Sha256,
    length: u64,
}

impl Measure {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        self.hash.update(piece);
        self.length += piece.len() as u64;
    }

    /// How many bytes there were so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The digest of all pieces.
    #[must_use]
    pub fn digest(self) -> Digest {
        format!("sha256:{}", hex::encode(self.hash.finalize()))
            .parse()
            .expect("a SHA-256 in hexadecimal digits is a digest")
    }
}

/// The digest of bytes in memory.
#[must_use]
pub fn of(bytes: &[u8]) -> Digest {
    let mut measure = Measure::default();
    measure.update(bytes);
    measure.digest()
}

/// The digest and the length of all that a reader gives.
///
/// # Errors
/// When the reader fails.
pub fn of_reader(mut reader: impl Read) -> io::Result<(Digest, u64)> {
    let mut measure = Measure::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        match reader.read(&mut buffer)? {
            0 => {
                let length = measure.length();
                return Ok((measure.digest(), length));
            }
            n => measure.update(&buffer[..n]),
        }
    }
}

/// A writer that measures what passes through it.
#[derive(Debug)]
pub struct Measured<W> {
    inner: W,
    measure: Measure,
}

impl<W> Measured<W> {
    /// Measures what is written to `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, measure: Measure::default() }
    }

    /// The writer, the digest and the length of what was written.
    pub fn finish(self) -> (W, Digest, u64) {
        let length = self.measure.length();
        (self.inner, self.measure.digest(), length)
    }
}

impl<W: Write> Write for Measured<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.measure.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// A reader that measures what passes through it.
#[derive(Debug)]
pub struct MeasuredReader<R> {
    inner: R,
    measure: Measure,
}

impl<R> MeasuredReader<R> {
    /// Measures what is read from `inner`.
    pub fn new(inner: R) -> Self {
        Self { inner, measure: Measure::default() }
    }

    /// How many bytes were read so far.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.measure.length()
    }

    /// The digest and the length of what was read.
    #[must_use]
    pub fn finish(self) -> (Digest, u64) {
        let length = self.measure.length();
        (self.measure.digest(), length)
    }
}

impl<R: Read> Read for MeasuredReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.measure.update(&buffer[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_whole_have_one_digest() {
        let bytes: Vec<u8> = (0..=255).cycle().take(CHUNK * 2 + 7).collect();
        let (digest, length) = of_reader(&bytes[..]).unwrap();
        assert_eq!(length, bytes.len() as u64);
        assert_eq!(digest, of(&bytes));
        let mut writer = Measured::new(Vec::new());
        writer.write_all(&bytes).unwrap();
        let (written, measured, n) = writer.finish();
        assert_eq!((written, measured, n), (bytes, digest, length));
        assert_eq!(
            of(b"").as_str(),
            "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
