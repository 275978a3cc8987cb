//! Applies objects under our field manager and waits until kinds are served. Must not know what
//! the objects are for.

use crate::failure::Failure;
use crate::kubeconfig::Connection;
use cluster::ApiServer as _;
use cluster::admin::{self, Change};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long a kind may take to be served.
const ESTABLISHED_LIMIT: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(250);

/// What was done to the objects.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    created: usize,
    changed: usize,
    unchanged: usize,
}

impl Tally {
    /// For the user.
    pub(super) fn line(self) -> String {
        let all = self.created + self.changed + self.unchanged;
        format!(
            "Applied {all} objects: {} created, {} changed, {} unchanged.",
            self.created, self.changed, self.unchanged
        )
    }
}

/// Applies objects in their order.
///
/// # Errors
/// Names the first object that the cluster refuses.
pub(super) async fn all(
    connection: &Connection,
    objects: &[Value],
    tally: &mut Tally,
) -> Result<(), Failure> {
    for object in objects {
        let applied = admin::apply(&connection.server, object).await;
        match applied.map_err(|(action, error)| connection.failed(action)(error))? {
            Change::Created => tally.created += 1,
            Change::Changed => tally.changed += 1,
            Change::Unchanged => tally.unchanged += 1,
        }
    }
    Ok(())
}

/// Waits until the kinds that are defined among the objects are served.
///
/// # Errors
/// When one is not served in time; the text says what its definition says.
pub(super) async fn established(connection: &Connection, objects: &[Value]) -> Result<(), Failure> {
    let began = Instant::now();
    let is_crd =
        |o: &&Value| o.get("kind").and_then(Value::as_str) == Some("CustomResourceDefinition");
    for crd in objects.iter().filter(is_crd) {
        let reference = planner::apply::reference(crd);
        let reference = reference.expect("every object was checked when it was read");
        loop {
            let read = connection.server.get(&reference).await;
            let action = format!("read CustomResourceDefinition {}", reference.name);
            let live = read.map_err(connection.failed(action))?.unwrap_or(Value::Null);
            let conditions = conditions(&live);
            if conditions.iter().any(|(kind, status, _)| kind == "Established" && status == "True")
            {
                break;
            }
            if began.elapsed() >= ESTABLISHED_LIMIT {
                let said: Vec<String> =
                    conditions.iter().map(|(k, s, m)| format!("{k}={s} {m}")).collect();
                return Err(Failure::TimedOut {
                    what: format!("the API server does not serve {}", reference.name),
                    seconds: ESTABLISHED_LIMIT.as_secs(),
                    seen: api::text::line(&said.join("; "), 512),
                    hints: vec![format!("look: kubectl get crd {} -o yaml", reference.name)],
                });
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Type, status and message of the conditions of an object.
pub(super) fn conditions(object: &Value) -> Vec<(String, String, String)> {
    let all = object.pointer("/status/conditions").and_then(Value::as_array);
    let text = |condition: &Value, key: &str| {
        condition.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let all = all.into_iter().flatten();
    all.map(|c| (text(c, "type"), text(c, "status"), text(c, "message"))).collect()
}
