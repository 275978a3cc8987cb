//! Decides which packages are refused after rendering: more objects than a status can hold, the
//! same object twice, objects without a name, images that the package does not name by digest.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use api::objects::{INVENTORY_LIMIT, ObjectRef};
use api::release::ReleaseImage;
use serde_json::Value;

use super::render::{REGISTRY, Rendered};

/// The images that objects may use, by name.
type Images = BTreeMap<String, ReleaseImage>;

/// Refuses what breaks a rule; the error names component and object. Each component comes with the
/// namespace of its objects.
pub(crate) fn check<'a>(
    components: impl IntoIterator<Item = (&'a str, &'a str)>,
    known: &Images,
    rendered: &Rendered,
) -> Result<()> {
    let mut owners: BTreeMap<(String, String, String, String), &str> = BTreeMap::new();
    for (component, namespace) in components {
        let objects = rendered.get(component).map(Vec::as_slice).unwrap_or_default();
        let mut references = std::collections::BTreeSet::new();
        for object in objects {
            let object_ref =
                reference(object, namespace).with_context(|| format!("component '{component}'"))?;
            images(object, known).with_context(|| {
                format!("component '{component}', {} {}", object_ref.kind, object_ref.name)
            })?;
            references.insert(object_ref);
        }
        ensure!(
            references.len() <= INVENTORY_LIMIT,
            "component '{component}' has {} objects, more than the {INVENTORY_LIMIT} of one component",
            references.len()
        );
        for object in references {
            let group = object.group().to_owned();
            let shown = object.to_string();
            let key = (group, object.kind, object.namespace, object.name);
            if let Some(other) = owners.insert(key, component) {
                bail!("{shown} stands in component '{other}' and in '{component}'");
            }
        }
    }
    Ok(())
}

/// What an object is called; `namespace` where it names none.
fn reference(object: &Value, namespace: &str) -> Result<ObjectRef> {
    let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let kind = text(&object["kind"]).context("an object has no kind")?;
    let name = text(&object["metadata"]["name"])
        .with_context(|| format!("a {kind} has no name of its own"))?;
    let api_version =
        text(&object["apiVersion"]).with_context(|| format!("{kind} {name} has no apiVersion"))?;
    let own = text(&object["metadata"]["namespace"]);
    Ok(ObjectRef {
        api_version,
        kind,
        namespace: own.unwrap_or_else(|| namespace.to_owned()),
        name,
    })
}

/// Every image in an object is one of the package, from the platform's registry, by digest.
fn images(object: &Value, known: &Images) -> Result<()> {
    match object {
        Value::Object(fields) => {
            for (key, value) in fields {
                let of_containers = key == "containers" || key == "initContainers";
                for container in value.as_array().filter(|_| of_containers).into_iter().flatten() {
                    let image = container["image"].as_str().unwrap_or_default();
                    ensure!(
                        is_known(image, known),
                        "the image '{image}' is not one of its images: write \
                         <global.registry.address>/<repository>@<digest> of global.images"
                    );
                }
                images(value, known)?;
            }
            Ok(())
        }
        Value::Array(items) => items.iter().try_for_each(|item| images(item, known)),
        _ => Ok(()),
    }
}

fn is_known(image: &str, known: &Images) -> bool {
    known.values().any(|known| {
        image == format!("{REGISTRY}/{}@{}", known.repository, known.digest)
            || image == format!("{REGISTRY}/{}:{}@{}", known.repository, known.tag, known.digest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn release() -> api::Release {
        let text = "formatVersion: 1\nversion: 4.3.0\nminCVO: 4.3.0\n\
                    upgradeFrom: {range: '>=4.0.0 <4.3.0'}\n\
                    kubernetes: {creates: '1.34', compatible: '>=1.31 <1.35'}\n\
                    images: {a: {repository: acp/a, tag: v1, digest: 'sha256:DIGEST'}}\n\
                    stages:\n- name: s\n  priority: 1\n  components:\n  \
                    - {name: one, version: 1.0.0, manifests: m/1, namespace: n}\n  \
                    - {name: two, version: 1.0.0, manifests: m/2, namespace: n}\n";
        api::Release::parse(text.replace("DIGEST", &"a".repeat(64)).as_bytes()).unwrap()
    }

    fn map(name: &str) -> Value {
        json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": name } })
    }

    fn pod(image: &str) -> Value {
        let mut pod = map("p");
        pod["spec"]["template"]["spec"]["initContainers"] = json!([{ "image": image }]);
        pod
    }

    fn checked(one: Vec<Value>, two: Vec<Value>) -> Result<(), String> {
        let rendered = BTreeMap::from([("one".to_owned(), one), ("two".to_owned(), two)]);
        let release = release();
        let components = release.components().map(|(_, c)| (&*c.name, &*c.namespace));
        check(components, &release.images, &rendered).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_thousand_objects_are_the_limit_of_a_component() {
        let maps = |n: usize| (0..n).map(|i| map(&format!("m{i}"))).collect();
        assert_eq!(checked(maps(INVENTORY_LIMIT), vec![]), Ok(()));
        let error = checked(maps(INVENTORY_LIMIT + 1), vec![]).unwrap_err();
        assert!(error.starts_with("component 'one' has 1001 objects"), "{error}");
    }

    #[test]
    fn an_object_has_one_owner() {
        let error = checked(vec![map("x")], vec![map("x")]).unwrap_err();
        assert_eq!(error, "ConfigMap n/x stands in component 'one' and in 'two'");
    }

    #[test]
    fn images_are_those_of_the_release_by_digest() {
        let known = format!("{REGISTRY}/acp/a@sha256:{}", "a".repeat(64));
        assert_eq!(checked(vec![pod(&known)], vec![]), Ok(()));
        for image in [format!("{REGISTRY}/acp/a:v1"), "busybox".to_owned(), String::new()] {
            let error = checked(vec![pod(&image)], vec![]).unwrap_err();
            assert!(error.contains("is not one of its images"), "{error}");
        }
    }
}
