//! The only place that writes the status of a ClusterVersionShadow.

use crate::call::CallError;
use crate::server::{ApiServer, PatchBody};
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
    // An object without a status has no revision to test; a status that came meanwhile has one.
    let test = if is_new {
        json!({ "op": "test", "path": "/status", "value": Value::Null })
    } else {
        json!({ "op": "test", "path": "/status/revision", "value": revision })
    };
    let patch = if is_new {
        json!([{ "op": "add", "path": "/status", "value": body }])
    } else {
        json!([test, { "op": "replace", "path": "/status", "value": body }])
    };
    let reference = object_ref::<ClusterVersionShadow>(api::names::NAMESPACE, cluster);
    for _ in 0..ATTEMPTS {
        match server.patch(&reference, Some("status"), &PatchBody::Json(patch.clone())).await {
            Ok(_) => return Ok(Written::Yes),
            Err(CallError::Conflict(_)) => {}
            // The test of the revision failed.
            Err(CallError::Invalid(text)) if text.contains("test") => {
                return Ok(Written::Superseded);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Written::Superseded)
}
