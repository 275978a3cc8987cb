//! A release one of whose images is not in the registry: the upgrade says so in the registry's own
//! words, and goes on by itself once the image is there.

use anyhow::{Context as _, Result, ensure};
use artifacts::package::Package;
use e2e::packages::{cache, root};
use e2e::site::Site;
use sandbox::Narrator;
use serde_json::Value;
use std::path::Path;
use std::time::{Duration, Instant};
use xtask::package::{Form, PackageBuilder, Programs};

/// The documents promise a minute.
const STALLED_WITHIN: Duration = Duration::from_secs(60);

/// Moves a platform at 4.3.0 to a 4.3.1 whose node-exporter image comes late.
pub(crate) async fn late_image(site: &Site) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let package = release(site, folder.path()).await?;
    let registry = site.sandbox.registry();
    let push = registry.credentials()?.push;
    let certificates = folder.path().join("certificates");
    std::fs::create_dir(&certificates)?;
    std::fs::copy(registry.authority(), certificates.join("ca.crt"))?;
    let shell = site
        .shell()?
        .with("PUSH", &format!("{}:{}", push.name, push.password))
        .with("CERTIFICATES", &certificates.display().to_string())
        .with("REGISTRY", &registry.address())
        .with("NEW", &package.display().to_string())
        .with("OLD", &site.packages.old.display().to_string());
    let minute = Duration::from_secs(90);
    let copy = "skopeo copy -q --preserve-digests --dest-cert-dir \"$CERTIFICATES\" --dest-creds \"$PUSH\"";
    let signed = Package::open(&package, "amd64")?.product_image().digest().clone();
    let signature = api::signature::signature_tag(&signed);
    let publish = format!(
        "for tag in v4.3.1 {signature}; do {copy} oci:\"$NEW\"/images:acp/product-image:$tag docker://\"$REGISTRY\"/acp/product-image:$tag || exit; done && ac adm release import-manifest --version 4.3.1 --wait --timeout=1m && kubectl annotate resourcepatches rp-coredns config.cpaas.io/exempt-for-ver=4.3.1 --overwrite && ac adm upgrade --to=4.3.1"
    );
    shell.run(&publish, minute).await?.expect(0)?;
    let asked = Instant::now();
    let message = stalled(site).await?;
    ensure!(asked.elapsed() < STALLED_WITHIN, "Stalled only after {:?}", asked.elapsed());
    ensure!(message.contains("acp/node-exporter-late"), "the image is not named: {message}");
    ensure!(
        message.contains("not found") || message.contains("unknown"),
        "not the registry's words: {message}"
    );
    let late = format!(
        "{copy} oci:\"$OLD\"/images:acp/node-exporter:v1.10.2 docker://\"$REGISTRY\"/acp/node-exporter-late:v1"
    );
    shell.run(&late, minute).await?.expect(0)?;
    let wait = "kubectl -n cpaas-system wait --for=jsonpath='{.status.current.version}'=4.3.1 cvsh/global --timeout=240s";
    shell.run(wait, Duration::from_secs(250)).await?.expect(0)?;
    Ok(())
}

/// 4.3.0 as 4.3.1, with node-exporter from an image that nobody has pushed.
async fn release(site: &Site, folder: &Path) -> Result<std::path::PathBuf> {
    let index = std::fs::read(site.packages.old.join("images/index.json"))?;
    let index: Value = serde_json::from_slice(&index)?;
    let images = index.get("manifests").and_then(Value::as_array).context("no images")?;
    let name = |image: &&Value| {
        let annotations = image.get("annotations");
        annotations.and_then(|a| a.get("org.opencontainers.image.ref.name")).and_then(Value::as_str)
            == Some("acp/node-exporter:v1.10.2")
    };
    let digest = images.iter().find(name).and_then(|i| i.get("digest")).and_then(Value::as_str);
    let digest = digest.context("4.2.1 has no node-exporter")?;
    let text = std::fs::read_to_string(root().join("release/4.3.0/release.yaml"))?;
    let changed = text
        .replace("version: 4.3.0", "version: 4.3.1")
        .replace("minCVO: 4.3.1", "minCVO: 4.3.0")
        .replace("<4.3.0", "<4.3.1")
        .replace("version: 1.12.1", "version: 1.12.2")
        .replace("repository: acp/node-exporter", "repository: acp/node-exporter-late")
        .replace("go: node-exporter", &format!("digest: {digest}"));
    let release = folder.join("release");
    std::fs::create_dir(&release)?;
    std::fs::write(release.join("release.yaml"), changed)?;
    let manifests = root().join("release/4.3.0/manifests");
    if manifests.is_dir() {
        std::fs::create_dir(release.join("manifests"))?;
        for entry in std::fs::read_dir(manifests)? {
            let entry = entry?;
            std::fs::copy(entry.path(), release.join("manifests").join(entry.file_name()))?;
        }
    }
    let programs = Programs::built(&site.packages.programs)?;
    let builder = PackageBuilder::new(&root(), &cache()?, programs, Narrator::stderr()).await?;
    let form = Form { archive: false, folder: true };
    let package = builder.build(&release, &folder.join("out"), form).await?;
    package.folder.context("the package was not extracted")
}

/// Waits until Stalled says that an image cannot be pulled.
async fn stalled(site: &Site) -> Result<String> {
    let limit = Instant::now() + Duration::from_secs(90);
    loop {
        let said = site
            .ask("kubectl -n cpaas-system get cvsh global -o jsonpath='{range .status.conditions[?(@.type==\"Stalled\")]}{.status} {.reason} {.message}{end}'")
            .await?;
        if let Some(message) = said.strip_prefix("True ImagePullFailed ") {
            return Ok(message.to_owned());
        }
        ensure!(Instant::now() < limit, "not Stalled for an image: {said}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
