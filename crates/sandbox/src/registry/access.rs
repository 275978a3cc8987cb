//! Decides how the access log of a registry is read, so that tests can count its requests. Knows
//! nothing of how the registry runs.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

/// One request that a registry answered.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Access {
    /// When it came, RFC 3339 in UTC.
    pub time: String,
    /// The HTTP method.
    pub method: String,
    /// The path, such as `/v2/acp/coredns/manifests/v1`.
    pub path: String,
    /// The query.
    #[serde(default)]
    pub query: String,
    /// Who asked; empty where the password was wrong or missing.
    pub account: String,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Bytes of the request's body.
    pub received: u64,
    /// Bytes of the answer's body.
    pub sent: u64,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// The client, as it names itself.
    pub agent: String,
}

impl Access {
    /// Whether the request could change the registry.
    pub fn writes(&self) -> bool {
        !matches!(self.method.as_str(), "GET" | "HEAD")
    }
}

/// Every request in a log; none where there is no log yet.
pub fn read_access_log(path: &Path) -> Result<Vec<Access>> {
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    // The last line may still be in the writing.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let parsed = whole.lines().map(|line| Ok(serde_json::from_str(line)?));
    parsed.collect::<Result<_>>().with_context(|| path.display().to_string())
}
