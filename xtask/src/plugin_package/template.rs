//! Decides what the folder of a plugin says before it is packaged: a `plugin.yaml` in which images
//! say what they are made of instead of a digest, and charts have none. Whether its rules hold is
//! decided by whoever reads the package.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use api::names::PLUGIN_NAMESPACE;
use api::release::ReleaseImage;
use api::{ChartVersion, ModuleConfig, ModuleConfigSpec, PluginRelease, served};
use artifacts::plugin::{CHARTS, PLUGIN_FILE};
use serde::Deserialize as _;
use serde_json::{Map, Value};

use crate::package::chart::CHART_FILE;
use crate::package::content::TemplateImage;

/// Longest `plugin.yaml` that is read, in bytes.
const LIMIT: usize = 1024 * 1024;

/// The folder of one version of a plugin that was read.
#[derive(Debug)]
pub(super) struct Template {
    /// The folder.
    pub(super) folder: PathBuf,
    /// The plugin.
    pub(super) name: String,
    /// Its version.
    pub(super) version: String,
    /// What its ModuleConfig says beside its images.
    pub(super) config: ModuleConfigSpec,
    /// Its images by name.
    pub(super) images: BTreeMap<String, TemplateImage>,
    /// Folders of the charts by repository.
    pub(super) charts: BTreeMap<String, PathBuf>,
    /// The objects as they are written.
    objects: Vec<Value>,
}

impl Template {
    /// Reads the folder of one version; charts that it does not hold are looked up beside it.
    pub(super) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(PLUGIN_FILE);
        let shown = || path.display().to_string();
        let text = fs::read_to_string(&path).with_context(shown)?;
        ensure!(text.len() <= LIMIT, "{} is too long", path.display());
        let objects: Vec<Value> = serde_saphyr::from_multiple(&text).with_context(shown)?;
        let mut spec = module_config(&objects)
            .and_then(|object| object["spec"].as_object())
            .with_context(|| format!("{} holds no ModuleConfig", path.display()))?
            .clone();
        let images = spec.remove("images").unwrap_or_else(|| Value::Object(Map::new()));
        let images = BTreeMap::deserialize(images).context("images").with_context(shown)?;
        let config = ModuleConfigSpec::deserialize(Value::Object(spec)).with_context(shown)?;
        let name = config.name.clone();
        ensure!(!name.is_empty(), "{}: spec.name of the ModuleConfig is empty", path.display());
        let beside = folder.parent().unwrap_or(folder);
        let mut charts = BTreeMap::new();
        for chart in config.app_releases.iter().flat_map(|release| &release.chart_versions) {
            // Helm wants the last part of the repository to be the name of the chart.
            let called = chart.name.rsplit('/').next().unwrap_or_default();
            let found = [folder, beside]
                .map(|place| place.join(CHARTS).join(called))
                .into_iter()
                .find(|candidate| candidate.join(CHART_FILE).is_file());
            let found = found.with_context(|| format!("there is no chart '{called}'"));
            charts.insert(chart.name.clone(), found.with_context(shown)?);
        }
        let version = config.version.clone();
        Ok(Self { folder: folder.to_owned(), name, version, config, images, charts, objects })
    }

    /// Each AppRelease with its chart.
    pub(super) fn releases(&self) -> impl Iterator<Item = (&PluginRelease, &ChartVersion)> {
        let releases = self.config.app_releases.iter();
        releases.flat_map(|release| release.chart_versions.iter().map(move |c| (release, c)))
    }

    /// `plugin.yaml` with the digests of its images and, by repository, of its charts.
    pub(super) fn complete(
        &self,
        images: &BTreeMap<String, ReleaseImage>,
        charts: &BTreeMap<String, &ReleaseImage>,
    ) -> Result<String> {
        let mut objects = self.objects.clone();
        let config = objects.iter_mut().find(|object| is_config(object));
        let spec = &mut config.context("a ModuleConfig was read")?["spec"];
        if !images.is_empty() {
            spec["images"] = serde_json::to_value(images)?;
        }
        let releases = spec["appReleases"].as_array_mut().into_iter().flatten();
        for chart in releases
            .flat_map(|release| release["chartVersions"].as_array_mut().into_iter().flatten())
        {
            let name = chart["name"].as_str().unwrap_or_default();
            let written = charts.get(name).with_context(|| format!("no chart {name}"))?;
            chart["digest"] = Value::String(written.digest.to_string());
        }
        let texts = objects.iter().map(serde_saphyr::to_string).collect::<Result<Vec<_>, _>>()?;
        let texts: Vec<&str> = texts.iter().map(|text| text.trim_end()).collect();
        let text = format!("{}\n", texts.join("\n---\n"));
        let again: Vec<Value> = serde_saphyr::from_multiple(&text).context(PLUGIN_FILE)?;
        ensure!(again == objects, "{PLUGIN_FILE} does not survive being read");
        Ok(text)
    }
}

fn module_config(objects: &[Value]) -> Option<&Value> {
    objects.iter().find(|object| is_config(object))
}

fn is_config(object: &Value) -> bool {
    object["kind"] == served::<ModuleConfig>(false).kind
}

/// Where the objects of an AppRelease are.
pub(super) fn namespace(release: &PluginRelease) -> &str {
    if release.namespace.is_empty() { PLUGIN_NAMESPACE } else { &release.namespace }
}

/// The values of a chart with these settings.
pub(super) fn chart_values(
    template: Option<&String>,
    config: &Map<String, Value>,
) -> Result<Map<String, Value>> {
    let Some(template) = template else { return Ok(Map::new()) };
    match api::plugin_values::values(template, config) {
        Ok(Value::Object(values)) => Ok(values),
        Ok(_) => anyhow::bail!("the template gives no object"),
        Err(reason) => anyhow::bail!(reason),
    }
}
