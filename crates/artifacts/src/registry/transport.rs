//! Decides how one request goes out: time-outs, attempts, and who gets the Authorization header.
//! Knows no repository, and not what an answer means.

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Certificate, Client, Response, Url};

use super::answer::words;
use super::auth::{Auth, Entry, host};
use super::call::{Call, Payload};
use super::retry::Retry;
use super::{RegistryError, Settings};

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
        let scheme = if settings.plain { "http" } else { "https" };
        let base: Url = format!("{scheme}://{}/v2/", settings.address)
            .parse()
            .map_err(|_| wrong(format!("'{shown}' is no host and port")))?;
        let plain = base.path() == "/v2/" && base.username().is_empty() && base.query().is_none();
        if !plain || host(&base).is_none() || base.password().is_some() {
            return Err(wrong(format!("'{shown}' is no host and port")));
        }
        let mut client = Client::builder()
            .https_only(!settings.plain)
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

    /// Foreign words without anything that we keep secret.
    pub(super) async fn redact(&self, words: &str) -> String {
        self.auth.redact(words).await
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
        // The base is https or http, which always can have a path.
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
}
