//! Decides with which account and which certificates a registry is used. Credentials come in
//! through files, standard input and Secrets and are never shown.

use crate::arguments::Arguments;
use crate::decision::{Decision, Source, Wishes, decide};
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::platform::{Platform, pull_accounts, registry_admin};
use api::names::{CA_KEY, NAMESPACE, PASSWORD_KEY, REGISTRY_ADMIN, USERNAME_KEY};
use artifacts::registry::{Credentials, Registry, Settings, account_of};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

/// Largest file that is read, in bytes.
const FILE_LIMIT: u64 = 1024 * 1024;
/// Longest password, in bytes.
const PASSWORD_LIMIT: u64 = 4096;

/// What the registry is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Artifacts are sent.
    Push,
    /// It is asked what is there.
    Look,
}

/// Account and certificates as the command line gives them.
#[derive(Debug, Default)]
pub(crate) struct Given {
    pub(crate) account: Option<Credentials>,
    pub(crate) authfile: Option<String>,
    pub(crate) ca: Option<String>,
}

impl Given {
    /// Reads what the flags name; `input` is standard input.
    ///
    /// # Errors
    /// When a file or standard input cannot be read.
    pub(crate) fn read(arguments: &Arguments, input: impl Read) -> Result<Self, Failure> {
        let account = match &arguments.username {
            None => None,
            Some(username) => {
                let password = match &arguments.password {
                    Some(password) => password.0.clone(),
                    None => password_of(input)?,
                };
                Some(Credentials { username: username.clone(), password })
            }
        };
        let file = |what, path: &Option<_>| path.as_deref().map(|p| text(what, p)).transpose();
        Ok(Self {
            account,
            authfile: file("the file of accounts", &arguments.authfile)?,
            ca: file("the certificate", &arguments.registry_ca)?,
        })
    }

    /// Whether the command line names an account.
    pub(crate) const fn has_account(&self) -> bool {
        self.account.is_some() || self.authfile.is_some()
    }
}

fn password_of(input: impl Read) -> Result<String, Failure> {
    let refused = |reason: &str| Failure::Usage {
        message: format!("--password-stdin: {reason}"),
        hint: "for example: bash upgrade.sh --username NAME --password-stdin < FILE".to_owned(),
    };
    let mut text = String::new();
    let read = input.take(PASSWORD_LIMIT + 1).read_to_string(&mut text);
    read.map_err(|_| refused("standard input cannot be read as text"))?;
    let password = text.strip_suffix('\n').unwrap_or(&text);
    let password = password.strip_suffix('\r').unwrap_or(password);
    match password.len() as u64 {
        0 => Err(refused("standard input is empty")),
        n if n > PASSWORD_LIMIT => Err(refused("the password is too long")),
        _ => Ok(password.to_owned()),
    }
}

fn text(what: &'static str, path: &Path) -> Result<String, Failure> {
    let failed = |reason: String| Failure::File { what, path: path.to_owned(), reason };
    let file = std::fs::File::open(path).map_err(|e| failed(e.to_string()))?;
    let mut text = String::new();
    file.take(FILE_LIMIT + 1).read_to_string(&mut text).map_err(|e| failed(e.to_string()))?;
    if text.len() as u64 > FILE_LIMIT {
        return Err(failed(format!("it is longer than {FILE_LIMIT} bytes")));
    }
    Ok(text)
}

/// What the cluster holds for the registry.
#[derive(Default)]
pub(crate) struct Held {
    admin: BTreeMap<String, String>,
    pull: Option<String>,
}

impl Held {
    /// Reads the Secrets of the platform.
    ///
    /// # Errors
    /// When one of them cannot be read; one that is not there is no error.
    pub(crate) async fn read(
        connection: &Connection,
        platform: &Platform,
    ) -> Result<Self, Failure> {
        Ok(Self {
            admin: registry_admin(connection).await?.unwrap_or_default(),
            pull: pull_accounts(connection, platform.pull_secret_name()).await?,
        })
    }

    /// The certificate of the built-in registry.
    pub(crate) fn ca(&self) -> Option<&String> {
        self.admin.get(CA_KEY).filter(|ca| !ca.trim().is_empty())
    }

    fn admin_account(&self) -> Option<Credentials> {
        let (username, password) =
            (self.admin.get(USERNAME_KEY)?.clone(), self.admin.get(PASSWORD_KEY)?.clone());
        Some(Credentials { username, password })
    }
}

/// The account with which a registry is used; None: without one.
///
/// # Errors
/// When an account is needed and there is none.
pub(crate) fn account(
    given: &Given,
    held: &Held,
    decision: &Decision,
    platform: &Platform,
    purpose: Use,
) -> Result<Option<Credentials>, Failure> {
    let registry = decision.registry.as_str();
    if let Some(account) = &given.account {
        return Ok(Some(account.clone()));
    }
    if let Some(file) = &given.authfile {
        let reason = match account_of(file.as_bytes(), registry) {
            Ok(Some(account)) => return Ok(Some(account)),
            Ok(None) => format!("it has no account for {registry}"),
            Err(error) => error.to_string(),
        };
        return Err(Failure::Refused {
            message: format!("--authfile: {reason}"),
            hints: vec!["give the account with --username and --password-stdin".to_owned()],
        });
    }
    let admin = held.admin_account();
    if purpose == Use::Push {
        return admin.map(Some).ok_or_else(|| Failure::Refused {
            message: format!(
                "no account to push with: neither flags nor the Secret {NAMESPACE}/{REGISTRY_ADMIN} (keys {USERNAME_KEY} and {PASSWORD_KEY}) give one"
            ),
            hints: vec!["give it with --username and --password-stdin".to_owned()],
        });
    }
    // The pull secret speaks of the registry as Pods call it, whatever name it has here.
    let pods_registry = platform.pods_registry(registry);
    let own = is_of_platform(decision, platform).then_some(pods_registry);
    let pull = held.pull.as_deref().and_then(|text| {
        let find = |name| account_of(text.as_bytes(), name).ok().flatten();
        find(registry).or_else(|| find(own.as_deref()?))
    });
    // Who may push to the built-in registry is told to no other.
    let admin = admin.filter(|_| is_built_in(decision, platform));
    Ok(admin.or(pull))
}

/// The registry of a decision, as it is asked from here; nothing is sent yet.
///
/// # Errors
/// When there is no account, or the certificates cannot be used.
pub(crate) fn registry(
    given: &Given,
    held: &Held,
    decision: &Decision,
    platform: &Platform,
    purpose: Use,
) -> Result<Registry, Failure> {
    let mut settings = Settings::new(&decision.registry);
    settings.credentials = account(given, held, decision, platform, purpose)?;
    settings.ca = ca(given, held, decision, platform).map(String::into_bytes);
    settings.retry.seed = u64::from(std::process::id());
    Ok(Registry::new(settings)?)
}

/// The certificates to trust: those that are given; for the platform's registry, by whatever name,
/// its own; else those of the machine.
fn ca(given: &Given, held: &Held, decision: &Decision, platform: &Platform) -> Option<String> {
    let own = held.ca().filter(|_| is_of_platform(decision, platform));
    given.ca.clone().or_else(|| own.cloned())
}

/// Whether the registry is the built-in one.
fn is_built_in(decision: &Decision, platform: &Platform) -> bool {
    match decision.source {
        Source::GlobalVip | Source::PlatformUrl => true,
        Source::External => false,
        Source::Given => names_of_built_in(platform).contains(&decision.registry),
    }
}

/// Whether the registry is the one that the platform uses, built-in or external.
fn is_of_platform(decision: &Decision, platform: &Platform) -> bool {
    let external = platform.registry.as_ref().filter(|r| r.external);
    is_built_in(decision, platform) || external.is_some_and(|r| r.address == decision.registry)
}

/// The addresses of the built-in registry: as Pods call it, and as it is called from outside.
fn names_of_built_in(platform: &Platform) -> Vec<String> {
    let Some(registry) = platform.registry.as_ref().filter(|r| !r.external) else {
        return Vec::new();
    };
    let rebuilt = decide(&Wishes::default(), Some(registry)).ok().map(|d| d.registry);
    rebuilt.into_iter().chain([registry.address.clone()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::{PlatformRegistry, Sync};

    fn decision(source: Source) -> Decision {
        Decision { registry: "10.0.0.10:11443".into(), source, sync: Sync::Run, deploy: true }
    }

    fn held() -> Held {
        let entry = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        Held {
            admin: BTreeMap::from([
                entry(USERNAME_KEY, "admin"),
                entry(PASSWORD_KEY, "secret"),
                entry(CA_KEY, "pem"),
            ]),
            pull: Some(r#"{"auths":{"pods:11443":{"username":"pull","password":"p"}}}"#.to_owned()),
        }
    }

    /// A platform whose registry is `pods:11443` for its Pods.
    fn platform(vip: Option<&str>) -> Platform {
        Platform {
            registry: Some(PlatformRegistry {
                address: "pods:11443".to_owned(),
                external: vip.is_none(),
                global_vip: vip.map(|vip| vip.to_owned()),
                ..PlatformRegistry::default()
            }),
            pull_secret: None,
        }
    }

    fn used(given: &Given, held: &Held, source: Source, purpose: Use) -> Option<String> {
        let vip = (source != Source::External).then_some("10.0.0.10");
        let found = account(given, held, &decision(source), &platform(vip), purpose);
        found.unwrap().map(|account| account.username)
    }

    #[test]
    fn accounts_come_from_flags_then_the_secret() {
        let given = Given {
            account: Some(Credentials { username: "me".into(), password: "p".into() }),
            ..Given::default()
        };
        assert_eq!(used(&given, &held(), Source::GlobalVip, Use::Push).unwrap(), "me");
        let none = Given::default();
        assert_eq!(used(&none, &held(), Source::GlobalVip, Use::Push).unwrap(), "admin");
        assert_eq!(used(&none, &held(), Source::Given, Use::Push).unwrap(), "admin");
        let there = platform(None);
        let lost = account(&none, &Held::default(), &decision(Source::Given), &there, Use::Push);
        assert!(lost.unwrap_err().to_string().contains("no account to push with"));
    }

    #[test]
    fn an_external_registry_is_looked_at_as_pods_do() {
        let none = Given::default();
        let external = Decision { registry: "pods:11443".into(), ..decision(Source::External) };
        let found = account(&none, &held(), &external, &platform(None), Use::Look).unwrap();
        assert_eq!(found.unwrap().username, "pull");
        assert_eq!(used(&none, &held(), Source::GlobalVip, Use::Look).unwrap(), "admin");
        assert_eq!(used(&none, &Held::default(), Source::External, Use::Look), None);
    }

    #[test]
    fn another_registry_is_told_no_account_of_the_platform() {
        let other = Decision { registry: "other.example:443".into(), ..decision(Source::Given) };
        let platform = platform(Some("10.0.0.10"));
        let found = account(&Given::default(), &held(), &other, &platform, Use::Look);
        assert_eq!(found.unwrap().map(|account| account.username), None);
    }

    #[test]
    fn the_certificate_of_the_platforms_registry_counts_for_it_only() {
        let none = Given::default();
        let of = |source, vip| ca(&none, &held(), &decision(source), &platform(Some(vip)));
        assert_eq!(of(Source::GlobalVip, "10.0.0.10").as_deref(), Some("pem"));
        assert_eq!(of(Source::Given, "10.0.0.10").as_deref(), Some("pem"));
        assert_eq!(of(Source::Given, "10.0.0.11"), None);
        assert_eq!(of(Source::External, "10.0.0.10"), None);
        let external = Decision { registry: "pods:11443".into(), ..decision(Source::External) };
        let own = ca(&none, &held(), &external, &platform(None));
        assert_eq!(own.as_deref(), Some("pem"));
        let given = Given { ca: Some("mine".into()), ..Given::default() };
        let own = ca(&given, &held(), &decision(Source::GlobalVip), &platform(Some("10.0.0.10")));
        assert_eq!(own.as_deref(), Some("mine"));
    }

    #[test]
    fn a_password_is_one_line_of_standard_input() {
        assert_eq!(password_of(&b"pass word\r\n"[..]).unwrap(), "pass word");
        assert_eq!(password_of(&b"p"[..]).unwrap(), "p");
        assert!(password_of(&b"\n"[..]).is_err() && password_of(&b""[..]).is_err());
        assert!(password_of(&[b'x'; 5000][..]).is_err());
    }
}
