//! Decides what a release folder says before it is packaged: a `release.yaml` in which images say
//! what they are made of instead of a digest, and components name the folder of their chart.
//! Knows nothing of how images and charts are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use api::release::{RELEASE_FILE, RELEASE_FILE_LIMIT, ReleaseImage};
use api::{Release, Version};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::chart;
use super::content::TemplateImage;

/// A release folder that was read.
#[derive(Debug)]
pub(super) struct Template {
    /// The folder.
    pub(super) folder: PathBuf,
    /// Its Distribution Version.
    pub(super) version: Version,
    /// Its images by name.
    pub(super) images: BTreeMap<String, TemplateImage>,
    /// Folders of the charts by component.
    pub(super) charts: BTreeMap<String, PathBuf>,
    /// The file as it is written.
    document: Map<String, Value>,
}

/// What of the file matters before it is completed.
#[derive(Deserialize)]
struct Head {
    version: Version,
    #[serde(default)]
    images: BTreeMap<String, TemplateImage>,
    stages: Vec<HeadStage>,
}

#[derive(Deserialize)]
struct HeadStage {
    components: Vec<HeadComponent>,
}

#[derive(Deserialize)]
struct HeadComponent {
    name: String,
    chart: Option<String>,
}

impl Template {
    /// Reads a release folder; charts that it does not hold are looked up in `shared`.
    pub(super) fn read(folder: &Path, shared: &Path) -> Result<Self> {
        let path = folder.join(RELEASE_FILE);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        ensure!(text.len() <= RELEASE_FILE_LIMIT, "{} is too long", path.display());
        let document: Map<String, Value> =
            serde_saphyr::from_str(&text).with_context(|| path.display().to_string())?;
        let head = Head::deserialize(&Value::Object(document.clone()))
            .with_context(|| path.display().to_string())?;
        let mut charts = BTreeMap::new();
        for component in head.stages.iter().flat_map(|stage| &stage.components) {
            let Some(chart) = &component.chart else { continue };
            let found = [folder.join("charts").join(chart), shared.join(chart)]
                .into_iter()
                .find(|candidate| candidate.join(chart::CHART_FILE).is_file())
                .with_context(|| format!("component '{}' names no chart", component.name))?;
            charts.insert(component.name.clone(), found);
        }
        Ok(Self {
            folder: folder.to_owned(),
            version: head.version,
            images: head.images,
            charts,
            document,
        })
    }

    /// The tag of the images that carry the version of the release.
    pub(super) fn tag(&self) -> String {
        format!("v{}", self.version)
    }

    /// The release with its images and packed charts, and its files by their path in it.
    pub(super) fn complete(
        &self,
        images: BTreeMap<String, ReleaseImage>,
    ) -> Result<(Release, BTreeMap<String, Vec<u8>>)> {
        let mut document = self.document.clone();
        document.insert("images".to_owned(), serde_json::to_value(images)?);
        let mut files = BTreeMap::new();
        let stages = document.get_mut("stages").and_then(Value::as_array_mut);
        let components = stages
            .into_iter()
            .flatten()
            .filter_map(|stage| stage.get_mut("components").and_then(Value::as_array_mut))
            .flatten();
        for component in components {
            let text = |key: &str| component.get(key).and_then(Value::as_str).map(str::to_owned);
            let name = text("name").context("a component has no name")?;
            if let Some(folder) = self.charts.get(&name) {
                let version = text("version").with_context(|| format!("'{name}': no version"))?;
                let packed = chart::pack(folder, &version)
                    .with_context(|| format!("the chart of component '{name}'"))?;
                files.insert(packed.path.clone(), packed.bytes);
                component["chart"] = Value::String(packed.path);
            } else if let Some(manifests) = text("manifests") {
                let source = self.folder.join(&manifests);
                let bytes = fs::read(&source).with_context(|| source.display().to_string())?;
                files.insert(manifests, bytes);
            }
        }
        let release: Release = serde_json::from_value(Value::Object(document))
            .with_context(|| format!("release.yaml of {}", self.version))?;
        Ok((release, files))
    }
}
