//! Helm hooks: which rendered objects are hooks, when they run and in which order.

use api::names::{HELM_HOOK, HELM_HOOK_DELETE_POLICY, HELM_HOOK_WEIGHT};
use serde_json::Value;

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HookPoint {
    /// Before the first object is written.
    Before,
    /// After the component is healthy.
    After,
}

impl HookPoint {
    /// The word by which it is recorded.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "Before",
            Self::After => "After",
        }
    }
}

/// A hook of a chart.
#[derive(Debug, Clone, PartialEq)]
pub struct Hook {
    /// When it runs.
    pub point: HookPoint,
    /// Lower first.
    pub weight: i64,
    /// Deleted once it succeeded.
    pub delete_on_success: bool,
    /// The Job or object.
    pub object: Value,
}

/// Parts rendered objects into ordinary ones and the hooks of an install or an upgrade. Hooks for
/// other occasions (delete, rollback, test) are left out.
#[must_use]
pub fn split_hooks(rendered: Vec<Value>, is_install: bool) -> (Vec<Value>, Vec<Hook>) {
    let (mut objects, mut hooks) = (Vec::new(), Vec::new());
    for object in rendered {
        let annotation = |key: &str| {
            object
                .pointer("/metadata/annotations")
                .and_then(|a| a.get(key))
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let Some(events) = annotation(HELM_HOOK) else {
            objects.push(object);
            continue;
        };
        let occasion = if is_install { "install" } else { "upgrade" };
        let has = |event: String| events.split(',').any(|e| e.trim() == event);
        let weight = annotation(HELM_HOOK_WEIGHT).and_then(|w| w.trim().parse().ok()).unwrap_or(0);
        let policies = annotation(HELM_HOOK_DELETE_POLICY).unwrap_or_default();
        let delete_on_success = policies.split(',').any(|p| p.trim() == "hook-succeeded");
        for (point, event) in [
            (HookPoint::Before, format!("pre-{occasion}")),
            (HookPoint::After, format!("post-{occasion}")),
        ] {
            if has(event) {
                hooks.push(Hook { point, weight, delete_on_success, object: object.clone() });
            }
        }
    }
    hooks.sort_by_key(|h| {
        (h.point, h.weight, h.object.pointer("/metadata/name").map(Value::to_string))
    });
    (objects, hooks)
}
