//! Plugin packages: the same files give the same bytes, what the charts need is granted and nothing
//! else, and what could not be installed is refused.

#![expect(clippy::unwrap_used, reason = "a test ends where something unexpected happens")]

use std::fs;
use std::path::{Path, PathBuf};

use artifacts::build::Compression;
use artifacts::plugin::{PluginPackage, peek};
use sandbox::Narrator;
use xtask::package::Form;
use xtask::plugin_package::{Built, PluginBuilder, versions};

const PLUGIN: &str = "
apiVersion: cluster.alauda.io/v1alpha1
kind: ModulePlugin
metadata: {name: page}
spec: {name: page, version: 1.0.0}
---
apiVersion: cluster.alauda.io/v1alpha1
kind: ModuleConfig
metadata: {name: page-1.0.0, labels: {cpaas.io/module-name: page}}
spec:
  name: page
  version: 1.0.0
  images:
    busybox: {repository: acp/plugin-page, tag: v1.0.0, content: {host: busybox}}
  appReleases:
  - name: page
    namespace: cpaas-plugins
    chartVersions: [{name: acp/chart-page, releaseName: page, version: 1.0.0}]
  config: {text: a, ingress: false}
  valuesTemplates:
    acp/chart-page: |
      text: << .MiConfig.text >>
      ingress: << .MiConfig.ingress >>
  deployDescriptors:
  - path: ingress
    x-descriptors: ['urn:alm:descriptor:com.tectonic.ui:booleanSwitch']
";

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: page}\n\
    data: {a: {{ .Values.text | quote }}}\n{{- if .Values.ingress }}\n---\n\
    apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: page}\n{{- end }}\n";

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

async fn builder() -> PluginBuilder {
    let variable = |name: &str| std::env::var_os(name);
    let home = variable("HOME");
    let cache = sandbox::default_cache(variable("XDG_CACHE_HOME").as_deref(), home.as_deref());
    let builder = PluginBuilder::new(&project(), &cache.unwrap(), Narrator::stderr()).await;
    builder.unwrap().layers(Compression::Gzip(1))
}

/// A plugin of one chart with one template, which stands beside its version.
fn plugin(work: &Path, text: &str, template: &str) -> PathBuf {
    let (folder, chart) = (work.join("page/1.0.0"), work.join("page/charts/chart-page"));
    fs::create_dir_all(chart.join("templates")).unwrap();
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("plugin.yaml"), text).unwrap();
    fs::write(chart.join("Chart.yaml"), "apiVersion: v2\nname: chart-page\nversion: 0.0.0\n")
        .unwrap();
    fs::write(chart.join("templates/page.yaml"), template).unwrap();
    folder
}

async fn build(builder: &PluginBuilder, plugin: &Path, out: &Path) -> anyhow::Result<Built> {
    builder.build(plugin, out, Form { archive: true, folder: true }).await
}

#[tokio::test]
async fn the_same_files_give_the_same_plugin_package() {
    let work = tempfile::tempdir().unwrap();
    let (work, builder) = (work.path(), builder().await);
    let folder = plugin(work, PLUGIN, TEMPLATE);
    let first = build(&builder, &folder, &work.join("one")).await.unwrap();
    let second = build(&builder, &folder, &work.join("two")).await.unwrap();
    let archive = first.archive.clone().unwrap();
    assert_eq!(archive.file_name().unwrap(), "page-1.0.0.tgz");
    let whole = fs::read(&archive).unwrap();
    assert!(whole == fs::read(second.archive.unwrap()).unwrap(), "two builds of a plugin differ");

    let before = fs::metadata(&archive).unwrap().modified().unwrap();
    build(&builder, &folder, &work.join("one")).await.unwrap();
    assert_eq!(fs::metadata(&archive).unwrap().modified().unwrap(), before, "it was built again");
    plugin(work, PLUGIN, &TEMPLATE.replace("a: {{", "b: {{"));
    build(&builder, &folder, &work.join("one")).await.unwrap();
    assert!(whole != fs::read(&archive).unwrap(), "a changed chart was not noticed");
}

#[tokio::test]
async fn a_built_plugin_is_whole_signed_and_has_the_rights_of_every_choice() {
    let work = tempfile::tempdir().unwrap();
    let (work, builder) = (work.path(), builder().await);
    let built = build(&builder, &plugin(work, PLUGIN, TEMPLATE), &work.join("out")).await.unwrap();
    let archive = built.archive.unwrap();
    let package = PluginPackage::unpack(&archive, &work.join("into"), |_| {}).unwrap();
    package.check_architecture(artifacts::oci::HOST_ARCHITECTURE).unwrap();
    assert!(package.is_signed().unwrap());
    let spec = package.config();
    let chart = &spec.app_releases[0].chart_versions[0];
    let image = &spec.images["busybox"];
    let held = |name: &str| {
        let mut images = package.layout().images();
        images.find(|image| image.name() == name).unwrap().digest().to_string()
    };
    assert_eq!(chart.digest, held("acp/chart-page:1.0.0"));
    assert_eq!(image.digest.to_string(), held("acp/plugin-page:v1.0.0"));
    // The Ingress is there with one choice of the form only.
    let rules = package.rights()[0]["rules"].to_string();
    assert!(rules.contains("\"configmaps\"") && rules.contains("\"ingresses\""), "{rules}");
    assert!(!rules.contains("secrets") && !rules.contains('*'), "{rules}");
    let summary = peek(&archive).unwrap();
    assert_eq!((summary.charts.len(), summary.images.len()), (1, 1));
}

#[tokio::test]
async fn a_plugin_that_could_not_be_installed_is_refused() {
    let work = tempfile::tempdir().unwrap();
    let (work, builder) = (work.path(), builder().await);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\n\
               spec: {containers: [{name: c, image: busybox}]}\n";
    let digest = format!("content: {{digest: 'sha256:{}'}}", "0".repeat(64));
    let name = |from: &str, to: &str| PLUGIN.replace(from, to);
    for (text, template, says) in [
        (PLUGIN.to_owned(), "a: {{ now }}", "calls 'now'"),
        (PLUGIN.to_owned(), pod, "'busybox' is not one of its images"),
        (PLUGIN.to_owned(), "apiVersion: x.y/v1\nkind: Thing\nmetadata: {name: t}\n", "kind Thing"),
        (name("name: acp/chart-page", "name: acp/chart-other"), TEMPLATE, "no chart 'chart-other'"),
        (name("releaseName: page", "releaseName: x"), TEMPLATE, "has releaseName 'x'"),
        (name("<< .MiConfig.text >>", "<< .Values.text >>"), TEMPLATE, "is no setting"),
        (name("content: {host: busybox}", &digest), TEMPLATE, "holds every image"),
        (name("tag: v1.0.0, content", "tag: v1.0.0, contents"), TEMPLATE, "contents"),
        (name("page-1.0.0", "page-1"), TEMPLATE, "the name of its ModuleConfig is 'page-1'"),
    ] {
        let folder = plugin(work, &text, template);
        let error = build(&builder, &folder, &work.join("out")).await.unwrap_err();
        let error = format!("{error:#}");
        assert!(error.contains(says), "'{says}' is not in: {error}");
    }
    assert!(!work.join("out/page-1.0.0.tgz").exists(), "a refused plugin was written");
}

#[test]
fn a_name_means_every_version_of_a_plugin_of_the_project() {
    let folders = versions(&project(), Path::new("pages")).unwrap();
    let shown: Vec<_> = folders.iter().map(|folder| folder.file_name().unwrap()).collect();
    assert_eq!(shown, ["1.0.0", "1.1.0"]);
    assert_eq!(versions(&project(), &folders[0]).unwrap(), folders[..1]);
    assert!(versions(&project(), Path::new("nothing")).is_err());
}
