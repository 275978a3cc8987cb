//! What the settings of a plugin become: how those of a user are laid over the defaults, which of
//! them break the plugin's form, and the values of a chart that a template makes of them. Knows
//! nothing of charts, of Helm and of where settings are kept.

mod form;

use crate::objects::ModuleConfigSpec;
use serde_json::{Map, Value};
use std::collections::BTreeSet;

pub use form::{check, choices};

/// Longest template, in bytes.
pub const TEMPLATE_LIMIT: usize = 256 * 1024;
/// Begins what stands for a setting.
const OPEN: &str = "<<";
/// Ends it.
const CLOSE: &str = ">>";
/// Where every path begins.
const ROOT: &str = ".MiConfig.";
/// Longest path of a setting, in bytes.
const PATH_LIMIT: usize = 256;

/// The values of a chart: the template with the settings in their places.
///
/// The template is read as YAML before a setting is put in, so that no setting can add a key, a
/// line or a document: it stays the one value, or the part of one text, that it is. A scalar that
/// is exactly `<< .MiConfig.path >>` becomes the setting with its type, null where there is none;
/// within a text a setting is its own text, empty where there is none.
///
/// # Errors
/// One sentence: the template is too long, no YAML or no object, or something between `<<` and
/// `>>` is no path of a setting, or a path of a list or an object within a text.
pub fn values(template: &str, config: &Map<String, Value>) -> Result<Value, String> {
    match filled(document(template)?, config)? {
        Value::Null => Ok(Value::Object(Map::new())),
        Value::Object(values) => Ok(Value::Object(values)),
        _ => Err("the template gives no object".to_owned()),
    }
}

/// A template as YAML, nothing put in yet.
fn document(template: &str) -> Result<Value, String> {
    if template.len() > TEMPLATE_LIMIT {
        return Err(format!("the template is longer than {TEMPLATE_LIMIT} bytes"));
    }
    match template.trim() {
        "" => Ok(Value::Null),
        _ => serde_saphyr::from_str(template).map_err(|error| {
            let said = crate::text::line(&error.to_string(), 256);
            format!("the template is no YAML: {said}")
        }),
    }
}

/// The defaults with the settings of a user over them, as deep as both are objects.
#[must_use]
pub fn effective(defaults: &Map<String, Value>, given: &Map<String, Value>) -> Map<String, Value> {
    let mut merged = defaults.clone();
    for (key, value) in given {
        let value = match (merged.get(key), value) {
            (Some(Value::Object(default)), Value::Object(own)) => {
                Value::Object(effective(default, own))
            }
            _ => value.clone(),
        };
        merged.insert(key.clone(), value);
    }
    merged
}

/// What is laid over values of charts that there are none of, each in a sentence.
#[must_use]
pub fn without_chart(over: &Map<String, Value>, charts: &BTreeSet<&str>) -> Vec<String> {
    let odd = over.keys().filter(|name| !charts.contains(name.as_str()));
    let charts: Vec<&&str> = charts.iter().collect();
    odd.map(|name| {
        let (name, charts) = (crate::text::line(name, 128), crate::text::names(&charts));
        format!("spec.valuesOverride names {name}, which is none of its charts: {charts}")
    })
    .collect()
}

/// Settings that nothing of a version takes up: neither its defaults nor its form know them, and no
/// template asks for them.
#[must_use]
pub fn unused(version: &ModuleConfigSpec, given: &Map<String, Value>) -> Vec<String> {
    let mut known: BTreeSet<String> = version.config.keys().cloned().collect();
    known.extend(version.deploy_descriptors.iter().map(|descriptor| first(&descriptor.path)));
    for template in version.values_templates.values() {
        match document(template) {
            Ok(document) => asked_for(&document, &mut known),
            // One that cannot be read is told where values are made of it.
            Err(_told) => return Vec::new(),
        }
    }
    given.keys().filter(|name| !known.contains(*name)).cloned().collect()
}

/// The settings that a template asks for.
fn asked_for(value: &Value, known: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let mut rest = text.as_str();
            while let Ok(Some((_, path, after))) = placeholder(rest) {
                known.insert(first(path));
                rest = after;
            }
        }
        Value::Array(items) => items.iter().for_each(|item| asked_for(item, known)),
        Value::Object(fields) => fields.values().for_each(|field| asked_for(field, known)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The setting of the user in which a path begins.
fn first(path: &str) -> String {
    path.split('.').next().unwrap_or_default().to_owned()
}

/// Whether a text is the path of a setting: names of letters, digits, `_` and `-`, joined by dots.
#[must_use]
pub fn is_path(text: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    text.len() <= PATH_LIMIT
        && text.split('.').all(|name| !name.is_empty() && name.bytes().all(plain))
}

/// The setting at a path; none where it is absent or null.
fn setting<'a>(config: &'a Map<String, Value>, path: &str) -> Option<&'a Value> {
    let (first, rest) = path.split_once('.').map_or((path, None), |(a, b)| (a, Some(b)));
    let value = config.get(first)?;
    match rest {
        None => Some(value).filter(|value| !value.is_null()),
        Some(rest) => setting(value.as_object()?, rest),
    }
}

fn filled(value: Value, config: &Map<String, Value>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => filled_text(&text, config)?,
        Value::Array(items) => {
            let items = items.into_iter().map(|item| filled(item, config));
            Value::Array(items.collect::<Result<_, _>>()?)
        }
        Value::Object(fields) => {
            let mut object = Map::new();
            for (key, value) in fields {
                if key.contains(OPEN) {
                    let shown = crate::text::line(&key, 64);
                    return Err(format!("the key '{shown}' stands for a setting: only values may"));
                }
                object.insert(key, filled(value, config)?);
            }
            Value::Object(object)
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_)) => scalar,
    })
}

fn filled_text(text: &str, config: &Map<String, Value>) -> Result<Value, String> {
    let Some((before, inner, after)) = placeholder(text)? else {
        return Ok(Value::String(text.to_owned()));
    };
    if before.is_empty() && after.is_empty() {
        return Ok(setting(config, inner).cloned().unwrap_or(Value::Null));
    }
    let (mut out, mut rest) = (String::new(), text);
    // What is put in is never looked at again, whatever it holds.
    while let Some((before, path, after)) = placeholder(rest)? {
        out.push_str(before);
        match setting(config, path) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => out.push_str(text),
            Some(scalar @ (Value::Bool(_) | Value::Number(_))) => {
                out.push_str(&scalar.to_string());
            }
            Some(Value::Array(_) | Value::Object(_)) => {
                return Err(format!(
                    "'{path}' is a list or an object: it cannot stand within a text"
                ));
            }
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

/// What stands before the first placeholder, its path, and what stands behind it.
fn placeholder(text: &str) -> Result<Option<(&str, &str, &str)>, String> {
    let Some((before, rest)) = text.split_once(OPEN) else { return Ok(None) };
    let shown = |text: &str| crate::text::line(text, 64);
    let Some((inner, after)) = rest.split_once(CLOSE) else {
        return Err(format!("'{OPEN}{}' has no '{CLOSE}'", shown(rest)));
    };
    match inner.trim().strip_prefix(ROOT).filter(|path| is_path(path)) {
        Some(path) => Ok(Some((before, path, after))),
        None => Err(format!(
            "'{OPEN}{}{CLOSE}' is no setting: write {OPEN} {ROOT}path {CLOSE} with a plain path",
            shown(inner)
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn config() -> Map<String, Value> {
        map(json!({
            "replicas": 3, "show": true, "title": "Hello", "none": null,
            "ingress": { "host": "a.example" }, "list": [1, "x"],
        }))
    }

    #[test]
    fn a_whole_scalar_keeps_the_type_of_its_setting() {
        let template = "replicas: << .MiConfig.replicas >>\nshow: <<.MiConfig.show>>\n\
                        ingress: '<< .MiConfig.ingress >>'\nitems: [<< .MiConfig.list >>, a]\n\
                        none: << .MiConfig.none >>\nabsent: << .MiConfig.a.b.c >>\n\
                        through: << .MiConfig.title.x >>\nplain: 7\n";
        assert_eq!(
            values(template, &config()).unwrap(),
            json!({
                "replicas": 3, "show": true, "ingress": { "host": "a.example" },
                "items": [[1, "x"], "a"], "none": null, "absent": null, "through": null,
                "plain": 7,
            })
        );
        assert_eq!(values("<< .MiConfig.ingress >>", &config()).unwrap()["host"], "a.example");
        assert_eq!(values(" \n", &config()).unwrap(), json!({}));
        assert_eq!(values("# nothing\n", &config()).unwrap(), json!({}));
    }

    #[test]
    fn within_a_text_a_setting_is_its_text() {
        let template = "url: https://<< .MiConfig.ingress.host >>/<< .MiConfig.replicas >>?\
                        s=<< .MiConfig.show >>&n=<< .MiConfig.none >>\n";
        let expected = json!({ "url": "https://a.example/3?s=true&n=" });
        assert_eq!(values(template, &config()).unwrap(), expected);
        for path in ["ingress", "list"] {
            let error = values(&format!("a: x<< .MiConfig.{path} >>"), &config()).unwrap_err();
            assert!(error.contains(&format!("'{path}' is a list or an object")), "{error}");
        }
    }

    #[test]
    fn no_text_of_a_user_becomes_more_than_one_text() {
        for text in [
            "a: {}",
            "x\nadmin: true\n",
            "'\"}, admin: {}, a: {b: \"",
            "<< .MiConfig.secret >>",
            "# comment",
            "--- \nother: document",
            "&anchor *anchor !!binary",
            "{{ .Values.global }}",
        ] {
            let config = map(json!({ "title": text, "secret": "s3cret" }));
            let template = "whole: << .MiConfig.title >>\npart: \"t: << .MiConfig.title >> end\"\n";
            assert_eq!(
                values(template, &config).unwrap(),
                json!({ "whole": text, "part": format!("t: {text} end") }),
            );
        }
    }

    #[test]
    fn nothing_but_a_plain_path_stands_between_the_marks() {
        for inner in [
            ".MiConfig",
            ".MiConfig.",
            ".MiConfig.a..b",
            ".MiConfig.a | quote",
            ".MiConfig.a[0]",
            ".Values.a",
            "MiConfig.a",
            ".MiConfig.a b",
            "",
            "if .MiConfig.a",
        ] {
            let error = values(&format!("a: '<< {inner} >>'"), &config()).unwrap_err();
            assert!(error.contains("is no setting"), "{inner}: {error}");
        }
        assert!(values("a: << .MiConfig.title", &config()).unwrap_err().contains("has no '>>'"));
        let key = values("? 'x<< .MiConfig.title >>'\n: 1\n", &config()).unwrap_err();
        assert!(key.starts_with("the key"), "{key}");
        assert!(values("a: [", &config()).unwrap_err().starts_with("the template is no YAML"));
        assert!(values("- a", &config()).unwrap_err().contains("no object"));
        assert!(values(&"#".repeat(TEMPLATE_LIMIT + 1), &config()).is_err());
    }

    #[test]
    fn what_nothing_takes_up_is_found() {
        let version: ModuleConfigSpec = serde_json::from_value(json!({
            "name": "pages", "version": "1.0.0",
            "config": { "replicas": 1 },
            "deployDescriptors": [{ "path": "ingress.host", "x-descriptors": [] }],
            "valuesTemplates": {
                "a": "x: 'a << .MiConfig.title >> b << .MiConfig.deep.er >>' # << .MiConfig.er >>",
                "b": "# << no setting\ny: [<< .MiConfig.late >>]",
            },
        }))
        .unwrap();
        let given = json!({
            "replicas": 2, "ingress": {}, "title": "", "deep": {}, "late": 1, "replica": 2,
            "er": 1,
        });
        assert_eq!(unused(&version, &map(given)), ["er", "replica"]);
    }

    #[test]
    fn what_is_given_wins_as_deep_as_it_goes() {
        let defaults = map(json!({ "a": { "b": 1, "c": [1, 2] }, "d": "x", "e": { "f": 1 } }));
        let given = map(json!({ "a": { "c": [3] }, "d": null, "e": 5, "g": true }));
        assert_eq!(
            Value::Object(effective(&defaults, &given)),
            json!({ "a": { "b": 1, "c": [3] }, "d": null, "e": 5, "g": true })
        );
    }
}
