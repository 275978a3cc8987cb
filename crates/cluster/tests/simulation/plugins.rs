//! The plugins of the simulation: what is published of them, what is in their charts, and what
//! users ask for. Knows no rule of the product but the form of its objects.

use crate::faults::INJECTED;
use crate::invariants::all_of;
use crate::store::Store;
use api::conditions::{ConditionType, ModuleReason, find};
use api::objects::{
    AppRelease, ModuleConfig, ModuleInfo, ModulePlugin, ObjectRef, ResourcePatch, object_ref,
};
use api::{Digest, Lifecycle, names as n};
use serde_json::{Value, json};
use std::sync::Arc;

/// A plugin that moves only when its user says so.
pub(crate) const PAGES: &str = "pages";
/// A plugin that moves with its cluster; it is healthy as soon as it is there.
pub(crate) const LOGS: &str = "logs";
/// The customisation of pages.
pub(crate) const PAGES_PATCH: &str = "pages-replicas";
/// The customisation of logs.
pub(crate) const LOGS_PATCH: &str = "logs-level";

/// Plugin, lifecycle, version, and the platforms that it is for; none: any.
type Published = (&'static str, Lifecycle, &'static str, &'static [&'static str]);

const CATALOGUE: [Published; 5] = [
    (PAGES, Lifecycle::Agnostic, "1.0.0", &[]),
    (PAGES, Lifecycle::Agnostic, "1.1.0", &[]),
    (PAGES, Lifecycle::Agnostic, "1.2.0", &[]),
    (LOGS, Lifecycle::Aligned, "1.0.0", &["4.2"]),
    (LOGS, Lifecycle::Aligned, "2.0.0", &["4.3"]),
];
/// What is pushed later, if at all.
const LATER: Published = (LOGS, Lifecycle::Aligned, "2.1.0", &["4.2", "4.3"]);

/// The ModuleInfo of a plugin on global.
pub(crate) fn info_ref(module: &str) -> ObjectRef {
    object_ref::<ModuleInfo>("", &n::module_info(n::GLOBAL, module))
}

fn digest(module: &str, version: &str) -> Digest {
    Digest::of(format!("{module} {version}").as_bytes())
}

/// The chart of an image, where it is one of a plugin.
pub(crate) fn chart(image: &str) -> Option<Arc<Vec<u8>>> {
    let is_it =
        |(module, _, version, _): &Published| image.ends_with(&digest(module, version).to_string());
    let (module, _, version, _) = CATALOGUE.into_iter().chain([LATER]).find(is_it)?;
    Some(Arc::new(objects(module, version).to_string().into_bytes()))
}

fn objects(module: &str, version: &str) -> Value {
    let config = |name: &str| {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": { "name": name },
            "data": { "version": version, "setting": "$setting", "level": "info" },
        })
    };
    if module == LOGS {
        return json!([config(LOGS)]);
    }
    let labels = json!({ "app": PAGES });
    let image = format!("$registry/pages:{version}");
    let deployment = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": PAGES },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": {
                "metadata": { "labels": labels },
                "spec": { "containers": [{ "name": PAGES, "image": image }] },
            },
        },
    });
    match version {
        "1.0.0" => json!([config(PAGES), config("pages-legacy"), deployment]),
        _ => json!([config(PAGES), deployment]),
    }
}

impl Store {
    /// The catalogue as violet makes it.
    pub(crate) fn push_plugins(&mut self) {
        for module in [PAGES, LOGS] {
            let object = object_ref::<ModulePlugin>("", module);
            self.push(&object, json!({}), json!({ "name": module }));
        }
        CATALOGUE.into_iter().for_each(|published| self.push_version(published));
    }

    /// Another version of logs is pushed.
    pub(crate) fn push_later(&mut self) {
        self.push_version(LATER);
    }

    fn push_version(&mut self, (module, lifecycle, version, targets): Published) {
        let object = object_ref::<ModuleConfig>("", &n::module_config(module, version));
        let labels =
            json!({ n::MODULE_NAME_LABEL: module, n::LIFECYCLE_LABEL: lifecycle.as_str() });
        let chart = format!("acp/chart-{module}");
        let spec = json!({
            "name": module,
            "version": version,
            "targetClusterVersions": targets,
            "appReleases": [{ "name": module, "chartVersions": [{
                "name": chart,
                "releaseName": module,
                "version": version,
                "digest": digest(module, version).to_string(),
            }] }],
            "config": { "setting": "plain" },
            "valuesTemplates": { chart: "setting: << .MiConfig.setting >>" },
        });
        self.push(&object, labels, spec);
    }

    fn push(&mut self, object: &ObjectRef, labels: Value, spec: Value) {
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.name, "labels": labels },
            "spec": spec,
        });
        self.create(&body, n::VIOLET).expect("it is pushed once");
    }

    /// A user asks for a version of a plugin, installed or not.
    pub(crate) fn ask(&mut self, module: &str, version: &str) {
        self.ask_on(n::GLOBAL, module, version);
    }

    /// On global, a user asks for a version of a plugin on a cluster.
    pub(crate) fn ask_on(&mut self, cluster: &str, module: &str, version: &str) {
        let object = object_ref::<ModuleInfo>("", &n::module_info(cluster, module));
        if self.get(&object).is_ok_and(|found| found.is_some()) {
            let asked = self.edit(&object, |info| info["spec"]["version"] = json!(version));
            asked.expect("it was just read");
            return;
        }
        let labels = json!({ n::CLUSTER_NAME_LABEL: cluster, n::MODULE_NAME_LABEL: module });
        let body = json!({
            "apiVersion": object.api_version,
            "kind": object.kind,
            "metadata": { "name": object.name, "labels": labels },
            "spec": { "version": version },
        });
        self.create(&body, "kubectl").expect("it is not there");
    }

    /// A user sets something of a plugin, where it is asked for.
    pub(crate) fn configure_plugin(&mut self, module: &str, setting: &str) {
        let object = info_ref(module);
        if self.get(&object).is_ok_and(|found| found.is_some()) {
            let set = |info: &mut Value| info["spec"]["config"] = json!({ "setting": setting });
            self.edit(&object, set).expect("it was just read");
        }
    }

    /// A user removes a plugin, if it is asked for.
    pub(crate) fn remove_plugin(&mut self, module: &str) {
        self.remove_plugin_of(n::GLOBAL, module);
    }

    /// On global, a user removes a plugin of a cluster, if it is asked for.
    pub(crate) fn remove_plugin_of(&mut self, cluster: &str, module: &str) {
        let object = object_ref::<ModuleInfo>("", &n::module_info(cluster, module));
        if let Ok(Some(live)) = self.get(&object) {
            self.delete(&live, "kubectl").expect("it was just read");
        }
    }

    /// A user customises the replicas of pages.
    pub(crate) fn customise_pages(&mut self, replicas: i64) {
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment" });
        self.customise_plugin(PAGES, PAGES_PATCH, target, "/spec/replicas", json!(replicas));
    }

    /// A user customises how much logs says.
    pub(crate) fn customise_logs(&mut self, level: &str) {
        let target = json!({ "apiVersion": "v1", "kind": "ConfigMap" });
        self.customise_plugin(LOGS, LOGS_PATCH, target, "/data/level", json!(level));
    }

    fn customise_plugin(
        &mut self,
        module: &str,
        name: &str,
        mut target: Value,
        path: &str,
        value: Value,
    ) {
        target["name"] = json!(module);
        target["namespace"] = json!(n::PLUGIN_NAMESPACE);
        let spec = json!({
            "release": format!("{}/{module}", n::PLUGIN_NAMESPACE),
            "target": target,
            "jsonPatch": [{ "op": "replace", "path": path, "value": value }],
        });
        let object = object_ref::<ResourcePatch>("", name);
        if self.get(&object).is_ok_and(|found| found.is_some()) {
            self.edit(&object, |patch| patch["spec"] = spec).expect("it was just read");
            return;
        }
        self.add_patch(name, spec);
    }

    /// A user takes a customisation back, if it is there.
    pub(crate) fn uncustomise_plugin(&mut self, name: &str) {
        if let Ok(Some(live)) = self.get(&object_ref::<ResourcePatch>("", name)) {
            self.delete(&live, "kubectl").expect("it was just read");
        }
    }

    /// Whether anything is offered.
    pub(crate) fn offers_plugins(&self) -> bool {
        !all_of::<ModuleConfig>(self).is_empty()
    }

    /// Whether a look for edits at rest met an error of the schedule.
    pub(crate) fn was_looked_at_in_vain(&self) -> bool {
        let met = |release: &AppRelease| {
            release.status.as_ref().is_some_and(|status| status.message.contains(INJECTED))
        };
        all_of::<AppRelease>(self).iter().any(met)
    }

    /// Whether something is still to be done about a plugin. What another controller installed is
    /// not ours.
    pub(crate) fn moves_plugins(&self) -> bool {
        all_of::<ModuleInfo>(self).iter().any(|info| {
            let status = info.status.clone().unwrap_or_default();
            let ready = find(&status.conditions, ConditionType::Ready);
            let reason = ready.map_or("", |ready| ready.reason.as_str());
            let rests: &[ModuleReason] = match info.metadata.deletion_timestamp {
                Some(_) => &[ModuleReason::RemovalPrevented],
                None => &[ModuleReason::Running, ModuleReason::Blocked],
            };
            let is_observed = status.observed_generation == info.metadata.generation;
            let is_foreign = status.observed_generation.is_none() && !status.phase.is_empty();
            let rests = is_observed && rests.iter().any(|r| r.as_str() == reason);
            !is_foreign && !rests
        })
    }
}

/// What is said of each plugin, as short as a person can read it.
pub(crate) fn told(store: &Store) -> String {
    let all = all_of::<ModuleInfo>(store).into_iter();
    let lines = all.map(|info| {
        let status = info.status.unwrap_or_default();
        let ready = find(&status.conditions, ConditionType::Ready);
        let ready = ready.map_or(String::new(), |r| format!("{} {}", r.reason, r.message));
        let name = info.metadata.name.unwrap_or_default();
        let (asked, phase, at) = (info.spec.version, status.phase, status.version);
        format!("\n  {name} asks for {asked}, {phase} at {at}: {ready}")
    });
    lines.collect()
}
