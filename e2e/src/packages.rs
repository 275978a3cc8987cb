//! The packages that the job is done with, built once for all tests.

use anyhow::{Context as _, Result};
use sandbox::Narrator;
use std::path::{Path, PathBuf};
use xtask::package::{Form, PackageBuilder, Programs};
use xtask::plugin_package::{self, PluginBuilder};

/// Names the folder of our programs, where they are built.
const PROGRAMS: &str = "ACP_PROGRAMS";

/// Extracted core packages, and packages of plugins.
#[derive(Debug, Clone)]
pub struct Packages {
    /// 4.2.1, which the platform has.
    pub old: PathBuf,
    /// 4.3.0, to which it moves.
    pub new: PathBuf,
    /// The folder with the packages of the plugins.
    pub plugins: PathBuf,
    /// The folder of our programs, for `ac` and `violet`.
    pub programs: PathBuf,
}

/// The folder of the project.
#[must_use]
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The folder of what is kept between runs.
///
/// # Errors
/// When neither XDG_CACHE_HOME nor HOME is set.
pub fn cache() -> Result<PathBuf> {
    let variable = |name: &str| std::env::var_os(name);
    sandbox::default_cache(variable("XDG_CACHE_HOME").as_deref(), variable("HOME").as_deref())
}

impl Packages {
    /// Builds both packages into `target/packages`; what is built already stays.
    ///
    /// # Errors
    /// When a program or package cannot be built.
    pub async fn build(narrator: &Narrator) -> Result<Self> {
        let root = root();
        let out = root.join("target/packages");
        // The whole run has built them already; building them alone would choose other features of
        // their libraries, and compile those once more.
        let programs = match std::env::var_os(PROGRAMS) {
            Some(folder) => Programs::built(Path::new(&folder))?,
            None => Programs::build(&root, narrator).await?,
        };
        let folder = programs.ac.parent().context("ac stands in no folder")?.to_owned();
        let builder = PackageBuilder::new(&root, &cache()?, programs, narrator.clone()).await?;
        let form = Form { archive: false, folder: true };
        let mut folders = Vec::new();
        for version in ["4.2.1", "4.3.0"] {
            let package = builder.build(&root.join("release").join(version), &out, form).await?;
            folders.push(package.folder.context("the package was not extracted")?);
        }
        let [old, new] = <[PathBuf; 2]>::try_from(folders)
            .map_err(|_| anyhow::anyhow!("two packages were built"))?;
        let plugins = plugins(&root, &out.join("plugins"), narrator).await?;
        Ok(Self { old, new, plugins, programs: folder })
    }
}

/// Builds the packages of the project's plugins into a folder of their own, which it gives.
async fn plugins(root: &Path, out: &Path, narrator: &Narrator) -> Result<PathBuf> {
    let builder = PluginBuilder::new(root, &cache()?, narrator.clone()).await?;
    for plugin in ["pages", "node-metrics"] {
        for version in plugin_package::versions(root, Path::new(plugin))? {
            let form = Form { archive: true, folder: false };
            builder.build(&version, out, form).await?;
        }
    }
    Ok(out.to_owned())
}
