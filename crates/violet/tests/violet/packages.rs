//! Small plugin packages, as the packaging writes them.

use api::names::{CVO, NAMESPACE, plugin_role};
use api::signing_key::Signer;
use artifacts::build::package::{pack, write_sums};
use artifacts::build::{ImageBuilder, LayoutWriter, Tree, sign_package, tgz};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What of a package a test may choose.
pub(crate) struct Plugin {
    pub(crate) version: &'static str,
    pub(crate) architecture: &'static str,
    /// A setting's default.
    pub(crate) replicas: u32,
    pub(crate) description: &'static str,
    /// What the operator must be able to change.
    pub(crate) resource: &'static str,
    /// Who signs it.
    pub(crate) signer: Option<Signer>,
}

impl Default for Plugin {
    fn default() -> Self {
        let description = "A small web page that says who it is.";
        Self {
            version: "1.0.0",
            architecture: "amd64",
            replicas: 1,
            description,
            resource: "deployments",
            signer: None,
        }
    }
}

impl Plugin {
    /// Writes `podinfo-<version>.tgz` into a folder.
    pub(crate) fn write(&self, folder: &Path) -> PathBuf {
        let name = format!("podinfo-{}", self.version);
        let inside = folder.join("content").join(&name);
        std::fs::create_dir_all(&inside).unwrap();
        let mut layout = LayoutWriter::create(&inside.join("images")).unwrap();
        let mut tree = Tree::default();
        tree.program("podinfo", b"a program".to_vec()).unwrap();
        let image =
            ImageBuilder::new(tree).entrypoint(["/podinfo"]).architecture(self.architecture);
        let server = image.write(&mut layout, "acp/podinfo", "6.9.0").unwrap();
        let job = image.user("0:0").write(&mut layout, "acp/podinfo-job", "6.9.0").unwrap();
        let about = json!({ "apiVersion": "v2", "name": "podinfo", "version": "6.9.0" });
        let packed = chart(&about);
        std::fs::create_dir(inside.join("charts")).unwrap();
        std::fs::write(inside.join("charts/podinfo-6.9.0.tgz"), &packed).unwrap();
        let chart = layout.chart("acp/chart-podinfo", "6.9.0", &about, &packed).unwrap();
        layout.finish().unwrap();
        let images = json!({ "podinfo": server, "podinfo-job": job });
        let digest = chart.digest.to_string();
        let write = |file: &str, objects: [Value; 2]| {
            let text = objects.map(|object| object.to_string()).join("\n---\n");
            std::fs::write(inside.join(file), text).unwrap();
        };
        write("plugin.yaml", self.catalogue(&images, &digest));
        write("rbac.yaml", self.rights());
        let target = folder.join(format!("{name}.tgz"));
        write_sums(&inside).unwrap();
        if let Some(signer) = &self.signer {
            sign_package(&inside, std::slice::from_ref(signer)).unwrap();
        }
        pack(&inside, &name, &target).unwrap();
        std::fs::remove_dir_all(folder.join("content")).unwrap();
        target
    }

    fn catalogue(&self, images: &Value, chart: &str) -> [Value; 2] {
        let kind = |kind: &str| json!({ "apiVersion": "cluster.alauda.io/v1alpha1", "kind": kind });
        let (mut plugin, mut config) = (kind("ModulePlugin"), kind("ModuleConfig"));
        let labels = json!({ "cpaas.io/module-name": "podinfo" });
        let number = "urn:alm:descriptor:com.tectonic.ui:number";
        let password = "urn:alm:descriptor:com.tectonic.ui:password";
        let release = json!({ "name": "acp/chart-podinfo", "releaseName": "podinfo", "version": "6.9.0", "digest": chart });
        let spec = json!({
            "name": "podinfo",
            "version": self.version,
            "description": { "en": self.description, "zh": self.description },
            "logo": "", "deleteable": true,
            "targetClusterVersions": ["4.3"],
            "affinity": { "clusterAffinity": { "matchLabels": { "region": "eu" } } },
            "appReleases": [{ "name": "podinfo", "chartVersions": [release] }],
            "dependencies": [{ "moduleName": "logging", "versionsMatch": [">=1.0.0"] }],
            "config": { "replicas": self.replicas, "token": "hidden-default" },
            "deployDescriptors": [
                { "path": "replicas", "displayName": "Replicas", "x-descriptors": [number] },
                { "path": "token", "displayName": "Token", "x-descriptors": [password] },
            ],
            "images": images,
        });
        plugin["metadata"] = json!({ "name": "podinfo", "labels": labels });
        plugin["spec"] = spec.clone();
        config["metadata"] =
            json!({ "name": format!("podinfo-{}", self.version), "labels": labels });
        config["spec"] = spec;
        [plugin, config]
    }

    fn rights(&self) -> [Value; 2] {
        let name = plugin_role("podinfo");
        let head = |kind: &str| {
            let version = "rbac.authorization.k8s.io/v1";
            json!({ "apiVersion": version, "kind": kind, "metadata": { "name": name } })
        };
        let (mut role, mut binding) = (head("ClusterRole"), head("ClusterRoleBinding"));
        role["rules"] = json!([{ "apiGroups": ["apps"], "resources": [self.resource], "verbs": ["get", "patch"] }]);
        binding["roleRef"] =
            json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name });
        binding["subjects"] =
            json!([{ "kind": "ServiceAccount", "name": CVO, "namespace": NAMESPACE }]);
        [role, binding]
    }
}

fn chart(about: &Value) -> Vec<u8> {
    let mut tree = Tree::default();
    tree.file("podinfo/Chart.yaml", about.to_string().into_bytes()).unwrap();
    tgz(&tree).unwrap()
}
