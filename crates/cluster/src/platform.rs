//! What the platform says of its registry, and by which address it is called from outside: the
//! rules of the documents as one pure function. Must not know what is sent there.

use crate::call::CallError;
use crate::observe::typed;
use crate::server::ApiServer;
use api::image::is_address;
use api::names::{ADVERTISE, GLOBAL, NAMESPACE, PRODUCT_BASE, PULL_SECRET, RELEASE_KEYS};
use api::objects::{Cluster, ObjectRef, ProductBase};
use api::signing_key::{KeyError, ReleaseKeys};
use serde_json::Value;
use std::fmt;

/// What the platform says of its registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformRegistry {
    /// ProductBase.spec.registry.address.
    pub address: String,
    /// ProductBase.spec.registry.external.
    pub external: bool,
    /// Host of the address of type Advertise of Cluster global.
    pub global_vip: Option<String>,
    /// ProductBase.spec.platformURL.
    pub platform_url: String,
}

/// Where the address of the platform's registry is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Built-in: the VIP of Cluster global.
    GlobalVip,
    /// Built-in: the host of the platform's address.
    PlatformUrl,
    /// External.
    External,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GlobalVip => "built-in, from the global VIP",
            Self::PlatformUrl => "built-in, from the host of ProductBase.spec.platformURL",
            Self::External => "external, from ProductBase.spec.registry.address",
        })
    }
}

/// Why the address of the registry is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// There is no ProductBase.
    #[error(
        "the platform does not say which registry it uses: there is no ProductBase {PRODUCT_BASE}"
    )]
    NoProductBase,
    /// It names no usable registry.
    #[error("ProductBase.spec.registry.address is '{0}', which is no host:port")]
    NoAddress(String),
    /// The global VIP is not known.
    #[error(
        "the global VIP is not known: Cluster {GLOBAL} has no address of type {ADVERTISE}, and ProductBase.spec.platformURL is '{platform_url}'"
    )]
    NoVip {
        /// ProductBase.spec.platformURL.
        platform_url: String,
    },
}

impl PlatformRegistry {
    /// The address by which the registry is called from outside, and where that is from.
    ///
    /// # Errors
    /// When the platform does not say it.
    pub fn called_as(&self) -> Result<(String, Origin), Undecided> {
        let address = self.address.as_str();
        if !is_address(address) {
            return Err(Undecided::NoAddress(api::text::line(address, 128)));
        }
        if self.external {
            return Ok((address.to_owned(), Origin::External));
        }
        let port = split(address).1.map_or_else(String::new, |port| format!(":{port}"));
        let from = |host: &str, origin| {
            let host = bracketed(host);
            is_address(&host).then(|| (format!("{host}{port}"), origin))
        };
        let vip = self.global_vip.as_deref().and_then(|vip| from(vip, Origin::GlobalVip));
        let url = || from(host_of_url(&self.platform_url)?, Origin::PlatformUrl);
        vip.or_else(url).ok_or_else(|| Undecided::NoVip {
            platform_url: api::text::line(&self.platform_url, 128),
        })
    }

    /// Every address of the registry: as Pods call it, and as it is called from outside.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        let outside = self.called_as().ok().map(|(address, _)| address);
        outside.into_iter().chain([self.address.clone()]).collect()
    }
}

/// Host and port of `host[:port]`; an IPv6 host stands in brackets.
fn split(address: &str) -> (&str, Option<&str>) {
    match address.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (address, None),
    }
}

/// An IPv6 address as it stands before a port.
fn bracketed(host: &str) -> String {
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

/// The host of `https://host[:port][/path]`.
fn host_of_url(url: &str) -> Option<&str> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next()?;
    let address = authority.rsplit_once('@').map_or(authority, |(_, address)| address);
    let host = split(address).0;
    (!host.is_empty()).then_some(host)
}

/// What the platform says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Platform {
    /// Its registry; None where there is no ProductBase.
    pub registry: Option<PlatformRegistry>,
    /// ProductBase.spec.registry.secretRef.name.
    pub pull_secret: Option<String>,
}

/// An object of the platform could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {action}")]
pub struct Unread {
    /// What was asked for: `read ProductBase base`.
    pub action: String,
    /// Why.
    pub source: CallError,
}

impl Platform {
    /// Reads ProductBase and, for the global VIP, Cluster `global`.
    ///
    /// # Errors
    /// When one of them cannot be read; a kind that is not served is no error.
    pub async fn read<A: ApiServer>(server: &A) -> Result<Self, Unread> {
        let unread = |action: String| move |source| Unread { action, source };
        let base = typed::<ProductBase, _>(server, "", PRODUCT_BASE).await;
        let base = base.map_err(unread(format!("read ProductBase {PRODUCT_BASE}")))?;
        let Some(base) = base else { return Ok(Self::default()) };
        let global = typed::<Cluster, _>(server, "", GLOBAL).await;
        let global = global.map_err(unread(format!("read Cluster {GLOBAL}")))?;
        let addresses = global.and_then(|cluster| cluster.status).unwrap_or_default().addresses;
        let advertised = addresses.into_iter().find(|a| a.kind == ADVERTISE).map(|a| a.host);
        let registry = base.spec.registry;
        Ok(Self {
            registry: Some(PlatformRegistry {
                address: registry.address,
                external: registry.external == Some(true),
                global_vip: advertised.filter(|host| !host.is_empty()),
                platform_url: base.spec.platform_url,
            }),
            pull_secret: registry.secret_ref.map(|s| s.name).filter(|name| !name.is_empty()),
        })
    }

    /// The registry that Pods pull from: what ProductBase says, else the one in hand.
    #[must_use]
    pub fn pods_registry(&self, in_hand: &str) -> String {
        let address = self.registry.as_ref().map_or("", |r| r.address.as_str());
        if is_address(address) { address.to_owned() } else { in_hand.to_owned() }
    }

    /// Name of the Secret that Pods pull with.
    #[must_use]
    pub fn pull_secret_name(&self) -> &str {
        self.pull_secret.as_deref().unwrap_or(PULL_SECRET)
    }
}

/// Whom the installed release trusts; nobody recorded where there is no record. The inner error:
/// what is recorded cannot be understood.
///
/// # Errors
/// When the record cannot be read.
pub async fn release_keys<A: ApiServer>(
    server: &A,
) -> Result<Result<ReleaseKeys, KeyError>, CallError> {
    let reference = ObjectRef {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        namespace: NAMESPACE.to_owned(),
        name: RELEASE_KEYS.to_owned(),
    };
    let found = server.get(&reference).await?;
    let data = found.as_ref().and_then(|f| f.get("data")).and_then(Value::as_object);
    let entries = data.into_iter().flatten();
    let data = entries.filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned()))).collect();
    Ok(ReleaseKeys::parse(&data))
}
