//! The clusters of a platform before the product did anything, and what users do to them. Knows no
//! rule of the product but the form of its objects.

use crate::releases::{SEED, image, release};
use crate::store::Store;
use api::conditions::{ConditionStatus, ConditionType, ManifestReason};
use api::names as n;
use api::objects::{
    ClusterVersionShadow, ObjectRef, ProductManifest, ResourcePatch, object_ref, served_kinds,
};
use api::{Time, license};
use base64::Engine as _;
use cluster::CallError;
use jiff::Timestamp;
use serde_json::{Value, json};

/// The plugin of its own lifecycle that no upgrade touches.
pub(crate) const AGNOSTIC: &str = "notes";
/// The customisation of the tests.
pub(crate) const PATCH: &str = "coredns-replicas";
const USER: &str = "kubectl";

fn base64(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(text)
}

fn core(kind: &str, name: &str, namespace: &str) -> Value {
    let metadata = json!({ "name": name, "namespace": namespace });
    json!({ "apiVersion": "v1", "kind": kind, "metadata": metadata })
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } })
}

/// The objects that every cluster has.
fn of_each_cluster() -> Vec<Value> {
    let mut node = json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": "node-1", "labels": { n::CONTROL_PLANE_LABEL: "" } },
    });
    node["status"] = json!({ "nodeInfo": { "containerRuntimeVersion": "containerd://2.0.0" } });
    let mut all = vec![namespace("kube-system"), node];
    for component in n::STATIC_PODS {
        let mut pod = core("Pod", &format!("{component}-node-1"), "kube-system");
        pod["metadata"]["labels"] =
            json!({ "tier": "control-plane", n::COMPONENT_LABEL: component });
        pod["spec"] = json!({ "nodeName": "node-1" });
        pod["status"] = json!({ "conditions": [{ "type": "Ready", "status": "True" }] });
        all.push(pod);
    }
    all
}

/// A cluster as it is registered, with a plugin on it.
fn registered(name: &str) -> [Value; 2] {
    [
        json!({
            "apiVersion": "platform.tkestack.io/v1",
            "kind": "Cluster",
            "metadata": { "name": name },
            "spec": { "type": "Baremetal" },
            "status": { "phase": n::RUNNING },
        }),
        json!({
            "apiVersion": "cluster.alauda.io/v1alpha1",
            "kind": "ModuleInfo",
            "metadata": {
                "name": format!("{name}-notes"),
                "labels": { n::CLUSTER_NAME_LABEL: name, n::MODULE_NAME_LABEL: AGNOSTIC },
            },
            "spec": { "version": "2.0.0" },
            "status": { "phase": n::RUNNING },
        }),
    ]
}

/// The objects that only global has.
fn of_global() -> Vec<Value> {
    let license = license::License {
        global_id: "g-1".into(),
        expires: "2030-01-01T00:00:00Z".parse().unwrap(),
    };
    let license = serde_json::to_string(&license::sign(&license, &SEED)).unwrap();
    let mut licence = core("Secret", n::PLATFORM_LICENSE, n::NAMESPACE);
    licence["data"] = json!({ n::LICENSE_KEY: base64(&license) });
    let mut pull = core("Secret", "pull", n::NAMESPACE);
    pull["type"] = json!("kubernetes.io/dockerconfigjson");
    pull["data"] = json!({ ".dockerconfigjson": base64("{}") });
    let base = json!({
        "apiVersion": "product.alauda.io/v1alpha2",
        "kind": "ProductBase",
        "metadata": { "name": n::PRODUCT_BASE },
        "spec": { "registry": { "address": "10.0.0.10:11443", "secretRef": { "name": "pull" } } },
        "status": { "globalID": "g-1" },
    });
    [vec![namespace(n::NAMESPACE), licence, pull, base], registered(n::GLOBAL).into()].concat()
}

impl Store {
    /// A global cluster on which nothing of the product is installed.
    pub(crate) fn platform(now: Timestamp) -> Self {
        let mut store = Self::workload(now);
        for kind in served_kinds() {
            store.serve(&kind.api_version, &kind.kind, kind.namespaced);
        }
        store.install(&of_global());
        store.publish("4.2.1");
        store
    }

    /// A workload cluster that nobody has registered: it serves no kind of the product.
    pub(crate) fn workload(now: Timestamp) -> Self {
        let mut store = Self::new(now);
        store.install(&of_each_cluster());
        store
    }

    /// A workload cluster is registered on global.
    pub(crate) fn register(&mut self, name: &str) {
        self.install(&registered(name));
        self.install(&[json!({
            "apiVersion": "platform.tkestack.io/v1",
            "kind": "ClusterCredential",
            "metadata": { "name": name },
            "clusterName": name,
            "token": "t",
            "caCert": base64("CA"),
        })]);
    }

    fn install(&mut self, objects: &[Value]) {
        for object in objects {
            self.create(object, "installer").expect("it is new");
        }
    }

    /// A plugin that violet installed.
    pub(crate) fn agnostic_plugin(&mut self) {
        let labels = json!({ n::OWNER_LABEL: AGNOSTIC });
        let all = [
            json!({
                "apiVersion": "operator.alauda.io/v1alpha1",
                "kind": "AppRelease",
                "metadata": { "name": AGNOSTIC, "namespace": n::NAMESPACE },
                "spec": {
                    "version": "2.0.0",
                    "lifecycle": "Agnostic",
                    "releaseImage": "registry.test:11443/acp/plugins/notes@sha256:0",
                    "destination": { "namespace": n::NAMESPACE },
                },
                "status": { "version": "2.0.0", "phase": "Ready" },
            }),
            json!({
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": { "name": "notes", "namespace": n::NAMESPACE, "labels": labels },
                "data": { "version": "2" },
            }),
        ];
        for object in all {
            self.create(&object, "violet").expect("the plugin is new");
        }
    }

    /// A ProductManifest, resolved.
    pub(crate) fn publish(&mut self, version: &str) {
        let object = object_ref::<ProductManifest>("", &format!("v{version}"));
        let mut conditions = Vec::new();
        let now: Time = api::time(self.now);
        api::conditions::set(
            &mut conditions,
            ConditionType::Ready,
            ConditionStatus::True,
            ManifestReason::Resolved.as_str(),
            "",
            &now,
            Some(1),
        );
        assert_eq!(release(version).version.to_string(), version);
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.name },
            "spec": { "version": version },
            "status": { "observedGeneration": 1, "image": image(version), "conditions": conditions },
        });
        self.create(&body, "acp-prepare").expect("a version is published once");
    }

    /// A user edits an object.
    pub(crate) fn edit(
        &mut self,
        object: &ObjectRef,
        edit: impl FnOnce(&mut Value),
    ) -> Result<Value, CallError> {
        self.update(object, false, USER, |value| {
            edit(value);
            Ok(())
        })
    }

    /// A user asks for a version of global, or withdraws the wish.
    pub(crate) fn wish(&mut self, version: Option<&str>) {
        self.wish_of(n::GLOBAL, version);
    }

    /// On global, a user asks for a version of a cluster, or withdraws the wish.
    pub(crate) fn wish_of(&mut self, cluster: &str, version: Option<&str>) {
        let object = object_ref::<ClusterVersionShadow>(n::NAMESPACE, cluster);
        let edited = self.edit(&object, |value| match version {
            Some(version) => value["spec"]["desiredUpdate"] = json!({ "version": version }),
            None => drop(value["spec"].as_object_mut().map(|spec| spec.remove("desiredUpdate"))),
        });
        edited.expect("there is a ClusterVersionShadow");
    }

    /// A user customises the replicas of coredns, exempt for some version.
    pub(crate) fn customise(&mut self, replicas: i64, exempt: &str) {
        let object = object_ref::<ResourcePatch>("", PATCH);
        let spec = patch_spec("/spec/replicas", json!(replicas));
        let annotations = json!({ n::EXEMPT_ANNOTATION: exempt });
        if self.get(&object).is_ok_and(|found| found.is_some()) {
            let edited = self.edit(&object, |value| {
                value["spec"] = spec;
                value["metadata"]["annotations"] = annotations;
            });
            edited.expect("it was just read");
            return;
        }
        self.add_patch(PATCH, spec);
        let annotated = self.edit(&object, |value| value["metadata"]["annotations"] = annotations);
        annotated.expect("it was just made");
    }

    /// A user adds a customisation that is exempt for 4.3.0.
    pub(crate) fn add_patch(&mut self, name: &str, spec: Value) {
        let object = object_ref::<ResourcePatch>("", name);
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": {
                "name": name,
                "finalizers": [n::RESOURCE_PATCH_FINALIZER],
                "annotations": { n::EXEMPT_ANNOTATION: "4.3.0" },
            },
            "spec": spec,
        });
        self.create(&body, USER).expect("the customisation is new");
    }

    /// A user takes the customisation back.
    pub(crate) fn uncustomise(&mut self) {
        let object = object_ref::<ResourcePatch>("", PATCH);
        if let Ok(Some(live)) = self.get(&object) {
            self.delete(&live, USER).expect("it was just read");
        }
    }

    /// Somebody gives up the fields that he owns.
    pub(crate) fn give_up(&mut self, object: &ObjectRef, manager: &str) {
        let key = self.key(object).expect("the kind is served");
        if let Some(stored) = self.objects.get_mut(&key) {
            stored.managers.retain(|m| m.name != manager);
        }
    }
}

/// A ResourcePatch of the Deployment coredns.
pub(crate) fn patch_spec(path: &str, value: Value) -> Value {
    json!({
        "release": "kube-system/coredns",
        "target": {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "name": "coredns",
            "namespace": "kube-system",
        },
        "jsonPatch": [{ "op": "replace", "path": path, "value": value }],
    })
}

/// An object of the core group or of apps.
pub(crate) fn object(kind: &str, namespace: &str, name: &str) -> ObjectRef {
    let api_version = match kind {
        "Deployment" | "DaemonSet" => "apps/v1",
        "Job" => "batch/v1",
        "Widget" => "demo.test/v1",
        "CustomResourceDefinition" => "apiextensions.k8s.io/v1",
        _ => "v1",
    };
    ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
