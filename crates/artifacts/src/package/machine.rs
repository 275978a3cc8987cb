//! Decides for which machines a program was built. Knows nothing of packages.

use std::io::Read as _;
use std::path::Path;

use super::PackageError;
use crate::beneath;

/// The architecture of an ELF program of a package, as Go names it; none for scripts.
pub(super) fn machine(folder: &Path, name: &str) -> Result<Option<&'static str>, PackageError> {
    let mut head = Vec::new();
    let (file, _) =
        beneath::open(folder, name).map_err(|e| PackageError::unopened(folder, name, e))?;
    let read = file.take(20).read_to_end(&mut head);
    read.map_err(|e| PackageError::reading(folder.join(name), e))?;
    if head.len() < 20 || !head.starts_with(b"\x7fELF") {
        return Ok(None);
    }
    // e_machine, whose byte order the sixth byte gives.
    let number = match head[5] {
        2 => u16::from_be_bytes([head[18], head[19]]),
        _ => u16::from_le_bytes([head[18], head[19]]),
    };
    Ok(Some(match number {
        62 => "amd64",
        183 => "arm64",
        3 => "386",
        22 => "s390x",
        21 => "ppc64le",
        243 => "riscv64",
        _ => "a machine that we do not know",
    }))
}
