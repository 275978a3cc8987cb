//! What the operator may write at which time: with no request under way its own words and
//! customisations at the installed version, with one what that version asks for, and never anything
//! of bytes that it was not given.

use crate::invariants::{Stores, Watch, is_judged, is_lower, typed};
use crate::releases::release_of;
use crate::store::{Change, Store};
use api::HistoryState;
use api::names::{NAMESPACE, OWNER_LABEL, PULL_SECRET};
use api::objects::{AppRelease, AppReleasePhase, HistoryEntry, ResourcePatch, object_ref};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// What the shelf and the API servers did not give in the round that is made.
#[derive(Debug, Clone, Default)]
pub(crate) struct Withheld {
    /// Product images, and whether their release was given at least once.
    releases: BTreeMap<String, bool>,
    /// Product images and paths in them.
    pub(crate) paths: BTreeSet<(String, String)>,
    /// Reads of the API servers.
    asked: BTreeSet<String>,
    /// Those of which the first answer, the one that is observed, was lost.
    pub(crate) unread: Vec<String>,
}

impl Withheld {
    /// An API server is asked; tells whether it is for the first time.
    pub(crate) fn asks(&mut self, read: String) -> bool {
        self.asked.insert(read)
    }

    /// The release of an image was asked for.
    pub(crate) fn read(&mut self, image: &str, given: bool) {
        *self.releases.entry(image.to_owned()).or_default() |= given;
    }
}

/// The AppRelease of a name.
pub(crate) fn record(store: &Store, name: &str) -> Option<AppRelease> {
    let found = store.get(&object_ref::<AppRelease>(NAMESPACE, name)).expect("the kind is served");
    found.as_ref().map(typed)
}

pub(crate) fn owner(value: Option<&Value>) -> Option<&str> {
    value?["metadata"]["labels"][OWNER_LABEL].as_str()
}

/// An object without some fields of its metadata and its status.
fn fixed(value: Option<&Value>, free: &[&str]) -> Option<Value> {
    let mut value = value?.clone();
    value.as_object_mut()?.remove("status");
    let metadata = value["metadata"].as_object_mut()?;
    for field in free.iter().chain(&["resourceVersion"]) {
        metadata.remove(*field);
    }
    Some(value)
}

impl Watch {
    /// Each write of the operator, whether or not a request is under way.
    pub(crate) fn scope(&mut self, stores: Stores, change: &Change) {
        let shadow = self.status(stores);
        let open = |entry: &&HistoryEntry| {
            entry.state == HistoryState::Partial && entry.completion_time.is_none()
        };
        let under_way = shadow.history.first().filter(open);
        let kind = change.key.1.as_str();
        let (old, new) = (change.old.as_ref(), change.new.as_ref());
        let of_status = |value: Option<&Value>| value.and_then(|v| v.get("status")).cloned();
        if same(old, new, &[]) && of_status(old) == of_status(new) {
            // Written again as it was: only who wrote it when is new.
            return;
        }
        if self.plugins(stores, change) {
            return;
        }
        let what = || format!("{kind} {}/{}", change.key.2, change.key.3);
        match kind {
            "ClusterVersionShadow" => self.must(old.is_none() || same(old, new, &[]), || {
                format!("{}: more than its status is written", what())
            }),
            "Event" => self.must(old.is_none(), || format!("{} is written again", what())),
            "ClusterModule" if under_way.is_none() && shows(old) == shows(new) => {}
            "ClusterModule" | "ProductBase" => {
                let judged = under_way.filter(|e| is_judged(shadow.preflight.as_ref(), e));
                let version = judged.map(|entry| entry.version.as_str());
                self.platform(version, change);
            }
            "ResourcePatch" => {
                let released = new.is_none()
                    && old.is_some_and(|o| {
                        typed::<ResourcePatch>(o).metadata.deletion_timestamp.is_some()
                    });
                self.must(released || same(old, new, &["finalizers"]), || {
                    format!("{}: more than its status and finalizers is written", what())
                });
            }
            _ if under_way.is_some() => {}
            "Secret" if change.key.3 == PULL_SECRET => {}
            "AppRelease" => {
                let of = |value: Option<&Value>| {
                    let release: AppRelease = typed(value?);
                    let status = release.status.unwrap_or_default();
                    Some((release.spec.release_image, release.spec.version, status.version))
                };
                let stays = old.is_some() && of(old) == of(new);
                self.must(stays, || format!("{} moves with no request under way", what()));
            }
            _ => {
                let record = owner(new).and_then(|owner| record(stores.server, owner));
                let current = shadow.current.as_ref().map(|c| c.image.as_str());
                let again = record.is_some_and(|r| {
                    Some(r.spec.release_image.as_str()) == current
                        && r.status.unwrap_or_default().phase != AppReleasePhase::Ready
                });
                self.must(again, || format!("{} is written with no request under way", what()));
            }
        }
    }

    /// I7, I11: only an upgrade changes the versions of the platform, and only to its target.
    fn platform(&mut self, target: Option<&str>, change: &Change) {
        let name = format!("{} {}", change.key.1, change.key.3);
        self.must(target.is_some(), || {
            format!("I7: {name} is written and no upgrade that passed is under way")
        });
        for path in ["/spec/version", "/status/version", "/status/base/version"] {
            let at = |value: Option<&Value>| {
                let found = value.and_then(|v| v.pointer(path)).and_then(Value::as_str);
                found.unwrap_or_default().to_owned()
            };
            let (from, to) = (at(change.old.as_ref()), at(change.new.as_ref()));
            self.must(from == to || Some(to.as_str()) == target, || {
                format!("I7: {path} of {name} goes from {from} to {to}, the target is {target:?}")
            });
            self.must(!is_lower(&from, &to), || {
                format!("I11: {path} of {name} goes from {from} to {to}")
            });
        }
    }

    /// I12, I13: what the shelf did not give in this round is not applied in it.
    pub(crate) fn given(&mut self, stores: Stores, change: &Change) {
        let Some(new) = &change.new else { return };
        let name = if change.key.1 == "AppRelease" {
            let spec = |value: &Value| typed::<AppRelease>(value).spec;
            if change.old.as_ref().map(spec) == Some(spec(new)) {
                return;
            }
            change.key.3.clone()
        } else if let Some(owner) = owner(Some(new)) {
            owner.to_owned()
        } else {
            return;
        };
        let Some(record) = record(stores.server, &name) else { return };
        let image = record.spec.release_image;
        let refused = if let Some(release) = release_of(&image) {
            let component = release.components().find(|(_, c)| c.name == name);
            let path = component.map(|(_, c)| c.path().to_owned()).unwrap_or_default();
            let refused = self.withheld.releases.get(&image) == Some(&false);
            refused || self.withheld.paths.contains(&(image, path))
        } else {
            // The image of a plugin is its chart.
            self.withheld.paths.iter().any(|(refused, _)| *refused == image)
        };
        self.must(!refused, || {
            format!("I12, I13: {} of {name} is applied, its bytes were not given", change.key.3)
        });
    }
}

/// A ClusterModule without what it shows of a cluster at rest, which says nothing of its version.
fn shows(module: Option<&Value>) -> Option<(Option<Value>, Value)> {
    let mut status = module?.get("status").cloned().unwrap_or_default();
    for field in ["/upgradable", "/unableUpgradeReason", "/base/appReleases"] {
        status.pointer_mut(field).map(Value::take);
    }
    strip(&mut status);
    Some((fixed(module, &["generation"]), status))
}

/// Takes away what is null: a field that is not there says the same.
fn strip(value: &mut Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|_, field| !field.is_null());
        fields.values_mut().for_each(strip);
    }
}

pub(crate) fn same(old: Option<&Value>, new: Option<&Value>, free: &[&str]) -> bool {
    let generation = [free, &["generation"]].concat();
    old.is_some() && new.is_some() && fixed(old, &generation) == fixed(new, &generation)
}
