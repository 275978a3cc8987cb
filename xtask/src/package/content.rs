//! Decides what each image of a release holds and how it starts. Knows nothing of the charts that
//! use them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use api::release::ReleaseImage;
use api::{Digest, Version, names};
use artifacts::build::{Compression, ImageBuilder, LayoutWriter, Tree};
use sandbox::Narrator;
use sandbox::process::run;
use sandbox::toolchain::{Tool, Toolchain};
use serde::Deserialize;

use crate::cargo::cargo;

/// From nothing, on two slow cores.
const BUILD_LIMIT: Duration = Duration::from_secs(30 * 60);
/// Static on Debian, from the package busybox-static.
const BUSYBOX: &str = "/bin/busybox";
/// Where programs are in our images.
const PROGRAMS: &str = "usr/local/bin";

/// What an image is made of.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Content {
    /// A published Go program, at the version that the tag says.
    Go(GoProgram),
    /// A static program of the machine that packages.
    Host(HostProgram),
    /// Nothing: the image is not in the package, only its digest is known.
    Digest(Digest),
}

/// An image before it is built.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct TemplateImage {
    /// Path below the registry.
    pub(crate) repository: String,
    /// Tag; for published programs also their version.
    pub(crate) tag: String,
    /// What it is made of.
    pub(crate) content: Content,
}

/// Go programs that releases hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GoProgram {
    /// The DNS of a cluster.
    Coredns,
    /// Measures of a node.
    NodeExporter,
    /// A web server.
    Caddy,
}

/// Programs of the machine that releases hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum HostProgram {
    /// A shell, a small web server and what a check needs.
    Busybox,
}

/// A program and how an image of it starts.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// Its file here.
    pub(crate) file: PathBuf,
    /// Its path in the image.
    path: String,
    /// Other names of it in the image.
    links: Vec<String>,
}

impl Content {
    /// Finds or builds the program of an image.
    pub(crate) async fn source(&self, tag: &str, toolchain: &Toolchain) -> Result<Source> {
        let (file, path) = match self {
            Self::Go(program) => {
                let tool = match program {
                    GoProgram::Coredns => Tool::coredns(tag),
                    GoProgram::NodeExporter => Tool::node_exporter(tag),
                    GoProgram::Caddy => Tool::caddy(tag),
                };
                (toolchain.build(&tool).await?, format!("{PROGRAMS}/{}", tool.name))
            }
            Self::Host(HostProgram::Busybox) => {
                ensure!(
                    Path::new(BUSYBOX).is_file(),
                    "{BUSYBOX} is missing: apt-get install busybox-static"
                );
                (PathBuf::from(BUSYBOX), "bin/busybox".to_owned())
            }
            Self::Digest(digest) => bail!("{digest} is only known by its digest"),
        };
        let links = match self {
            Self::Host(HostProgram::Busybox) => vec!["bin/sh".to_owned()],
            _ => Vec::new(),
        };
        Ok(Source { file, path, links })
    }
}

impl Source {
    fn image(&self) -> Result<ImageBuilder> {
        let mut tree = Tree::default();
        tree.program(&self.path, self.file.clone())?;
        for link in &self.links {
            tree.link(link, &format!("/{}", self.path))?;
        }
        Ok(ImageBuilder::new(tree)
            .entrypoint([format!("/{}", self.path)])
            .env("PATH", &format!("/{PROGRAMS}:/bin")))
    }
}

/// The project's own programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// `cluster-version-operator`.
    pub operator: PathBuf,
    /// `acp-prepare`.
    pub prepare: PathBuf,
    /// `ac`.
    pub ac: PathBuf,
    /// `violet`.
    pub violet: PathBuf,
}

impl Programs {
    /// Takes them from a folder in which they were built before.
    ///
    /// # Errors
    /// When one of them is not there.
    pub fn built(folder: &Path) -> Result<Self> {
        let find = |name: &str| {
            let path = std::path::absolute(folder.join(name))?;
            ensure!(path.is_file(), "{} is missing", path.display());
            Ok(path)
        };
        Ok(Self {
            operator: find(names::CVO)?,
            prepare: find(names::PREPARE_FIELD_MANAGER)?,
            ac: find("ac")?,
            violet: find("violet")?,
        })
    }

    /// Builds them as they are built for the tests.
    ///
    /// # Errors
    /// When cargo fails; the error carries what it said.
    pub async fn build(root: &Path, narrator: &Narrator) -> Result<Self> {
        // This program is named too, so that cargo chooses the features that it has chosen for it:
        // without it, the libraries would be compiled a second time.
        let words = "build --quiet --locked --bins -p xtask -p operator -p prepare -p ac -p violet";
        let mut build = cargo(root, words.split_whitespace()).into();
        narrator.during("building our programs", run(&mut build, BUILD_LIMIT)).await?;
        // Now that nothing is left to build, cargo only says where the programs are.
        let json = ["--message-format", "json"];
        let mut tell = cargo(root, words.split_whitespace().chain(json)).into();
        let built = executables(&run(&mut tell, BUILD_LIMIT).await?);
        let find = |name: &str| {
            built.get(name).cloned().with_context(|| format!("cargo did not build {name}"))
        };
        Ok(Self {
            operator: find(names::CVO)?,
            prepare: find(names::PREPARE_FIELD_MANAGER)?,
            ac: find("ac")?,
            violet: find("violet")?,
        })
    }
}

/// The programs that cargo says it built, by name.
fn executables(output: &str) -> BTreeMap<String, PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Option<Target>,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
    }
    let messages = output.lines().filter_map(|line| serde_json::from_str::<Message>(line).ok());
    messages.filter_map(|message| Some((message.target?.name, message.executable?))).collect()
}

/// The operator's image: it runs Helm to render charts, and is told its own version.
pub(crate) fn operator_image(
    programs: &Programs,
    helm: &Path,
    version: &Version,
) -> Result<ImageBuilder> {
    let mut tree = Tree::default();
    let operator = format!("{PROGRAMS}/{}", names::CVO);
    tree.program(&operator, programs.operator.clone())?;
    tree.program(&format!("{PROGRAMS}/helm"), helm.to_owned())?;
    Ok(ImageBuilder::new(tree)
        .entrypoint([format!("/{operator}")])
        .env("PATH", &format!("/{PROGRAMS}"))
        .env("CVO_VERSION", &version.to_string()))
}

/// Writes the images that a template names, and gives them by name with their digests.
pub(crate) fn write_images(
    images: &BTreeMap<String, TemplateImage>,
    sources: &BTreeMap<String, Source>,
    layers: Compression,
    layout: &mut LayoutWriter,
) -> Result<BTreeMap<String, ReleaseImage>> {
    let mut written = BTreeMap::new();
    for (name, image) in images {
        let of_image = match (&image.content, sources.get(name)) {
            (Content::Digest(digest), _) => ReleaseImage {
                repository: image.repository.clone(),
                tag: image.tag.clone(),
                digest: digest.clone(),
            },
            (_, Some(source)) => {
                let built = source.image()?.compression(layers);
                built.write(layout, &image.repository, &image.tag)?
            }
            (_, None) => bail!("image '{name}' has no content"),
        };
        written.insert(name.clone(), of_image);
    }
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_one_of_three() {
        let read = |text: &str| serde_saphyr::from_str::<Content>(text);
        assert_eq!(read("go: coredns").unwrap(), Content::Go(GoProgram::Coredns));
        assert_eq!(read("host: busybox").unwrap(), Content::Host(HostProgram::Busybox));
        let digest = format!("sha256:{}", "a".repeat(64));
        let known = Content::Digest(digest.parse().unwrap());
        assert_eq!(read(&format!("digest: {digest}")).unwrap(), known);
        assert!(read("go: nothing").is_err());
        assert!(read("{}").is_err());
    }

    #[test]
    fn the_built_programs_are_read_from_what_cargo_says() {
        let output = "{\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"ac\"},\
                      \"executable\":\"/t/ac\"}\n\
                      {\"reason\":\"compiler-artifact\",\"target\":{\"name\":\"api\"},\
                      \"executable\":null}\n\
                      {\"reason\":\"build-finished\",\"success\":true}\n";
        let built = executables(output);
        assert_eq!(built, BTreeMap::from([("ac".to_owned(), PathBuf::from("/t/ac"))]));
    }
}
