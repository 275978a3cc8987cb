//! A core package is the same, byte for byte, whenever it is built from the same sources.

use anyhow::{Context as _, Result, ensure};
use e2e::packages::{Packages, cache, root};
use e2e::turn::Turn;
use sandbox::Narrator;
use std::fs;
use xtask::package::{Form, PackageBuilder, Programs};

#[tokio::test(flavor = "multi_thread")]
async fn a_core_package_is_built_again_byte_for_byte() -> Result<()> {
    let _turn = Turn::beside_others().await;
    let narrator = Narrator::stderr();
    let before = Packages::build(&narrator).await?;
    let again = tempfile::tempdir()?;
    let programs = Programs::built(&before.programs)?;
    let builder = PackageBuilder::new(&root(), &cache()?, programs, narrator).await?;
    let form = Form { archive: false, folder: true };
    let package = builder.build(&root().join("release/4.3.0"), again.path(), form).await?;
    let folder = package.folder.context("the package was not extracted")?;
    ensure!(folder != before.new, "it is the same folder");
    // The sums are of all files, the program that verifies them and every blob included.
    for file in ["SHA256SUMS", "SHA256SUMS.sig"] {
        let (one, other) = (fs::read(before.new.join(file))?, fs::read(folder.join(file))?);
        let lines = |bytes: &[u8]| -> Vec<String> {
            String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
        };
        let differs = lines(&one).into_iter().zip(lines(&other)).find(|(a, b)| a != b);
        ensure!(one == other, "{file} differs: {differs:?}");
    }
    Ok(())
}
