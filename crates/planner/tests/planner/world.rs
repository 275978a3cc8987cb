//! The worlds of the tests: a platform as plain data, edited by a test, moved by the steps of the
//! planner as a cluster would move it. Knows no rule of the planner.

use api::objects::{AppReleasePhase, DeployStatus, Lifecycle, RunningStatus, VersionImage};
use api::release::Release;
use api::{Digest, license};
use jiff::SignedDuration;
use planner::snapshot::{AppReleaseFacts, ManifestFacts, ManifestReady, ProductBaseFacts};
use planner::snapshot::{ClusterModuleFacts, CvshFacts, ModuleShown};
use planner::{Observed, Outcome, Plan, Snapshot, Step, StepResult};
use serde_json::Value;
use std::collections::BTreeMap;

const SEED: [u8; 32] = [7; 32];

/// What a test looks at.
#[derive(Debug, Clone)]
pub(crate) struct World {
    pub(crate) snapshot: Snapshot,
}

/// What a round came to.
pub(crate) struct Round {
    pub(crate) plan: Plan,
    pub(crate) wake_at: Option<jiff::Timestamp>,
}

/// The product image of a version.
pub(crate) fn image(version: &str) -> String {
    format!("registry.test:11443/acp/product-image@{}", Digest::of(version.as_bytes()))
}

pub(crate) fn licence(global_id: &str, expires: &str) -> String {
    let license =
        license::License { global_id: global_id.into(), expires: expires.parse().unwrap() };
    serde_json::to_string(&license::sign(&license, &SEED)).unwrap()
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap()
}

/// A release of `releases.yaml`.
pub(crate) fn release(version: &str) -> Release {
    let mut value = yaml(include_str!("../releases.yaml"))[version].clone();
    assert!(!value.is_null(), "no release {version}");
    resolve(&mut value);
    serde_json::from_value(value).unwrap()
}

/// Every component of a release that is meant for a cluster, installed and Ready.
pub(crate) fn installed(version: &str, is_global: bool) -> BTreeMap<String, AppReleaseFacts> {
    let release = release(version);
    let moved = release
        .components()
        .map(|(_, c)| c)
        .filter(|c| c.clusters.concerns(is_global) && c.lifecycle != Lifecycle::Agnostic);
    moved.map(|c| (c.name.clone(), facts(&release, c, &image(version)))).collect()
}

fn facts(release: &Release, component: &api::release::Component, image: &str) -> AppReleaseFacts {
    let mut facts = AppReleaseFacts::default();
    facts.spec.version.clone_from(&component.version);
    facts.spec.release_image = image.to_owned();
    facts.spec.release = release.version.to_string();
    facts.spec.lifecycle = component.lifecycle;
    facts.spec.destination.namespace.clone_from(&component.namespace);
    facts.status.version.clone_from(&component.version);
    facts.status.release = release.version.to_string();
    facts.status.release_image = image.to_owned();
    facts.status.phase = AppReleasePhase::Ready;
    facts
}

/// Puts what the short words of the YAML stand for in their place.
fn resolve(value: &mut Value) {
    if let Value::String(text) = value {
        let words: Vec<&str> = text.split(' ').collect();
        let of = |release: &Release| serde_json::json!({ "Value": release });
        match words.as_slice() {
            ["release", version] => *value = of(&release(version)),
            ["image", version] => *value = Value::String(image(version)),
            ["installed", version] => {
                *value = serde_json::json!({ "Value": installed(version, true) });
            }
            ["license", "key"] => *value = Value::String(license::public_key(&SEED)),
            ["license", id, expires] => *value = Value::String(licence(id, expires)),
            _ => {}
        }
        return;
    }
    match value {
        Value::Array(items) => items.iter_mut().for_each(resolve),
        Value::Object(map) => map.values_mut().for_each(resolve),
        _ => {}
    }
}

/// Objects are merged, everything else is put in place; null takes a field away. What was observed
/// is replaced, never merged with what it was.
fn merge(target: &mut Value, edit: &Value) {
    let is_observed = edit.get("Value").is_some() || edit.get("Unknown").is_some();
    let (Value::Object(target), Value::Object(edit)) = (&mut *target, edit) else {
        *target = edit.clone();
        return;
    };
    if is_observed {
        target.clone_from(edit);
        return;
    }
    for (key, value) in edit {
        if value.is_null() {
            target.remove(key);
        } else {
            merge(target.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

impl World {
    /// The base of all tests.
    pub(crate) fn new() -> Self {
        let mut value = yaml(include_str!("../base.yaml"));
        resolve(&mut value);
        Self { snapshot: serde_json::from_value(value).unwrap() }
    }

    /// Changes the world as a piece of YAML says.
    pub(crate) fn edited(mut self, edit: &str) -> Self {
        self.edit(&yaml(edit));
        self
    }

    pub(crate) fn edit(&mut self, edit: &Value) {
        let mut edit = edit.clone();
        resolve(&mut edit);
        let mut value = serde_json::to_value(&self.snapshot).unwrap();
        merge(&mut value, &edit);
        self.snapshot = serde_json::from_value(value).unwrap();
    }

    pub(crate) fn ask(mut self, version: &str) -> Self {
        self.wish(Some(version));
        self
    }

    pub(crate) fn wish(&mut self, version: Option<&str>) {
        let cvsh = self.snapshot.cvsh.get_or_insert_with(CvshFacts::default);
        cvsh.desired_update =
            version.map(|v| api::objects::DesiredUpdate { version: v.to_owned(), image: None });
    }

    /// Publishes a release.
    pub(crate) fn publish(&mut self, version: &str) {
        let Observed::Value(all) = &mut self.snapshot.manifests else { panic!("no manifests") };
        all.push(ManifestFacts {
            name: format!("v{version}"),
            version: version.parse().unwrap(),
            image: Some(image(version)),
            ready: ManifestReady::Ready,
            signature: None,
            release: Observed::Value(release(version)),
            release_is_invalid: false,
        });
    }

    pub(crate) fn status(&self) -> api::ClusterVersionShadowStatus {
        self.snapshot.status()
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: i64) {
        let now = self.snapshot.now;
        self.snapshot.now = now.checked_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// One round in which every step comes to what `result` says; what is Done is done.
    pub(crate) fn round(&mut self, result: impl Fn(&Step) -> StepResult) -> Round {
        let plan = planner::plan(&self.snapshot);
        let outcomes: Vec<Outcome> = plan
            .steps
            .iter()
            .map(|step| Outcome { subject: step.subject().to_owned(), result: result(step) })
            .collect();
        let (status, wake_at) = planner::status(&self.status(), &self.snapshot, &plan, &outcomes);
        for (step, outcome) in plan.steps.iter().zip(&outcomes) {
            if outcome.result == StepResult::Done {
                self.done(step);
            }
        }
        self.record(status);
        Round { plan, wake_at }
    }

    /// One round in which every step is done.
    pub(crate) fn done_round(&mut self) -> Round {
        self.round(|_| StepResult::Done)
    }

    /// Writes a status; the release of its desired image is what is read next.
    pub(crate) fn record(&mut self, mut status: api::ClusterVersionShadowStatus) {
        status.revision += 1;
        let desired = status.desired.clone().unwrap_or_default();
        let cvsh = self.snapshot.cvsh.get_or_insert_with(CvshFacts::default);
        cvsh.status = status;
        if !matches!(self.snapshot.desired_release, Observed::Unknown(_)) {
            self.snapshot.desired_release = release_of(&desired);
        }
    }

    fn done(&mut self, step: &Step) {
        let all = match &mut self.snapshot.app_releases {
            Observed::Value(all) => all,
            other => {
                *other = Observed::Value(BTreeMap::new());
                let Observed::Value(all) = other else { unreachable!() };
                all
            }
        };
        match step {
            Step::BeginModule { version } => self.module(&version.to_string(), false),
            Step::ShowModule { shown } => self.show(shown.clone()),
            Step::Apply(step) => {
                let release = release(&step.release.to_string());
                let mut new = facts(&release, &step.component, &step.image);
                new.status.patches_digest = digest(&self.snapshot, &new, &step.component.name);
                let Observed::Value(all) = &mut self.snapshot.app_releases else { unreachable!() };
                let old = all.insert(step.component.name.clone(), new);
                // Every component of the tests leaves an object behind when it changes.
                if old.is_some_and(|old| old.status.version != step.component.version) {
                    let new = all.get_mut(&step.component.name).unwrap();
                    new.status.obsolete.insert(api::objects::ObjectRef {
                        api_version: "v1".into(),
                        kind: "ConfigMap".into(),
                        namespace: "x".into(),
                        name: "old".into(),
                    });
                }
            }
            Step::Prune { name, .. } => all.get_mut(name).unwrap().status.obsolete.clear(),
            Step::Remove { name, .. } => drop(all.remove(name)),
            Step::ReleasePatch { name } => {
                if let Observed::Value(patches) = &mut self.snapshot.resource_patches {
                    patches.retain(|p| p.name != *name);
                }
            }
            Step::ReportPatch { .. } => {}
            Step::HoldModule { name } | Step::ReleaseModule { name } => {
                panic!("a round about a cluster does not touch ModuleInfo {name}")
            }
            Step::MoveModule { module_info, version, .. } => {
                let Observed::Value(infos) = &mut self.snapshot.module_infos else { panic!() };
                let info = infos.iter_mut().find(|info| info.name == *module_info).unwrap();
                info.version.clone_from(version);
                info.is_observed = true;
            }
            Step::ReportDrift(step) => {
                // Where nothing drifted, nothing is written.
                assert!(all.contains_key(&step.component.name));
            }
            Step::Finish { version, license_keys, app_releases, .. } => {
                let version = version.to_string();
                self.module(&version, true);
                let app_releases = app_releases.clone();
                self.show(ModuleShown { app_releases, ..ModuleShown::default() });
                self.snapshot.release_keys = Observed::Value(Some(license_keys.clone()));
                let base = self.snapshot.product_base.value().cloned().flatten();
                self.snapshot.product_base = Observed::Value(Some(ProductBaseFacts {
                    spec_version: version.clone(),
                    status_version: version,
                    ..base.unwrap_or_default()
                }));
            }
        }
    }

    /// ClusterModule shows this, where it says anything of a base.
    fn show(&mut self, shown: ModuleShown) {
        if let Observed::Value(Some(module)) = &mut self.snapshot.cluster_module {
            module.shown = module.shown.as_ref().map(|_| shown);
        }
    }

    fn module(&mut self, version: &str, completed: bool) {
        let before = self.snapshot.cluster_module.value().cloned().flatten().unwrap_or_default();
        self.snapshot.cluster_module = Observed::Value(Some(ClusterModuleFacts {
            spec_version: version.to_owned(),
            base_version: if completed { version.to_owned() } else { before.base_version },
            deploy_status: if completed {
                DeployStatus::Completed
            } else {
                DeployStatus::Upgrading
            },
            running_status: RunningStatus::Healthy,
            shown: before.shown.map(|shown| ModuleShown {
                upgradable: false,
                unable_upgrade_reason: String::new(),
                ..shown
            }),
        }));
    }
}

fn release_of(desired: &VersionImage) -> Observed<Release> {
    if desired.image.is_empty() {
        return Observed::NotRead;
    }
    let all = yaml(include_str!("../releases.yaml"));
    let versions = all.as_object().unwrap().keys();
    let found = versions.into_iter().find(|v| image(v) == desired.image);
    found.map_or(Observed::Unknown("no such image".into()), |v| Observed::Value(release(v)))
}

impl World {
    /// Every component has the customisations recorded that there are now.
    pub(crate) fn patches_are_recorded(&mut self) {
        let snapshot = self.snapshot.clone();
        if let Observed::Value(all) = &mut self.snapshot.app_releases {
            for (name, facts) in all {
                facts.status.patches_digest = digest(&snapshot, facts, name);
            }
        }
    }
}

/// The digest of the customisations of a component that are in force once it was applied.
fn digest(snapshot: &Snapshot, facts: &AppReleaseFacts, name: &str) -> String {
    let key = format!("{}/{name}", facts.spec.destination.namespace);
    let patches = snapshot.resource_patches.value().into_iter().flatten();
    let entries: Vec<String> = patches
        .filter(|p| p.release == key && !p.deleting)
        .map(|p| format!("{}={}", p.name, p.digest))
        .collect();
    planner::apply::patches_digest(&entries)
}
