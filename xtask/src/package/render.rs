//! Decides how charts are rendered at packaging, as the operator will render them: with the real
//! Helm, on the oldest and the newest Kubernetes that they are for, as an install and an upgrade.
//! A chart that gives different objects the second time is refused.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use api::Release;
use api::release::ReleaseImage;
use api::version::{KubernetesVersion, VersionRange};
use sandbox::process::{command, run_with_input};
use serde_json::{Map, Value, json};

/// One rendering takes a fraction of a second; a machine may be busy.
const RENDER_LIMIT: Duration = Duration::from_secs(60);
/// Stands for the registry, which packaging does not know; nothing answers under such a name.
pub(crate) const REGISTRY: &str = "registry.invalid:11443";
/// Minor lines of Kubernetes 1 among which the ends of a range are looked for.
const MINOR_LINES: std::ops::Range<u64> = 16..100;

/// The objects of each component, over all renderings.
pub(crate) type Rendered = BTreeMap<String, Vec<Value>>;

/// Renders charts with Helm.
#[derive(Debug)]
pub(crate) struct Renderer {
    helm: PathBuf,
    folder: PathBuf,
}

/// A chart as it is rendered.
#[derive(Debug)]
pub(crate) struct Chart<'a> {
    /// Of the Helm release.
    pub(crate) name: &'a str,
    /// Of the objects that name none.
    pub(crate) namespace: &'a str,
    /// The packed chart.
    pub(crate) bytes: &'a [u8],
    /// As [`values`] completes them.
    pub(crate) values: Value,
}

/// Under which circumstances a chart is rendered.
struct Circumstances<'a> {
    kubernetes: &'a str,
    upgrade: bool,
}

impl Renderer {
    /// A renderer that keeps its files below `work`.
    pub(crate) fn new(helm: &Path, work: &Path) -> Result<Self> {
        let folder = work.join("render");
        fs::create_dir(&folder)?;
        Ok(Self { helm: helm.to_owned(), folder })
    }

    /// Everything that the components of a release may bring.
    pub(crate) async fn render_release(
        &self,
        release: &Release,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<Rendered> {
        let lines = kubernetes_lines(&release.kubernetes.compatible)?;
        let mut rendered = Rendered::new();
        for (_, component) in release.components() {
            let bytes = files.get(component.path()).map(Vec::as_slice).unwrap_or_default();
            let objects = if component.chart.is_some() {
                let (name, namespace) = (&component.name, &component.namespace);
                let values = values(component.values.clone(), &release.images);
                self.render_chart(&Chart { name, namespace, bytes, values }, &lines).await
            } else {
                std::str::from_utf8(bytes).map_err(Into::into).and_then(objects)
            };
            let objects = objects.with_context(|| format!("component '{}'", component.name))?;
            rendered.insert(component.name.clone(), objects);
        }
        Ok(rendered)
    }

    /// Everything that a chart may bring on these lines of Kubernetes.
    pub(crate) async fn render_chart(
        &self,
        chart: &Chart<'_>,
        lines: &[String],
    ) -> Result<Vec<Value>> {
        let path = self.folder.join(format!("{}.tgz", chart.name));
        fs::write(&path, chart.bytes)?;
        let mut all = Vec::new();
        for kubernetes in lines {
            for upgrade in [false, true] {
                let under = Circumstances { kubernetes, upgrade };
                all.push(self.template(chart, &path, &under).await?);
            }
        }
        // Chance and time also hide in values that a chart renders as templates.
        if let (Some(kubernetes), Some(first)) = (lines.first(), all.first()) {
            let under = Circumstances { kubernetes, upgrade: false };
            let again = self.template(chart, &path, &under).await?;
            ensure!(
                again == *first,
                "the chart gives other objects when it is rendered again: what is rendered must \
                 follow from the chart and its values alone"
            );
        }
        let mut distinct: Vec<Value> = Vec::new();
        for object in all.into_iter().flatten() {
            if !distinct.contains(&object) {
                distinct.push(object);
            }
        }
        Ok(distinct)
    }

    async fn template(
        &self,
        chart: &Chart<'_>,
        path: &Path,
        under: &Circumstances<'_>,
    ) -> Result<Vec<Value>> {
        let mut helm = command(&self.helm, ["template", chart.name]);
        helm.arg(path).args(["--namespace", chart.namespace]);
        helm.args(["--include-crds", "--kube-version", under.kubernetes, "--values", "-"]);
        if under.upgrade {
            helm.arg("--is-upgrade");
        }
        for variable in ["HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"] {
            helm.env(variable, self.folder.join(variable));
        }
        let values = serde_json::to_vec(&chart.values)?;
        let text = run_with_input(&mut helm, &values, RENDER_LIMIT).await?;
        objects(&text)
    }
}

/// The values as the operator completes them.
pub(crate) fn values(
    mut values: Map<String, Value>,
    images: &BTreeMap<String, ReleaseImage>,
) -> Value {
    values.insert(
        "global".to_owned(),
        json!({
            "registry": {
                "address": REGISTRY,
                "imagePullSecrets": [{ "name": api::names::PULL_SECRET }],
            },
            "images": images,
        }),
    );
    Value::Object(values)
}

/// The oldest and the newest Kubernetes line of a range.
pub(crate) fn kubernetes_lines(range: &VersionRange) -> Result<Vec<String>> {
    let runs = |minor: &u64| {
        format!("1.{minor}.0")
            .parse::<KubernetesVersion>()
            .is_ok_and(|version| range.contains_kubernetes(&version))
    };
    let mut lines: Vec<u64> = MINOR_LINES.filter(runs).collect();
    ensure!(!lines.is_empty(), "the release runs on no version of Kubernetes");
    lines.drain(1..lines.len().saturating_sub(1).max(1));
    Ok(lines.into_iter().map(|minor| format!("1.{minor}.0")).collect())
}

/// The objects of a stream of YAML documents; a List is its items.
fn objects(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple(text).context("what is rendered is no YAML")?;
    let mut objects = Vec::new();
    for document in documents {
        match document {
            Value::Null => {}
            Value::Object(mut list) if list.get("kind").is_some_and(|kind| kind == "List") => {
                if let Some(Value::Array(items)) = list.remove("items") {
                    objects.extend(items);
                }
            }
            other => objects.push(other),
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_its_items_and_empty_documents_are_none() {
        let text = "# nothing\n---\nkind: A\n---\nkind: List\nitems:\n- kind: B\n- kind: C\n---\n";
        let kinds: Vec<Value> =
            objects(text).unwrap().into_iter().map(|o| o["kind"].clone()).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        assert!(objects("a: [").is_err());
    }
}
