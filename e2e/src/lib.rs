//! The job that the documents describe, on real clusters: run by the tests, shown by the demo.
//!
//! Commands stand here as users type them and run in bash; nothing of the product is called from
//! inside.

use anyhow::Context as _;

pub mod audit;
pub mod fake;
pub mod faultd;
pub mod job;
pub mod packages;
pub mod prober;
pub mod shell;
pub mod site;
pub mod t2;
pub mod turn;

/// Whether the full sizes are wanted: hours, not minutes.
#[must_use]
pub fn soak() -> bool {
    std::env::var_os("E2E_SOAK").is_some()
}

/// Tells a figure of a test that has a full size: `cargo xtask soak` writes it down.
pub fn figure(text: &str) {
    eprintln!("{}{text}", xtask::figures::FIGURE);
}

/// The seeds of a test: the one of `E2E_SEED`, to replay it, else these, in soak the others.
///
/// # Errors
/// When `E2E_SEED` is no number.
pub fn seeds(few: &[u64], of_soak: &[u64]) -> anyhow::Result<Vec<u64>> {
    if let Ok(seed) = std::env::var("E2E_SEED") {
        return Ok(vec![seed.parse().with_context(|| format!("E2E_SEED={seed}"))?]);
    }
    Ok(if soak() { of_soak } else { few }.to_vec())
}
