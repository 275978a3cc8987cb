//! Decides for which machines a program was built. Knows nothing of packages.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{PackageError, failed};

/// The architecture of an ELF program, as Go names it; none for scripts.
pub(super) fn machine(path: &Path) -> Result<Option<&'static str>, PackageError> {
    let mut head = Vec::new();
    let file = File::open(path).map_err(|e| failed(path, e))?;
    file.take(20).read_to_end(&mut head).map_err(|e| failed(path, e))?;
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
