//! Decides what an answer means: how much of it is read, which error its status is, where it sends
//! us, and what the registry says of it. Knows nothing of how it was asked for.

use std::error::Error;
use std::net::IpAddr;
use std::time::Duration;

use api::Digest;
use reqwest::header::{HeaderMap, LOCATION, RETRY_AFTER};
use reqwest::{Response, StatusCode, Url};
use serde_json::Value;

use super::auth::host;
use super::error::says_full;
use super::transport::Transport;
use super::{CONTENT_DIGEST, RegistryError};

/// Longest answer that is read for the words of an error, in bytes.
const WORDS_LIMIT: u64 = 16 * 1024;
/// How much of it is shown, in bytes: the path of a file in a registry's storage and what is wrong
/// with it have room.
const WORDS_SHOWN: usize = 512;

impl Transport {
    /// The answer if its status is one of `good`, else the error that the status is.
    pub(crate) async fn expect(
        &self,
        answer: Response,
        good: &[u16],
        action: &str,
        what: &str,
    ) -> Result<Response, RegistryError> {
        let status = answer.status();
        if good.contains(&status.as_u16()) {
            return Ok(answer);
        }
        let after = retry_after(answer.headers());
        let (registry, action) = (self.address().to_owned(), action.to_owned());
        let words = self.words(answer).await;
        Err(match status.as_u16() {
            404 => RegistryError::NotFound { registry, what: what.to_owned(), words },
            status @ (401 | 403) => RegistryError::Denied { registry, action, status, words },
            408 | 425 | 429 | 500..=599 => {
                let words = format!("{status}: {words}");
                // A full disk does not become empty while we ask again and again.
                let passes = !says_full(&words);
                self.unavailable(&action, words, passes, after)
            }
            300..=399 => RegistryError::Invalid {
                what: what.to_owned(),
                reason: format!("the registry sends us elsewhere ({status})"),
            },
            status => RegistryError::Refused { registry, action, status, words },
        })
    }

    /// Where a redirection leads; https only.
    pub(crate) fn redirection(
        &self,
        answer: &Response,
        what: &str,
    ) -> Result<Option<Url>, RegistryError> {
        if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return Ok(None);
        }
        self.location(answer, what).map(Some)
    }

    /// The Location of an answer; https only.
    pub(crate) fn location(&self, answer: &Response, what: &str) -> Result<Url, RegistryError> {
        let invalid = |reason: &str| RegistryError::Invalid {
            what: what.to_owned(),
            reason: reason.to_owned(),
        };
        let text = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| invalid("the registry does not say where it goes on"))?;
        let url = answer.url().join(text).map_err(|_| invalid("its Location is no address"))?;
        let is_plain = url.scheme() == self.base().scheme() && self.is_own(&url);
        if url.scheme() != "https" && !is_plain {
            return Err(invalid("the registry sends us away from https"));
        }
        if is_near(&url) && !is_near(&self.base()) {
            return Err(invalid("the registry sends us to an address of this machine"));
        }
        Ok(url)
    }

    /// Whether an address is on the registry's own host and port.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        host(url) == host(&self.base())
    }

    /// The digest that the registry states for a document.
    pub(crate) fn stated_digest(&self, answer: &Response) -> Option<Digest> {
        answer.headers().get(CONTENT_DIGEST)?.to_str().ok()?.parse().ok()
    }

    /// Reads an answer of at most `limit` bytes.
    pub(crate) async fn read(
        &self,
        mut answer: Response,
        limit: u64,
        action: &str,
        what: &str,
    ) -> Result<Vec<u8>, RegistryError> {
        let long = || RegistryError::Invalid {
            what: what.to_owned(),
            reason: format!("it is longer than the {limit} bytes that are read"),
        };
        if answer.content_length().is_some_and(|length| length > limit) {
            return Err(long());
        }
        let mut bytes = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|e| self.broken(action, &e))? {
            if bytes.len() as u64 + piece.len() as u64 > limit {
                return Err(long());
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// A connection that failed.
    pub(crate) fn broken(&self, action: &str, error: &reqwest::Error) -> RegistryError {
        self.unavailable(action, words(error), !is_distrust(error), None)
    }

    pub(crate) fn unavailable(
        &self,
        action: &str,
        words: String,
        passing: bool,
        after: Option<Duration>,
    ) -> RegistryError {
        let (registry, action) = (self.address().to_owned(), action.to_owned());
        RegistryError::Unavailable { registry, action, words, passing, after }
    }

    /// What the registry says of an error, on one line.
    async fn words(&self, answer: Response) -> String {
        #[derive(serde::Deserialize)]
        struct Answer {
            errors: Vec<Entry>,
        }
        #[derive(serde::Deserialize)]
        struct Entry {
            #[serde(default)]
            code: String,
            #[serde(default)]
            message: String,
            #[serde(default)]
            detail: Value,
        }
        let status = answer.status();
        let fallback = StatusCode::canonical_reason(&status).unwrap_or("no reason given");
        // An answer that breaks off says nothing; its status still does.
        let bytes = self.read(answer, WORDS_LIMIT, "", "").await.unwrap_or_default();
        let said = match serde_json::from_slice::<Answer>(&bytes) {
            Ok(answer) => {
                let entries = answer.errors.into_iter().take(3);
                let each = entries.map(|e| {
                    let said = match (e.message.as_str(), e.code.as_str()) {
                        ("", code) => code.to_owned(),
                        (message, "") => message.to_owned(),
                        (message, code) => format!("{message} ({code})"),
                    };
                    match details(&e.detail) {
                        none if none.is_empty() => said,
                        details => format!("{said}: {details}"),
                    }
                });
                each.collect::<Vec<_>>().join("; ")
            }
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        match api::text::line(&self.redact(&said).await, WORDS_SHOWN) {
            empty if empty.is_empty() => fallback.to_owned(),
            said => said,
        }
    }
}

/// What an error says beside its message, which is mostly the cause: its texts, in their order. An
/// older distribution gives the number of a system error where a text should be.
fn details(detail: &Value) -> String {
    let each: Vec<String> = match detail {
        Value::String(text) => vec![text.clone()],
        Value::Array(all) => all.iter().map(details).collect(),
        Value::Object(all) => all
            .iter()
            .map(|(key, value)| match value.as_i64() {
                Some(number) if key == "Err" => system_error(number),
                _ => details(value),
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) => Vec::new(),
    };
    each.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(": ")
}

fn system_error(number: i64) -> String {
    i32::try_from(number).map_or_else(
        |_| String::new(),
        |number| std::io::Error::from_raw_os_error(number).to_string(),
    )
}

/// Whether an address is one of this machine or its link, which no other machine may send us to.
fn is_near(url: &Url) -> bool {
    let name = url.host_str().unwrap_or_default();
    match name.trim_start_matches('[').trim_end_matches(']').parse() {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
        Ok(IpAddr::V6(ip)) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.is_loopback() || ip.is_link_local() || ip.is_unspecified(),
            None => ip.is_loopback() || ip.is_unicast_link_local() || ip.is_unspecified(),
        },
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a connection's error says, without the address and without saying anything twice.
pub(super) fn words(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "no answer in time".to_owned();
    }
    let mut said = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        said.push(cause.to_string());
        next = cause.source();
    }
    // The innermost says what happened; those around it mostly say that something did.
    let text = said.pop().unwrap_or_else(|| "the request failed".to_owned());
    api::text::line(&text, 256)
}

/// Whether the certificate is at fault: asking again is of no use.
fn is_distrust(error: &reqwest::Error) -> bool {
    let mut next = error.source();
    while let Some(cause) = next {
        let mut inner: &(dyn Error + 'static) = cause;
        // An I/O error keeps what it was made of beside its sources.
        while let Some(kept) = inner.downcast_ref::<std::io::Error>().and_then(|e| e.get_ref()) {
            inner = kept;
        }
        if let Some(rustls::Error::InvalidCertificate(_)) = inner.downcast_ref() {
            return true;
        }
        next = cause.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_this_machine_and_its_link_are_near() {
        let near = |host: &str| is_near(&format!("https://{host}/x").parse().unwrap());
        for host in [
            "127.0.0.1",
            "127.9.9.9:5000",
            "0.0.0.0",
            "169.254.169.254",
            "[::1]",
            "[fe80::1]",
            "[::ffff:127.0.0.1]",
            "2130706433",
            "0x7f.1",
            "localhost",
            "a.localhost",
            "[::]",
        ] {
            assert!(near(host), "{host}");
        }
        for host in ["10.0.0.1", "registry.local", "[2001:db8::1]", "localhost.example"] {
            assert!(!near(host), "{host}");
        }
    }
}
