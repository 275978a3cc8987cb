//! Decides how a test gets a registry of its own on loopback. Knows nothing of the sandbox's.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{Access, Credentials, Folder, listens, read_access_log, text};
use crate::companion::Companion;
use crate::process::{tail_of, wait_until};

/// A registry on loopback with TLS and passwords; it ends when this value is dropped.
#[derive(Debug)]
pub struct TestRegistry {
    folder: Folder,
    program: PathBuf,
    address: String,
    /// Where the server listens: there, or behind whatever took its place.
    listens: String,
    authority: PathBuf,
    credentials: Credentials,
    server: Option<Companion>,
}

impl TestRegistry {
    /// Starts one from the registry tool `program` with its state in `folder`.
    pub async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let address = format!("127.0.0.1:{}", free_port()?);
        let folder = Folder(folder.to_owned());
        let names = ["127.0.0.1", "localhost"];
        let (_, identity, credentials) = folder.prepare(&address, &names, Vec::new())?;
        let mut registry = Self {
            folder,
            program: program.to_owned(),
            listens: address.clone(),
            address,
            authority: identity.authority,
            credentials,
            server: None,
        };
        registry.resume().await?;
        Ok(registry)
    }

    /// `127.0.0.1:<port>`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The certificate to trust.
    pub fn authority(&self) -> &Path {
        &self.authority
    }

    /// The two accounts.
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Every request it has answered.
    pub fn access_log(&self) -> Result<Vec<Access>> {
        read_access_log(&self.folder.access_log())
    }

    /// Moves the server to another address, which is given back, so that a proxy can stand at the
    /// registry's own.
    pub async fn move_behind(&mut self) -> Result<String> {
        self.cut();
        let behind = format!("127.0.0.1:{}", free_port()?);
        let path = self.folder.0.join("settings.json");
        let settings = std::fs::read_to_string(&path)?.replace(&self.listens, &behind);
        std::fs::write(&path, settings)?;
        self.listens.clone_from(&behind);
        self.resume().await?;
        Ok(behind)
    }

    /// Kills the server, as an outage; the address stays this registry's.
    pub fn cut(&mut self) {
        self.server = None;
    }

    /// Starts the server again on the same address with what was pushed.
    pub async fn resume(&mut self) -> Result<()> {
        let settings = self.folder.0.join("settings.json");
        let arguments = ["--config".to_owned(), text(&settings)?.to_owned()];
        self.server = Some(Companion::start(&self.program, &arguments, &self.folder.log())?);
        let address = self.listens.clone();
        let limit = Duration::from_secs(20);
        wait_until("the registry to listen", limit, || listens(address.clone()))
            .await
            .with_context(|| tail_of(&self.folder.log()))
    }
}

/// A port of 127.0.0.1 on which nothing listens, below those that systems give out: there whoever
/// takes any port could have it before the server that is meant has. No two are the same until all
/// were given.
pub(crate) fn free_port() -> Result<u16> {
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 10_000;
    static BEGIN: LazyLock<u64> = LazyLock::new(|| RandomState::new().build_hasher().finish());
    static GIVEN: AtomicU64 = AtomicU64::new(0);
    for _ in 0..COUNT {
        let given = GIVEN.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + BEGIN.wrapping_add(given) % COUNT)?;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return Ok(port);
        }
    }
    anyhow::bail!("no port of 127.0.0.1 from {FIRST} on is free")
}
