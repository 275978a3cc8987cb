//! Decides in which fields two specs of a published version differ. What an API server fills in is
//! no difference.

use api::ModuleConfigSpec;
use serde_json::{Map, Value};

/// Longest value that is shown, in bytes.
const SHOWN: usize = 64;

/// Each field that differs: `config.replicas is 1 in the catalogue and 2 in the package`.
pub(super) fn differences(published: &Value, arriving: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", &filled(published), &filled(arriving), &mut found);
    found
}

/// With every default of the type, and without what is empty.
fn filled(spec: &Value) -> Value {
    let mut all = spec.as_object().cloned().unwrap_or_default();
    let typed: Option<ModuleConfigSpec> = serde_json::from_value(spec.clone()).ok();
    if let Some(Value::Object(typed)) = typed.and_then(|typed| serde_json::to_value(typed).ok()) {
        for (key, value) in typed {
            all.entry(key).or_insert(value);
        }
    }
    pruned(Value::Object(all))
}

fn pruned(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let kept = map.into_iter().map(|(key, value)| (key, pruned(value)));
            Value::Object(kept.filter(|(_, value)| !is_empty(value)).collect())
        }
        Value::Array(list) => Value::Array(list.into_iter().map(pruned).collect()),
        other => other,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn compare(path: &str, published: &Value, arriving: &Value, found: &mut Vec<String>) {
    if published == arriving {
        return;
    }
    let below = |key: &str| if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") };
    match (published, arriving) {
        (Value::Object(one), Value::Object(other)) => {
            let none = Value::Null;
            for key in keys(one, other) {
                let of = |map: &Map<String, Value>| map.get(key).unwrap_or(&none).clone();
                compare(&below(key), &of(one), &of(other), found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (number, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&below(&number.to_string()), one, other, found);
            }
        }
        _ => found.push(format!(
            "{} is {} in the catalogue and {} in the package",
            api::text::line(path, 128),
            shown(published),
            shown(arriving)
        )),
    }
}

fn keys<'a>(one: &'a Map<String, Value>, other: &'a Map<String, Value>) -> Vec<&'a String> {
    let mut keys: Vec<&String> = one.keys().chain(other.keys()).collect();
    keys.sort();
    keys.dedup();
    keys
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "not there".to_owned(),
        other => api::text::line(&other.to_string(), SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_an_api_server_fills_in_is_no_difference() {
        let ours = json!({ "version": "1.0.0", "logo": "x", "dependencies": [] });
        let filled = json!({ "version": "1.0.0", "logo": "x", "deleteable": true, "transitTimeout": 0, "mustUpgrade": false });
        assert_eq!(differences(&filled, &ours), Vec::<String>::new());
    }

    #[test]
    fn every_other_difference_is_named_with_both_values() {
        let published =
            json!({ "config": { "replicas": 1 }, "appReleases": [{ "name": "a" }], "old": 1 });
        let arriving = json!({ "config": { "replicas": 2 }, "appReleases": [{ "name": "b" }] });
        assert_eq!(
            differences(&published, &arriving),
            [
                "appReleases.0.name is \"a\" in the catalogue and \"b\" in the package",
                "config.replicas is 1 in the catalogue and 2 in the package",
                "old is 1 in the catalogue and not there in the package",
            ]
        );
    }
}
