//! Recorded ClusterVersionShadow objects: those of the planner's own tests, which cannot say what
//! the operator never writes, and hand-made ones of states that no scenario of it ends in.

use serde_json::Value;
use std::path::PathBuf;

pub(crate) const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recorded");
pub(crate) const PLANNER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../planner/tests/recorded");

fn of_planner(name: &str) -> PathBuf {
    format!("{PLANNER}/{name}.snap").into()
}

/// Whether a record was taken by the planner's tests.
pub(crate) fn is_of_planner(name: &str) -> bool {
    of_planner(name).exists()
}

/// A record as the API server would send it.
pub(crate) fn value(name: &str) -> Value {
    let text = if is_of_planner(name) {
        let text = std::fs::read_to_string(of_planner(name)).unwrap();
        // A snapshot begins with a header between two lines of dashes.
        text.splitn(3, "---\n").nth(2).unwrap().to_owned()
    } else {
        std::fs::read_to_string(format!("{OWN}/{name}.yaml")).unwrap()
    };
    let mut value: Value = serde_saphyr::from_str(&text).unwrap();
    // Without it nobody can go on watching.
    value["metadata"]["resourceVersion"] = "4711".into();
    value
}
