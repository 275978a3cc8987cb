//! Reads the audit log of an API server: who changed what, and when.

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use serde_json::Value;
use std::path::Path;

/// A request that was answered.
#[derive(Debug, Clone)]
pub struct Request {
    /// `create`, `patch`, `get`.
    pub verb: String,
    /// Who asked.
    pub user: String,
    /// The program that asked.
    pub agent: String,
    /// Path and query.
    pub uri: String,
    /// The group of the kind.
    pub group: String,
    /// The kind, in its plural form, with its subresource.
    pub resource: String,
    /// The namespace of the object; empty for one of the cluster, and for lists of all.
    pub namespace: String,
    /// The object.
    pub name: String,
    /// Answer code.
    pub code: i64,
    /// When it was answered.
    pub at: Timestamp,
    /// What was sent; null where the policy of the log leaves it out.
    pub body: Value,
}

impl Request {
    /// Whether it was meant to change something; access reviews are questions.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let changes = ["create", "update", "patch", "delete", "deletecollection"];
        changes.contains(&self.verb.as_str())
            && !self.resource.contains("accessreviews")
            && !self.is_try()
    }

    /// Whether it only asked what would come of a change.
    #[must_use]
    pub fn is_try(&self) -> bool {
        self.uri.contains("dryRun=All")
    }
}

/// The answered requests in a log, from a byte on; also where the log ends now.
///
/// # Errors
/// When the log cannot be read.
pub fn read(log: &Path, from: u64) -> Result<(Vec<Request>, u64)> {
    let bytes = std::fs::read(log).with_context(|| log.display().to_string())?;
    let start = usize::try_from(from)?.min(bytes.len());
    let text = String::from_utf8_lossy(&bytes[start..]);
    let requests = text.lines().filter_map(request).collect();
    Ok((requests, u64::try_from(bytes.len())?))
}

fn request(line: &str) -> Option<Request> {
    let event: Value = serde_json::from_str(line).ok()?;
    if event.get("stage")?.as_str()? != "ResponseComplete" {
        return None;
    }
    let text = |pointer: &str| {
        event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let subresource = text("/objectRef/subresource");
    let below = if subresource.is_empty() { String::new() } else { format!("/{subresource}") };
    Some(Request {
        verb: text("/verb"),
        user: text("/user/username"),
        agent: text("/userAgent"),
        uri: text("/requestURI"),
        group: text("/objectRef/apiGroup"),
        resource: text("/objectRef/resource") + &below,
        namespace: text("/objectRef/namespace"),
        name: text("/objectRef/name"),
        code: event.pointer("/responseStatus/code").and_then(Value::as_i64).unwrap_or_default(),
        at: text("/stageTimestamp").parse().ok()?,
        body: event.get("requestObject").cloned().unwrap_or_default(),
    })
}
