//! Decides what every package is built with: the tools, who signs and how layers are packed. Knows
//! nothing of what a package holds.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use api::signing_key::Signer;
use artifacts::build::Compression;
use sandbox::Narrator;
use sandbox::toolchain::{Tool, Toolchain};

use super::content::{Content, Source, TemplateImage};
use super::signing;

/// The tools and settings of packaging.
#[derive(Debug)]
pub(crate) struct Workshop {
    /// The folder of the project.
    pub(crate) root: PathBuf,
    /// Renders charts.
    pub(crate) helm: PathBuf,
    /// How layers are packed.
    pub(crate) layers: Compression,
    /// Who signs.
    pub(crate) signers: Vec<Signer>,
    /// Told what takes its time.
    pub(crate) narrator: Narrator,
    toolchain: Toolchain,
}

impl Workshop {
    /// Builds Helm, where that was not done before. Packages are packed with gzip and signed with
    /// the demo's key, which protects nothing.
    pub(crate) async fn new(root: &Path, cache: &Path, narrator: Narrator) -> Result<Self> {
        let toolchain = Toolchain::new(cache, narrator.clone());
        let helm = toolchain.build(&Tool::helm()).await?;
        let layers = Compression::Gzip(6);
        let signers = vec![signing::signer(&root.join(signing::DEMO_KEY))?];
        Ok(Self { root: root.to_owned(), helm, layers, signers, narrator, toolchain })
    }

    /// Where the bytes of each image come from that is not known by its digest only.
    pub(crate) async fn sources(
        &self,
        images: &BTreeMap<String, TemplateImage>,
    ) -> Result<BTreeMap<String, Source>> {
        let mut sources = BTreeMap::new();
        for (name, image) in images {
            if let Content::Digest(_) = image.content {
                continue;
            }
            let source = image.content.source(&image.tag, &self.toolchain).await;
            sources.insert(name.clone(), source.with_context(|| format!("image '{name}'"))?);
        }
        Ok(sources)
    }
}
