//! `ac adm release import-manifest`: publishes a release whose product image is in the registry.
//!
//! Creates ProductManifest `v<version>` and never changes one that exists.

use super::{Session, request};
use crate::arguments::ImportManifest;
use crate::failure::Failure;
use crate::offer::{self, Readiness};
use api::{ProductManifest, ProductManifestSpec, Version, names};
use std::time::Duration;
use tokio::time::Instant;

/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Creates the ProductManifest, and waits for it where that is asked for.
pub(super) async fn run(
    flags: &ImportManifest,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let version = request::well_formed(&flags.version, "--version")?;
    let parsed: Version = version
        .parse()
        .map_err(|error: api::version::VersionError| Failure::usage(error.to_string(), "4.3.0"))?;
    let name = names::product_manifest(&parsed);
    let spec = ProductManifestSpec { version: version.clone(), image: None };
    let manifest = match session.server.create_manifest(&ProductManifest::new(&name, spec)).await? {
        Some(created) => {
            session.printer.data(&format!("ProductManifest {name} created.\n"))?;
            created
        }
        None => existing(&name, &version, session).await?,
    };
    if flags.wait {
        return wait(&name, manifest, flags.timeout, session).await;
    }
    let program = &session.environment.program;
    let next = format!(
        "Wait until it is Ready: {program} adm release import-manifest --version {version} --wait\n"
    );
    session.printer.data(&next)?;
    Ok(0)
}

async fn existing(
    name: &str,
    version: &str,
    session: &mut Session<'_, '_>,
) -> Result<ProductManifest, Failure> {
    let Some(found) = session.server.manifest(name).await? else {
        return Err(Failure::refused(
            format!("ProductManifest {name} was deleted at this moment"),
            vec!["run the same command again".to_owned()],
        ));
    };
    if found.spec.version != version {
        return Err(Failure::refused(
            format!(
                "ProductManifest {name} exists and is of version {}, not {version}; it was not changed",
                found.spec.version
            ),
            vec![
                format!("look at it: kubectl get productmanifest {name} -o yaml"),
                format!(
                    "if it is wrong, delete it and run this again: kubectl delete productmanifest {name}"
                ),
            ],
        ));
    }
    session
        .printer
        .data(&format!("ProductManifest {name} exists already; nothing was changed.\n"))?;
    Ok(found)
}

async fn wait(
    name: &str,
    mut manifest: ProductManifest,
    limit: Duration,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let end = Instant::now() + limit;
    let mut last = String::new();
    loop {
        let (reason, said) = match Readiness::of(&manifest) {
            Readiness::Ready => return ready(name, &manifest, session),
            Readiness::Unknown => {
                (String::new(), "the cluster version operator has not looked at it yet".to_owned())
            }
            Readiness::Not { reason, message } => {
                let said = format!("{reason}: {message}");
                (reason, said)
            }
        };
        let remedy = || match reason.as_str() {
            "" => format!("see whether it runs: {}", offer::operator_command()),
            reason => Readiness::remedy(reason, name),
        };
        if Readiness::is_final(&reason) {
            let message = format!("ProductManifest {name} cannot become Ready: {said}");
            return Err(Failure::refused(message, vec![remedy()]));
        }
        if Instant::now() >= end {
            let message =
                format!("ProductManifest {name} is not Ready after {}s: {said}", limit.as_secs());
            return Err(Failure::refused(message, vec![remedy()]));
        }
        if said != last {
            session.printer.note(&format!("Waiting for ProductManifest {name}: {said}"));
            last = said;
        }
        tokio::time::sleep(BETWEEN_LOOKS.min(end - Instant::now())).await;
        manifest = look_again(name, manifest, session).await?;
    }
}

/// The object now; the one before where the API server is away for a moment.
async fn look_again(
    name: &str,
    before: ProductManifest,
    session: &mut Session<'_, '_>,
) -> Result<ProductManifest, Failure> {
    match session.server.manifest(name).await {
        Ok(Some(found)) => Ok(found),
        Ok(None) => Err(Failure::refused(
            format!("ProductManifest {name} was deleted while it was waited for"),
            vec!["run the same command again".to_owned()],
        )),
        Err(failure) if failure.may_pass() => {
            session.printer.note(&format!("{failure}; trying again"));
            Ok(before)
        }
        Err(failure) => Err(failure),
    }
}

fn ready(
    name: &str,
    manifest: &ProductManifest,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let image = manifest.status.as_ref().and_then(|status| status.image.as_deref());
    let program = &session.environment.program;
    let text = format!(
        "ProductManifest {name} is Ready: {}\nNext: {program} adm upgrade\n",
        image.unwrap_or("image unknown")
    );
    session.printer.data(&text)?;
    Ok(0)
}
