//! Decides with which settings the charts of a plugin are tried: the defaults, and the defaults
//! with each other choice that its form offers, one at a time. What a choice adds needs rights
//! too. Knows nothing of what is rendered.

use api::Descriptor;
use api::plugin_values::choices;
use serde_json::{Map, Value};

/// Most choices that are tried.
const LIMIT: usize = 64;

/// The defaults, and after them each other choice.
pub(super) fn of(defaults: &Map<String, Value>, form: &[Descriptor]) -> Vec<Map<String, Value>> {
    let mut all = vec![defaults.clone()];
    for (path, choice) in form
        .iter()
        .flat_map(|field| choices(field).into_iter().map(|choice| (field.path.as_str(), choice)))
    {
        let mut config = defaults.clone();
        set(&mut config, path, choice);
        if !all.contains(&config) && all.len() <= LIMIT {
            all.push(config);
        }
    }
    all
}

/// Puts a value at a path; what is no object on the way becomes one.
fn set(config: &mut Map<String, Value>, path: &str, value: Value) {
    match path.split_once('.') {
        None => {
            config.insert(path.to_owned(), value);
        }
        Some((first, rest)) => {
            let inner = config.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if !inner.is_object() {
                *inner = Value::Object(Map::new());
            }
            if let Value::Object(inner) = inner {
                set(inner, rest, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_choice_is_tried_once_with_the_defaults_beside_it() {
        let field = |path: &str, words: &[&str]| Descriptor {
            path: path.to_owned(),
            x_descriptors: words
                .iter()
                .map(|word| format!("urn:alm:descriptor:com.tectonic.ui:{word}"))
                .collect(),
            ..Descriptor::default()
        };
        let form = [
            field("ingress.enabled", &["booleanSwitch"]),
            field("theme", &["select:light", "select:dark"]),
            field("replicas", &["number"]),
        ];
        let defaults = json!({ "theme": "light", "replicas": 1 });
        let all = of(defaults.as_object().unwrap(), &form);
        let all: Vec<Value> = all.into_iter().map(Value::Object).collect();
        assert_eq!(
            all,
            [
                defaults,
                json!({ "theme": "light", "replicas": 1, "ingress": { "enabled": false } }),
                json!({ "theme": "light", "replicas": 1, "ingress": { "enabled": true } }),
                json!({ "theme": "dark", "replicas": 1 }),
            ]
        );
    }
}
