//! Decides how a release folder becomes a core package: which programs and images go in, in which
//! order they are checked and built, and where the package is left. Knows nothing of clusters.

pub(crate) mod chart;
pub(crate) mod content;
pub(crate) mod core;
pub(crate) mod inputs;
pub(crate) mod limits;
mod purity;
pub(crate) mod render;
pub(crate) mod rights;
pub(crate) mod signing;
mod template;
mod tools;
pub(crate) mod workshop;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use api::signing_key::Signer;
use api::{Digest, Version, names};
use artifacts::build::{Compression, LayoutWriter};
use sandbox::Narrator;

pub use content::Programs;
pub use tools::build_tools;

use content::Source;
use inputs::Stamp;
use render::Renderer;
use template::Template;
use workshop::Workshop;

/// What `cargo xtask package` is asked for.
#[derive(Debug, Clone, clap::Args)]
pub struct Arguments {
    /// The Distribution Version: the folder below release/.
    #[arg(long, required_unless_present = "release")]
    version: Option<Version>,
    /// Another release folder, with a release.yaml of the same form.
    #[arg(long, value_name = "DIR")]
    release: Option<PathBuf>,
    /// Where the package is written; without it target/packages.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Leave the package extracted beside its archive.
    #[arg(long)]
    extract: bool,
    /// The folder of our programs; without it they are built as they are for the tests.
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
    /// The private key that signs the release (PEM, ed25519), named by its file unless the release
    /// lists it; may be given more than once. Without it the demo's, which protects nothing.
    #[arg(long, value_name = "FILE")]
    signing_key: Vec<PathBuf>,
}

/// Builds the package that the arguments name; `root` is the folder of the project.
///
/// # Errors
/// When a program cannot be built, the release breaks a rule or nothing can be written.
pub async fn run(root: &Path, arguments: &Arguments) -> Result<()> {
    let release = match (&arguments.release, &arguments.version) {
        (Some(folder), _) => folder.clone(),
        (None, Some(version)) => root.join("release").join(version.to_string()),
        (None, None) => anyhow::bail!("name a release: --version 4.3.0, or --release DIR"),
    };
    let out = arguments.out.clone().unwrap_or_else(|| root.join("target/packages"));
    let home = std::env::var_os("HOME");
    let cache = std::env::var_os("XDG_CACHE_HOME");
    let cache = sandbox::default_cache(cache.as_deref(), home.as_deref())?;
    let narrator = Narrator::stderr();
    let programs = match &arguments.programs {
        Some(folder) => Programs::built(folder)?,
        None => Programs::build(root, &narrator).await?,
    };
    let mut builder = PackageBuilder::new(root, &cache, programs, narrator).await?;
    if !arguments.signing_key.is_empty() {
        let signers = arguments.signing_key.iter().map(|file| signing::signer(file));
        builder = builder.signers(signers.collect::<Result<_>>()?);
    }
    let form = Form { archive: true, folder: arguments.extract };
    let package = builder.build(&release, &out, form).await?;
    if let Some(version) = &arguments.version {
        ensure!(
            package.version == *version,
            "{} holds release {}, not {version}",
            release.display(),
            package.version
        );
    }
    println!("release:       {}", package.version);
    println!("product image: {}", package.product_image);
    for path in package.archive.iter().chain(&package.folder) {
        println!("written:       {}", path.display());
    }
    Ok(())
}

/// In which forms a package is left.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// As a tgz.
    pub archive: bool,
    /// As the folder that the tgz is extracted to.
    pub folder: bool,
}

impl Form {
    /// Whether a package is still there in these forms.
    pub(crate) fn is_left(self, archive: Option<&Path>, folder: Option<&Path>) -> bool {
        let there = |path: Option<&Path>| path.is_some_and(Path::exists);
        (!self.archive || there(archive)) && (!self.folder || there(folder))
    }
}

/// A package that was built.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Package {
    /// Its Distribution Version.
    pub version: Version,
    /// The digest of its product image.
    pub product_image: Digest,
    /// The tgz.
    pub archive: Option<PathBuf>,
    /// The extracted folder.
    pub folder: Option<PathBuf>,
}

/// Builds packages of release folders, all with the same programs.
///
/// Tests use it to build releases of their own: any folder with a `release.yaml` of the form that
/// `release/README.md` describes is a release. Charts are taken from its `charts/`, else from the
/// `charts/` of the project's releases.
#[derive(Debug)]
pub struct PackageBuilder {
    workshop: Workshop,
    programs: Programs,
}

impl PackageBuilder {
    /// A builder for the project in `root`. Builds Helm, where that was not done before.
    ///
    /// # Errors
    /// When Helm cannot be built, or the demo's signing key cannot be read.
    pub async fn new(
        root: &Path,
        cache: &Path,
        programs: Programs,
        narrator: Narrator,
    ) -> Result<Self> {
        Ok(Self { workshop: Workshop::new(root, cache, narrator).await?, programs })
    }

    /// Who signs the packages; without it the demo's key, which protects nothing. Nobody at all
    /// makes packages that no platform trusts.
    #[must_use]
    pub fn signers(mut self, signers: Vec<Signer>) -> Self {
        self.workshop.signers = signers;
        self
    }

    /// How the layers of images are packed; without it gzip 6. Where nothing travels far, packing
    /// costs more time than it saves.
    #[must_use]
    pub const fn layers(mut self, layers: Compression) -> Self {
        self.workshop.layers = layers;
        self
    }

    /// Builds the package of a release folder. A package that was built of the very same files
    /// before is left as it is.
    ///
    /// # Errors
    /// When the release breaks a rule, or something cannot be built, read or written.
    pub async fn build(&self, release: &Path, out: &Path, form: Form) -> Result<Package> {
        let out = std::path::absolute(out)?;
        fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
        let workshop = &self.workshop;
        let template = Template::read(release, &workshop.root.join("release/charts"))?;
        let sources = workshop.sources(&template.images).await?;
        // Another process may be building the same package into the same folder.
        let lock = out.join(".lock");
        let wait = format!("package {}: another build", template.version);
        let held = workshop.narrator.during(&wait, inputs::locked(lock)).await?;
        let stamp = self.stamp(&template, &sources)?;
        let is_there =
            |package: &Package| form.is_left(package.archive.as_deref(), package.folder.as_deref());
        if let Some(package) = stamp.built(&out, is_there) {
            return Ok(package);
        }
        stamp.forget(&out)?;
        let what = format!("package {}", template.version);
        let package = self.assemble(&template, &sources, &out, form);
        let package = workshop.narrator.during(&what, package).await?;
        stamp.keep(&out, &package)?;
        drop(held);
        Ok(package)
    }

    /// What the package is built of.
    fn stamp(&self, template: &Template, sources: &BTreeMap<String, Source>) -> Result<Stamp> {
        let Programs { operator, prepare, ac, violet } = &self.programs;
        let files = [operator, prepare, ac, violet].map(Clone::clone).to_vec();
        let folders = [&template.folder].into_iter().chain(template.charts.values()).cloned();
        let folders = folders.chain([self.workshop.root.join("package")]).collect();
        let name = format!("acp-core-{}", template.version);
        Stamp::of(&self.workshop, &name, &template.folder, files, folders, sources)
    }

    async fn assemble(
        &self,
        template: &Template,
        sources: &BTreeMap<String, Source>,
        out: &Path,
        form: Form,
    ) -> Result<Package> {
        let workshop = &self.workshop;
        let work = tempfile::Builder::new().prefix(".package-").tempdir_in(out)?;
        let folder = work.path().join("package");
        let mut layout = LayoutWriter::create(&folder.join("images"))?;
        let operator = content::operator_image(&self.programs, &workshop.helm, &template.version)?
            .compression(workshop.layers);
        let mut images =
            content::write_images(&template.images, sources, workshop.layers, &mut layout)?;
        let operator = operator.write(&mut layout, names::CVO_REPOSITORY, &template.tag())?;
        let added = images.insert(names::CVO.to_owned(), operator).is_none();
        ensure!(added, "the image '{}' is added by packaging", names::CVO);
        let (release, files) = template.complete(images)?;

        let renderer = Renderer::new(&workshop.helm, work.path())?;
        let rendered = renderer.render_release(&release, &files).await?;
        let owners = release.components().map(|(_, c)| (c.name.as_str(), c.namespace.as_str()));
        limits::check(owners, &release.images, &rendered)?;
        let rights = rights::of_release(&release, &rendered)?;

        let product = artifacts::build::product_image(&release, files)?.write(
            &mut layout,
            names::PRODUCT_IMAGE_REPOSITORY,
            &template.tag(),
        )?;
        let signers = signing::named(&workshop.signers, &release);
        if !signers.is_empty() {
            layout.sign(&product, &signers)?;
        }
        layout.finish()?;
        core::write_folder(&workshop.root.join("package"), &folder, &self.programs, &rights)?;

        let root = format!("acp-core-{}", template.version);
        let archive = form.archive.then(|| out.join(format!("{root}-linux-amd64.tgz")));
        artifacts::build::package::write_sums(&folder)?;
        if !signers.is_empty() {
            artifacts::build::sign_package(&folder, &signers)?;
        }
        if let Some(archive) = &archive {
            artifacts::build::package::pack(&folder, &root, archive)?;
        }
        let left = form.folder.then(|| out.join(&root));
        if let Some(target) = &left {
            core::replace(&folder, target)?;
        }
        Ok(Package {
            version: template.version.clone(),
            product_image: product.digest,
            archive,
            folder: left,
        })
    }
}
