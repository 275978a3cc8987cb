//! Decides how one request goes out and what its answer means: time-outs, who gets the
//! Authorization header, limits, and which error a status is. Knows no repository.

use std::error::Error;
use std::time::Duration;

use api::Digest;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER};
use reqwest::{Certificate, Client, Response, StatusCode, Url};

use super::auth::{Auth, Entry, host};
use super::call::{Call, Payload};
use super::{CONTENT_DIGEST, RegistryError, Settings};
use crate::registry::retry::Retry;

/// Longest answer that is read for the words of an error, in bytes.
const WORDS_LIMIT: u64 = 16 * 1024;
/// How many times the patience for an answer a blob may take.
const BLOB_PATIENCE: u32 = 10;
/// Longest answer with a token, in bytes.
const TOKEN_ANSWER_LIMIT: u64 = 256 * 1024;

/// Sends requests to one registry.
#[derive(Debug)]
pub(crate) struct Transport {
    client: Client,
    base: Url,
    address: String,
    auth: Auth,
    retry: Retry,
    patience: Duration,
}

impl Transport {
    pub(crate) fn new(settings: Settings) -> Result<Self, RegistryError> {
        let wrong = |text: String| RegistryError::Settings(text);
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            return Err(wrong("this process has installed no provider for TLS".to_owned()));
        }
        let shown = api::text::line(&settings.address, 128);
        let base: Url = format!("https://{}/v2/", settings.address)
            .parse()
            .map_err(|_| wrong(format!("'{shown}' is no host and port")))?;
        let plain = base.path() == "/v2/" && base.username().is_empty() && base.query().is_none();
        if !plain || host(&base).is_none() || base.password().is_some() {
            return Err(wrong(format!("'{shown}' is no host and port")));
        }
        let mut client = Client::builder()
            .https_only(true)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .connect_timeout(settings.patience.min(Duration::from_secs(10)))
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("acp/", env!("CARGO_PKG_VERSION")));
        if let Some(pem) = &settings.ca {
            let certificates = Certificate::from_pem_bundle(pem)
                .map_err(|e| wrong(format!("its CA certificate cannot be read: {}", words(&e))))?;
            if certificates.is_empty() {
                return Err(wrong("its CA holds no certificate (PEM)".to_owned()));
            }
            client = client.tls_certs_only(certificates);
        }
        let client = client
            .build()
            .map_err(|e| wrong(format!("its CA certificate cannot be used: {}", words(&e))))?;
        let auth = Auth::new(&settings, &base);
        let Settings { address, retry, patience, .. } = settings;
        Ok(Self { client, base, address, auth, retry, patience })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) const fn patience(&self) -> Duration {
        self.patience
    }

    /// Time for a blob that is read into memory, or stored after it was sent.
    pub(crate) fn blob_time(&self) -> Duration {
        self.patience * BLOB_PATIENCE
    }

    /// The address that only says whether one is let in.
    pub(crate) fn base(&self) -> Url {
        self.base.clone()
    }

    /// An address below a repository.
    pub(crate) fn url(&self, repository: &str, rest: &[&str]) -> Url {
        let mut url = self.base.clone();
        // The base is https, which always can have a path.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(repository.split('/')).extend(rest);
        }
        url
    }

    /// Does something until it succeeds, fails for good or has failed too often.
    pub(crate) async fn retrying<T, F>(
        &self,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut failed = 0;
        loop {
            let error = match attempt().await {
                Ok(value) => return Ok(value),
                Err(error) => error,
            };
            failed += 1;
            self.pause(failed, error).await?;
        }
    }

    /// Waits after a failure that may pass; gives the error back if it does not or was the last.
    pub(crate) async fn pause(
        &self,
        failed: u32,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        let RegistryError::Unavailable { passing: true, after, .. } = &error else {
            return Err(error);
        };
        let Some(wait) = self.retry.wait(failed, *after) else { return Err(error) };
        tracing::debug!(%error, failed, ?wait, "tries again");
        tokio::time::sleep(wait).await;
        Ok(())
    }

    /// Sends a request; a 401 is answered once, with what the registry asks for.
    pub(crate) async fn send(&self, call: Call<'_>) -> Result<Response, RegistryError> {
        let Call { method, url, scope, headers, payload, time, action, what } = call;
        // What is in memory can be sent again after a 401; a stream cannot.
        let again = match &payload {
            Payload::None => Some(Payload::None),
            Payload::Bytes(bytes) => Some(Payload::Bytes(bytes.clone())),
            Payload::Stream(..) => None,
        };
        let (streams, mut again, mut payload) = (again.is_none(), again, payload);
        loop {
            let mut request = self.client.request(method.clone(), url.clone());
            request = request.headers(headers.clone());
            let header = match &scope.0 {
                Some(scope) => self.authorization(scope, &url, action, what).await?,
                None => None,
            };
            let signed_in = header.is_some();
            if let Some(value) = header {
                request = request.header(AUTHORIZATION, value);
            }
            request = match payload {
                Payload::None => request,
                Payload::Bytes(bytes) => request.body(bytes),
                Payload::Stream(body, size) => {
                    request.header(reqwest::header::CONTENT_LENGTH, size).body(body)
                }
            };
            // A stream may take as long as it moves; its sender watches it.
            if !streams {
                request = request.timeout(time.unwrap_or(self.patience));
            }
            let answer = request.send().await.map_err(|e| self.broken(action, &e))?;
            let Some(scope) = scope.0.as_ref().filter(|_| answer.status().as_u16() == 401) else {
                return Ok(answer);
            };
            let useful = self.auth.learn(answer.headers(), scope, signed_in).await;
            let useful = useful.map_err(|reason| RegistryError::Invalid {
                what: what.to_owned(),
                reason: format!("the registry {} is not trusted: {reason}", self.address),
            })?;
            match again.take() {
                Some(next) if useful => payload = next,
                // Its sender begins anew.
                None if useful && streams => {
                    let words = "the registry asks to sign in again".to_owned();
                    return Err(self.unavailable(action, words, true, None));
                }
                _ => return Ok(answer),
            }
        }
    }

    async fn authorization(
        &self,
        scope: &str,
        url: &Url,
        action: &str,
        what: &str,
    ) -> Result<Option<HeaderValue>, RegistryError> {
        if host(url) != host(&self.base) {
            return Ok(None);
        }
        for _ in 0..2 {
            let (url, basic) = match self.auth.entry(scope).await {
                Entry::Open => return Ok(None),
                Entry::Header(value) => return Ok(Some(value)),
                Entry::Fetch { url, basic } => (url, basic),
            };
            let mut request = self.client.get(url).timeout(self.patience);
            if let Some(basic) = basic {
                request = request.header(AUTHORIZATION, basic);
            }
            let signing_in = format!("sign in to {action}");
            let answer = request.send().await.map_err(|e| self.broken(&signing_in, &e))?;
            let answer = self.expect(answer, &[200], &signing_in, what).await?;
            let bytes = self.read(answer, TOKEN_ANSWER_LIMIT, &signing_in, what).await?;
            self.auth.keep(scope, &bytes).await.map_err(|reason| RegistryError::Invalid {
                what: format!("the sign-in at {}", self.address),
                reason,
            })?;
        }
        Ok(None)
    }

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
        let (registry, action) = (self.address.clone(), action.to_owned());
        let words = self.words(answer).await;
        Err(match status.as_u16() {
            404 => RegistryError::NotFound { registry, what: what.to_owned(), words },
            status @ (401 | 403) => RegistryError::Denied { registry, action, status, words },
            408 | 425 | 429 | 500..=599 => {
                self.unavailable(&action, format!("{status}: {words}"), true, after)
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
        match url.scheme() {
            "https" => Ok(url),
            _ => Err(invalid("the registry sends us away from https")),
        }
    }

    /// Whether an address is on the registry's own host and port.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        host(url) == host(&self.base)
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
        let (registry, action) = (self.address.clone(), action.to_owned());
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
        }
        let status = answer.status();
        let fallback = StatusCode::canonical_reason(&status).unwrap_or("no reason given");
        // An answer that breaks off says nothing; its status still does.
        let bytes = self.read(answer, WORDS_LIMIT, "", "").await.unwrap_or_default();
        let said = match serde_json::from_slice::<Answer>(&bytes) {
            Ok(answer) => {
                let entries = answer.errors.into_iter().take(3);
                let each = entries.map(|e| match (e.message.as_str(), e.code.as_str()) {
                    ("", code) => code.to_owned(),
                    (message, "") => message.to_owned(),
                    (message, code) => format!("{message} ({code})"),
                });
                each.collect::<Vec<_>>().join("; ")
            }
            Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
        };
        match api::text::line(&self.auth.redact(&said).await, 256) {
            empty if empty.is_empty() => fallback.to_owned(),
            said => said,
        }
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// What a connection's error says, without the address and without saying anything twice.
fn words(error: &reqwest::Error) -> String {
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
