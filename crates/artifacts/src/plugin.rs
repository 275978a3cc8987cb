//! Decides whether a file or a folder is a whole and unchanged plugin package, and what it brings.
//! Knows nothing of where it is pushed and of who is asked whether it is trusted.

mod contents;
mod error;
mod objects;
mod opened;
mod peek;
mod rights;
mod rules;
mod unpack;

use std::path::Path;

use api::signing_key::SigningKey;
use api::{Digest, Lifecycle, ModuleConfigSpec};
use jiff::Timestamp;
use serde_json::Value;

pub use error::PluginError;
pub use opened::Opened;
pub use peek::{PluginSummary, SummaryArtifact, peek};

use crate::build::package::SUMS_SIGNATURE_FILE;
use crate::layout::Layout;
use crate::package::{Summed, UntrustedError, check_images};
use objects::Objects;

/// The file with the objects of the catalogue.
pub const PLUGIN_FILE: &str = "plugin.yaml";
/// The file with the rights that the operator needs for the charts.
pub const RIGHTS_FILE: &str = "rbac.yaml";
/// The folder of the charts.
pub const CHARTS: &str = "charts";
/// What the file of a chart ends with.
const CHART_SUFFIX: &str = ".tgz";
/// Largest file of objects, in bytes: the API server takes no larger object.
const OBJECTS_LIMIT: u64 = 1024 * 1024;

/// What the ModuleConfig of a `plugin.yaml` says, where its rules hold. Whether the charts and
/// images beside it are those is for [`PluginPackage::open`].
///
/// # Errors
/// Says which rule is broken.
pub fn read_config(plugin: &[u8]) -> Result<ModuleConfigSpec, String> {
    checked(plugin).map(|objects| objects.config)
}

/// The ClusterRole and the ClusterRoleBinding of an `rbac.yaml`, where they allow what those of
/// this plugin may.
///
/// # Errors
/// Says which rule is broken.
pub fn read_rights(rights: &[u8], plugin: &str) -> Result<Vec<Value>, String> {
    rights::parse(rights, plugin)
}

fn checked(plugin: &[u8]) -> Result<Objects, String> {
    let objects = Objects::parse(plugin)?;
    rules::check(&objects)?;
    Ok(objects)
}

/// An extracted plugin package whose rules hold.
#[derive(Debug, Clone)]
pub struct PluginPackage {
    summed: Summed,
    layout: Layout,
    objects: Objects,
    rights: Vec<Value>,
    size: u64,
}

impl PluginPackage {
    /// Reads a package once and writes its files below `into`, an empty folder. Every name, size
    /// and sum is checked on the way. `read` is told how many bytes of the file were read since it
    /// was told last.
    ///
    /// # Errors
    /// When the file is no plugin package, or one that was cut or changed; `into` then holds what
    /// was written so far.
    pub fn unpack(file: &Path, into: &Path, read: impl FnMut(u64)) -> Result<Self, PluginError> {
        Self::unpack_known(file, None, into, read)
    }

    /// The same for a file that must have a digest.
    fn unpack_known(
        file: &Path,
        digest: Option<&Digest>,
        into: &Path,
        read: impl FnMut(u64),
    ) -> Result<Self, PluginError> {
        let root = unpack::unpack(file, into, unpack::Reading { digest, read })?;
        let package = Self::open(into)?;
        let expected = api::names::module_config(package.name(), package.version());
        if root != expected {
            let root = api::text::line(&root, 128);
            let text = format!("its folder is '{root}', not '{expected}'");
            return Err(PluginError::Refused(text));
        }
        Ok(package)
    }

    /// Opens an extracted package, the folder that holds `plugin.yaml`: checks its names, its rules
    /// and the sums of its objects and charts. [`Self::verify`] reads the rest.
    ///
    /// # Errors
    /// When the folder is no plugin package, or one that was cut or changed.
    pub fn open(folder: &Path) -> Result<Self, PluginError> {
        contents::check_names(folder)?;
        let summed = Summed::read(folder)?;
        contents::check_listed(&summed)?;
        let objects = summed.listed(PLUGIN_FILE, OBJECTS_LIMIT)?;
        let objects = checked(&objects).map_err(|reason| PluginError::rule(PLUGIN_FILE, reason))?;
        let rights = summed.listed(RIGHTS_FILE, OBJECTS_LIMIT)?;
        let rights = read_rights(&rights, &objects.name)
            .map_err(|reason| PluginError::rule(RIGHTS_FILE, reason))?;
        let layout = contents::layout(&summed)?;
        contents::check_artifacts(&summed, &layout, &objects.config)?;
        let size = summed.size()?;
        Ok(Self { summed, layout, objects, rights, size })
    }

    /// Reads every file and compares. `read` is told how many bytes were read since it was told
    /// last.
    ///
    /// # Errors
    /// Names the first file that is missing or changed.
    pub fn verify(&self, read: impl FnMut(u64)) -> Result<(), PluginError> {
        Ok(self.summed.verify(read)?)
    }

    /// Checks that its images are for machines of an architecture (`amd64`).
    ///
    /// # Errors
    /// Names the first image that is for other machines.
    pub fn check_architecture(&self, architecture: &str) -> Result<(), PluginError> {
        Ok(check_images(&self.layout, architecture)?)
    }

    /// The plugin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.objects.name
    }

    /// The version of the plugin.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.objects.config.version
    }

    /// Whether it moves with the cluster.
    #[must_use]
    pub const fn lifecycle(&self) -> Lifecycle {
        self.objects.lifecycle
    }

    /// What its ModuleConfig says.
    #[must_use]
    pub const fn config(&self) -> &ModuleConfigSpec {
        &self.objects.config
    }

    /// The ModulePlugin as it is applied.
    #[must_use]
    pub const fn module_plugin(&self) -> &Value {
        &self.objects.module_plugin
    }

    /// The ModuleConfig as it is applied.
    #[must_use]
    pub const fn module_config(&self) -> &Value {
        &self.objects.module_config
    }

    /// The ClusterRole that the operator needs for its charts, and its ClusterRoleBinding.
    #[must_use]
    pub fn rights(&self) -> &[Value] {
        &self.rights
    }

    /// Its charts and images.
    #[must_use]
    pub const fn layout(&self) -> &Layout {
        &self.layout
    }

    /// How many bytes [`Self::verify`] reads.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Where it is.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.summed.folder
    }

    /// Whether it bears a signature, of whomever.
    ///
    /// # Errors
    /// When that cannot be known.
    pub fn is_signed(&self) -> Result<bool, PluginError> {
        let found = crate::package::found(&self.summed.folder, SUMS_SIGNATURE_FILE)?;
        Ok(found.is_some())
    }

    /// The id of the key that signed its sums, as for core packages. Without `at` no key has
    /// expired.
    ///
    /// # Errors
    /// When no signature counts, or the sums are not those that were read when it was opened.
    pub fn verify_sums(
        &self,
        keys: &[SigningKey],
        at: Option<Timestamp>,
    ) -> Result<String, UntrustedError> {
        self.summed.signer(keys, at)
    }
}
