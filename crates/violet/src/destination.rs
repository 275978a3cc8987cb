//! Decides which registry a push sends to, with which account and which certificates: the rules of
//! the documents. Must not send anything.

use crate::arguments::Push;
use crate::connection::Connection;
use crate::failure::Failure;
use api::names::{CA_KEY, NAMESPACE, PASSWORD_KEY, REGISTRY_ADMIN, USERNAME_KEY};
use artifacts::registry::{Credentials, Flags, Given, Registry, Settings};
use cluster::observe::secret;
use cluster::platform::{Platform, Undecided};
use std::collections::BTreeMap;
use std::io::Read;

/// A registry, and why this one.
pub(crate) struct Destination {
    pub(crate) registry: Registry,
    /// In words.
    pub(crate) why: String,
    /// The platform's Pods pull from it.
    pub(crate) is_of_platform: bool,
}

/// What a push may know of a platform's registry.
#[derive(Default)]
struct Held {
    platform: Platform,
    admin: BTreeMap<String, String>,
}

/// Reads what the flags name; `input` is standard input.
///
/// # Errors
/// When a file or standard input cannot be read.
pub(crate) fn given(flags: &Push, input: impl Read) -> Result<Given, Failure> {
    let flags = Flags {
        username: flags.username.as_deref(),
        password: flags.password.as_ref(),
        authfile: flags.authfile.as_deref(),
        ca: flags.registry_ca.as_deref(),
    };
    Ok(Given::read(flags, input)?)
}

/// Whether the platform must be asked to know the registry and the account.
pub(crate) fn needs_platform(flags: &Push, given: &Given) -> bool {
    flags.dest_repo.is_none() || !(flags.no_auth || given.has_account())
}

/// Decides; `connection` is None where no platform is asked.
///
/// # Errors
/// When no registry or no account is known, or the platform cannot be read.
pub(crate) async fn decide(
    flags: &Push,
    given: &Given,
    connection: Option<&Connection>,
) -> Result<Destination, Failure> {
    let held = match connection {
        Some(connection) => read(connection).await?,
        None => Held::default(),
    };
    let platform = held.platform.registry.as_ref();
    let (address, why) = match &flags.dest_repo {
        Some(address) => (address.clone(), "given by --dest-repo".to_owned()),
        None => {
            let (address, origin) = platform.ok_or(Undecided::NoProductBase)?.called_as()?;
            (address, origin.to_string())
        }
    };
    let is_of_platform = platform.is_some_and(|r| r.addresses().contains(&address));
    let mut settings = Settings::new(&address);
    settings.plain = flags.plain;
    settings.credentials = account(flags, given, &held, &address, is_of_platform)?;
    let own = held.admin.get(CA_KEY).filter(|ca| is_of_platform && !ca.trim().is_empty());
    let ca = given.ca.clone().or_else(|| own.cloned()).filter(|_| !flags.plain);
    settings.ca = ca.map(String::into_bytes);
    settings.retry.seed = u64::from(std::process::id());
    Ok(Destination { registry: Registry::new(settings)?, why, is_of_platform })
}

async fn read(connection: &Connection) -> Result<Held, Failure> {
    let platform = Platform::read(&connection.server).await;
    let platform = platform.map_err(|unread| connection.failed(unread.action)(unread.source))?;
    let admin = secret(&connection.server, REGISTRY_ADMIN).await;
    let admin = admin.map_err(connection.failed(format!("read Secret {REGISTRY_ADMIN}")))?;
    Ok(Held { platform, admin: admin.unwrap_or_default() })
}

/// The flags, else the Secret: it is of the platform's registry, and told to no other.
fn account(
    flags: &Push,
    given: &Given,
    held: &Held,
    address: &str,
    is_of_platform: bool,
) -> Result<Option<Credentials>, Failure> {
    if flags.no_auth {
        return Ok(None);
    }
    if let Some(account) = given.account(address)? {
        return Ok(Some(account));
    }
    let entry = |key: &str| held.admin.get(key).filter(|_| is_of_platform).cloned();
    match (entry(USERNAME_KEY), entry(PASSWORD_KEY)) {
        (Some(username), Some(password)) => Ok(Some(Credentials { username, password })),
        _ if is_of_platform => Err(Failure::refused(
            format!(
                "no account to push with: neither flags nor the Secret {NAMESPACE}/{REGISTRY_ADMIN} (keys {USERNAME_KEY} and {PASSWORD_KEY}) give one"
            ),
            "give it with --username and --password-stdin, or --no-auth where none is needed",
        )),
        _ => Err(Failure::refused(
            format!(
                "no account to push to {address} with: it is not the registry of the platform, whose account is told to no other"
            ),
            "give it with --username and --password-stdin, or --no-auth where none is needed",
        )),
    }
}
