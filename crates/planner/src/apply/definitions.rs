//! Definitions only grow: no version that the cluster serves is dropped, and none is converted by a
//! webhook, which would have to run before what it serves.

use super::{ApplyError, ApplyPlan, Decision, Wave};
use api::objects::ObjectRef;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Looks at every definition that would change or come to be, before the first write.
///
/// # Errors
/// Names the definition and what it would drop.
pub fn definitions_grow(
    plan: &ApplyPlan,
    live: &BTreeMap<ObjectRef, Value>,
) -> Result<(), ApplyError> {
    let definitions = plan
        .objects
        .iter()
        .filter(|(object, decision)| {
            object.wave == Wave::Definitions
                && object.reference.kind == "CustomResourceDefinition"
                && *decision != Decision::Skip
        })
        .map(|(object, _)| object);
    for definition in definitions {
        let name = &definition.reference.name;
        let strategy = definition.body.pointer("/spec/conversion/strategy").and_then(Value::as_str);
        if strategy.is_some_and(|strategy| strategy != "None") {
            return Err(ApplyError::Converts(name.clone()));
        }
        let before = live.get(&definition.reference).map(served).unwrap_or_default();
        let after = served(&definition.body);
        if let Some(version) = before.difference(&after).next() {
            return Err(ApplyError::Drops(name.clone(), version.clone()));
        }
    }
    Ok(())
}

/// The versions that a definition serves.
fn served(definition: &Value) -> BTreeSet<String> {
    let versions = definition.pointer("/spec/versions").and_then(Value::as_array);
    let served = versions
        .into_iter()
        .flatten()
        .filter(|v| v.get("served").and_then(Value::as_bool).unwrap_or(false));
    served.filter_map(|v| Some(v.get("name")?.as_str()?.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apply::{plan_apply, prepare, reference};
    use serde_json::json;

    fn definition(versions: &[(&str, bool)], strategy: &str) -> Value {
        let versions: Vec<Value> =
            versions.iter().map(|(name, served)| json!({"name": name, "served": served})).collect();
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "notices.x.y"},
            "spec": {"versions": versions, "conversion": {"strategy": strategy}},
        })
    }

    fn grows(live: Option<&Value>, wanted: Value) -> Result<(), ApplyError> {
        let live: BTreeMap<ObjectRef, Value> =
            live.into_iter().map(|l| (reference(l).unwrap(), l.clone())).collect();
        let plan = plan_apply(prepare(vec![wanted], "crds").unwrap(), &BTreeSet::new(), &live);
        definitions_grow(&plan, &live)
    }

    #[test]
    fn a_definition_gains_versions_and_drops_none() {
        let old = definition(&[("v1alpha1", true), ("v0", false)], "None");
        assert_eq!(grows(None, definition(&[("v1", true)], "None")), Ok(()));
        assert_eq!(
            grows(Some(&old), definition(&[("v1alpha1", true), ("v1", true)], "None")),
            Ok(())
        );
        let drops = ApplyError::Drops("notices.x.y".to_owned(), "v1alpha1".to_owned());
        for wanted in [&[("v1", true)][..], &[("v1alpha1", false), ("v1", true)]] {
            assert_eq!(grows(Some(&old), definition(wanted, "None")), Err(drops.clone()));
        }
        let converts = ApplyError::Converts("notices.x.y".to_owned());
        assert_eq!(grows(None, definition(&[("v1", true)], "Webhook")), Err(converts));
    }
}
