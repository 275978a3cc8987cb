//! A core package is the same, byte for byte, whenever it is built from the same sources.

use anyhow::{Context as _, Result, ensure};
use api::Digest;
use e2e::packages::{Packages, cache, root};
use e2e::turn::Turn;
use sandbox::Narrator;
use std::fs;
use xtask::package::{Form, PackageBuilder, Programs};

#[tokio::test(flavor = "multi_thread")]
async fn core_packages_are_built_again_byte_for_byte() -> Result<()> {
    let _turn = Turn::beside_others().await;
    let narrator = Narrator::stderr();
    let before = Packages::build(&narrator).await?;
    let again = tempfile::tempdir()?;
    let programs = Programs::built(&before.programs)?;
    let builder = PackageBuilder::new(&root(), &cache()?, programs, narrator).await?;
    // The sums are of all files, the program that verifies them and every blob included.
    for (version, built, archives_wanted) in [("4.2.1", &before.old, 2), ("4.3.0", &before.new, 0)]
    {
        let form = Form { archive: archives_wanted > 0, folder: true };
        let release = root().join("release").join(version);
        let mut archives = Vec::new();
        for number in 1..=archives_wanted.max(1) {
            let folder = again.path().join(number.to_string());
            let package = builder.build(&release, &folder, form).await?;
            let folder = package.folder.context("the package was not extracted")?;
            ensure!(folder != *built, "it is the same folder");
            for file in ["SHA256SUMS", "SHA256SUMS.sig"] {
                let (one, other) = (fs::read(built.join(file))?, fs::read(folder.join(file))?);
                let lines = |bytes: &[u8]| -> Vec<String> {
                    String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect()
                };
                let differs = lines(&one).into_iter().zip(lines(&other)).find(|(a, b)| a != b);
                ensure!(one == other, "{version}: {file} differs: {differs:?}");
            }
            if let Some(archive) = package.archive {
                archives.push(Digest::of(&fs::read(&archive)?));
            }
            // One at a time: they are large.
            fs::remove_dir_all(again.path().join(number.to_string()))?;
        }
        let same = archives.windows(2).all(|two| two[0] == two[1]);
        ensure!(same && archives.len() == archives_wanted, "{version}: {archives:?}");
    }
    Ok(())
}
