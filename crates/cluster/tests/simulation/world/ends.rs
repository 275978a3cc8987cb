//! How a schedule ends: what two runs must have in common.

use super::World;
use crate::store::Store;
use jiff::Timestamp;
use serde_json::Value;

impl World {
    /// What is found at the end is what was expected, line by line.
    pub(crate) fn ends_alike(&self, found: &[String], expected: &[String]) {
        if let Some((found, expected)) = found.iter().zip(expected).find(|(a, b)| a != b) {
            let same = found.bytes().zip(expected.bytes()).take_while(|(a, b)| a == b).count();
            let part = |text: &str| text.chars().skip(same.saturating_sub(80)).take(240).collect();
            let (found, expected): (String, String) = (part(found), part(expected));
            self.panic(&format!("ends otherwise:\n  {found}\ninstead of\n  {expected}"));
        }
        if found.len() != expected.len() {
            self.panic(&format!("{} objects instead of {}", found.len(), expected.len()));
        }
    }
}

/// The cluster without times, uids and resourceVersions: what two runs must have in common. Pods of
/// Jobs are named by uids and are not the product's; Events tell of the way, not of the end.
pub(crate) fn plain(store: &Store) -> Vec<String> {
    let of_product = |value: &Value| {
        value["metadata"].get("ownerReferences").is_none() && value["kind"] != "Event"
    };
    let all = store.objects.iter().filter(|(_, stored)| of_product(&stored.value));
    let all = all.map(|(key, stored)| {
        let mut value = stored.value.clone();
        scrub(&mut value);
        let managers: Vec<String> = stored
            .managers
            .iter()
            .map(|m| {
                let paths = m.paths.iter().map(|path| crate::fields::shown(path));
                let paths: Vec<String> = paths.filter(|p| p != ".status.driftTime").collect();
                format!("{} {} {} {paths:?}", m.name, m.applies, m.subresource)
            })
            .collect();
        let mut managers = managers;
        managers.sort();
        format!("{key:?} {value} {managers:?}")
    });
    all.collect()
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("uid");
            map.remove("resourceVersion");
            map.remove("revision");
            // Edits are looked for now and then, by the clock.
            map.remove("driftTime");
            map.values_mut().for_each(scrub);
        }
        Value::Array(list) => list.iter_mut().for_each(scrub),
        Value::String(text) if text.starts_with("20") && text.parse::<Timestamp>().is_ok() => {
            "TIME".clone_into(text)
        }
        _ => {}
    }
}
