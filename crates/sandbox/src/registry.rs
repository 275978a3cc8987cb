//! Decides how a platform registry is served: distribution behind TLS, one account that pushes and
//! one that only pulls, an access log. Knows nothing of what is pushed.

mod access;
mod server;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;

pub use access::{Access, read_access_log};
pub use server::TestRegistry;
pub(crate) use server::free_port;

use crate::certificates::{Identity, write_secret};
use crate::network::{Machine, Network};
use crate::process::{Recorded, start, tail_of, wait_until};

/// The port of the built-in platform registry.
pub const PORT: u16 = 11443;
/// Account that may push.
const PUSH_ACCOUNT: &str = "platform-push";
/// Account that can only pull.
const PULL_ACCOUNT: &str = "platform-pull";

/// The two accounts of a registry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The account that may push.
    pub push: Account,
    /// The account that can only pull.
    pub pull: Account,
}

/// One account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Its password.
    pub password: String,
}

impl Credentials {
    /// The credentials kept in `path`, made there if they are absent.
    fn kept_in(path: &Path) -> Result<Self> {
        if let Ok(text) = fs::read(path) {
            return serde_json::from_slice(&text).with_context(|| path.display().to_string());
        }
        let account = |name: &str| -> Result<Account> {
            Ok(Account { name: name.to_owned(), password: random_password()? })
        };
        let made = Self { push: account(PUSH_ACCOUNT)?, pull: account(PULL_ACCOUNT)? };
        write_secret(path, &serde_json::to_vec_pretty(&made)?)?;
        Ok(made)
    }
}

/// A password that nobody knows beforehand.
pub(crate) fn random_password() -> Result<String> {
    let mut bytes = [0_u8; 18];
    fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(hex::encode(bytes))
}

/// The settings file of the server; the field names are a contract with tools/registry/main.go.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Settings<'a> {
    listen: String,
    certificate: &'a Path,
    key: &'a Path,
    storage: PathBuf,
    access_log: PathBuf,
    accounts: [AccountSetting<'a>; 2],
    forwards: Vec<Forward>,
}

#[derive(Serialize)]
struct AccountSetting<'a> {
    name: &'a str,
    password: &'a str,
    push: bool,
}

/// A port of the registry's machine that is served elsewhere.
#[derive(Clone, Debug, Serialize)]
pub struct Forward {
    /// Where it listens.
    pub listen: String,
    /// Where connections go.
    pub to: String,
}

/// Everything a registry keeps on disk.
#[derive(Clone, Debug)]
struct Folder(PathBuf);

impl Folder {
    fn record(&self) -> PathBuf {
        self.0.join("process.json")
    }

    fn log(&self) -> PathBuf {
        self.0.join("registry.log")
    }

    fn access_log(&self) -> PathBuf {
        self.0.join("access.log")
    }

    /// Writes the settings for a server at `listen` whose certificate names `names`.
    fn prepare(
        &self,
        listen: &str,
        names: &[&str],
        forwards: Vec<Forward>,
    ) -> Result<(PathBuf, Identity, Credentials)> {
        let folder = &self.0;
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let identity = Identity::in_folder(&folder.join("tls"), "platform registry", names)?;
        let credentials = Credentials::kept_in(&folder.join("credentials.json"))?;
        let settings = Settings {
            listen: listen.to_owned(),
            certificate: &identity.certificate,
            key: &identity.key,
            storage: folder.join("storage"),
            access_log: self.access_log(),
            accounts: [setting(&credentials.push, true), setting(&credentials.pull, false)],
            forwards,
        };
        let path = folder.join("settings.json");
        write_secret(&path, &serde_json::to_vec_pretty(&settings)?)?;
        Ok((path, identity, credentials))
    }
}

fn setting(account: &Account, push: bool) -> AccountSetting<'_> {
    AccountSetting { name: &account.name, password: &account.password, push }
}

/// The platform registry of a sandbox, at the global VIP in a network namespace of its own.
#[derive(Clone, Debug)]
pub struct PlatformRegistry {
    folder: Folder,
    network: Network,
    machine: Machine,
}

impl PlatformRegistry {
    /// The registry that keeps its state in `folder`.
    pub fn new(folder: &Path, network: &Network) -> Self {
        let machine = network.machine("registry", 10);
        Self { folder: Folder(folder.to_owned()), network: network.clone(), machine }
    }

    /// The global VIP.
    pub fn vip(&self) -> &str {
        &self.machine.address
    }

    /// `<VIP>:11443`.
    pub fn address(&self) -> String {
        format!("{}:{PORT}", self.vip())
    }

    /// The certificate to trust.
    pub fn authority(&self) -> PathBuf {
        self.folder.0.join("tls/ca.crt")
    }

    /// Its two accounts.
    pub fn credentials(&self) -> Result<Credentials> {
        Credentials::kept_in(&self.folder.0.join("credentials.json"))
    }

    /// Every request it has answered.
    pub fn access_log(&self) -> Result<Vec<Access>> {
        read_access_log(&self.folder.access_log())
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> Result<bool> {
        Ok(Recorded::read(&self.folder.record())?.is_some_and(|process| process.is_alive()))
    }

    /// Starts it from `program`, unless it runs. `api_server` is what the VIP's port 6443 leads to.
    pub async fn up(&self, program: &Path, api_server: &str) -> Result<()> {
        let forward = Forward { listen: format!("{}:6443", self.vip()), to: api_server.to_owned() };
        let names = [self.vip(), "registry.sandbox.invalid"];
        let (settings, ..) = self.folder.prepare(&self.address(), &names, vec![forward])?;
        if !self.is_running()? {
            self.end().await?;
            self.network.connect(&self.machine).await?;
            let enter = self.machine.enter();
            let words = ["nsenter", &enter, text(program)?, "--config", text(&settings)?];
            start(&words, &self.folder.log(), &self.folder.record())?;
        }
        let address = self.address();
        let limit = Duration::from_secs(20);
        wait_until("the registry to listen", limit, || listens(address.clone()))
            .await
            .with_context(|| tail_of(&self.folder.log()))
    }

    /// Ends it and removes its namespace; what was pushed stays.
    pub async fn down(&self) -> Result<()> {
        self.end().await?;
        self.network.disconnect(&self.machine).await
    }

    async fn end(&self) -> Result<()> {
        if let Some(process) = Recorded::read(&self.folder.record())? {
            process.end(Duration::from_secs(2)).await?;
            fs::remove_file(self.folder.record())?;
        }
        Ok(())
    }
}

pub(crate) async fn listens(address: String) -> Result<bool> {
    let connect = TcpStream::connect(&address);
    Ok(tokio::time::timeout(Duration::from_secs(2), connect).await?.is_ok())
}

/// A path as an argument of a program.
pub(crate) fn text(path: &Path) -> Result<&str> {
    path.to_str().with_context(|| format!("{} is not UTF-8", path.display()))
}
