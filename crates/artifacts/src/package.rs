//! Decides whether an extracted folder is a whole and unchanged core package, and what it holds.
//! Knows nothing of where its artifacts go.

mod error;
mod machine;
mod rules;
mod signature;
mod summed;
mod sums;

use std::path::{Path, PathBuf};

use api::Digest;
use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};

pub use error::PackageError;
pub(crate) use rules::{check_images, found, names};
pub(crate) use signature::LIMIT as SIGNATURES_LIMIT;
pub use signature::UntrustedError;
pub(crate) use summed::Summed;
pub(crate) use sums::SUMS_LIMIT;

use crate::build::layout::INDEX_FILE;
use crate::content::ReleaseContent;
use crate::layout::{Layout, LayoutImage};
use crate::oci::DOCUMENT_LIMIT;
use crate::plugin::{Opened, PluginError};

pub use sums::parse as parse_sums;

/// The script that a user starts.
pub const UPGRADE_SCRIPT: &str = "upgrade.sh";
/// Folder of the programs.
pub const PROGRAMS: &str = "bin";
/// Folder of what is applied when the operator is deployed.
pub const DEPLOY: &str = "deploy";
/// Folder of the images, one OCI image layout.
pub const IMAGES: &str = "images";
/// Folder of the plugin packages.
pub const PLUGINS: &str = "plugins";
/// Most files that `SHA256SUMS` names.
const FILE_LIMIT: usize = 16 * 1024;

/// A plugin package that travels in a core package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginFile {
    /// The file's name without `.tgz`.
    pub stem: String,
    /// Where it is.
    pub path: PathBuf,
    /// In bytes.
    pub size: u64,
    /// As `SHA256SUMS` says; none for a file that an administrator added.
    pub digest: Option<Digest>,
}

impl PluginFile {
    /// Unpacks it below `temporary`. One that the package has a sum of must have that sum; one that
    /// was added is checked by the sums inside it.
    ///
    /// # Errors
    /// When it is no plugin package, or one that was cut or changed.
    pub fn open(&self, temporary: &Path) -> Result<Opened, PluginError> {
        Opened::open(&self.path, self.digest.as_ref(), temporary)
    }

    /// Its path in the package, for people.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{PLUGINS}/{}.tgz", self.stem)
    }
}

/// An extracted core package whose names, sums and manifests were read.
#[derive(Debug, Clone)]
pub struct Package {
    summed: Summed,
    layout: Layout,
    plugins: Vec<PluginFile>,
    product: String,
    operator: String,
}

impl Package {
    /// Opens a package for machines of an architecture (`amd64`). Reads names and manifests only:
    /// [`Self::check`] and [`Self::verify`] read the rest.
    ///
    /// # Errors
    /// When the folder is no package, or one that was cut, changed or made for other machines.
    pub fn open(folder: &Path, architecture: &str) -> Result<Self, PackageError> {
        let package = Self::read(folder)?;
        rules::check_architecture(&package, architecture)?;
        Ok(package)
    }

    /// The same for a package of machines of any architecture, which is not to run here.
    ///
    /// # Errors
    /// When the folder is no package, or one that was cut or changed.
    pub fn read(folder: &Path) -> Result<Self, PackageError> {
        rules::check_shape(folder)?;
        let summed = Summed::read(folder)?;
        let layout = Layout::open(&folder.join(IMAGES))?;
        let only = |repository: &str| {
            let mut found = layout
                .images()
                .filter(|image| image.repository == repository && !image.is_signature());
            match (found.next(), found.next()) {
                (Some(image), None) => Ok(image.name()),
                (first, _) => Err(PackageError::Rule {
                    path: folder.join(IMAGES),
                    reason: match first {
                        None => format!("it holds no image {repository}"),
                        Some(_) => format!("it holds more than one image {repository}"),
                    },
                }),
            }
        };
        let (product, operator) = (only(PRODUCT_IMAGE_REPOSITORY)?, only(CVO_REPOSITORY)?);
        let plugins = rules::plugins(folder, &summed.sums)?;
        let package = Self { summed, layout, plugins, product, operator };
        rules::check_listed(&package)?;
        package.read_listed(&format!("{IMAGES}/{INDEX_FILE}"), DOCUMENT_LIMIT)?;
        Ok(package)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.summed.folder
    }

    /// Its images.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Its plugin packages, and those that were put beside them, sorted by name.
    #[must_use]
    pub fn plugins(&self) -> &[PluginFile] {
        &self.plugins
    }

    /// The product image.
    #[must_use]
    pub fn product_image(&self) -> &LayoutImage {
        self.image(&self.product)
    }

    /// The operator's image.
    #[must_use]
    pub fn operator_image(&self) -> &LayoutImage {
        self.image(&self.operator)
    }

    fn image(&self, name: &str) -> &LayoutImage {
        let mut images = self.layout.images();
        images.find(|image| image.name() == name).expect("open found the image in this layout")
    }

    /// The release that the package brings, every digest checked. It must agree with the package:
    /// the product image bears its version, and each image that it names is there.
    ///
    /// # Errors
    /// When the product image is refused or does not agree with the package.
    pub fn release(&self) -> Result<ReleaseContent, PackageError> {
        let image = self.product_image();
        let content = self.layout.release(image)?;
        let rule = |reason| {
            let path = self.summed.folder.join(IMAGES);
            Err(PackageError::Rule { path, reason })
        };
        let expected = api::names::product_manifest(&content.release.version);
        if image.tag != expected {
            return rule(format!("the product image {} says {expected}", image.name()));
        }
        for named in content.release.images.values() {
            let held = self.layout.images().any(|i| {
                (&i.repository, &i.tag, i.digest())
                    == (&named.repository, &named.tag, &named.digest)
            });
            if !held {
                let name = format!("{}:{}@{}", named.repository, named.tag, named.digest);
                return rule(format!("the release names {name}, which the package does not hold"));
            }
        }
        Ok(content)
    }

    /// Checks that everything is there and as long as it should be, without reading it.
    ///
    /// # Errors
    /// Names the first file that is missing or has another length.
    pub fn check(&self) -> Result<(), PackageError> {
        self.size()?;
        for image in self.layout.images() {
            for blob in image.manifest.blobs() {
                self.layout.check_blob(blob)?;
            }
        }
        Ok(())
    }

    /// Reads every file that `SHA256SUMS` names and compares. `read` is told how many bytes were
    /// read since it was told last.
    ///
    /// # Errors
    /// Names the first file that is missing or changed.
    pub fn verify(&self, read: impl FnMut(u64)) -> Result<(), PackageError> {
        self.summed.verify(read)
    }

    /// How many bytes [`Self::verify`] reads.
    ///
    /// # Errors
    /// Names the first file that is missing.
    pub fn size(&self) -> Result<u64, PackageError> {
        self.summed.size()
    }

    /// How many files `SHA256SUMS` names.
    #[must_use]
    pub fn count(&self) -> usize {
        self.summed.sums.len()
    }

    /// The files directly in one of the package's folders that `SHA256SUMS` names, sorted, as
    /// [`Self::read_listed`] takes them.
    pub fn listed_in(&self, folder: &str) -> impl Iterator<Item = &str> {
        let inside = move |name: &&str| {
            let rest = name.strip_prefix(folder).and_then(|rest| rest.strip_prefix('/'));
            rest.is_some_and(|rest| !rest.contains('/'))
        };
        self.summed.sums.keys().map(String::as_str).filter(inside)
    }

    /// The bytes of a file by its path below the package (`deploy/20-rbac.yaml`), which are those
    /// that the package was made with.
    ///
    /// # Errors
    /// When `SHA256SUMS` does not name the file, or it is missing, changed, no regular file or
    /// longer than `limit` bytes.
    pub fn read_listed(&self, name: &str, limit: u64) -> Result<Vec<u8>, PackageError> {
        self.summed.listed(name, limit)
    }
}
