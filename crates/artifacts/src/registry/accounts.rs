//! Finds the account of one registry in a file of accounts, as docker, podman and pull Secrets have
//! it. Knows nothing of where the file came from.

use super::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accounts {
    auths: Option<BTreeMap<String, Entry>>,
    cred_helpers: Option<BTreeMap<String, serde_json::Value>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
}

/// Why a file does not give the account of a registry. It never holds what the file does.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum AccountError {
    /// It is no file of accounts.
    #[error("it is no JSON of the form {{\"auths\": {{...}}}}")]
    Malformed,
    /// Another program keeps the account.
    #[error("the account of {0} is kept by a credential helper, which is not used")]
    Helper(String),
    /// There is an entry, and no account in it.
    #[error("the account of {0} has neither user name and password nor base64 of USER:PASSWORD")]
    Incomplete(String),
}

/// The account of a registry (`host:port`); None where the file knows none. Its keys may have a
/// scheme and a path, as other tools write them.
///
/// # Errors
/// When the file cannot be understood, or has the account in a form that is not used.
pub fn account_of(text: &[u8], registry: &str) -> Result<Option<Credentials>, AccountError> {
    let malformed = |_| AccountError::Malformed;
    let accounts: Accounts = serde_json::from_slice(text).map_err(malformed)?;
    if accounts.auths.is_none() && accounts.cred_helpers.is_none() {
        return Err(AccountError::Malformed);
    }
    let auths = accounts.auths.unwrap_or_default();
    let same = |(key, _): &(&String, &Entry)| host_of(key) == host_of(registry);
    let Some(entry) = auths.get(registry).or_else(|| auths.iter().find(same).map(|(_, e)| e))
    else {
        let helpers = accounts.cred_helpers.unwrap_or_default();
        return if helpers.contains_key(registry) {
            Err(AccountError::Helper(registry.to_owned()))
        } else {
            Ok(None)
        };
    };
    let account = entry.account().ok_or_else(|| AccountError::Incomplete(registry.to_owned()))?;
    Ok(Some(account))
}

impl Entry {
    fn account(&self) -> Option<Credentials> {
        if !self.username.is_empty() && !self.password.is_empty() {
            let (username, password) = (self.username.clone(), self.password.clone());
            return Some(Credentials { username, password });
        }
        let decoded = STANDARD.decode(self.auth.trim()).ok()?;
        let pair = String::from_utf8(decoded).ok()?;
        let (username, password) = pair.split_once(':')?;
        let whole = !username.is_empty();
        whole.then(|| Credentials { username: username.to_owned(), password: password.to_owned() })
    }
}

/// Host and port, in small letters.
fn host_of(address: &str) -> String {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    rest.split('/').next().unwrap_or_default().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, registry: &str) -> Result<Option<String>, AccountError> {
        let account = account_of(text.as_bytes(), registry)?;
        Ok(account.map(|c| format!("{} {}", c.username, c.password)))
    }

    #[test]
    fn accounts_are_found_in_the_forms_that_occur() {
        let text = r#"{"auths":{"a:1":{"auth":"dTpwOnc="},"https://b/v2/":{"username":"x","password":"y"},"c":{}},
            "credHelpers":{"d":"pass"}}"#;
        assert_eq!(found(text, "a:1"), Ok(Some("u p:w".to_owned())));
        assert_eq!(found(text, "b"), Ok(Some("x y".to_owned())));
        assert_eq!(found(text, "c"), Err(AccountError::Incomplete("c".to_owned())));
        assert_eq!(found(text, "d"), Err(AccountError::Helper("d".to_owned())));
        assert_eq!(found(text, "a"), Ok(None));
        assert_eq!(found(r#"{"credHelpers":{}}"#, "a"), Ok(None));
    }

    #[test]
    fn a_key_may_have_a_scheme_and_a_path() {
        for key in
            ["r.test:5000", "https://r.test:5000", "https://R.test:5000/v2/", "r.test:5000/v1"]
        {
            let text = format!(r#"{{"auths": {{"other": {{}}, "{key}": {{"auth": "dTpw"}}}}}}"#);
            assert_eq!(found(&text, "r.test:5000"), Ok(Some("u p".to_owned())), "{key}");
        }
        assert_eq!(found(r#"{"auths": {"r.test:5001": {}}}"#, "r.test:5000"), Ok(None));
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_none_and_not_repeated() {
        for text in [
            "{\"auths\": S3cret",
            "{}",
            r#"{"auths": {"r.test": {"auth": "???"}}}"#,
            r#"{"auths": {"r.test": {"auth": "dXNlcg=="}}}"#,
        ] {
            let error = found(text, "r.test").unwrap_err().to_string();
            assert!(!error.contains("S3cret"), "{error}");
        }
    }
}
