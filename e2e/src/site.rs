//! A platform at 4.2.1 on real clusters, and a user's shell at it.

use crate::packages::{Packages, cache};
use crate::shell::Shell;
use anyhow::{Context as _, Result};
use sandbox::{Narrator, Options, Sandbox};
use std::time::Duration;

/// A platform on real clusters.
#[derive(Debug)]
pub struct Site {
    /// The clusters.
    pub sandbox: Sandbox,
    /// The packages that the job is done with.
    pub packages: Packages,
    narrator: Narrator,
}

/// The sandbox that stays: `cargo xtask sandbox`, `make demo`.
///
/// # Errors
/// When there is no folder for it.
pub fn demo_options() -> Result<Options> {
    Ok(Options::new(&cache()?))
}

/// A sandbox of the tests beside that of the demo.
///
/// # Errors
/// When there is no folder for it.
pub fn test_options(clusters: &[&str]) -> Result<Options> {
    let mut options = Options::of_the_job(&cache()?);
    options.clusters = clusters.iter().map(|c| (*c).to_owned()).collect();
    Ok(options)
}

impl Site {
    /// Brings up the clusters and installs Core 4.2.1 from its package.
    ///
    /// # Errors
    /// When anything of it fails; what was made stays for a look.
    pub async fn up(options: Options, packages: Packages, narrator: Narrator) -> Result<Self> {
        let sandbox = Sandbox::new(options, narrator.clone());
        sandbox.up().await?;
        sandbox.add_programs(&packages.programs)?;
        let site = Self { sandbox, packages, narrator };
        sandbox::core::install(&site.sandbox, &site.packages.old, &site.narrator).await?;
        Ok(site)
    }

    /// A user's shell at the global cluster, in the folder of the 4.3.0 package.
    ///
    /// # Errors
    /// When the cluster does not run.
    pub fn shell(&self) -> Result<Shell> {
        let kubeconfig = self.sandbox.kubeconfig(api::names::GLOBAL)?;
        let bin = self.sandbox.bin();
        Ok(Shell::new(&[&bin], &kubeconfig, &self.packages.new, self.narrator.clone()))
    }

    /// The output of a command that must succeed, without showing it.
    ///
    /// # Errors
    /// When it does not succeed.
    pub async fn ask(&self, script: &str) -> Result<String> {
        let said = self.shell()?.silent().run(script, Duration::from_secs(60)).await?;
        Ok(said.expect(0).with_context(|| script.to_owned())?.stdout.trim().to_owned())
    }
}
