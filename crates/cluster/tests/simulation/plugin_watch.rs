//! What the operator may write of plugins, and in which of its rounds: those about plugins write
//! what a ModuleInfo installed and nothing else, those about the cluster only ask an Aligned one
//! for another version. Nothing is left of what was removed.

use crate::invariants::{Stores, Watch, all_of, app_release, is_lower, typed};
use crate::platform::AGNOSTIC;
use crate::plugins::{LOGS, PAGES};
use crate::scope::{owner, record, same};
use crate::store::{Change, Store};
use api::HistoryState;
use api::names::{FIELD_MANAGER, MODULE_NAME_LABEL, RUNNING, module_info};
use api::objects::{AppRelease, ModuleInfo, object_ref};
use serde_json::Value;

/// The ModuleInfo that an AppRelease, or an object of one, is part of.
fn part_of(server: &Store, change: &Change) -> Option<String> {
    let shown = change.new.as_ref().or(change.old.as_ref())?;
    let record = match change.key.1.as_str() {
        "AppRelease" => typed::<AppRelease>(shown),
        _ => record(server, owner(Some(shown))?)?,
    };
    Some(record.spec.module_info).filter(|name| !name.is_empty())
}

/// The AppReleases that are parts of a ModuleInfo, and the objects of a release.
fn left(server: &Store, info: &str, release: &str) -> Vec<String> {
    let parts = all_of::<AppRelease>(server).into_iter().filter(|r| r.spec.module_info == info);
    let parts = parts.map(|r| format!("AppRelease {}", r.metadata.name.unwrap_or_default()));
    let objects = server.objects.iter().filter(|(_, s)| owner(Some(&s.value)) == Some(release));
    parts.chain(objects.map(|(key, _)| format!("{key:?}"))).collect()
}

fn info_of(home: &Store, name: &str) -> Option<ModuleInfo> {
    let found = home.get(&object_ref::<ModuleInfo>("", name)).expect("the kind is served");
    found.as_ref().map(typed)
}

fn module_of(info: &ModuleInfo) -> String {
    let labels = info.metadata.labels.iter().flatten();
    labels.filter(|(key, _)| *key == MODULE_NAME_LABEL).map(|(_, value)| value.clone()).collect()
}

fn is_going(info: Option<&ModuleInfo>) -> bool {
    info.is_none_or(|info| info.metadata.deletion_timestamp.is_some())
}

impl Watch {
    /// A write of the operator, where it is about a plugin; tells whether it is.
    pub(crate) fn plugins(&mut self, stores: Stores, change: &Change) -> bool {
        let (kind, name) = (change.key.1.as_str(), &change.key.3);
        match (kind, part_of(stores.server, change)) {
            ("ModuleInfo", _) => self.module_info(stores, change),
            ("ModuleConfig" | "ModulePlugin", _) => {
                let status = same(change.old.as_ref(), change.new.as_ref(), &[]);
                self.must(status && self.is_about_plugins, || {
                    format!("more than the status of {kind} {name} is written")
                });
            }
            (_, Some(info)) => self.part(stores, change, &info),
            (_, None) => {
                let free = ["ResourcePatch", "Secret"].contains(&kind) || self.brings(change);
                self.must(free || !self.is_about_plugins, || {
                    format!("a round about plugins writes {kind} {name}")
                });
                return false;
            }
        }
        true
    }

    /// Who says what of a ModuleInfo, and who may change what it asks for.
    fn module_info(&mut self, stores: Stores, change: &Change) {
        let name = &change.key.3;
        let Some(old) = change.old.as_ref().map(typed::<ModuleInfo>) else {
            return self.must(false, || format!("{name} is made by the operator"));
        };
        let module = module_of(&old);
        self.must(module != AGNOSTIC, || format!("{name} of another controller is written"));
        let Some(new) = change.new.as_ref().map(typed::<ModuleInfo>) else {
            let asked = old.metadata.deletion_timestamp.is_some();
            return self.must(asked && self.is_about_plugins, || format!("{name} is deleted"));
        };
        let before = old.status.unwrap_or_default();
        if !self.is_about_plugins {
            let to = &new.spec.version;
            let only = without_version(change.old.as_ref()) == without_version(change.new.as_ref());
            self.must(only, || format!("{name}: more than its version is written by an upgrade"));
            let history = self.status(stores).history;
            let under_way = history.first().is_some_and(|e| e.state == HistoryState::Partial);
            self.must(under_way && module == LOGS, || format!("I7: {name} is moved to {to}"));
            let from = &before.version;
            let lower = is_lower(from, to);
            return self.must(!lower, || format!("I11: {name} is moved from {from} to {to}"));
        }
        self.must(same(change.old.as_ref(), change.new.as_ref(), &["finalizers"]), || {
            format!("{name}: more than its status and finalizers is written")
        });
        let (after, was) = (new.status.unwrap_or_default(), before.version);
        let at = after.version;
        self.must(!is_lower(&was, &at), || format!("I11: {name} goes from {was} to {at:?}"));
        if after.phase == RUNNING && was != at {
            let found = app_release(stores.server, &module).unwrap_or_default().version;
            self.must(found == at, || format!("{name} says {at}, and {found:?} is installed"));
        }
    }

    /// I7 and the intent: an AppRelease of a plugin and the objects of it.
    fn part(&mut self, stores: Stores, change: &Change, name: &str) {
        let what = || format!("{} {} of {name}", change.key.1, change.key.3);
        self.must(self.is_about_plugins, || {
            format!("I7: {} is written in a round about the cluster", what())
        });
        let info = info_of(stores.home, name);
        if change.key.1 != "AppRelease" {
            let release = change.old.as_ref().and_then(|old| owner(Some(old)));
            let record = release.and_then(|release| app_release(stores.server, release));
            let obsolete = record.unwrap_or_default().obsolete;
            let is_obsolete =
                obsolete.iter().any(|o| o.kind == change.key.1 && o.name == change.key.3);
            let may_go = change.new.is_some() || is_obsolete || is_going(info.as_ref());
            return self.must(may_go, || format!("{} is deleted", what()));
        }
        let version = |value: &Option<Value>| {
            value.as_ref().map(|value| typed::<AppRelease>(value).spec.version).unwrap_or_default()
        };
        let (from, to) = (version(&change.old), version(&change.new));
        if change.new.is_none() {
            self.must(is_going(info.as_ref()), || format!("{} is deleted", what()));
        } else if from != to {
            let said = info.and_then(|info| info.status).unwrap_or_default().transit_version;
            self.must(said == to, || format!("{} moves to {to}, {said:?} was said", what()));
        }
    }

    /// Who lets a ModuleInfo go leaves nothing of it behind.
    pub(crate) fn nothing_is_left(&mut self, stores: Stores, change: &Change) {
        let Some(old) = change.old.as_ref().filter(|_| change.new.is_none()) else { return };
        // A user may take one away that nobody holds.
        if change.key.1 == "ModuleInfo" && change.manager == FIELD_MANAGER {
            let left = left(stores.server, &change.key.3, &module_of(&typed(old)));
            self.must(left.is_empty(), || format!("{} is gone, {left:?} is left", change.key.3));
        }
    }

    /// Whether a release is one of a plugin that is being removed, or was: then its customisations
    /// wait.
    pub(crate) fn leaves(&self, stores: Stores, release: &str) -> bool {
        let module = release.rsplit('/').next().unwrap_or_default();
        let info = info_of(stores.home, &module_info(self.cluster, module));
        [PAGES, LOGS].contains(&module) && is_going(info.as_ref())
    }
}

/// A ModuleInfo without what it asks for, and without what changes with it.
fn without_version(value: Option<&Value>) -> Option<Value> {
    let mut value = value?.clone();
    value["spec"].as_object_mut()?.remove("version");
    let metadata = value["metadata"].as_object_mut()?;
    metadata.remove("generation");
    metadata.remove("resourceVersion");
    Some(value)
}
