//! The only place that writes the status of a ClusterVersionShadow.

use crate::call::CallError;
use crate::observe::typed;
use crate::server::{ApiServer, PatchBody};
use api::names::NAMESPACE;
use api::objects::{ClusterVersionShadow, ClusterVersionShadowStatus, object_ref};
use serde_json::{Value, json};

/// How often a write that met another one is sent again.
const ATTEMPTS: usize = 5;
/// Largest status, in bytes: objects of this size are still watched and stored without harm.
const SIZE_LIMIT: usize = 256 * 1024;

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// It holds.
    Yes,
    /// Another leader wrote in between: this round counts for nothing.
    Superseded,
}

/// Writes a status over the revision that the round was made from.
pub(crate) async fn write<A: ApiServer>(
    server: &A,
    cluster: &str,
    mut status: ClusterVersionShadowStatus,
) -> Result<Written, CallError> {
    let revision = status.revision;
    status.revision = revision + 1;
    let body = json!(status);
    let size = body.to_string().len();
    if size > SIZE_LIMIT {
        return Err(CallError::Invalid(format!(
            "a status of {size} bytes is larger than {SIZE_LIMIT}"
        )));
    }
    let reference = object_ref::<ClusterVersionShadow>(NAMESPACE, cluster);
    for _ in 0..ATTEMPTS {
        // A status that was never written has no revision to test: the whole object is, as it is
        // now, which still has none.
        let test = if revision == 0 {
            let Some(version) = unwritten(server, cluster).await? else {
                return Ok(Written::Superseded);
            };
            json!({ "op": "test", "path": "/metadata/resourceVersion", "value": version })
        } else {
            json!({ "op": "test", "path": "/status/revision", "value": revision })
        };
        let patch = json!([test, { "op": "add", "path": "/status", "value": body }]);
        match server.patch(&reference, Some("status"), &PatchBody::Json(patch)).await {
            Ok(_) => return Ok(Written::Yes),
            Err(CallError::Conflict(_)) => {}
            // A test that fails and a status that breaks the schema are refused alike.
            Err(error @ CallError::Invalid(_)) => {
                let live = typed::<ClusterVersionShadow, _>(server, NAMESPACE, cluster).await?;
                let metadata = live.as_ref().map(|l| &l.metadata);
                let version = metadata.and_then(|m| m.resource_version.as_deref());
                if revision == 0 && test.get("value").and_then(Value::as_str) != version {
                    // Somebody changed the object, perhaps not its status.
                    continue;
                }
                return if revision_of(live) == revision {
                    Err(error)
                } else {
                    Ok(Written::Superseded)
                };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Written::Superseded)
}

/// The resourceVersion of an object whose status was never written.
async fn unwritten<A: ApiServer>(server: &A, cluster: &str) -> Result<Option<String>, CallError> {
    let live = typed::<ClusterVersionShadow, _>(server, NAMESPACE, cluster).await?;
    let version = live.as_ref().and_then(|l| l.metadata.resource_version.clone());
    Ok(version.filter(|_| revision_of(live) == 0))
}

fn revision_of(live: Option<ClusterVersionShadow>) -> i64 {
    live.and_then(|l| l.status).unwrap_or_default().revision
}
