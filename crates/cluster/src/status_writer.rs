//! The only place that writes the status of a ClusterVersionShadow.

use crate::call::CallError;
use crate::observe::typed;
use crate::server::{ApiServer, PatchBody};
use api::names::NAMESPACE;
use api::objects::{ClusterVersionShadow, ClusterVersionShadowStatus, object_ref};
use serde_json::json;

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
    is_new: bool,
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
    // An object without a status has no revision to test.
    let patch = if is_new {
        json!([{ "op": "add", "path": "/status", "value": body }])
    } else {
        json!([
            { "op": "test", "path": "/status/revision", "value": revision },
            { "op": "replace", "path": "/status", "value": body },
        ])
    };
    let reference = object_ref::<ClusterVersionShadow>(NAMESPACE, cluster);
    for _ in 0..ATTEMPTS {
        match server.patch(&reference, Some("status"), &PatchBody::Json(patch.clone())).await {
            Ok(_) => return Ok(Written::Yes),
            Err(CallError::Conflict(_)) => {}
            // A test that fails and a status that breaks the schema are refused alike.
            Err(error @ CallError::Invalid(_)) => {
                let live = typed::<ClusterVersionShadow, _>(server, NAMESPACE, cluster).await?;
                let found = live.and_then(|l| l.status).unwrap_or_default().revision;
                return if found == revision { Err(error) } else { Ok(Written::Superseded) };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Written::Superseded)
}
