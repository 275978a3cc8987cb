//! Decides what must be said of a registry before it is reached. Shows no password.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::Retry;

/// Time for a request whose answer is small.
const ANSWER_TIME: Duration = Duration::from_secs(30);

/// User name and password of an account; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The account.
    pub username: String,
    /// Its password.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials")
    }
}

/// How a registry is reached.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Host and port.
    pub address: String,
    /// Without TLS: whoever is in between reads and changes what is sent, passwords too. Only where
    /// somebody asks for it by name.
    pub plain: bool,
    /// Certificates to trust (PEM), and no others; without them those of the machine.
    pub ca: Option<Vec<u8>>,
    /// The account, where one is needed.
    pub credentials: Option<Credentials>,
    /// Hosts (`host` or `host:port`) beside the registry's own that may give out its tokens.
    pub token_hosts: BTreeSet<String>,
    /// How often and after what time something is tried again.
    pub retry: Retry,
    /// After what time without an answer, or without a byte, a request has failed. A blob that is
    /// pulled, or stored after it was sent, may take ten times that.
    pub patience: Duration,
}

impl Settings {
    /// Those of a registry without password, with the certificates of the machine.
    #[must_use]
    pub fn new(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            plain: false,
            ca: None,
            credentials: None,
            token_hosts: BTreeSet::new(),
            retry: Retry::default(),
            patience: ANSWER_TIME,
        }
    }
}
