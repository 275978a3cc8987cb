//! Decides how an image is made of files: one layer, a configuration, a manifest; and what stands
//! in a product image. Knows nothing of what the programs do.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use api::Release;
use api::release::{PRODUCT_IMAGE_LIMIT, RELEASE_FILE, RELEASE_FOLDER, ReleaseImage};
use serde::Serialize;

use super::layout::json;
use super::tree::gzip;
use super::{BuildError, Content, LayoutWriter, Tree, writing};
use crate::digest::Measured;
use crate::oci::{
    ARCHITECTURE, CONFIG_TYPE, Descriptor, LAYER_GZIP_TYPE, LAYER_TYPE, Manifest, OS, Platform,
};

/// User and group of an image that asks for no other.
const NON_ROOT: &str = "65532:65532";

/// How a layer is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip with a level from 1 to 9.
    Gzip(u32),
}

/// Makes an image of files.
#[derive(Debug, Clone)]
pub struct ImageBuilder {
    tree: Tree,
    settings: Settings,
    architecture: String,
    compression: Compression,
}

/// What the configuration says of how the image starts.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Settings {
    #[serde(skip_serializing_if = "String::is_empty")]
    user: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    env: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    cmd: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<String, String>,
}

impl Default for ImageBuilder {
    fn default() -> Self {
        Self {
            tree: Tree::default(),
            settings: Settings { user: NON_ROOT.to_owned(), ..Settings::default() },
            architecture: ARCHITECTURE.to_owned(),
            compression: Compression::Gzip(6),
        }
    }
}

impl ImageBuilder {
    /// An image of these files, for linux/amd64, packed with gzip, that does not run as root.
    #[must_use]
    pub fn new(tree: Tree) -> Self {
        Self { tree, ..Self::default() }
    }

    /// What runs.
    #[must_use]
    pub fn entrypoint<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.settings.entrypoint = words.into_iter().map(Into::into).collect();
        self
    }

    /// Its default arguments.
    #[must_use]
    pub fn arguments<S: Into<String>>(mut self, words: impl IntoIterator<Item = S>) -> Self {
        self.settings.cmd = words.into_iter().map(Into::into).collect();
        self
    }

    /// A variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.settings.env.push(format!("{name}={value}"));
        self
    }

    /// `<user>[:<group>]`, for images that cannot run as the usual one.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        user.clone_into(&mut self.settings.user);
        self
    }

    /// A label, for people and tools.
    #[must_use]
    pub fn label(mut self, name: &str, value: &str) -> Self {
        self.settings.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// As Go names it; without it `amd64`.
    #[must_use]
    pub fn architecture(mut self, architecture: &str) -> Self {
        architecture.clone_into(&mut self.architecture);
        self
    }

    /// How the layer is packed.
    #[must_use]
    pub const fn compression(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// Writes the image into a layout; the layer streams from its files.
    ///
    /// # Errors
    /// When a file cannot be read, the layout cannot be written or the name is none.
    pub fn write(
        &self,
        layout: &mut LayoutWriter,
        repository: &str,
        tag: &str,
    ) -> Result<ReleaseImage, BuildError> {
        #[derive(Serialize)]
        struct Config<'a> {
            architecture: &'a str,
            os: &'a str,
            config: &'a Settings,
            rootfs: RootFs,
        }
        #[derive(Serialize)]
        struct RootFs {
            r#type: &'static str,
            diff_ids: Vec<api::Digest>,
        }
        let (layer, diff_id) = self.write_layer(layout)?;
        let config = json(&Config {
            architecture: &self.architecture,
            os: OS,
            config: &self.settings,
            rootfs: RootFs { r#type: "layers", diff_ids: vec![diff_id] },
        });
        let config = layout.blob(CONFIG_TYPE, &config)?;
        let platform = Platform { architecture: self.architecture.clone(), os: OS.to_owned() };
        layout.image(repository, tag, &Manifest::new(config, vec![layer]), Some(platform))
    }

    fn write_layer(
        &self,
        layout: &mut LayoutWriter,
    ) -> Result<(Descriptor, api::Digest), BuildError> {
        match self.compression {
            Compression::None => {
                layout.blob_from(LAYER_TYPE, |out, name| plain(&self.tree, out, name))
            }
            Compression::Gzip(level) => layout.blob_from(LAYER_GZIP_TYPE, |out, name| {
                let mut packed = gzip(out, level);
                let diff_id = plain(&self.tree, &mut packed, name)?;
                packed.finish().map_err(writing(name))?;
                Ok(diff_id)
            }),
        }
    }
}

/// Writes the plain tar and gives its digest.
fn plain(tree: &Tree, out: &mut dyn Write, name: &Path) -> Result<api::Digest, BuildError> {
    Ok(tree.write_tar(Measured::new(out), name)?.finish().1)
}

/// The product image of a release: `release.yaml` and its files by their path below the release's
/// folder (`charts/coredns-1.0.0.tgz`).
///
/// # Errors
/// When the release could not be read again, lacks a file, has one that no component names, or is
/// larger than a product image may be.
pub fn product_image(
    release: &Release,
    files: BTreeMap<String, Vec<u8>>,
) -> Result<ImageBuilder, BuildError> {
    let yaml = serde_saphyr::to_string(release)
        .map_err(|e| BuildError::Content(format!("{RELEASE_FILE} cannot be written: {e}")))?;
    if Release::parse(yaml.as_bytes())? != *release {
        return Err(BuildError::Content(format!("{RELEASE_FILE} does not survive being read")));
    }
    let named: BTreeSet<&str> = release.components().map(|(_, c)| c.path()).collect();
    if let Some(missing) = named.iter().find(|path| !files.contains_key(**path)) {
        return Err(BuildError::Content(format!("a component names {missing}, which is missing")));
    }
    if let Some(extra) = files.keys().find(|path| !named.contains(path.as_str())) {
        return Err(BuildError::Content(format!("no component names {extra}")));
    }
    if let Some(odd) = files.keys().find(|path| !crate::content::is_release_path(path)) {
        return Err(BuildError::Content(format!(
            "{odd} is neither a chart (charts/*.tgz) nor plain objects (manifests/*)"
        )));
    }
    let bytes: usize = yaml.len() + files.values().map(Vec::len).sum::<usize>();
    if bytes as u64 > PRODUCT_IMAGE_LIMIT {
        return Err(BuildError::Content(format!(
            "its files have {bytes} bytes, more than the {PRODUCT_IMAGE_LIMIT} of a product image"
        )));
    }
    crate::content::check_charts(&files)?;
    let mut tree = Tree::default();
    tree.file(&format!("{RELEASE_FOLDER}/{RELEASE_FILE}"), yaml.into_bytes())?;
    for (path, bytes) in files {
        tree.file(&format!("{RELEASE_FOLDER}/{path}"), Content::Bytes(bytes))?;
    }
    Ok(ImageBuilder::new(tree)
        .label("org.opencontainers.image.version", &release.version.to_string()))
}
