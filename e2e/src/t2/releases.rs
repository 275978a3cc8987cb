//! Releases of a test's own: the 4.3.0 of the package with something changed, in the registry.

use super::Bench;
use anyhow::{Context as _, Result, ensure};
use api::Release;
use api::names::PRODUCT_IMAGE_REPOSITORY;
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, product_image};
use artifacts::layout::Layout;
use artifacts::package::Package;
use artifacts::registry::{Credentials, Registry, Settings};
use artifacts::sync::{Event, PARALLEL, Plan, Progress, sync};
use std::sync::Arc;

/// A release in the registry.
#[derive(Debug, Clone)]
pub struct Published {
    /// The digest of its product image.
    pub digest: String,
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
        let package = Package::open(&self.packages.new, "amd64")?;
        let content = package.release()?;
        let mut release = content.release;
        change(&mut release);
        self.push(tag, &product_image(&release, content.files)?).await
    }

    /// Puts an image that holds no release where a product image belongs.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_other_image(&self, tag: &str) -> Result<Published> {
        let mut tree = Tree::default();
        tree.file("readme", b"nothing of a release".to_vec())?;
        self.push(tag, &ImageBuilder::new(tree)).await
    }

    async fn push(&self, tag: &str, image: &ImageBuilder) -> Result<Published> {
        let folder = tempfile::tempdir_in(self.folder())?;
        let images = folder.path().join("images");
        let mut layout = LayoutWriter::create(&images)?;
        image.write(&mut layout, PRODUCT_IMAGE_REPOSITORY, tag)?;
        layout.finish()?;
        let layout = Layout::open(&images)?;
        let digest = layout.images().next().context("one image")?.digest().to_string();
        let mut settings = Settings::new(self.registry.address());
        settings.ca = Some(std::fs::read(self.registry.authority())?);
        let push = &self.registry.credentials().push;
        settings.credentials =
            Some(Credentials { username: push.name.clone(), password: push.password.clone() });
        let registry = Registry::new(settings)?;
        let report = sync(Plan::of_layout(&layout), &registry, PARALLEL, Arc::new(Quiet)).await?;
        ensure!(report.failed.is_empty(), "{:?}", report.failed);
        Ok(Published { digest })
    }
}
