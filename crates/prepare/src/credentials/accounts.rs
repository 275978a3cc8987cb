//! Finds the account of one registry in a file of accounts, as docker and podman write it. Knows
//! nothing of where the file came from.

use artifacts::registry::Credentials;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Accounts {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, serde_json::Value>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    auth: String,
    #[serde(default)]
    username: String,
    #[serde(default)]
    password: String,
}

/// The account of a registry (`host:port`). No text of the file stands in an error.
pub(super) fn find(text: &str, registry: &str) -> Result<Credentials, String> {
    let accounts: Accounts = serde_json::from_str(text)
        .map_err(|_| "it is no JSON of the form {\"auths\": {...}}".to_owned())?;
    let named = |key: &&String| {
        let host = key.trim_start_matches("https://");
        host.split('/').next() == Some(registry)
    };
    let Some(key) = accounts.auths.keys().find(named) else {
        return Err(if accounts.cred_helpers.contains_key(registry) {
            format!("the account of {registry} is kept by a credential helper, which is not used")
        } else {
            format!("it has no account for {registry}")
        });
    };
    let entry = &accounts.auths[key];
    if !entry.username.is_empty() && !entry.password.is_empty() {
        let (username, password) = (entry.username.clone(), entry.password.clone());
        return Ok(Credentials { username, password });
    }
    let decoded = STANDARD.decode(entry.auth.trim()).ok();
    let decoded = decoded.and_then(|bytes| String::from_utf8(bytes).ok());
    let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
    match pair {
        Some((username, password)) if !username.is_empty() => {
            Ok(Credentials { username: username.to_owned(), password: password.to_owned() })
        }
        _ => Err(format!("the account of {registry} has neither user name nor password")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str, registry: &str) -> Result<String, String> {
        find(text, registry).map(|c| format!("{} {}", c.username, c.password))
    }

    #[test]
    fn accounts_are_found_in_the_forms_that_occur() {
        let text = r#"{"auths":{"a:1":{"auth":"dTpw"},"https://b/v2/":{"username":"x","password":"y"},"c":{}},
            "credHelpers":{"d":"pass"}}"#;
        assert_eq!(name(text, "a:1"), Ok("u p".to_owned()));
        assert_eq!(name(text, "b"), Ok("x y".to_owned()));
        assert!(name(text, "c").unwrap_err().contains("neither"));
        assert!(name(text, "d").unwrap_err().contains("credential helper"));
        assert!(name(text, "a").unwrap_err().contains("no account for a"));
    }

    #[test]
    fn a_broken_file_is_not_repeated() {
        let error = name("{\"auths\": S3cret", "a").unwrap_err();
        assert!(!error.contains("S3cret"), "{error}");
    }
}
