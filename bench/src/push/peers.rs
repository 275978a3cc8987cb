//! What a user would take instead, installed by this run: crane from its Go module, skopeo from
//! Debian.

use super::LIMIT;
use super::images::Images;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use sandbox::TestRegistry;
use sandbox::process::{command, run};
use sandbox::toolchain::{Tool, Toolchain};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;

const CRANE: &str = "github.com/google/go-containerregistry/cmd/crane";
const CRANE_VERSION: &str = "v0.22.1";

/// The programs.
pub(super) struct Peers {
    crane: PathBuf,
}

/// How they get into a registry.
pub(super) struct Access {
    address: String,
    folder: PathBuf,
}

impl Access {
    /// Writes credentials and CA as both programs read them.
    ///
    /// # Errors
    /// When they cannot be written.
    pub(super) fn write(registry: &TestRegistry, folder: &Path) -> Result<Self> {
        let push = &registry.credentials().push;
        let pair = format!("{}:{}", push.name, push.password);
        let auth = base64::engine::general_purpose::STANDARD.encode(pair);
        let config = json!({ "auths": { (registry.address()): { "auth": auth } } });
        std::fs::write(folder.join("config.json"), config.to_string())?;
        std::fs::copy(registry.authority(), folder.join("ca.crt"))?;
        Ok(Self { address: registry.address().to_owned(), folder: folder.to_owned() })
    }
}

impl Peers {
    /// Installs what is missing.
    ///
    /// # Errors
    /// When one cannot be had.
    pub(super) async fn install(toolchain: &Toolchain) -> Result<Self> {
        let crane = toolchain.build(&Tool::published("crane", CRANE, CRANE_VERSION)).await?;
        if run(&mut command("skopeo", ["--version"]), LIMIT).await.is_err() {
            let mut install = command("apt-get", ["install", "-yq", "skopeo"]);
            run(&mut install, Duration::from_secs(600)).await.context("install skopeo")?;
        }
        Ok(Self { crane })
    }

    /// All images with crane, one after the other: it pushes one image at a time, its blobs beside
    /// each other.
    ///
    /// # Errors
    /// When it fails.
    pub(super) async fn crane(&self, images: &Images, access: &Access) -> Result<()> {
        for (name, layout) in &images.each {
            let mut crane = command(&self.crane, ["push"]);
            crane.arg(layout).arg(format!("{}/bench/{name}:v1", access.address));
            crane.env("DOCKER_CONFIG", &access.folder);
            crane.env("SSL_CERT_FILE", access.folder.join("ca.crt"));
            run(&mut crane, LIMIT).await.context("crane")?;
        }
        Ok(())
    }

    /// All images with skopeo, one after the other.
    ///
    /// # Errors
    /// When it fails.
    pub(super) async fn skopeo(&self, images: &Images, access: &Access) -> Result<()> {
        for (name, layout) in &images.each {
            let mut skopeo = command("skopeo", ["copy", "--insecure-policy", "--dest-cert-dir"]);
            skopeo.arg(&access.folder).arg("--dest-authfile");
            skopeo.arg(access.folder.join("config.json"));
            skopeo.arg(format!("oci:{}", layout.display()));
            skopeo.arg(format!("docker://{}/bench/{name}:v1", access.address));
            run(&mut skopeo, LIMIT).await.context("skopeo")?;
        }
        Ok(())
    }
}
