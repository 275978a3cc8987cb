//! Decides with which account and which certificates a registry is used. Credentials come in
//! through files, standard input and Secrets and are never shown.

use crate::arguments::Arguments;
use crate::decision::{Decision, Source};
use crate::failure::Failure;
use crate::kubeconfig::Connection;
use crate::platform::{pull_accounts, registry_admin};
use api::names::{CA_KEY, NAMESPACE, PASSWORD_KEY, REGISTRY_ADMIN, USERNAME_KEY};
use artifacts::registry::{Credentials, Flags, Given, Registry, Settings, account_of};
use cluster::platform::{Origin, Platform};
use std::collections::BTreeMap;
use std::io::Read;

/// What the registry is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Use {
    /// Artifacts are sent.
    Push,
    /// It is asked what is there.
    Look,
}

/// Reads what the flags name; `input` is standard input.
///
/// # Errors
/// When a file or standard input cannot be read.
pub(crate) fn given(arguments: &Arguments, input: impl Read) -> Result<Given, Failure> {
    let flags = Flags {
        username: arguments.username.as_deref(),
        password: arguments.password.as_ref(),
        authfile: arguments.authfile.as_deref(),
        ca: arguments.registry_ca.as_deref(),
    };
    Ok(Given::read(flags, input)?)
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
    if let Some(account) = given.account(registry)? {
        return Ok(Some(account));
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
        Source::Platform(Origin::GlobalVip | Origin::PlatformUrl) => true,
        Source::Platform(Origin::External) => false,
        Source::Given => {
            let built_in = platform.registry.as_ref().filter(|r| !r.external);
            built_in.is_some_and(|r| r.addresses().contains(&decision.registry))
        }
    }
}

/// Whether the registry is the one that the platform uses, built-in or external.
fn is_of_platform(decision: &Decision, platform: &Platform) -> bool {
    let external = platform.registry.as_ref().filter(|r| r.external);
    is_built_in(decision, platform) || external.is_some_and(|r| r.address == decision.registry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decision::Sync;
    use cluster::platform::PlatformRegistry;

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
        let vip = (source != Source::Platform(Origin::External)).then_some("10.0.0.10");
        let found = account(given, held, &decision(source), &platform(vip), purpose);
        found.unwrap().map(|account| account.username)
    }

    #[test]
    fn accounts_come_from_flags_then_the_secret() {
        let given = Given {
            account: Some(Credentials { username: "me".into(), password: "p".into() }),
            ..Given::default()
        };
        assert_eq!(
            used(&given, &held(), Source::Platform(Origin::GlobalVip), Use::Push).unwrap(),
            "me"
        );
        let none = Given::default();
        assert_eq!(
            used(&none, &held(), Source::Platform(Origin::GlobalVip), Use::Push).unwrap(),
            "admin"
        );
        assert_eq!(used(&none, &held(), Source::Given, Use::Push).unwrap(), "admin");
        let there = platform(None);
        let lost = account(&none, &Held::default(), &decision(Source::Given), &there, Use::Push);
        assert!(lost.unwrap_err().to_string().contains("no account to push with"));
    }

    #[test]
    fn an_external_registry_is_looked_at_as_pods_do() {
        let none = Given::default();
        let external = Decision {
            registry: "pods:11443".into(),
            ..decision(Source::Platform(Origin::External))
        };
        let found = account(&none, &held(), &external, &platform(None), Use::Look).unwrap();
        assert_eq!(found.unwrap().username, "pull");
        assert_eq!(
            used(&none, &held(), Source::Platform(Origin::GlobalVip), Use::Look).unwrap(),
            "admin"
        );
        assert_eq!(
            used(&none, &Held::default(), Source::Platform(Origin::External), Use::Look),
            None
        );
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
        assert_eq!(of(Source::Platform(Origin::GlobalVip), "10.0.0.10").as_deref(), Some("pem"));
        assert_eq!(of(Source::Given, "10.0.0.10").as_deref(), Some("pem"));
        assert_eq!(of(Source::Given, "10.0.0.11"), None);
        assert_eq!(of(Source::Platform(Origin::External), "10.0.0.10"), None);
        let external = Decision {
            registry: "pods:11443".into(),
            ..decision(Source::Platform(Origin::External))
        };
        let own = ca(&none, &held(), &external, &platform(None));
        assert_eq!(own.as_deref(), Some("pem"));
        let given = Given { ca: Some("mine".into()), ..Given::default() };
        let own = ca(
            &given,
            &held(),
            &decision(Source::Platform(Origin::GlobalVip)),
            &platform(Some("10.0.0.10")),
        );
        assert_eq!(own.as_deref(), Some("mine"));
    }
}
