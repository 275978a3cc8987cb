//! Decides how the folder of a plugin becomes a plugin package: which charts and images go in, in
//! which order they are checked and built, and where the package is left. Knows nothing of
//! clusters.

mod template;
mod variants;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use api::names::{module_config, plugin_role};
use api::release::ReleaseImage;
use api::signing_key::Signer;
use artifacts::build::{Compression, LayoutWriter};
use artifacts::plugin::{PLUGIN_FILE, PluginPackage, RIGHTS_FILE};
use sandbox::Narrator;

use crate::package::chart::{self, Packed};
use crate::package::content::{self, Content, Source};
use crate::package::inputs::{self, Stamp};
use crate::package::render::{self, Chart, Renderer};
use crate::package::rights::Role;
use crate::package::workshop::Workshop;
use crate::package::{Form, core, limits, signing};
use template::Template;

/// Where the plugins of the project are.
const PLUGINS: &str = "release/plugins";
/// On what the charts of plugins are tried: a plugin says no range of Kubernetes itself, so it is
/// that of the releases in `release`.
const KUBERNETES: &str = ">=1.31 <1.35";

/// What `cargo xtask plugin-package` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The plugin: a folder with a plugin.yaml or with one a version, or a name below
    /// release/plugins.
    #[arg(long, value_name = "DIR|NAME")]
    plugin: PathBuf,
    /// Where the package is written; without it target/packages.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave the package extracted beside its archive.
    #[arg(long)]
    extract: bool,
    /// The private key that signs the package (PEM, ed25519), named by its file; may be given more
    /// than once. Without it the demo's, which protects nothing.
    #[arg(long, value_name = "FILE")]
    signing_key: Vec<PathBuf>,
}

/// Builds the packages that the arguments name; `root` is the folder of the project.
///
/// # Errors
/// When the plugin breaks a rule, or something cannot be built, read or written.
pub async fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let versions = versions(root, &arguments.plugin)?;
    let out = arguments.out.clone().unwrap_or_else(|| root.join("target/packages"));
    let (home, cache) = (std::env::var_os("HOME"), std::env::var_os("XDG_CACHE_HOME"));
    let cache = sandbox::default_cache(cache.as_deref(), home.as_deref())?;
    let mut builder = PluginBuilder::new(root, &cache, Narrator::stderr()).await?;
    if !arguments.signing_key.is_empty() {
        let signers = arguments.signing_key.iter().map(|file| signing::signer(file));
        builder = builder.signers(signers.collect::<Result<_>>()?);
    }
    let form = Form { archive: true, folder: arguments.extract };
    for folder in versions {
        let built = builder.build(&folder, &out, form).await?;
        println!("plugin:  {} {}", built.name, built.version);
        for path in built.archive.iter().chain(&built.folder) {
            println!("written: {}", path.display());
        }
    }
    Ok(())
}

/// The folders of the versions that a folder or a name means, sorted.
///
/// # Errors
/// When there is none.
pub fn versions(root: &Path, plugin: &Path) -> Result<Vec<PathBuf>> {
    let is_version = |folder: &Path| folder.join(PLUGIN_FILE).is_file();
    for folder in [plugin.to_owned(), root.join(PLUGINS).join(plugin)] {
        if is_version(&folder) {
            return Ok(vec![folder]);
        }
        if !folder.is_dir() {
            continue;
        }
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            found.push(entry?.path());
        }
        found.retain(|folder| is_version(folder));
        found.sort();
        if !found.is_empty() {
            return Ok(found);
        }
    }
    bail!("{} is neither the folder of a plugin nor one of {PLUGINS}", plugin.display())
}

/// A plugin package that was built.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Built {
    /// The plugin.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The tgz.
    pub archive: Option<PathBuf>,
    /// The extracted folder.
    pub folder: Option<PathBuf>,
}

/// Builds packages of plugin folders.
///
/// Tests use it to build plugins of their own: any folder with a `plugin.yaml` of the form that
/// `release/README.md` describes is one. Charts are taken from its `charts/`, else from the
/// `charts/` beside it.
#[derive(Debug)]
pub struct PluginBuilder {
    workshop: Workshop,
}

impl PluginBuilder {
    /// A builder for the project in `root`. Builds Helm, where that was not done before.
    ///
    /// # Errors
    /// When Helm cannot be built, or the demo's signing key cannot be read.
    pub async fn new(root: &Path, cache: &Path, narrator: Narrator) -> Result<Self> {
        Ok(Self { workshop: Workshop::new(root, cache, narrator).await? })
    }

    /// Who signs the packages; without it the demo's key, which protects nothing. Nobody at all
    /// leaves them unsigned.
    #[must_use]
    pub fn signers(mut self, signers: Vec<Signer>) -> Self {
        self.workshop.signers = signers;
        self
    }

    /// How the layers of images are packed; without it gzip 6.
    #[must_use]
    pub const fn layers(mut self, layers: Compression) -> Self {
        self.workshop.layers = layers;
        self
    }

    /// Builds the package of one version of a plugin. A package that was built of the very same
    /// files before is left as it is.
    ///
    /// # Errors
    /// When the plugin breaks a rule, or something cannot be built, read or written.
    pub async fn build(&self, plugin: &Path, out: &Path, form: Form) -> Result<Built> {
        let (workshop, out) = (&self.workshop, std::path::absolute(out)?);
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let template = Template::read(plugin)?;
        let root = module_config(&template.name, &template.version);
        for (name, image) in &template.images {
            let is_held = !matches!(image.content, Content::Digest(_));
            ensure!(is_held, "image '{name}': a plugin package holds every image that it names");
        }
        let sources = workshop.sources(&template.images).await?;
        let wait = format!("plugin {root}: another build");
        let lock = inputs::locked(out.join(".lock"));
        let held = workshop.narrator.during(&wait, lock).await?;
        let folders = [&template.folder].into_iter().chain(template.charts.values()).cloned();
        let folders = folders.collect();
        let own = vec![workshop.root.join("xtask/src/plugin_package.rs")];
        let stamp = Stamp::of(workshop, &root, &template.folder, own, folders, &sources)?;
        let is_there =
            |built: &Built| form.is_left(built.archive.as_deref(), built.folder.as_deref());
        if let Some(built) = stamp.built(&out, is_there) {
            return Ok(built);
        }
        stamp.forget(&out)?;
        let built = self.assemble(&template, &sources, &out, form);
        let built = workshop.narrator.during(&format!("plugin {root}"), built).await?;
        stamp.keep(&out, &built)?;
        drop(held);
        Ok(built)
    }

    async fn assemble(
        &self,
        template: &Template,
        sources: &BTreeMap<String, Source>,
        out: &Path,
        form: Form,
    ) -> Result<Built> {
        let workshop = &self.workshop;
        let work = tempfile::Builder::new().prefix(".plugin-").tempdir_in(out)?;
        let folder = work.path().join("package");
        let mut layout = LayoutWriter::create(&folder.join("images"))?;
        let images =
            content::write_images(&template.images, sources, workshop.layers, &mut layout)?;
        let charts = write_charts(template, &folder, &mut layout)?;
        layout.finish()?;
        let digests = charts.iter().map(|(name, (_, written))| (name.clone(), written));
        let text = template.complete(&images, &digests.collect())?;
        fs::write(folder.join(PLUGIN_FILE), text)?;

        let renderer = Renderer::new(&workshop.helm, work.path())?;
        let rights = self.rights(template, &renderer, &charts, &images).await?;
        fs::write(folder.join(RIGHTS_FILE), rights)?;
        artifacts::build::package::write_sums(&folder)?;
        if !workshop.signers.is_empty() {
            artifacts::build::sign_package(&folder, &workshop.signers)?;
        }
        // What is handed out is what whoever reads it would accept.
        let package = PluginPackage::open(&folder)?;
        package.check_architecture(artifacts::oci::ARCHITECTURE)?;

        let root = module_config(package.name(), package.version());
        let archive = form.archive.then(|| out.join(format!("{root}.tgz")));
        if let Some(archive) = &archive {
            artifacts::build::package::pack(&folder, &root, archive)?;
        }
        let left = form.folder.then(|| out.join(&root));
        if let Some(target) = &left {
            core::replace(&folder, target)?;
        }
        let (name, version) = (template.name.clone(), template.version.clone());
        Ok(Built { name, version, archive, folder: left })
    }

    /// Renders every chart with every choice of the form, and gives the rights that this takes.
    async fn rights(
        &self,
        template: &Template,
        renderer: &Renderer,
        charts: &Charts,
        images: &BTreeMap<String, ReleaseImage>,
    ) -> Result<String> {
        let lines = render::kubernetes_lines(&KUBERNETES.parse()?)?;
        let configs = variants::of(&template.config.config, &template.config.deploy_descriptors);
        let mut rendered = render::Rendered::new();
        for (release, chart) in template.releases() {
            let (packed, _) = charts.get(&chart.name).context("every chart was packed")?;
            let of_template = template.config.values_templates.get(&chart.name);
            let mut objects = Vec::new();
            for (number, config) in configs.iter().enumerate() {
                let values = template::chart_values(of_template, config)
                    .with_context(|| format!("the values of {}", chart.name))?;
                let chart = Chart {
                    name: &release.name,
                    namespace: template::namespace(release),
                    bytes: &packed.bytes,
                    values: render::values(values, images),
                };
                // The defaults are tried on all lines, each other choice on one.
                let lines = if number == 0 { &lines[..] } else { &lines[..1] };
                let of_config = renderer.render_chart(&chart, lines).await;
                objects.extend(of_config.with_context(|| format!("'{}'", release.name))?);
            }
            rendered.insert(release.name.clone(), objects);
        }
        let owners = template.releases().map(|(r, _)| (r.name.as_str(), template::namespace(r)));
        limits::check(owners, images, &rendered)?;
        let looked_for = &template.config.resources_block_remove;
        let role = Role {
            name: plugin_role(&template.name),
            version: &template.version,
            about: format!("plugin {} {}", template.name, template.version),
            prunable: std::collections::BTreeSet::new(),
            looked_for: looked_for
                .iter()
                .map(|one| (one.api_version.as_str(), one.kind.as_str()))
                .collect(),
        };
        role.with(&rendered)
    }
}

/// The charts of a plugin by repository, as they are packed and as they stand in the layout.
type Charts = BTreeMap<String, (Packed, ReleaseImage)>;

fn write_charts(template: &Template, folder: &Path, layout: &mut LayoutWriter) -> Result<Charts> {
    let mut charts = Charts::new();
    fs::create_dir_all(folder.join(artifacts::plugin::CHARTS))?;
    for (_, chart) in template.releases() {
        let source = template.charts.get(&chart.name).context("every chart has a folder")?;
        let packed = chart::pack(source, &chart.version)
            .with_context(|| format!("the chart {}", chart.name))?;
        fs::write(folder.join(&packed.path), &packed.bytes)?;
        let written = layout.chart(&chart.name, &chart.version, &packed.about, &packed.bytes)?;
        charts.insert(chart.name.clone(), (packed, written));
    }
    Ok(charts)
}
