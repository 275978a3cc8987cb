//! Releases of a test's own: the 4.3.0 of the package with something changed, in the registry, and
//! signed by the key of the demo unless the test says otherwise.

use super::Bench;
use crate::packages::root;
use anyhow::{Result, ensure};
use api::Release;
use api::names::PRODUCT_IMAGE_REPOSITORY;
use api::release::ReleaseImage;
use api::signature::{FoundSignature, sign};
use api::signing_key::Signer;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image};
use artifacts::layout::Layout;
use artifacts::package::Package;
use artifacts::registry::{Credentials, Registry, Settings};
use artifacts::sync::{Event, PARALLEL, Plan, Progress, sync};
use std::path::Path;
use std::sync::Arc;

/// A release in the registry.
#[derive(Debug, Clone)]
pub struct Published {
    /// The digest of its product image.
    pub digest: String,
}

/// The signer of the demo releases.
///
/// # Panics
/// When the project does not hold its key.
#[must_use]
pub fn demo_signer() -> Signer {
    let path = root().join("release/keys/acp-demo-2026.pem");
    let text = std::fs::read_to_string(&path).expect("the project holds the key of the demo");
    Signer::from_pem("acp-demo-2026", &text).expect("it is an ed25519 key")
}

/// The signature of the demo releases' own key.
fn by_demo(image: &ReleaseImage) -> Vec<FoundSignature> {
    vec![sign(&image.repository, &image.digest, &demo_signer())]
}

struct Quiet;

impl Progress for Quiet {
    fn tell(&self, _: Event) {}
}

impl Bench {
    /// Puts the release of the 4.3.0 package, changed, into the registry under this tag.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_release(
        &self,
        tag: &str,
        change: impl FnOnce(&mut Release),
    ) -> Result<Published> {
        self.push_release_of(&self.packages.new, tag, change).await
    }

    /// Puts the release of a package, changed, into the registry under this tag.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_release_of(
        &self,
        package: &Path,
        tag: &str,
        change: impl FnOnce(&mut Release),
    ) -> Result<Published> {
        let package = Package::open(package, "amd64")?;
        let content = package.release()?;
        let (mut release, mut files) = (content.release, content.files);
        change(&mut release);
        // What no component names has no place in a release.
        files.retain(|path, _| release.components().any(|(_, c)| c.path() == path));
        self.push(tag, &product_image(&release, files)?, by_demo).await
    }

    /// Puts the release of the 4.3.0 package, changed, into the registry under this tag, with
    /// signatures that the test makes.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_signed(
        &self,
        tag: &str,
        change: impl FnOnce(&mut Release),
        signatures: impl FnOnce(&ReleaseImage) -> Vec<FoundSignature>,
    ) -> Result<Published> {
        let content = Package::open(&self.packages.new, "amd64")?.release()?;
        let mut release = content.release;
        change(&mut release);
        self.push(tag, &product_image(&release, content.files)?, signatures).await
    }

    /// Puts both releases into the registry with only these components: an upgrade of few requests.
    ///
    /// # Errors
    /// When they cannot be built or sent.
    pub async fn push_small_releases(&self, components: &[&str]) -> Result<()> {
        let small = |release: &mut Release| {
            for stage in &mut release.stages {
                stage.components.retain(|c| components.contains(&c.name.as_str()));
            }
            release.stages.retain(|stage| !stage.components.is_empty());
        };
        self.push_release_of(&self.packages.old, "v4.2.1", small).await?;
        self.push_release_of(&self.packages.new, "v4.3.0", small).await?;
        Ok(())
    }

    /// Puts an image that holds no release where a product image belongs.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_other_image(&self, tag: &str) -> Result<Published> {
        let mut tree = Tree::default();
        tree.file("readme", b"nothing of a release".to_vec())?;
        self.push(tag, &ImageBuilder::new(tree), by_demo).await
    }

    async fn push(
        &self,
        tag: &str,
        image: &ImageBuilder,
        signatures: impl FnOnce(&ReleaseImage) -> Vec<FoundSignature>,
    ) -> Result<Published> {
        let folder = tempfile::tempdir_in(self.folder())?;
        let images = folder.path().join("images");
        let mut layout = LayoutWriter::create(&images)?;
        let image = image.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, tag)?;
        let signatures = signatures(&image);
        if !signatures.is_empty() {
            layout.signatures(&image, signatures)?;
        }
        layout.finish()?;
        self.push_layout(&images).await?;
        Ok(Published { digest: image.digest.to_string() })
    }

    /// Sends everything of a layout to the registry.
    pub(super) async fn push_layout(&self, folder: &Path) -> Result<()> {
        let layout = Layout::open(folder)?;
        let mut settings = Settings::new(self.registry.address());
        settings.ca = Some(std::fs::read(self.registry.authority())?);
        let push = &self.registry.credentials().push;
        settings.credentials =
            Some(Credentials { username: push.name.clone(), password: push.password.clone() });
        let registry = Registry::new(settings)?;
        let report = sync(Plan::of_layout(&layout), &registry, PARALLEL, Arc::new(Quiet)).await?;
        ensure!(report.failed.is_empty(), "{:?}", report.failed);
        Ok(())
    }
}
