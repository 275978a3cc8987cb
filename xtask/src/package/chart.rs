//! Decides how the folder of a chart becomes its file: stamped with the version of its component,
//! refused where the result could differ from one rendering to the next.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use artifacts::build::{Tree, tgz};
use serde_json::{Map, Value};

use super::purity;

/// The file that makes a folder a chart.
pub(crate) const CHART_FILE: &str = "Chart.yaml";
/// Where its templates are, subcharts included.
const TEMPLATES: &str = "templates/";

/// A packed chart.
#[derive(Debug)]
pub(crate) struct Packed {
    /// In a release or a package: `charts/coredns-1.0.0.tgz`.
    pub(crate) path: String,
    /// Its Chart.yaml.
    pub(crate) about: Value,
    /// The file.
    pub(crate) bytes: Vec<u8>,
}

/// Packs a chart.
pub(crate) fn pack(folder: &Path, version: &str) -> Result<Packed> {
    let text = fs::read_to_string(folder.join(CHART_FILE))?;
    let mut about: Map<String, Value> = serde_saphyr::from_str(&text).context(CHART_FILE)?;
    let name = about.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let called = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    ensure!(name == called, "{CHART_FILE} names it '{name}', its folder '{called}'");
    about.insert("version".to_owned(), Value::String(version.to_owned()));
    about.insert("appVersion".to_owned(), Value::String(version.to_owned()));

    let mut tree = Tree::folder(&name, folder)?;
    let paths: Vec<String> = tree.paths().map(str::to_owned).collect();
    for path in &paths {
        let below = path.strip_prefix(&format!("{name}/")).unwrap_or(path);
        if below.starts_with("charts/") && below.ends_with(".tgz") {
            bail!("{below} is packed: subcharts are folders, so that they can be checked");
        }
        if below.contains(TEMPLATES) {
            let text = fs::read_to_string(folder.join(below)).with_context(|| below.to_owned())?;
            if let Some(word) = purity::impure_word(&text) {
                bail!(
                    "{below} calls '{word}': what is rendered must follow from the chart and its \
                     values alone"
                );
            }
        }
    }
    tree.file(&format!("{name}/{CHART_FILE}"), serde_saphyr::to_string(&about)?.into_bytes())?;
    let path = format!("charts/{name}-{version}.tgz");
    Ok(Packed { path, about: Value::Object(about), bytes: tgz(&tree)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(folder: &Path, template: &str) -> std::path::PathBuf {
        let chart = folder.join("demo");
        fs::create_dir_all(chart.join("templates")).unwrap();
        fs::write(chart.join(CHART_FILE), "apiVersion: v2\nname: demo\nversion: 0.0.0\n").unwrap();
        fs::write(chart.join("templates/a.yaml"), template).unwrap();
        chart
    }

    #[test]
    fn a_chart_is_stamped_and_the_same_every_time() {
        let folder = tempfile::tempdir().unwrap();
        let chart = chart(folder.path(), "a: {{ .Release.Name }}");
        let packed = pack(&chart, "1.2.3").unwrap();
        assert_eq!(packed.path, "charts/demo-1.2.3.tgz");
        assert_eq!(packed.about["version"], "1.2.3");
        assert_eq!(packed.bytes, pack(&chart, "1.2.3").unwrap().bytes);
        assert_ne!(packed.bytes, pack(&chart, "1.2.4").unwrap().bytes);
    }

    #[test]
    fn a_chart_that_looks_at_the_cluster_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let chart = chart(folder.path(), "a: {{ (lookup \"v1\" \"Pod\" \"\" \"\").items | len }}");
        let error = pack(&chart, "1.2.3").unwrap_err().to_string();
        assert!(error.starts_with("templates/a.yaml calls 'lookup'"), "{error}");
    }

    #[test]
    fn a_packed_subchart_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let chart = chart(folder.path(), "a: b");
        fs::create_dir(chart.join("charts")).unwrap();
        fs::write(chart.join("charts/x.tgz"), "").unwrap();
        assert!(pack(&chart, "1.2.3").is_err());
    }
}
