//! Applies objects with an administrator's rights, one at a time, and says what that changed. Must
//! not know what the objects are for.

use crate::call::CallError;
use crate::server::{ApiServer, ApplyOptions};
use serde_json::Value;

/// What came of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there.
    Created,
    /// It was there, and is another now.
    Changed,
    /// It was as it should be.
    Unchanged,
}

impl Change {
    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Applies an object. What others wrote into our fields gives way.
///
/// # Errors
/// Names what failed (`read ClusterRole x`, `apply ClusterRole x`).
pub async fn apply<A: ApiServer>(
    server: &A,
    object: &Value,
) -> Result<Change, (String, CallError)> {
    let reference = planner::apply::reference(object)
        .map_err(|e| ("apply an object".to_owned(), CallError::Invalid(e.to_string())))?;
    let name = format!("{} {}", reference.kind, reference.name);
    let before = server.get(&reference).await.map_err(|e| (format!("read {name}"), e))?;
    let options = ApplyOptions { force: true, dry_run: false };
    let after = server.apply(object, options).await.map_err(|e| (format!("apply {name}"), e))?;
    let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
    Ok(match before {
        None => Change::Created,
        Some(before) if version(&before) == version(&after) => Change::Unchanged,
        Some(_) => Change::Changed,
    })
}
