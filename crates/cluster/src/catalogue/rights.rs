//! Decides which rights the operator has after a push: those of this version, and those that an
//! earlier push gave. Other versions of the plugin are installed on other clusters, and the
//! operator must still be able to change and remove them; so a push takes no right away.

use super::{PublishError, failed, title};
use crate::server::ApiServer;
use api::objects::ObjectRef;
use serde_json::{Value, json};

/// The objects as they are to be applied.
///
/// # Errors
/// When one that is there cannot be read.
pub(super) async fn grown<A: ApiServer>(
    rights: &[Value],
    server: &A,
) -> Result<Vec<Value>, PublishError> {
    let mut all = Vec::new();
    for object in rights {
        let live = server.get(&reference(object)).await;
        let live = live.map_err(failed(format!("read {}", title(object))))?;
        all.push(match live {
            Some(live) => with_rules_of(&live, object),
            None => object.clone(),
        });
    }
    Ok(all)
}

fn reference(object: &Value) -> ObjectRef {
    let text =
        |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    ObjectRef {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: String::new(),
        name: text("/metadata/name"),
    }
}

/// The rules that are there stay where they are, so that nothing changes where nothing is new.
fn with_rules_of(live: &Value, object: &Value) -> Value {
    let mut grown = object.clone();
    let rules = |object: &Value| object.get("rules").and_then(Value::as_array).cloned();
    if let Some(ours) = rules(object) {
        let mut all = rules(live).unwrap_or_default();
        for rule in ours {
            if !all.contains(&rule) {
                all.push(rule);
            }
        }
        grown["rules"] = json!(all);
        // What another push adds meanwhile is not overwritten: this one is refused then.
        if let Some(version) = live.pointer("/metadata/resourceVersion") {
            grown["metadata"]["resourceVersion"] = version.clone();
        }
    }
    grown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_takes_no_right_away_and_adds_none_twice() {
        let role = |verbs: &[&str]| {
            let rules: Vec<Value> = verbs.iter().map(|verb| json!({ "verbs": [verb] })).collect();
            json!({ "kind": "ClusterRole", "rules": rules })
        };
        let grown = with_rules_of(&role(&["get", "list"]), &role(&["list", "patch"]));
        assert_eq!(grown, role(&["get", "list", "patch"]));
        assert_eq!(with_rules_of(&grown, &role(&["patch"])), grown);
        let seen = json!({ "metadata": { "resourceVersion": "7" }, "rules": [] });
        let held = with_rules_of(&seen, &role(&["get"]));
        assert_eq!(held["metadata"]["resourceVersion"], "7");
        let binding = json!({ "kind": "ClusterRoleBinding", "roleRef": { "name": "x" } });
        assert_eq!(with_rules_of(&json!({}), &binding), binding);
    }
}
