//! Whether a live object has every field as it was rendered.

use api::names::APPLIED_ANNOTATION;
use serde_json::Value;
use std::collections::BTreeSet;

/// Whether nothing needs to be sent: the same body was applied before (so no field of an older one
/// is left), and every field of it still has its value.
pub(super) fn is_applied(body: &Value, live: &Value) -> bool {
    let digest = |object: &Value| {
        let annotations = object.pointer("/metadata/annotations")?;
        annotations.get(APPLIED_ANNOTATION)?.as_str().map(str::to_owned)
    };
    digest(body).is_some() && digest(body) == digest(live) && first_difference(body, live).is_none()
}

/// The path of the first field of `wanted` that `live` does not have with that value.
pub(super) fn first_difference(wanted: &Value, live: &Value) -> Option<String> {
    difference(wanted, live, "")
}

fn difference(wanted: &Value, live: &Value, path: &str) -> Option<String> {
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().find_map(|(key, value)| {
            let at = format!("{path}.{key}");
            match live.get(key) {
                Some(found) => difference(value, found, &at),
                // The API server drops empty fields, and of many kinds also what is false or 0.
                None if is_empty(value) => None,
                None => Some(at),
            }
        }),
        (Value::Array(wanted), Value::Array(live)) => list_difference(wanted, live, path),
        _ if wanted == live || same_quantity(wanted, live) => None,
        _ => Some(path.to_owned()),
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
    }
}

/// Lists of named items may hold items of others in between; other lists must be equal in length.
fn list_difference(wanted: &[Value], live: &[Value], path: &str) -> Option<String> {
    for key in ["name", "containerPort", "port", "mountPath", "ip", "type"] {
        // A key that stands twice tells no item: port 53 of UDP and of TCP.
        let keyed = |list: &[Value]| {
            let keys: BTreeSet<String> =
                list.iter().filter_map(|item| Some(item.get(key)?.to_string())).collect();
            keys.len() == list.len()
        };
        if !wanted.is_empty() && keyed(wanted) && keyed(live) {
            return wanted.iter().find_map(|item| {
                let name = item.get(key)?;
                let at = format!("{path}[{key}={name}]");
                match live.iter().find(|l| l.get(key) == Some(name)) {
                    Some(found) => difference(item, found, &at),
                    None => Some(at),
                }
            });
        }
    }
    if wanted.len() != live.len() {
        return Some(path.to_owned());
    }
    wanted
        .iter()
        .zip(live)
        .enumerate()
        .find_map(|(at, (w, l))| difference(w, l, &format!("{path}[{at}]")))
}

/// `1000m` and `1` are the same amount; the API server stores the short form. Texts without a unit
/// are compared as texts: a label `1.10` is not `1.1`.
fn same_quantity(wanted: &Value, live: &Value) -> bool {
    let amount = |value: &Value| match value {
        Value::String(text) => quantity(text),
        Value::Number(number) => number.as_f64().map(|n| (n, false)),
        _ => None,
    };
    match (amount(wanted), amount(live)) {
        (Some((a, a_has_unit)), Some((b, b_has_unit))) => {
            (a_has_unit || b_has_unit) && (a - b).abs() <= a.abs() * f64::EPSILON
        }
        _ => false,
    }
}

/// The amount of a quantity, and whether it has a unit.
fn quantity(text: &str) -> Option<(f64, bool)> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1_048_576.0,
        "Gi" => 1_073_741_824.0,
        "Ti" => 1_099_511_627_776.0,
        _ => return None,
    };
    number.parse::<f64>().ok().map(|n| (n * factor, !unit.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_server_are_no_difference() {
        let wanted =
            json!({"spec": {"replicas": 2, "ports": [{"name": "a", "port": 53}], "x": {}}});
        let live = json!({"spec": {"replicas": 2, "ports": [{"name": "a", "port": 53, "protocol": "UDP"}], "y": 1}});
        assert_eq!(first_difference(&wanted, &live), None);
    }

    #[test]
    fn what_the_server_drops_is_no_difference() {
        let wanted =
            json!({"globalDefault": false, "value": 0, "description": "", "x": [], "y": null});
        assert_eq!(first_difference(&wanted, &json!({})), None);
        let live = json!({"globalDefault": true, "value": 0, "description": ""});
        assert_eq!(first_difference(&wanted, &live).unwrap(), ".globalDefault");
        assert!(first_difference(&json!({"value": 1}), &json!({})).is_some());
    }

    #[test]
    fn ports_that_share_a_number_are_told_apart() {
        let port = |protocol: &str| json!({ "port": 53, "protocol": protocol });
        let both = json!([port("UDP"), port("TCP")]);
        assert_eq!(first_difference(&both, &both), None);
        let one = json!([port("UDP"), port("SCTP")]);
        assert_eq!(first_difference(&both, &one).unwrap(), "[1].protocol");
    }

    #[test]
    fn a_changed_or_missing_field_is_named() {
        let wanted = json!({"spec": {"containers": [{"name": "a", "image": "x:2"}]}});
        let live = json!({"spec": {"containers": [{"name": "b"}, {"name": "a", "image": "x:1"}]}});
        assert_eq!(first_difference(&wanted, &live).unwrap(), ".spec.containers[name=\"a\"].image");
        assert!(first_difference(&json!({"a": [1]}), &json!({"a": [1, 2]})).is_some());
    }

    #[test]
    fn amounts_are_compared_and_plain_texts_are_not() {
        let same = |a: Value, b: Value| first_difference(&a, &b).is_none();
        assert!(same(json!("1000m"), json!("1")) && same(json!("0.5"), json!("500m")));
        assert!(same(json!("1024Mi"), json!("1Gi")) && same(json!("2000m"), json!(2)));
        assert!(!same(json!("1.10"), json!("1.1")) && !same(json!("100m"), json!("1")));
        assert!(!same(json!("1"), json!(1)));
    }
}
