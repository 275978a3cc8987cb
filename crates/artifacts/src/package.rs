//! Decides whether an extracted folder is a whole and unchanged core package, and what it holds.
//! Knows nothing of where its artifacts go.

mod machine;
mod sums;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use api::names::{CVO_REPOSITORY, PRODUCT_IMAGE_REPOSITORY};
use api::{Digest, ImageRef};

use crate::build::package::SUMS_FILE;
use crate::content::ReleaseContent;
use crate::digest::{CHUNK, Measure};
use crate::layout::{Layout, LayoutError, LayoutImage};
use machine::machine;
use sums::read_sums;

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
/// What the file of a plugin package ends with.
const PLUGIN_SUFFIX: &str = ".tgz";
/// Most files that `SHA256SUMS` names.
const FILE_LIMIT: usize = 16 * 1024;

/// Why a package is refused.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// The folder is not an extracted core package.
    #[error("{folder} is not an extracted core package: {missing} is missing")]
    NotPackage {
        /// Which folder.
        folder: PathBuf,
        /// What each core package has.
        missing: String,
    },
    /// A file cannot be read.
    #[error("cannot read {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file that the package names is not there.
    #[error("{0} is missing: the package was not extracted completely")]
    Missing(PathBuf),
    /// A file is not as the package was made.
    #[error("{path} was cut or changed: its SHA-256 is not the one in {SUMS_FILE}")]
    Changed {
        /// Which file.
        path: PathBuf,
    },
    /// For other machines.
    #[error("{path} is for {found}, but this package must be for {expected}")]
    Architecture {
        /// Which file or image.
        path: String,
        /// As it says.
        found: String,
        /// As the caller needs it.
        expected: String,
    },
    /// A rule is broken.
    #[error("{path} is refused: {reason}")]
    Rule {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Its layout is refused.
    #[error("the images of the package are refused")]
    Layout(#[from] LayoutError),
}

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

/// An extracted core package whose names, sums and manifests were read.
#[derive(Debug, Clone)]
pub struct Package {
    folder: PathBuf,
    layout: Layout,
    plugins: Vec<PluginFile>,
    sums: BTreeMap<String, Digest>,
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
        for name in [SUMS_FILE, UPGRADE_SCRIPT, PROGRAMS, IMAGES] {
            if !folder.join(name).exists() {
                let (folder, missing) = (folder.to_owned(), name.to_owned());
                return Err(PackageError::NotPackage { folder, missing });
            }
        }
        let sums = read_sums(&folder.join(SUMS_FILE))?;
        let layout = Layout::open(&folder.join(IMAGES))?;
        let only = |repository: &str| {
            let mut found = layout.images().filter(|image| image.repository == repository);
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
        let plugins = plugins(folder, &sums)?;
        let package = Self { folder: folder.to_owned(), layout, plugins, sums, product, operator };
        package.check_listed()?;
        package.check_architecture(architecture)?;
        Ok(package)
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
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
            let path = self.folder.join(IMAGES);
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
        for name in self.sums.keys() {
            regular(&self.folder.join(name))?;
        }
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
    pub fn verify(&self, mut read: impl FnMut(u64)) -> Result<(), PackageError> {
        let mut buffer = vec![0; CHUNK];
        for (name, expected) in &self.sums {
            let path = self.folder.join(name);
            regular(&path)?;
            let mut file = File::open(&path).map_err(|e| failed(&path, e))?;
            let mut measure = Measure::default();
            loop {
                let n = file.read(&mut buffer).map_err(|e| failed(&path, e))?;
                if n == 0 {
                    break;
                }
                measure.update(&buffer[..n]);
                read(n as u64);
            }
            if measure.digest() != *expected {
                return Err(PackageError::Changed { path });
            }
        }
        Ok(())
    }

    /// How many bytes [`Self::verify`] reads.
    ///
    /// # Errors
    /// Names the first file that is missing.
    pub fn size(&self) -> Result<u64, PackageError> {
        self.sums.keys().try_fold(0, |sum, name| Ok(sum + regular(&self.folder.join(name))?))
    }

    /// What runs, what is applied and what is pushed must be under the sums; an administrator adds
    /// plugins only.
    fn check_listed(&self) -> Result<(), PackageError> {
        let mut required = BTreeSet::from([UPGRADE_SCRIPT.to_owned()]);
        required.insert(format!("{IMAGES}/{}", crate::build::layout::INDEX_FILE));
        let mut open = vec![PROGRAMS.to_owned(), DEPLOY.to_owned()];
        while let Some(name) = open.pop() {
            let path = self.folder.join(&name);
            if path.is_dir() {
                open.extend(names(&path)?.into_iter().map(|inner| format!("{name}/{inner}")));
            } else if path.exists() {
                required.insert(name);
            }
            if required.len() + open.len() > FILE_LIMIT {
                let reason = format!("it holds more than {FILE_LIMIT} files");
                return Err(PackageError::Rule { path: self.folder.clone(), reason });
            }
        }
        for image in self.layout.images() {
            let blobs = image.manifest.blobs().chain([&image.descriptor]);
            let path = |d: &crate::oci::Descriptor| {
                format!("{IMAGES}/{}/{}", crate::build::layout::BLOBS, d.digest.hex())
            };
            required.extend(blobs.map(path));
        }
        match required.into_iter().find(|name| !self.sums.contains_key(name)) {
            None => Ok(()),
            Some(name) => Err(PackageError::Rule {
                path: self.folder.join(&name),
                reason: format!("{SUMS_FILE} does not name it"),
            }),
        }
    }

    fn check_architecture(&self, expected: &str) -> Result<(), PackageError> {
        let other = |path: String, found: &str| {
            let (found, expected) = (api::text::line(found, 64), expected.to_owned());
            Err(PackageError::Architecture { path, found, expected })
        };
        for name in names(&self.folder.join(PROGRAMS))? {
            let path = self.folder.join(PROGRAMS).join(name);
            match machine(&path)? {
                Some(found) if found != expected => {
                    return other(path.display().to_string(), found);
                }
                _ => {}
            }
        }
        for image in self.layout.images() {
            match self.layout.config(image)? {
                Some(config) if config.architecture != expected => {
                    return other(image.name(), &config.architecture);
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn plugins(
    folder: &Path,
    sums: &BTreeMap<String, Digest>,
) -> Result<Vec<PluginFile>, PackageError> {
    let plugins = folder.join(PLUGINS);
    let mut found = Vec::new();
    if plugins.exists() {
        for name in names(&plugins)? {
            let Some(stem) = name.strip_suffix(PLUGIN_SUFFIX) else { continue };
            let path = plugins.join(&name);
            let size = regular(&path)?;
            if format!("x/{stem}").parse::<ImageRef>().is_err() || stem.contains([':', '@', '/']) {
                let reason = "its name cannot be one in a registry: a-z, 0-9, '.', '_', '-' only";
                return Err(PackageError::Rule { path, reason: reason.to_owned() });
            }
            let digest = sums.get(&format!("{PLUGINS}/{name}")).cloned();
            found.push(PluginFile { stem: stem.to_owned(), path, size, digest });
        }
    }
    Ok(found)
}

/// Names in a folder, sorted; names that are not UTF-8 are none of ours.
fn names(folder: &Path) -> Result<BTreeSet<String>, PackageError> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(|e| failed(folder, e))? {
        let entry = entry.map_err(|e| failed(folder, e))?;
        match entry.file_name().into_string() {
            Ok(name) => names.insert(name),
            Err(name) => {
                let path = folder.join(name);
                let reason = "its name is not UTF-8".to_owned();
                return Err(PackageError::Rule { path, reason });
            }
        };
        if names.len() > FILE_LIMIT {
            let reason = format!("it holds more than {FILE_LIMIT} files");
            return Err(PackageError::Rule { path: folder.to_owned(), reason });
        }
    }
    Ok(names)
}

/// The length of a regular file; links are not followed.
fn regular(path: &Path) -> Result<u64, PackageError> {
    let metadata = std::fs::symlink_metadata(path).map_err(|e| failed(path, e))?;
    if !metadata.is_file() {
        let reason = "it is no regular file".to_owned();
        return Err(PackageError::Rule { path: path.to_owned(), reason });
    }
    Ok(metadata.len())
}

fn failed(path: &Path, source: io::Error) -> PackageError {
    match source.kind() {
        io::ErrorKind::NotFound => PackageError::Missing(path.to_owned()),
        _ => PackageError::Io { path: path.to_owned(), source },
    }
}
