//! A plugin package is whole, says one thing and brings nothing that nobody named, or it is
//! refused and the error says where.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use api::signing_key::Signer;
use artifacts::build::package::{pack, write_sums};
use artifacts::build::{LayoutWriter, Tree, sign_package, tgz};
use artifacts::plugin::{PluginError, PluginPackage, peek};
use artifacts::sync::Plan;
use serde_json::{Value, json};

use crate::corpus::archive::{Entry, gzip, tar};
use crate::fixture::{chain, image};

/// A plugin before it is packed.
pub(crate) struct Plugin {
    work: tempfile::TempDir,
    plugin: Value,
    config: Value,
    role: Value,
    binding: Value,
}

const CHART: &str = "acp/chart-podinfo";

pub(crate) fn packed_chart() -> Vec<u8> {
    let mut tree = Tree::default();
    let about = b"apiVersion: v2\nname: chart-podinfo\nversion: 1.0.0\n".to_vec();
    tree.file("chart-podinfo/Chart.yaml", about).unwrap();
    tgz(&tree).unwrap()
}

/// Writes the artifacts of the plugin; `architecture` is that of its image.
fn write_layout(folder: &Path, architecture: &str) -> (String, Value) {
    let mut layout = LayoutWriter::create(folder).unwrap();
    let about = json!({ "apiVersion": "v2", "name": "chart-podinfo", "version": "1.0.0" });
    let chart = layout.chart(CHART, "1.0.0", &about, &packed_chart()).unwrap();
    let web = image(1, 20_000).architecture(architecture);
    let web = web.write(&mut layout, "acp/podinfo", "v1").unwrap();
    layout.finish().unwrap();
    (chart.digest.to_string(), serde_json::to_value(web).unwrap())
}

impl Plugin {
    pub(crate) fn new() -> Self {
        Self::of("amd64")
    }

    pub(crate) fn of(architecture: &str) -> Self {
        let work = tempfile::tempdir().unwrap();
        let folder = work.path().join("package");
        fs::create_dir_all(folder.join("charts")).unwrap();
        fs::write(folder.join("charts/chart-podinfo-1.0.0.tgz"), packed_chart()).unwrap();
        let (chart, web) = write_layout(&folder.join("images"), architecture);
        let labels = |object: &str| match object {
            "config" => json!({ "cpaas.io/module-name": "podinfo" }),
            _ => json!({}),
        };
        let plugin = json!({
            "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModulePlugin",
            "metadata": { "name": "podinfo", "labels": labels("plugin") },
            "spec": { "name": "podinfo", "version": "1.0.0" },
        });
        let config = json!({
            "apiVersion": "cluster.alauda.io/v1alpha1", "kind": "ModuleConfig",
            "metadata": { "name": "podinfo-1.0.0", "labels": labels("config") },
            "spec": {
                "name": "podinfo", "version": "1.0.0",
                "appReleases": [{ "name": "podinfo", "chartVersions": [{
                    "name": CHART, "releaseName": "podinfo", "version": "1.0.0", "digest": chart,
                }] }],
                "config": { "replicas": 1, "list": [] },
                "valuesTemplates": { CHART: "replicas: << .MiConfig.replicas >>\n" },
                "deployDescriptors": [{ "path": "ingress.host", "x-descriptors": [] }],
                "dependencies": [{ "moduleName": "other", "versionsMatch": [">=1.0.0"] }],
                "supportedUpgradeVersions": ">=0.9.0",
                "targetClusterVersions": ["4.3", "4.2.1"],
                "images": { "web": web },
            },
        });
        let name = "acp:cluster-version-operator:plugin:podinfo";
        let group = "rbac.authorization.k8s.io";
        let role = json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRole",
            "metadata": { "name": name },
            "rules": [
                { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"] },
                { "apiGroups": [group], "resources": ["clusterroles"], "verbs": ["escalate"],
                  "resourceNames": ["podinfo"] },
            ],
        });
        let binding = json!({
            "apiVersion": format!("{group}/v1"), "kind": "ClusterRoleBinding",
            "metadata": { "name": name },
            "roleRef": { "apiGroup": group, "kind": "ClusterRole", "name": name },
            "subjects": [{ "kind": "ServiceAccount", "name": "cluster-version-operator",
                "namespace": "cpaas-system" }],
        });
        Self { work, plugin, config, role, binding }
    }

    fn folder(&self) -> PathBuf {
        self.work.path().join("package")
    }

    /// The extracted package.
    pub(crate) fn written(&self) -> PathBuf {
        let folder = self.folder();
        let stream = |objects: [&Value; 2]| objects.map(Value::to_string).join("\n---\n");
        fs::write(folder.join("plugin.yaml"), stream([&self.plugin, &self.config])).unwrap();
        fs::write(folder.join("rbac.yaml"), stream([&self.role, &self.binding])).unwrap();
        write_sums(&folder).unwrap();
        folder
    }

    pub(crate) fn packed(&self) -> PathBuf {
        let target = self.work.path().join("podinfo-1.0.0.tgz");
        pack(&self.written(), "podinfo-1.0.0", &target).unwrap();
        target
    }

    fn unpacked(&self, file: &Path) -> Result<PluginPackage, PluginError> {
        let into = tempfile::tempdir_in(self.work.path()).unwrap();
        PluginPackage::unpack(file, into.path(), |_| {})
    }

    fn refused(&self) -> String {
        let opened = PluginPackage::open(&self.written()).map(|_| ());
        chain(&opened.expect_err("it must be refused"))
    }

    fn bytes_refused(&self, bytes: &[u8]) -> String {
        let file = self.work.path().join("hostile.tgz");
        fs::write(&file, bytes).unwrap();
        let error = chain(&self.unpacked(&file).map(|_| ()).expect_err("it must be refused"));
        assert!(!Path::new("/tmp/plugin-canary").exists(), "{error}");
        error
    }
}

#[test]
fn a_whole_package_gives_its_objects_rights_and_artifacts() {
    let plugin = Plugin::new();
    let file = plugin.packed();
    let into = plugin.work.path().join("into");
    let mut read = 0;
    let package = PluginPackage::unpack(&file, &into, |bytes| read += bytes).unwrap();
    assert_eq!(read, fs::metadata(&file).unwrap().len());
    assert_eq!((package.name(), package.version()), ("podinfo", "1.0.0"));
    assert_eq!(package.lifecycle(), api::Lifecycle::Agnostic);
    assert_eq!(package.module_plugin(), &plugin.plugin);
    assert_eq!(package.module_config(), &plugin.config);
    assert_eq!(package.rights(), [plugin.role.clone(), plugin.binding.clone()]);
    assert_eq!(package.config().images.len(), 1);
    assert!(!package.is_signed().unwrap());
    let mut read = 0;
    package.verify(|bytes| read += bytes).unwrap();
    assert_eq!(read, package.size());
    package.check_architecture("amd64").unwrap();
    let plan = Plan::of_layout(package.layout());
    let names: Vec<String> = plan.artifacts.iter().map(artifacts::sync::Artifact::name).collect();
    assert_eq!(names, ["acp/chart-podinfo:1.0.0", "acp/podinfo:v1"]);
    let opened = PluginPackage::open(package.folder()).unwrap();
    assert_eq!(opened.module_config(), package.module_config());
}

#[test]
fn the_same_files_give_the_same_plugin_package() {
    let (one, other) = (Plugin::new().packed(), Plugin::new());
    // The first folder is gone; only its bytes count.
    assert!(!one.exists());
    let (one, other) = (Plugin::new(), other);
    assert_eq!(fs::read(one.packed()).unwrap(), fs::read(other.packed()).unwrap());
}

#[test]
fn a_peek_tells_what_the_package_says() {
    let plugin = Plugin::new();
    let file = plugin.packed();
    let summary = peek(&file).unwrap();
    assert_eq!((summary.name.as_str(), summary.version.as_str()), ("podinfo", "1.0.0"));
    assert_eq!(summary.size, fs::metadata(&file).unwrap().len());
    let (chart, web) = (&summary.charts[0], &summary.images[0]);
    assert_eq!(
        (chart.name.as_str(), web.name.as_str()),
        ("acp/chart-podinfo:1.0.0", "acp/podinfo:v1")
    );
    let package = plugin.unpacked(&file).map(|package| {
        let sizes: Vec<u64> = package.layout().images().map(|image| image.size()).collect();
        assert_eq!([chart.size, web.size], [Some(sizes[0]), Some(sizes[1])]);
    });
    // The folder is gone with the function that made it; what was read of it stays.
    package.unwrap();
    assert!(!summary.is_signed);
}

type Change = fn(&mut Plugin);

fn spec(plugin: &mut Plugin) -> &mut Value {
    &mut plugin.config["spec"]
}

fn chart(plugin: &mut Plugin) -> &mut Value {
    &mut plugin.config["spec"]["appReleases"][0]["chartVersions"][0]
}

/// Every rule on objects, how it is broken, and what the error says.
const OBJECTS: &[(Change, &str)] = &[
    (|p| p.plugin["metadata"]["name"] = "Podinfo".into(), "'Podinfo' is no name of a plugin"),
    (|p| p.config["kind"] = "ConfigMap".into(), "it holds no ModuleConfig"),
    (|p| p.plugin["status"] = json!({}), "its ModulePlugin has status, which no package may set"),
    (
        |p| p.config["metadata"]["finalizers"] = json!(["x"]),
        "its ModuleConfig has metadata.finalizers",
    ),
    (|p| p.config["metadata"]["labels"]["a"] = 1.into(), "metadata.labels"),
    (|p| p.config["metadata"]["name"] = "podinfo-1".into(), "the name of its ModuleConfig is"),
    (
        |p| p.config["metadata"]["labels"]["cpaas.io/module-name"] = "x".into(),
        "the label cpaas.io/module-name of its ModuleConfig is 'x', not 'podinfo'",
    ),
    (|p| p.plugin["spec"]["version"] = "2.0.0".into(), "spec.version of its ModulePlugin"),
    (|p| spec(p)["name"] = "other".into(), "spec.name of its ModuleConfig is 'other'"),
    (
        |p| p.plugin["metadata"]["labels"]["cpaas.io/lifecycle-type"] = "Aligned".into(),
        "its ModulePlugin is Aligned and its ModuleConfig Agnostic",
    ),
    (
        |p| p.plugin["metadata"]["labels"]["cpaas.io/lifecycle-type"] = "core".into(),
        "'core' is no lifecycle",
    ),
    (|p| spec(p)["appReleases"] = "x".into(), "the spec of its ModuleConfig cannot be read"),
    (|p| spec(p)["appReleases"] = json!([]), "it has no appReleases"),
    (|p| spec(p)["appReleases"][0]["name"] = "a_b".into(), "'a_b' is no name of an AppRelease"),
    (|p| spec(p)["appReleases"][0]["namespace"] = "a/b".into(), "'a/b' is no name of a namespace"),
    (
        |p| spec(p)["appReleases"][0]["chartVersions"] = json!([]),
        "AppRelease 'podinfo' has 0 charts instead of one",
    ),
    (
        |p| {
            let one = chart(p).clone();
            spec(p)["appReleases"][0]["chartVersions"] = json!([one.clone(), one]);
        },
        "has 2 charts instead of one",
    ),
    (
        |p| {
            let one = spec(p)["appReleases"][0].clone();
            spec(p)["appReleases"] = json!([one.clone(), one]);
        },
        "AppRelease 'podinfo' stands twice",
    ),
    (|p| chart(p)["releaseName"] = "other".into(), "has releaseName 'other'"),
    (|p| chart(p)["name"] = "../x".into(), "'../x' is no repository of a chart"),
    (|p| chart(p)["name"] = "acp/x:1".into(), "'acp/x:1' is no repository of a chart"),
    (|p| chart(p)["version"] = "latest".into(), "'latest' is not a version"),
    (|p| chart(p)["version"] = "1.0.1".into(), "which the package does not hold"),
    (|p| chart(p)["digest"] = "sha256:0".into(), "whose digest is"),
    (|p| chart(p)["digest"] = "".into(), "whose digest is"),
    (|p| chart(p)["name"] = "acp/podinfo".into(), "valuesTemplates has 'acp/chart-podinfo'"),
    (
        |p| spec(p)["valuesTemplates"][CHART] = "a: [".into(),
        "valuesTemplates of acp/chart-podinfo: the template is no YAML",
    ),
    (|p| spec(p)["valuesTemplates"][CHART] = "a: << now >>".into(), "is no setting"),
    (|p| spec(p)["valuesTemplates"][CHART] = "a: x<< .MiConfig.list >>".into(), "is a list"),
    (
        |p| spec(p)["deployDescriptors"][0]["path"] = "a[0]".into(),
        "'a[0]' in deployDescriptors is no plain path",
    ),
    (
        |p| spec(p)["dependencies"][0]["versionsMatch"] = json!(["new"]),
        "'new' is not a version range",
    ),
    (|p| spec(p)["dependencies"][0]["moduleName"] = "".into(), "'' is no name of a plugin"),
    (|p| spec(p)["supportedUpgradeVersions"] = "<<1".into(), "is not a version range"),
    (|p| spec(p)["targetClusterVersions"] = json!(["4"]), "'4' in targetClusterVersions"),
    (|p| spec(p)["transitTimeout"] = json!(-1), "transitTimeout"),
    (|p| spec(p)["resourcesBlockRemove"] = json!([{}]), "resourcesBlockRemove"),
    (|p| spec(p)["images"] = json!({}), "images/index.json is refused: it holds acp/podinfo:v1"),
    (
        |p| spec(p)["images"]["web"]["digest"] = format!("sha256:{}", "0".repeat(64)).into(),
        "it names acp/podinfo:v1, whose digest is",
    ),
    (
        |p| {
            let web = spec(p)["images"]["web"].clone();
            spec(p)["images"]["again"] = web;
        },
        "or which stands twice",
    ),
    (
        |p| spec(p)["images"]["web"]["repository"] = "acp/product-image".into(),
        "belongs to the platform itself",
    ),
    (
        |p| spec(p)["images"]["Web"] = spec(p)["images"]["web"].clone(),
        "'Web' is no name of an image",
    ),
    (
        |p| spec(p)["crossClusterDependencies"] = json!(["other"]),
        "it has crossClusterDependencies, which is not supported",
    ),
    (
        |p| spec(p)["pluginDependencies"] = json!({ "crossCluster": {} }),
        "it has pluginDependencies, which is not supported",
    ),
    (
        |p| spec(p)["appReleases"][0]["installCondition"] = "<< .MiConfig.replicas >>".into(),
        "it has installCondition in appReleases, which is not supported",
    ),
    (
        |p| spec(p)["dependencies"][0]["instanceName"] = "one".into(),
        "it has instanceName in dependencies, which is not supported",
    ),
];

#[test]
fn every_rule_on_the_objects_holds() {
    for (change, says) in OBJECTS {
        let mut plugin = Plugin::new();
        change(&mut plugin);
        let error = plugin.refused();
        assert!(error.contains(says), "'{says}' is not in: {error}");
    }
}

#[test]
fn a_version_is_one_that_a_name_and_a_tag_can_bear() {
    for (version, says) in
        [("x", "is not a version"), ("1.0.0-RC1", "a part of a name"), ("1.0.0+b", "a part of a")]
    {
        let mut plugin = Plugin::new();
        plugin.plugin["spec"]["version"] = version.into();
        spec(&mut plugin)["version"] = version.into();
        plugin.config["metadata"]["name"] = format!("podinfo-{version}").into();
        let error = plugin.refused();
        assert!(error.contains(says), "{version}: {error}");
    }
    let mut plugin = Plugin::new();
    plugin.plugin["spec"]["version"] = "v1.0.0-rc.1".into();
    spec(&mut plugin)["version"] = "v1.0.0-rc.1".into();
    plugin.config["metadata"]["name"] = "podinfo-v1.0.0-rc.1".into();
    PluginPackage::open(&plugin.written()).unwrap();
}

/// Every rule on rights, how it is broken, and what the error says.
const RIGHTS: &[(Change, &str)] = &[
    (|p| p.role["kind"] = "Role".into(), "it holds no ClusterRole "),
    (|p| p.role = p.binding.clone(), "it holds no ClusterRole "),
    (|p| p.role["aggregationRule"] = json!({}), "has aggregationRule"),
    (|p| p.role["metadata"]["name"] = "cluster-admin".into(), "is named 'cluster-admin'"),
    (|p| p.binding["metadata"]["name"] = "x".into(), "its ClusterRoleBinding is named 'x'"),
    (|p| p.binding["roleRef"]["name"] = "cluster-admin".into(), "binds another role"),
    (|p| p.binding["subjects"][0]["name"] = "default".into(), "to others than the operator"),
    (|p| p.role["rules"][0]["verbs"] = json!(["*"]), "verbs of a rule has '*'"),
    (|p| p.role["rules"][0]["resources"] = json!(["*/scale"]), "resources of a rule has"),
    (|p| p.role["rules"][0]["apiGroups"] = json!(["*"]), "apiGroups of a rule has '*'"),
    (|p| p.role["rules"][0]["verbs"] = json!(["impersonate"]), "allows 'impersonate'"),
    (|p| p.role["rules"][0]["nonResourceURLs"] = json!(["/x"]), "a rule has nonResourceURLs"),
    (|p| p.role["rules"][0]["verbs"] = json!([]), "a rule lacks"),
    (|p| p.role["rules"][1]["resourceNames"] = json!([]), "'escalate' on objects that it does not"),
    (|p| p.role["rules"][0]["verbs"] = json!(["bind"]), "'bind' on objects that it does not name"),
];

#[test]
fn every_rule_on_the_rights_holds() {
    for (change, says) in RIGHTS {
        let mut plugin = Plugin::new();
        change(&mut plugin);
        let error = plugin.refused();
        assert!(error.contains("rbac.yaml is refused") && error.contains(says), "{says}: {error}");
    }
}

#[test]
fn files_that_nobody_named_are_refused() {
    for (name, says) in [
        ("extra", "extra is refused: no plugin package holds such"),
        ("charts/extra-1.0.0.tgz", "charts/extra-1.0.0.tgz is refused: nothing of the package"),
        ("charts/deep/x.tgz", "charts/deep is refused"),
        (
            "images/blobs/sha256/0000000000000000000000000000000000000000000000000000000000000000",
            "nothing of the package needs it",
        ),
    ] {
        let plugin = Plugin::new();
        let path = plugin.folder().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "x").unwrap();
        let error = plugin.refused();
        assert!(error.contains(says), "{name}: {error}");
    }
    let plugin = Plugin::new();
    let folder = plugin.written();
    fs::write(folder.join("charts/late-1.0.0.tgz"), "x").unwrap();
    let error = chain(&PluginPackage::open(&folder).unwrap_err());
    assert!(error.contains("late-1.0.0.tgz is refused: SHA256SUMS does not name it"), "{error}");
    fs::remove_file(folder.join("charts/late-1.0.0.tgz")).unwrap();
    std::os::unix::fs::symlink("plugin.yaml", folder.join("SHA256SUMS.sig")).unwrap();
    let error = chain(&PluginPackage::open(&folder).unwrap_err());
    assert!(error.contains("SHA256SUMS.sig is refused"), "{error}");
}

#[test]
fn every_file_of_a_plugin_that_is_cut_changed_or_missing_is_named() {
    let plugin = Plugin::new();
    let folder = plugin.written();
    let sums = fs::read_to_string(folder.join("SHA256SUMS")).unwrap();
    for name in sums.lines().map(|line| line.split_once("  ").unwrap().1) {
        let path = folder.join(name);
        let bytes = fs::read(&path).unwrap();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        for broken in [Some(&changed[..]), Some(&bytes[..bytes.len() / 2]), None] {
            match broken {
                Some(broken) => fs::write(&path, broken).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            let opened = PluginPackage::open(&folder).and_then(|package| package.verify(|_| {}));
            let error = chain(&opened.expect_err("it must be refused"));
            assert!(error.contains(name.rsplit('/').next().unwrap()), "{name}: {error}");
            // A packed package with these very bytes is refused too.
            let file = plugin.work.path().join("changed.tgz");
            pack(&folder, "podinfo-1.0.0", &file).unwrap();
            plugin.unpacked(&file).map(|_| ()).expect_err("it must be refused");
        }
        fs::write(&path, &bytes).unwrap();
    }
    PluginPackage::open(&folder).unwrap().verify(|_| {}).unwrap();
}

#[test]
fn a_plugin_for_other_machines_is_refused_and_its_image_named() {
    let plugin = Plugin::of("arm64");
    let package = PluginPackage::open(&plugin.written()).unwrap();
    let error = package.check_architecture("amd64").unwrap_err().to_string();
    assert!(error.contains("acp/podinfo:v1 is for arm64, but"), "{error}");
    package.check_architecture("arm64").unwrap();
}

#[test]
fn a_chart_that_is_none_or_another_is_refused() {
    let plugin = Plugin::new();
    let images = plugin.folder().join("images");
    let rewritten = |about: Value, chart: &[u8]| {
        let mut plugin = Plugin::new();
        fs::remove_dir_all(plugin.folder().join("images")).unwrap();
        let mut layout = LayoutWriter::create(&plugin.folder().join("images")).unwrap();
        let written = layout.chart(CHART, "1.0.0", &about, chart).unwrap();
        image(1, 20_000).write(&mut layout, "acp/podinfo", "v1").unwrap();
        layout.finish().unwrap();
        super::plugin::chart(&mut plugin)["digest"] = written.digest.to_string().into();
        plugin
    };
    assert!(images.exists());
    let about = || json!({ "name": "chart-podinfo", "version": "1.0.0" });
    let error = rewritten(about(), b"another").refused();
    assert!(
        error.contains("charts/chart-podinfo-1.0.0.tgz is missing or another chart"),
        "{error}"
    );
    let error = rewritten(json!({ "name": "x", "version": "2.0.0" }), &packed_chart()).refused();
    assert!(error.contains("its Chart.yaml says version '2.0.0'"), "{error}");
    let error = rewritten(json!({ "name": "../x", "version": "1.0.0" }), &packed_chart()).refused();
    assert!(error.contains("charts/../x-1.0.0.tgz is missing"), "{error}");
    let evil = gzip(&tar(&[Entry::file("../../canary", b"x")]));
    let plugin = rewritten(about(), &evil);
    fs::write(plugin.folder().join("charts/chart-podinfo-1.0.0.tgz"), &evil).unwrap();
    let error = plugin.refused();
    assert!(error.contains("charts/chart-podinfo-1.0.0.tgz is no chart"), "{error}");
}

#[test]
fn an_archive_that_would_write_elsewhere_is_refused() {
    let plugin = Plugin::new();
    let good = || Entry::file("podinfo-1.0.0/plugin.yaml", b"a: 1\n");
    let with = |entry: Entry| gzip(&tar(&[good(), entry]));
    let link = |kind| Entry::new(kind, b"podinfo-1.0.0/rbac.yaml", b"").to("/tmp/plugin-canary");
    for (bytes, says) in [
        (with(Entry::file("/tmp/plugin-canary", b"x")), "a path that leaves its folder"),
        (with(Entry::file("podinfo-1.0.0/../../canary", b"x")), "a path that leaves its folder"),
        (with(Entry::file("other/rbac.yaml", b"x")), "which is not in its folder"),
        (with(Entry::file("rbac.yaml", b"x")), "which is not in its folder"),
        (with(link(b'2')), ": no file"),
        (with(link(b'1')), ": no file"),
        (with(Entry::new(b'3', b"podinfo-1.0.0/rbac.yaml", b"")), ": no file"),
        (with(good()), " twice"),
        (with(Entry::file("podinfo-1.0.0/PLUGIN.yaml", b"")), " twice"),
        (with(Entry::file("podinfo-1.0.0/bin/sh", b"x")), "which no plugin package holds"),
        (with(Entry::file("podinfo-1.0.0/images/x", b"x")), "which no plugin package holds"),
        (with(Entry::file("podinfo-1.0.0/charts/.x.tgz", b"x")), "which no plugin package holds"),
        (with(Entry::file("podinfo-1.0.0/rbac.yaml", b"x").mode(0o4755)), "special rights"),
        (gzip(&tar(&[good()])), "it holds no SHA256SUMS"),
        (gzip(&tar(&[])), "it holds no file"),
        (b"no archive".to_vec(), "it was cut or is no package"),
        ([gzip(&tar(&[good()])), b"x".to_vec()].concat(), "bytes follow its packed archive"),
    ] {
        let error = plugin.bytes_refused(&bytes);
        assert!(error.contains(says), "'{says}' is not in: {error}");
    }
    let file = plugin.packed();
    let whole = fs::read(&file).unwrap();
    let error = plugin.bytes_refused(&whole[..whole.len() / 2]);
    assert!(error.contains("it was cut or is no package"), "{error}");
    pack(&plugin.folder(), "podinfo-2.0.0", &file).unwrap();
    let error = chain(&plugin.unpacked(&file).unwrap_err());
    assert_eq!(error, "its folder is 'podinfo-2.0.0', not 'podinfo-1.0.0'");
    let full = plugin.folder();
    let error = chain(&PluginPackage::unpack(&file, &full, |_| {}).unwrap_err());
    assert!(error.contains("cannot write"), "{error}");
}

#[test]
fn an_archive_that_would_fill_the_disk_is_refused_before_it_does() {
    let plugin = Plugin::new();
    let blob = format!("podinfo-1.0.0/images/blobs/sha256/{}", "0".repeat(64));
    let zeros = vec![0; 64 * 1024 * 1024];
    let bomb = gzip(&tar(&[Entry::file(&blob, &zeros)]));
    let error = plugin.bytes_refused(&bomb);
    assert!(error.contains("it unpacks to more than"), "{error}");
    let long = gzip(&tar(&[Entry::file("podinfo-1.0.0/rbac.yaml", &zeros[..2 << 20])]));
    let error = plugin.bytes_refused(&long);
    assert!(error.contains("which is longer than 1048576 bytes"), "{error}");
    // Zeros behind the end, which nothing of the archive announces.
    let mut tail = tar(&[Entry::file(&blob, b"x")]);
    tail.extend_from_slice(&zeros);
    let error = plugin.bytes_refused(&gzip(&tail));
    assert!(error.contains("it unpacks to more than"), "{error}");
}

#[test]
fn a_signed_plugin_is_trusted_by_its_key_only() {
    let plugin = Plugin::new();
    let folder = plugin.written();
    let signer = Signer::new("publisher-1", &[41; 32]);
    sign_package(&folder, std::slice::from_ref(&signer)).unwrap();
    let keys = [signer.public("2099-12-31".parse().unwrap())];
    let file = plugin.work.path().join("signed.tgz");
    pack(&folder, "podinfo-1.0.0", &file).unwrap();
    assert!(peek(&file).unwrap().is_signed);
    let package = PluginPackage::open(&folder).unwrap();
    assert!(package.is_signed().unwrap());
    assert_eq!(package.verify_sums(&keys, None).unwrap(), "publisher-1");
    let other = [Signer::new("other", &[42; 32]).public("2099-12-31".parse().unwrap())];
    package.verify_sums(&other, None).unwrap_err();
    let mut sums = fs::OpenOptions::new().append(true).open(folder.join("SHA256SUMS")).unwrap();
    writeln!(sums, "{}  late", "0".repeat(64)).unwrap();
    package.verify_sums(&keys, None).unwrap_err();
}
