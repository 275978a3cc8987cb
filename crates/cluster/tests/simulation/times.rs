//! No negative time: whoever leads and whatever his clock says, no time that a status tells goes
//! back, and nothing ends before it began. `since` of a blocker is left out: a successor whose
//! clock is behind counts it by his own.

use crate::invariants::Watch;
use crate::store::Change;
use jiff::Timestamp;
use serde_json::Value;

/// Kinds of whose status the times are ours.
const KINDS: [&str; 4] = ["ClusterVersionShadow", "AppRelease", "ResourcePatch", "ModuleInfo"];

impl Watch {
    /// Every time in a status of ours, on each write of it.
    pub(crate) fn times(&mut self, change: &Change) {
        let kind = change.key.1.as_str();
        if !KINDS.contains(&kind) {
            return;
        }
        let status = |value: &Option<Value>| value.as_ref().and_then(|v| v.get("status")).cloned();
        let (old, new) = (status(&change.old), status(&change.new));
        let wrong = new.and_then(|new| negative(kind, old.as_ref(), &new));
        self.must(wrong.is_none(), || format!("negative time: {}", wrong.unwrap_or_default()));
    }
}

fn time(value: Option<&Value>) -> Option<Timestamp> {
    value?.as_str()?.parse().ok()
}

/// The first time that went back or ends before its beginning. Lists keep their order, and what
/// is new in them comes first: whatever stands at a place is never older than what stood there.
fn negative(path: &str, old: Option<&Value>, new: &Value) -> Option<String> {
    match new {
        Value::Object(map) => {
            let (from, to) = (time(map.get("startedTime")), time(map.get("completionTime")));
            if from.zip(to).is_some_and(|(from, to)| to < from) {
                return Some(format!("{path} lasts from {from:?} to {to:?}"));
            }
            map.iter().find_map(|(key, value)| {
                let before = old.and_then(|o| o.get(key));
                let path = format!("{path}.{key}");
                let is_time = key.ends_with("Time") || key == "observedAt";
                let moments = time(before).zip(time(Some(value))).filter(|_| is_time);
                match moments {
                    Some((before, after)) => {
                        (after < before).then(|| format!("{path} goes from {before} to {after}"))
                    }
                    None => negative(&path, before, value),
                }
            })
        }
        Value::Array(list) => list.iter().enumerate().find_map(|(at, value)| {
            negative(&format!("{path}[{at}]"), old.and_then(|o| o.get(at)), value)
        }),
        _ => None,
    }
}

#[test]
fn a_time_that_goes_back_is_seen() {
    let status = |turned: &str, ended: &str| {
        serde_json::json!({
            "conditions": [{ "type": "Ready", "lastTransitionTime": turned }],
            "history": [{ "startedTime": "2026-11-22T20:00:00Z", "completionTime": ended }],
        })
    };
    let good = status("2026-11-22T20:01:00Z", "2026-11-22T20:01:00Z");
    assert_eq!(negative("s", Some(&good), &good), None);
    let back = status("2026-11-22T20:00:59Z", "2026-11-22T20:01:00Z");
    assert!(negative("s", Some(&good), &back).is_some());
    let early = status("2026-11-22T20:01:00Z", "2026-11-22T19:59:59Z");
    assert!(negative("s", None, &early).is_some());
}
