//! Decides who signs a package, and under which names. Knows nothing of what is signed.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use api::Release;
use api::signing_key::Signer;

/// The key of the demo releases, below the project. Everybody has it: it protects nothing.
pub(crate) const DEMO_KEY: &str = "release/keys/acp-demo-2026.pem";

/// The signer of a private key, named by its file.
pub(crate) fn signer(file: &Path) -> Result<Signer> {
    let text = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    let name = file.file_stem().unwrap_or_default().to_string_lossy();
    Signer::from_pem(&name, &text).with_context(|| {
        format!("{}: make one with: openssl genpkey -algorithm ed25519", file.display())
    })
}

/// The signers under the names that the release gives their keys, where it lists them.
pub(crate) fn named(signers: &[Signer], release: &Release) -> Vec<Signer> {
    signers.iter().map(|signer| signer.clone().named_by(&release.signing_keys)).collect()
}
