//! Plugins of a test's own: a chart in the registry, and what publishes it.

use super::{Bench, text};
use anyhow::{Context as _, Result};
use api::names::{
    CLUSTER_NAME_LABEL, CVO, LIFECYCLE_LABEL, MODULE_NAME_LABEL, NAMESPACE, module_config,
    module_info, plugin_role,
};
use artifacts::build::{LayoutWriter, Tree, tgz};
use serde_json::{Value, json};
use std::time::Duration;

/// The objects of the chart: what can be seen of its settings, and something that rolls out.
const TEMPLATE: &str = r#"apiVersion: v1
kind: ConfigMap
metadata: {name: {{ .Release.Name }}-settings, namespace: {{ .Release.Namespace }}}
data:
  version: {{ .Chart.Version | quote }}
  title: {{ .Values.title | quote }}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}
spec:
  replicas: {{ .Values.replicas }}
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}}
    spec:
      containers:
        - name: c
          image: "example.invalid/it:{{ .Chart.Version }}"
"#;
const VALUES_TEMPLATE: &str =
    "replicas: << .MiConfig.replicas >>\ntitle: \"<< .MiConfig.page.title >>\"\n";
/// From what is asked of a plugin to its end.
const LIMIT: Duration = Duration::from_secs(60);

/// A version of a plugin.
#[derive(Debug, Clone)]
pub struct Plugin<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// `Core`, `Aligned` or `Agnostic`.
    pub lifecycle: &'a str,
    /// Fields of its ModuleConfig beside those that each has.
    pub more: Value,
    /// The objects of its chart.
    pub template: &'a str,
}

impl<'a> Plugin<'a> {
    /// An Agnostic plugin for any platform.
    #[must_use]
    pub fn agnostic(name: &'a str, version: &'a str) -> Self {
        Self { name, version, lifecycle: "Agnostic", more: json!({}), template: TEMPLATE }
    }

    /// Its chart, packed.
    ///
    /// # Errors
    /// When it cannot be packed.
    pub fn chart(&self) -> Result<Vec<u8>> {
        let name = self.name;
        let mut tree = Tree::default();
        tree.file(&format!("{name}/Chart.yaml"), self.about().to_string().into_bytes())?;
        tree.file(&format!("{name}/templates/all.yaml"), self.template.as_bytes().to_vec())?;
        Ok(tgz(&tree)?)
    }

    /// Its Chart.yaml.
    fn about(&self) -> Value {
        json!({ "apiVersion": "v2", "name": self.name, "version": self.version })
    }
}

/// Where a plugin's ModuleInfo is.
fn path(cluster: &str, plugin: &str) -> String {
    format!("/apis/cluster.alauda.io/v1alpha1/moduleinfoes/{}", module_info(cluster, plugin))
}

/// Whether a ModuleInfo says that a version is installed and works, and speaks of what is asked for
/// now.
#[must_use]
pub fn installed_app(info: &Value, version: &str) -> bool {
    text(info, "/status/phase") == "Running"
        && text(info, "/status/version") == version
        && info.pointer("/status/observedGeneration") == info.pointer("/metadata/generation")
}

impl Bench {
    /// Sends the chart of a plugin to the registry; gives the digest of its manifest.
    ///
    /// # Errors
    /// When it cannot be built or sent.
    pub async fn push_chart(&self, plugin: &Plugin<'_>) -> Result<String> {
        let folder = tempfile::tempdir_in(self.folder())?;
        let images = folder.path().join("images");
        let mut layout = LayoutWriter::create(&images)?;
        let (repository, chart) = (chart_of(plugin.name), plugin.chart()?);
        let image = layout.chart(&repository, plugin.version, &plugin.about(), &chart)?;
        layout.finish()?;
        self.push_layout(&images).await?;
        Ok(image.digest.to_string())
    }

    /// Publishes a version of a plugin whose chart has this digest.
    ///
    /// # Errors
    /// When its objects are refused.
    pub async fn publish_plugin(&self, plugin: &Plugin<'_>, digest: &str) -> Result<()> {
        let Plugin { name, version, lifecycle, more, .. } = plugin;
        let chart = chart_of(name);
        let kind = |word: &str| format!("urn:alm:descriptor:com.tectonic.ui:{word}");
        let mut spec = json!({
            "name": name,
            "version": version,
            "deleteable": true,
            "appReleases": [{ "name": name, "namespace": format!("{name}-system"), "chartVersions": [
                { "name": chart, "releaseName": name, "version": version, "digest": digest },
            ] }],
            "config": { "replicas": 1, "page": { "title": "Pages" } },
            "deployDescriptors": [
                { "path": "replicas", "x-descriptors": [kind("number")] },
                { "path": "page.title", "x-descriptors": [kind("text")] },
            ],
            "valuesTemplates": { chart: VALUES_TEMPLATE },
        });
        if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
            spec.extend(more.clone());
        }
        let labels = json!({ MODULE_NAME_LABEL: name, LIFECYCLE_LABEL: lifecycle });
        let object = |kind: &str, name: &str, spec: &Value| {
            json!({
                "apiVersion": "cluster.alauda.io/v1alpha1",
                "kind": kind,
                "metadata": { "name": name, "labels": labels },
                "spec": spec,
            })
        };
        let config = object("ModuleConfig", &module_config(name, version), &spec);
        self.apply(&object("ModulePlugin", name, &spec).to_string()).await?;
        self.apply(&config.to_string()).await
    }

    /// Sends and publishes a version of a plugin, and waits until it can be installed.
    ///
    /// # Errors
    /// When it cannot be in time.
    pub async fn bring_plugin(&self, plugin: &Plugin<'_>) -> Result<()> {
        let digest = self.push_chart(plugin).await?;
        self.publish_plugin(plugin, &digest).await?;
        let config = module_config(plugin.name, plugin.version);
        let path = format!("/apis/cluster.alauda.io/v1alpha1/moduleconfigs/{config}");
        let ready = |c: &Value| c.pointer("/status/readyForDeploy") == Some(&Value::Bool(true));
        self.until(&path, "the plugin to be in the catalogue", Duration::from_secs(5), ready)
            .await?;
        Ok(())
    }

    /// Asks for a version of a plugin on a cluster, with settings.
    ///
    /// # Errors
    /// When that is refused.
    pub async fn ask_plugin(
        &self,
        cluster: &str,
        plugin: &str,
        version: &str,
        config: &Value,
    ) -> Result<()> {
        let info = json!({
            "apiVersion": "cluster.alauda.io/v1alpha1",
            "kind": "ModuleInfo",
            "metadata": {
                "name": module_info(cluster, plugin),
                "labels": {
                    CLUSTER_NAME_LABEL: cluster,
                    MODULE_NAME_LABEL: plugin,
                    api::names::MODULE_TYPE_LABEL: api::names::MODULE_TYPE_PLUGIN,
                },
            },
            "spec": { "version": version, "config": config },
        });
        self.apply(&info.to_string()).await
    }

    /// A ModuleInfo once it is as it should be.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn plugin_until(
        &self,
        cluster: &str,
        plugin: &str,
        what: &str,
        is_so: impl Fn(&Value) -> bool,
    ) -> Result<Value> {
        let found = self.until(&path(cluster, plugin), what, LIMIT, is_so).await;
        match found {
            Ok(info) => Ok(info),
            Err(error) => {
                let info = self.get(&path(cluster, plugin)).await?;
                Err(error).with_context(|| format!("{:#}", info["status"]))
            }
        }
    }

    /// Waits until a version of a plugin is installed and works.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn plugin_runs(&self, cluster: &str, plugin: &str, version: &str) -> Result<Value> {
        let what = format!("{plugin} {version} to run on {cluster}");
        self.plugin_until(cluster, plugin, &what, |info| installed_app(info, version)).await
    }
}

/// The rights that the charts of tests need, as a push of a plugin applies them.
#[must_use]
pub fn plugin_rights(plugin: &str) -> String {
    let name = plugin_role(plugin);
    format!(
        "
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {{name: '{name}'}}
rules:
- {{apiGroups: [apps], resources: [deployments], verbs: [get, list, create, patch, delete]}}
- {{apiGroups: [''], resources: [configmaps], verbs: [get, list, create, patch, delete]}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {{name: '{name}'}}
roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: '{name}'}}
subjects: [{{kind: ServiceAccount, name: {CVO}, namespace: {NAMESPACE}}}]
"
    )
}

/// The repository of a plugin's chart.
#[must_use]
pub fn chart_of(plugin: &str) -> String {
    format!("acp/chart-{plugin}")
}
