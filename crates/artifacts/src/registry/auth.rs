//! Decides who is told the password: the registry, and for tokens its own host or one that was
//! named. Knows nothing of what is asked for with it.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::{Credentials, Settings};

/// How long a token is good for where the registry does not say.
const TOKEN_TIME: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Longest token, in bytes.
const TOKEN_LIMIT: usize = 64 * 1024;

/// What a registry asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// What to do to get in.
#[derive(Debug)]
pub(super) enum Entry {
    /// Nothing is asked for, as far as we know.
    Open,
    /// This header, with every request.
    Header(HeaderValue),
    /// A token must be fetched here first.
    Fetch { url: Url, basic: Option<HeaderValue> },
}

/// What is known of how the registry lets us in.
pub(super) struct Auth {
    credentials: Option<Credentials>,
    own: Option<(String, u16)>,
    plain: bool,
    token_hosts: Vec<String>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    scheme: Option<Scheme>,
    tokens: BTreeMap<String, (String, Instant)>,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth")
    }
}

impl Auth {
    pub(super) fn new(settings: &Settings, base: &Url) -> Self {
        Self {
            credentials: settings.credentials.clone(),
            own: host(base),
            plain: settings.plain,
            token_hosts: settings.token_hosts.iter().cloned().collect(),
            state: Mutex::default(),
        }
    }

    /// How to get in for a scope.
    pub(super) async fn entry(&self, scope: &str) -> Entry {
        let state = self.state.lock().await;
        match &state.scheme {
            None => Entry::Open,
            Some(Scheme::Basic) => self.basic().map_or(Entry::Open, Entry::Header),
            Some(Scheme::Bearer { realm, service }) => {
                if let Some((token, end)) = state.tokens.get(scope)
                    && *end > Instant::now()
                    && let Some(header) = secret(&format!("Bearer {token}"))
                {
                    return Entry::Header(header);
                }
                let mut url = realm.clone();
                {
                    let mut query = url.query_pairs_mut();
                    if let Some(service) = service {
                        query.append_pair("service", service);
                    }
                    for part in scope.split(' ').filter(|part| !part.is_empty()) {
                        query.append_pair("scope", part);
                    }
                }
                Entry::Fetch { url, basic: self.basic() }
            }
        }
    }

    /// Learns from the challenges of a 401 what is asked for; `signed_in` says whether the request
    /// bore a header of ours. True if trying again is of use.
    ///
    /// # Errors
    /// When the registry asks us to show the password to another host, or in the open.
    pub(super) async fn learn(
        &self,
        headers: &HeaderMap,
        scope: &str,
        signed_in: bool,
    ) -> Result<bool, String> {
        let Some(scheme) = self.challenge(headers)? else { return Ok(false) };
        // A password that was refused stays refused; a token may have come to its end.
        let useful = match &scheme {
            Scheme::Basic => !signed_in && self.credentials.is_some(),
            Scheme::Bearer { .. } => true,
        };
        let mut state = self.state.lock().await;
        if signed_in {
            state.tokens.remove(scope);
        }
        state.scheme = Some(scheme);
        Ok(useful)
    }

    /// Keeps the token of an answer.
    pub(super) async fn keep(&self, scope: &str, answer: &[u8]) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Answer {
            token: Option<String>,
            access_token: Option<String>,
            expires_in: Option<u64>,
        }
        let answer: Answer = serde_json::from_slice(answer)
            .map_err(|e| format!("the answer with the token is malformed: {e}"))?;
        let token = answer.token.or(answer.access_token).unwrap_or_default();
        if token.is_empty() || token.len() > TOKEN_LIMIT || secret(&token).is_none() {
            return Err("the answer holds no token".to_owned());
        }
        let time = answer.expires_in.map_or(TOKEN_TIME, Duration::from_secs);
        let time = time.min(Duration::from_secs(3600)).saturating_sub(TOKEN_MARGIN);
        let end = Instant::now() + time.max(Duration::from_secs(1));
        self.state.lock().await.tokens.insert(scope.to_owned(), (token, end));
        Ok(())
    }

    /// Foreign words without anything that we keep secret, should the registry say it back.
    pub(super) async fn redact(&self, words: &str) -> String {
        let mut words = words.to_owned();
        let state = self.state.lock().await;
        let tokens = state.tokens.values().map(|(token, _)| token.clone());
        let own = self.credentials.iter().flat_map(|c| [c.password.clone(), encoded(c)]);
        for secret in tokens.chain(own).filter(|secret| !secret.is_empty()) {
            words = words.replace(&secret, "***");
        }
        words
    }

    fn basic(&self) -> Option<HeaderValue> {
        self.credentials.as_ref().and_then(|c| secret(&format!("Basic {}", encoded(c))))
    }

    fn challenge(&self, headers: &HeaderMap) -> Result<Option<Scheme>, String> {
        let mut found = None;
        for value in headers.get_all(WWW_AUTHENTICATE) {
            let text = value.to_str().map_err(|_| "its challenge is malformed".to_owned())?;
            let challenges = http_auth::parse_challenges(text)
                .map_err(|_| "its challenge is malformed".to_owned())?;
            for challenge in challenges {
                if challenge.scheme.eq_ignore_ascii_case("basic") {
                    found.get_or_insert(Scheme::Basic);
                } else if challenge.scheme.eq_ignore_ascii_case("bearer") {
                    let param = |name: &str| {
                        let mut params = challenge.params.iter();
                        let found = params.find(|(key, _)| key.eq_ignore_ascii_case(name));
                        found.map(|(_, value)| value.to_unescaped())
                    };
                    let realm = self.realm(&param("realm").unwrap_or_default())?;
                    found = Some(Scheme::Bearer { realm, service: param("service") });
                }
            }
        }
        Ok(found)
    }

    fn realm(&self, text: &str) -> Result<Url, String> {
        let shown = api::text::line(text, 128);
        let url: Url = text.parse().map_err(|_| format!("its realm '{shown}' is no address"))?;
        let is_plain = self.plain && url.scheme() == "http" && host(&url) == self.own;
        let is_safe = url.scheme() == "https" || is_plain;
        if !is_safe || !url.username().is_empty() || url.password().is_some() {
            return Err(format!("its realm '{shown}' is not plain https"));
        }
        let named = url.host_str().is_some_and(|name| {
            let port = url.port_or_known_default().unwrap_or(0);
            self.token_hosts.iter().any(|h| h == name || *h == format!("{name}:{port}"))
        });
        if host(&url) != self.own && !named {
            return Err(format!("its realm '{shown}' is another host, which gets no password"));
        }
        Ok(url)
    }
}

/// Where a registry at `address` wants its tokens fetched, as the value of its `WWW-Authenticate`
/// says; none if it asks for no token. This is the check that stands before any password is sent.
///
/// # Errors
/// When the value is malformed, or the password would go to another host or in the open.
pub fn token_realm(challenge: &str, address: &str) -> Result<Option<String>, String> {
    let base = format!("https://{address}/v2/").parse();
    let base: Url = base.map_err(|_| "the address is none".to_owned())?;
    let value = HeaderValue::from_str(challenge).map_err(|_| "it is no header".to_owned())?;
    let headers = HeaderMap::from_iter([(WWW_AUTHENTICATE, value)]);
    let auth = Auth::new(&Settings::new(address), &base);
    Ok(match auth.challenge(&headers)? {
        Some(Scheme::Bearer { realm, .. }) => Some(realm.into()),
        Some(Scheme::Basic) | None => None,
    })
}

fn encoded(credentials: &Credentials) -> String {
    STANDARD.encode(format!("{}:{}", credentials.username, credentials.password))
}

/// A header that is never shown.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// Host and port of an address.
pub(super) fn host(url: &Url) -> Option<(String, u16)> {
    Some((url.host_str()?.to_owned(), url.port_or_known_default()?))
}
