//! What is kept of a request: enough to tell which one it was, and to replay a run. Bodies and
//! credentials are not kept.

use std::fmt;

/// A request as the rules see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET`, `PATCH`.
    pub method: String,
    /// Without the query.
    pub path: String,
    /// Empty where there is none.
    pub query: String,
}

impl Asked {
    /// Whether it is meant to change something that counts: renewals of Leases, Events, questions
    /// about rights and tries that change nothing aside.
    #[must_use]
    pub fn is_change(&self) -> bool {
        let changes = ["POST", "PUT", "PATCH", "DELETE"];
        let aside = ["/leases", "/events", "accessreviews", "/tokenreviews"];
        changes.contains(&self.method.as_str())
            && !aside.iter().any(|part| self.path.contains(part))
            && !self.query.contains("dryRun=All")
    }

    /// Whether it stays open and tells of changes.
    #[must_use]
    pub fn is_watch(&self) -> bool {
        self.method == "GET" && self.query.split('&').any(|p| p.starts_with("watch="))
    }

    /// What tells it from other requests: what is listed and what is watched are two, and so are
    /// what is tried and what is done.
    #[must_use]
    pub fn name(&self) -> String {
        let what = match (self.is_watch(), self.query.contains("dryRun=All")) {
            (true, _) => " (watch)",
            (false, true) => " (tried)",
            (false, false) => "",
        };
        format!("{} {}{what}", self.method, self.path)
    }

    /// Whether it is about a Lease.
    #[must_use]
    pub fn is_about_a_lease(&self) -> bool {
        self.path.contains("/leases")
    }
}

/// A request and what became of it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it arrived, in milliseconds since the proxy began.
    pub at_ms: u128,
    /// Which changing request it was, from 1 on; None for others.
    pub change: Option<usize>,
    /// The request.
    pub asked: Asked,
    /// What the proxy did to it; empty where it only passed it on.
    pub verdict: &'static str,
    /// The code that the API server, or the proxy, answered; 0 where there was no answer.
    pub code: u16,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.change.map_or_else(String::new, |n| n.to_string());
        let Asked { method, path, query } = &self.asked;
        write!(
            f,
            "{:>7} ms {number:>4} {method} {path}?{query} -> {} {}",
            self.at_ms, self.code, self.verdict
        )
    }
}
