//! Reads the account and the certificates of a registry as a command line gives them: by flags,
//! files and standard input. What is secret is never shown, in errors neither.

use super::{AccountError, Credentials, account_of};
use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;
/// Longest password, in bytes.
const PASSWORD_LIMIT: u64 = 4096;

/// A password or a token of a command line; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub String);

impl From<&str> for Password {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What the flags of a registry say.
#[derive(Debug, Clone, Copy)]
pub struct Flags<'a> {
    /// `--username`.
    pub username: Option<&'a str>,
    /// `--password`; without it standard input gives the password of the account.
    pub password: Option<&'a Password>,
    /// `--authfile`.
    pub authfile: Option<&'a Path>,
    /// `--registry-ca`.
    pub ca: Option<&'a Path>,
}

/// Why an account or certificates cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GivenError {
    /// Standard input gives no password.
    #[error("--password-stdin: {0}")]
    Input(&'static str),
    /// A file cannot be used.
    #[error("{what} {path} cannot be used: {reason}")]
    File {
        /// What it is for.
        what: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The file of accounts has none for the registry.
    #[error("--authfile: it has no account for {0}")]
    NoAccount(String),
    /// The file of accounts cannot be understood.
    #[error("--authfile: {0}")]
    Accounts(AccountError),
}

/// Account and certificates as the command line gives them.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Of `--username`.
    pub account: Option<Credentials>,
    /// The text of `--authfile`.
    pub authfile: Option<String>,
    /// The text of `--registry-ca`.
    pub ca: Option<String>,
}

impl Given {
    /// Reads what the flags name; `input` is standard input.
    ///
    /// # Errors
    /// When a file or standard input cannot be read.
    pub fn read(flags: Flags<'_>, input: impl Read) -> Result<Self, GivenError> {
        let account = match flags.username {
            None => None,
            Some(username) => {
                let password = match flags.password {
                    Some(password) => password.0.clone(),
                    None => password_of(input)?,
                };
                Some(Credentials { username: username.to_owned(), password })
            }
        };
        let file = |what, path: Option<&Path>| path.map(|p| text(what, p)).transpose();
        Ok(Self {
            account,
            authfile: file("the file of accounts", flags.authfile)?,
            ca: file("the certificate", flags.ca)?,
        })
    }

    /// Whether the command line names an account.
    #[must_use]
    pub const fn has_account(&self) -> bool {
        self.account.is_some() || self.authfile.is_some()
    }

    /// The account for a registry (`host:port`): that of the flags, else that of the file; None
    /// where the command line names neither.
    ///
    /// # Errors
    /// When the file that is named has none.
    pub fn account(&self, registry: &str) -> Result<Option<Credentials>, GivenError> {
        if let Some(account) = &self.account {
            return Ok(Some(account.clone()));
        }
        let Some(file) = &self.authfile else { return Ok(None) };
        match account_of(file.as_bytes(), registry) {
            Ok(Some(account)) => Ok(Some(account)),
            Ok(None) => Err(GivenError::NoAccount(registry.to_owned())),
            Err(error) => Err(GivenError::Accounts(error)),
        }
    }
}

/// One line of standard input.
fn password_of(input: impl Read) -> Result<String, GivenError> {
    let mut text = String::new();
    let read = input.take(PASSWORD_LIMIT + 1).read_to_string(&mut text);
    read.map_err(|_| GivenError::Input("standard input cannot be read as text"))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.len() as u64 {
        0 => Err(GivenError::Input("standard input is empty")),
        n if n > PASSWORD_LIMIT => Err(GivenError::Input("the password is too long")),
        _ => Ok(password.to_owned()),
    }
}

fn text(what: &'static str, path: &Path) -> Result<String, GivenError> {
    let failed = |reason: String| GivenError::File { what, path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(failed(format!("it is longer than {FILE_LIMIT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_one_line_of_standard_input() {
        assert_eq!(password_of(&b"pass word\r\n"[..]).unwrap(), "pass word");
        assert_eq!(password_of(&b"p"[..]).unwrap(), "p");
        assert!(password_of(&b"\n"[..]).is_err() && password_of(&b""[..]).is_err());
        assert!(password_of(&[b'x'; 5000][..]).is_err());
    }
}
