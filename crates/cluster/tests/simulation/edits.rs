//! What users do while the product works: they ask, withdraw, customise, edit, switch checks off,
//! delete. Each of it may come before any request. Knows how it is settled again afterwards.

use crate::faults::Edit;
use crate::platform::{PATCH, object, patch_spec};
use crate::prng::Prng;
use crate::store::Store;
use api::names::{CVO_CONFIG, CVO_CONFIG_PREFLIGHT, NAMESPACE};
use api::objects::{ObjectRef, ResourcePatch, object_ref};
use serde_json::{Value, json};

/// A customisation that 4.3.0 has no place for.
const SIDECAR: &str = "sidecar";
/// Hook Jobs that users make fail or delete.
const HOOKS: [&str; 2] = ["portal-migrate", "portal-warm"];

fn job(name: &str) -> ObjectRef {
    object("Job", NAMESPACE, name)
}

/// A user deletes an object, if it is there.
fn delete(store: &mut Store, object: &ObjectRef) {
    if let Ok(Some(live)) = store.get(object) {
        store.delete(&live, "kubectl").expect("it was just read");
    }
}

/// A user writes cvo-config.
pub(crate) fn configure(store: &mut Store, text: &str) {
    let config = object("ConfigMap", NAMESPACE, CVO_CONFIG);
    let data = json!({ CVO_CONFIG_PREFLIGHT: text });
    if store.get(&config).is_ok_and(|found| found.is_some()) {
        store.edit(&config, |value| value["data"] = data).expect("it was just read");
        return;
    }
    let metadata = json!({ "name": CVO_CONFIG, "namespace": NAMESPACE });
    let body =
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data });
    store.create(&body, "kubectl").expect("it is new");
}

/// What a user may do.
pub(crate) fn edit(prng: &mut Prng) -> Edit {
    let number = i64::try_from(prng.below(5)).unwrap_or(0) + 1;
    let hook = HOOKS[usize::from(prng.below(2) == 0)];
    match prng.below(19) {
        0 | 1 => Box::new(move |store| store.customise(number, "4.3.0")),
        2 => Box::new(Store::uncustomise),
        3 => Box::new(move |store| store.customise(number, "4.2.9")),
        4 => Box::new(|store| store.wish(None)),
        5 => Box::new(|store| store.wish(Some("4.3.0"))),
        6 => Box::new(|store| store.wish(Some("4.2.0"))),
        7 => Box::new(|store| store.wish(Some("4.2.1"))),
        8 => Box::new(|store| store.wish(Some("9.9.9"))),
        9 => Box::new(|store| store.wish(Some("no version"))),
        10 => Box::new(|store| annotate(store, "mine")),
        11 => Box::new(move |store| {
            let settings = object("ConfigMap", NAMESPACE, "settings");
            let set = |value: &mut Value| value["data"]["line"] = json!(number.to_string());
            store.edit(&settings, set).expect("settings are always there");
        }),
        12 => Box::new(|store| {
            let object = object_ref::<ResourcePatch>("", SIDECAR);
            if store.get(&object).is_ok_and(|found| found.is_none()) {
                let path = "/spec/template/spec/containers/1/image";
                store.add_patch(SIDECAR, patch_spec(path, json!("mine/sidecar:2")));
            }
        }),
        13 => Box::new(|store| delete(store, &object_ref::<ResourcePatch>("", SIDECAR))),
        14 => Box::new(|store| configure(store, "disabled: [VersionUpgradePath, Nonsense]")),
        15 => Box::new(|store| configure(store, "disabled: [: {")),
        16 => Box::new(move |store| delete(store, &job(hook))),
        17 => Box::new(move |store| {
            store.failing_jobs.insert(hook.to_owned());
        }),
        _ => Box::new(|store| {
            delete(store, &object("ConfigMap", NAMESPACE, CVO_CONFIG));
            mend_hooks(store);
        }),
    }
}

/// A user annotates an object of a release.
fn annotate(store: &mut Store, note: &str) {
    let coredns = object("Deployment", "kube-system", "coredns");
    let set = |value: &mut Value| value["metadata"]["annotations"]["user/note"] = json!(note);
    store.edit(&coredns, set).expect("coredns is always there");
}

/// The cause of failed hooks is mended, and they are let run again.
fn mend_hooks(store: &mut Store) {
    store.failing_jobs.clear();
    for hook in HOOKS {
        let failed = store.get(&job(hook)).expect("the kind is served").is_some_and(|job| {
            matches!(planner::health::health(&job), planner::health::Health::Failed(_))
        });
        if failed {
            delete(store, &job(hook));
        }
    }
}

/// A user settles what is left of all that, and asks for the upgrade once more.
pub(crate) fn settle(store: &mut Store) {
    mend_hooks(store);
    delete(store, &object_ref::<ResourcePatch>("", SIDECAR));
    delete(store, &object("ConfigMap", NAMESPACE, CVO_CONFIG));
    let settings = object("ConfigMap", NAMESPACE, "settings");
    store.give_up(&settings, "kubectl");
    store.wish(Some("4.3.0"));
    let patch = store.get(&object_ref::<ResourcePatch>("", PATCH)).expect("the kind is served");
    if patch.is_some_and(|p| p["metadata"].get("deletionTimestamp").is_none()) {
        store.customise(4, "4.3.0");
    }
}
