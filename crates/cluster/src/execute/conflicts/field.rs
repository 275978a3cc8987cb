//! Fields as the API server writes them in conflicts, matched with paths of operations and with
//! what objects have there.

use api::objects::JsonPatchOperation;
use serde_json::Value;

/// Whether the path of an operation and a field as the API server writes it
/// (`.spec.containers[name="a"].image`) are the same, or one lies under the other. The object tells
/// which item of a list an index means, and where a step ends: names of fields may have dots.
pub(super) fn meets(body: &Value, operation: &JsonPatchOperation, field: &str) -> bool {
    let (mut at, mut rest) = (Some(body), field);
    for step in operation.path.split('/').skip(1) {
        if rest.is_empty() {
            return true;
        }
        let step = step.replace("~1", "/").replace("~0", "~");
        if let Some(Value::Array(list)) = at {
            let item = if step == "-" {
                operation.value.as_ref()
            } else {
                step.parse().ok().and_then(|index: usize| list.get(index))
            };
            let (Some(item), Some((selector, below))) = (item, selector(rest)) else {
                return false;
            };
            if !is_selected(item, selector) {
                return false;
            }
            (at, rest) = (Some(item), below);
        } else {
            let named = rest.strip_prefix('.').and_then(|r| r.strip_prefix(step.as_str()));
            let Some(below) = named.filter(|b| b.is_empty() || b.starts_with(['.', '['])) else {
                return false;
            };
            (at, rest) = (at.and_then(|value| value.get(&step)), below);
        }
    }
    // Under a plain value there is nothing: the step was the beginning of a longer name.
    rest.is_empty() || at.is_none_or(|value| value.is_object() || value.is_array())
}

/// What an object has at a field as the API server writes it; None where it has nothing there.
pub(super) fn value_at<'a>(body: &'a Value, field: &str) -> Option<&'a Value> {
    if field.is_empty() {
        return Some(body);
    }
    match body {
        Value::Array(list) => {
            let (selector, below) = selector(field)?;
            let mut fitting = list.iter().filter(|item| is_selected(item, selector));
            let first = fitting.next()?;
            // Several fit where they leave out what the API server fills in: it is not known which.
            fitting.next().is_none().then(|| value_at(first, below)).flatten()
        }
        Value::Object(fields) => {
            let rest = field.strip_prefix('.')?;
            // Names may have dots: the one under which there is something.
            let mut found = fields.iter().filter_map(|(name, value)| {
                let below = rest.strip_prefix(name.as_str())?;
                let ends = below.is_empty() || below.starts_with(['.', '[']);
                value_at(value, ends.then_some(below)?)
            });
            found.next()
        }
        _ => None,
    }
}

/// `[name="a"].image` as `name="a"` and `.image`.
fn selector(field: &str) -> Option<(&str, &str)> {
    let inner = field.strip_prefix('[')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            ']' if !quoted => return Some((&inner[..at], &inner[at + 1..])),
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

/// Whether an item has every key of `containerPort=53,protocol="UDP"`; values of a set are `="a"`.
fn is_selected(item: &Value, selector: &str) -> bool {
    if let Some(value) = selector.strip_prefix('=') {
        return serde_json::from_str::<Value>(value).is_ok_and(|value| value == *item);
    }
    let mut rest = selector;
    loop {
        let Some((key, tail)) = rest.split_once('=') else { return false };
        let mut values = serde_json::Deserializer::from_str(tail).into_iter::<Value>();
        let Some(Ok(value)) = values.next() else { return false };
        // The API server fills in what an item leaves out: a default is no difference.
        if item.get(key).is_some_and(|found| *found != value) {
            return false;
        }
        match tail[values.byte_offset()..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn deployment() -> Value {
        let containers = json!([
            { "name": "a.b", "image": "x", "ports": [{ "containerPort": 53, "protocol": "UDP" }] },
            { "name": "b]", "image": "y", "args": ["-v"] },
        ]);
        json!({
            "metadata": { "annotations": { "example.com/owner": "me" } },
            "data": { "nginx.conf": "1", "nginx": "2" },
            "spec": { "containers": containers, "replicas": 2 },
        })
    }

    fn met(path: &str, field: &str) -> bool {
        let operation = JsonPatchOperation {
            op: "replace".into(),
            path: path.into(),
            from: None,
            value: Some(json!({ "name": "new", "image": "z" })),
        };
        meets(&deployment(), &operation, field)
    }

    #[test]
    fn names_with_dots_and_slashes_are_one_step() {
        assert!(met(
            "/metadata/annotations/example.com~1owner",
            ".metadata.annotations.example.com/owner"
        ));
        assert!(met("/data/nginx.conf", ".data.nginx.conf"));
        assert!(!met("/data/nginx", ".data.nginx.conf"));
        assert!(met("/data", ".data.nginx.conf"));
        assert!(!met("/data/nginx.con", ".data.nginx.conf"));
        assert!(!met("/spec/replicas", ".spec.replicasOther"));
    }

    #[test]
    fn a_patch_of_one_container_says_nothing_of_another() {
        assert!(met("/spec/containers/0/image", ".spec.containers[name=\"a.b\"].image"));
        assert!(!met("/spec/containers/0/image", ".spec.containers[name=\"b]\"].image"));
        assert!(met("/spec/containers/1/image", ".spec.containers[name=\"b]\"].image"));
        assert!(met("/spec/containers/1", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers/1/args/0", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers", ".spec.containers[name=\"b]\"].args"));
        assert!(met("/spec/containers/-", ".spec.containers[name=\"new\"].image"));
        let port =
            ".spec.containers[name=\"a.b\"].ports[containerPort=53,protocol=\"UDP\"].hostPort";
        assert!(met("/spec/containers/0/ports/0/hostPort", port));
        assert!(!met("/spec/containers/0/ports/0/hostPort", &port.replace("UDP", "TCP")));
    }

    #[test]
    fn the_value_of_a_field_is_found() {
        let at = |field: &str| value_at(&deployment(), field).cloned();
        assert_eq!(at(".spec.replicas"), Some(json!(2)));
        assert_eq!(at(".metadata.annotations.example.com/owner"), Some(json!("me")));
        assert_eq!(
            (at(".data.nginx.conf"), at(".data.nginx")),
            (Some(json!("1")), Some(json!("2")))
        );
        assert_eq!(at(".spec.containers[name=\"b]\"].image"), Some(json!("y")));
        assert_eq!(at(".spec.containers[name=\"c\"].image"), None);
        assert_eq!(at(".spec.replica"), None);
        assert_eq!(at(".spec.replicas.x"), None);
    }
}
