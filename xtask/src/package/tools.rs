//! Decides which Go programs the tests and the releases need, and builds them ahead of those who
//! ask for them. Knows nothing of what they are needed for.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};
use api::release::RELEASE_FILE;
use sandbox::Narrator;
use sandbox::toolchain::{KubernetesVersion, Tool, Toolchain};

use super::content::Content;
use super::template::Template;

/// Builds every program of a sandbox, and with `of_releases` those that the releases hold.
///
/// # Errors
/// When one cannot be built.
pub async fn build_tools(
    root: &Path,
    cache: &Path,
    of_releases: bool,
    narrator: Narrator,
) -> Result<()> {
    let toolchain = Toolchain::new(cache, narrator);
    let kube = Tool::kube(KubernetesVersion::default());
    for tool in [kube, Tool::registry(), Tool::helm(), Tool::kwok()] {
        toolchain.build(&tool).await?;
    }
    let releases = root.join("release");
    let folders = fs::read_dir(&releases).with_context(|| releases.display().to_string())?;
    for folder in folders.filter(|_| of_releases) {
        let folder = folder?.path();
        if !folder.join(RELEASE_FILE).is_file() {
            continue;
        }
        let template = Template::read(&folder, &releases.join("charts"))?;
        for image in template.images.values() {
            if let Content::Go(_) = image.content {
                image.content.source(&image.tag, &toolchain).await?;
            }
        }
    }
    Ok(())
}
