//! Decides which rights a plugin package may bring: one role of its own name, bound to the operator
//! alone, that names every verb and every resource. Which rights the charts need is not decided
//! here.

use api::ServedKind;
use api::names::{CVO, NAMESPACE, plugin_role};
use serde_json::{Value, json};

use super::objects::{check_object, documents, is_of, text};

/// The group of roles and bindings.
const RBAC: &str = "rbac.authorization.k8s.io";
/// What a role may allow without saying on which objects.
const VERBS: &[&str] = &["get", "list", "watch", "create", "update", "patch", "delete"];
/// What it may allow on named objects only: to hand out rights.
const BY_NAME: &[&str] = &["bind", "escalate"];
/// Most rules of one role.
const RULE_LIMIT: usize = 256;
/// Any verb, group or resource.
const ANY: &str = "*";

/// The ClusterRole and its ClusterRoleBinding, whose length was checked.
pub(super) fn parse(bytes: &[u8], plugin: &str) -> Result<Vec<Value>, String> {
    let [first, second] = documents::<2>(bytes)?;
    let (role, binding) = match is_of(&first, &kind("ClusterRole")) {
        true => (first, second),
        false => (second, first),
    };
    check_object(&role, &kind("ClusterRole"), "rules")?;
    check_object(&binding, &kind("ClusterRoleBinding"), "roleRef subjects")?;
    let name = plugin_role(plugin);
    for object in [&role, &binding] {
        let found = text(object, "/metadata/name");
        if found != name {
            let found = api::text::line(found, 128);
            return Err(format!("its {} is named '{found}', not '{name}'", text(object, "/kind")));
        }
    }
    if binding["roleRef"] != json!({ "apiGroup": RBAC, "kind": "ClusterRole", "name": name }) {
        return Err("its ClusterRoleBinding binds another role".to_owned());
    }
    let subject = json!([{ "kind": "ServiceAccount", "name": CVO, "namespace": NAMESPACE }]);
    if binding["subjects"] != subject {
        return Err("its ClusterRoleBinding binds it to others than the operator".to_owned());
    }
    let rules = role["rules"].as_array().ok_or("its ClusterRole has no rules")?;
    if rules.len() > RULE_LIMIT {
        return Err(format!("its ClusterRole has more than {RULE_LIMIT} rules"));
    }
    rules.iter().try_for_each(check_rule)?;
    Ok(vec![role, binding])
}

fn kind(kind: &str) -> ServedKind {
    ServedKind {
        api_version: format!("{RBAC}/v1"),
        kind: kind.to_owned(),
        plural: format!("{}s", kind.to_lowercase()),
        namespaced: false,
    }
}

fn check_rule(rule: &Value) -> Result<(), String> {
    let fields = rule.as_object().ok_or("a rule is no object")?;
    let known = ["apiGroups", "resources", "verbs", "resourceNames"];
    if let Some(key) = fields.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!("a rule has {}", api::text::line(key, 64)));
    }
    let texts = |field: &str| -> Result<Vec<&str>, String> {
        let all = match fields.get(field) {
            None => return Ok(Vec::new()),
            Some(value) => value.as_array().ok_or(format!("{field} of a rule is no list"))?,
        };
        let texts: Option<Vec<&str>> = all.iter().map(Value::as_str).collect();
        let texts = texts.ok_or(format!("{field} of a rule holds what is no text"))?;
        match texts.iter().find(|text| text.contains(ANY)) {
            Some(text) => Err(format!("{field} of a rule has '{}'", api::text::line(text, 64))),
            None => Ok(texts),
        }
    };
    let (groups, resources, verbs) = (texts("apiGroups")?, texts("resources")?, texts("verbs")?);
    if groups.is_empty() || resources.is_empty() || verbs.is_empty() {
        return Err("a rule lacks apiGroups, resources or verbs".to_owned());
    }
    let names = texts("resourceNames")?;
    let by_name = !names.is_empty() && names.iter().all(|name| !name.is_empty());
    for verb in verbs {
        let shown = api::text::line(verb, 64);
        if BY_NAME.contains(&verb) && !by_name {
            return Err(format!("a rule allows '{shown}' on objects that it does not name"));
        }
        if !VERBS.contains(&verb) && !BY_NAME.contains(&verb) {
            return Err(format!("a rule allows '{shown}', which applying a chart does not need"));
        }
    }
    Ok(())
}
