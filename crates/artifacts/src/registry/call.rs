//! Decides what belongs to one request: for what rights it asks, what it sends, and how its errors
//! name it. Knows nothing of how it is sent.

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Method, Url};

/// For what rights are asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Scope(pub(super) Option<String>);

impl Scope {
    pub(crate) fn pull(repository: &str) -> Self {
        Self(Some(format!("repository:{repository}:pull")))
    }

    /// To be known, and no more.
    pub(crate) fn sign_in() -> Self {
        Self(Some(String::new()))
    }

    pub(crate) fn push(repository: &str) -> Self {
        Self(Some(format!("repository:{repository}:pull,push")))
    }

    pub(crate) fn mount(repository: &str, from: &str) -> Self {
        Self(Some(format!("repository:{from}:pull repository:{repository}:pull,push")))
    }

    /// For another host: nothing is shown to it.
    pub(crate) const fn none() -> Self {
        Self(None)
    }
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum Payload {
    None,
    Bytes(Vec<u8>),
    /// Can be sent once only.
    Stream(Body, u64),
}

/// One request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) scope: Scope,
    pub(super) headers: HeaderMap,
    pub(super) payload: Payload,
    pub(super) time: Option<Duration>,
    pub(super) action: &'a str,
    pub(super) what: &'a str,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        method: Method,
        url: Url,
        scope: Scope,
        action: &'a str,
        what: &'a str,
    ) -> Self {
        let (headers, payload) = (HeaderMap::new(), Payload::None);
        Self { method, url, scope, headers, payload, time: None, action, what }
    }

    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
        self
    }

    pub(crate) fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }

    /// After what time it has failed; without it the patience of the settings.
    pub(crate) fn time(mut self, time: Duration) -> Self {
        self.time = Some(time);
        self
    }
}
