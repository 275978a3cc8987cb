//! Resolves ProductManifests: the tag once to a digest, the digest to a release, and writes what
//! came of it into their status.

use crate::releases::{ReleaseStore, registry_address, words};
use api::conditions::ManifestReason as R;
use api::conditions::{ConditionStatus, ConditionType, find, is_true, set_named};
use api::names::PRODUCT_IMAGE_REPOSITORY;
use api::objects::{ProductManifest, ProductManifestStatus, object_ref};
use api::{ImageRef, Version};
use artifacts::registry::RegistryError;
use cluster::CallError;
use cluster::server::{ApiServer, ListQuery, PatchBody};
use jiff::Timestamp;
use kube::Resource as _;
use serde_json::json;
use std::time::Duration;

/// How often a ProductManifest that is not Ready is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a resolution came to.
struct Resolution {
    image: Option<String>,
    reason: R,
    message: String,
}

impl Resolution {
    fn failed(image: Option<String>, reason: R, message: impl Into<String>) -> Self {
        Self { image, reason, message: message.into() }
    }
}

/// Resolves what is not resolved yet; gives the time until the next attempt where one is needed.
///
/// # Errors
/// When the ProductManifests cannot be read or written.
pub async fn resolve_all<A: ApiServer>(
    server: &A,
    store: &ReleaseStore,
    now: Timestamp,
) -> Result<Option<Duration>, CallError> {
    let query = ListQuery::all(&ProductManifest::api_version(&()), &ProductManifest::kind(&()));
    let all = match server.list(&query).await {
        Ok(all) => all,
        Err(CallError::KindAbsent(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut next = None;
    for value in all {
        let manifest: ProductManifest = match serde_json::from_value(value) {
            Ok(manifest) => manifest,
            Err(error) => {
                tracing::warn!(%error, "a ProductManifest is malformed");
                continue;
            }
        };
        if is_settled(&manifest) {
            continue;
        }
        let resolution = resolve(server, store, &manifest).await;
        let ready = resolution.reason == R::Resolved;
        write(server, &manifest, resolution, now).await?;
        if !ready {
            next = Some(RETRY);
        }
    }
    Ok(next)
}

/// Resolved, and nothing was changed since: never looked at again.
fn is_settled(manifest: &ProductManifest) -> bool {
    manifest.status.as_ref().is_some_and(|status| {
        status.observed_generation == manifest.metadata.generation
            && status.image.is_some()
            && is_true(&status.conditions, ConditionType::Ready)
    })
}

async fn resolve<A: ApiServer>(
    server: &A,
    store: &ReleaseStore,
    manifest: &ProductManifest,
) -> Resolution {
    let before = manifest.status.as_ref().and_then(|s| s.image.clone());
    let name = manifest.metadata.name.clone().unwrap_or_default();
    let version: Version = match manifest.spec.version.parse() {
        Ok(version) => version,
        Err(error) => {
            return Resolution::failed(
                before,
                R::VersionMismatch,
                format!("spec.version: {error}"),
            );
        }
    };
    if name != api::names::product_manifest(&version) {
        let expected = api::names::product_manifest(&version);
        return Resolution::failed(
            before,
            R::NameMismatch,
            format!("a ProductManifest of {version} is named {expected}"),
        );
    }
    let found = match locate(server, store, manifest, &version).await {
        Ok(found) => found,
        Err((reason, message)) => return Resolution::failed(before, reason, message),
    };
    let image = found.to_string();
    if let Some(before) = before.filter(|b| *b != image) {
        let message =
            format!("resolved to {before} before, and to {image} now; a release never changes");
        return Resolution::failed(Some(before), R::ImageMoved, message);
    }
    let Some(digest) = &found.digest else {
        return Resolution::failed(None, R::InvalidRelease, format!("{image} has no digest"));
    };
    match store.pull(&found, digest).await {
        Ok(release) if release.version == version => {
            Resolution { image: Some(image), reason: R::Resolved, message: String::new() }
        }
        Ok(release) => Resolution::failed(
            None,
            R::VersionMismatch,
            format!("{image} is the release {}, not {version}", release.version),
        ),
        Err(error) => Resolution::failed(None, reason_of(&error), words(&error)),
    }
}

/// The image with its digest: of the spec, or of the tag of the version.
async fn locate<A: ApiServer>(
    server: &A,
    store: &ReleaseStore,
    manifest: &ProductManifest,
    version: &Version,
) -> Result<ImageRef, (R, String)> {
    if let Some(image) = manifest.spec.image.as_deref().filter(|i| !i.is_empty()) {
        let image: ImageRef = image
            .parse()
            .map_err(|e: api::image::ImageError| (R::InvalidRelease, e.to_string()))?;
        if image.digest.is_none() {
            return Err((R::InvalidRelease, format!("spec.image {image} has no digest")));
        }
        return Ok(ImageRef { tag: None, ..image });
    }
    let address = registry_address(server).await.map_err(|e| (R::RegistryUnavailable, e))?;
    let tag = api::names::product_manifest(version);
    let registry = store.registry(&address).await.map_err(|e| (reason_of(&e), words(&e)))?;
    let digest = registry
        .resolve(PRODUCT_IMAGE_REPOSITORY, &tag)
        .await
        .map_err(|e| (reason_of(&e), words(&e)))?;
    Ok(ImageRef {
        registry: address,
        repository: PRODUCT_IMAGE_REPOSITORY.to_owned(),
        tag: None,
        digest: Some(digest),
    })
}

fn reason_of(error: &RegistryError) -> R {
    match error {
        RegistryError::NotFound { .. } => R::ImageNotFound,
        RegistryError::Denied { .. } => R::AccessDenied,
        error if error.is_invalid() => R::InvalidRelease,
        _ => R::RegistryUnavailable,
    }
}

async fn write<A: ApiServer>(
    server: &A,
    manifest: &ProductManifest,
    resolution: Resolution,
    now: Timestamp,
) -> Result<(), CallError> {
    let before = manifest.status.clone().unwrap_or_default();
    let mut status = ProductManifestStatus {
        observed_generation: manifest.metadata.generation,
        image: resolution.image.or_else(|| before.image.clone()),
        conditions: before.conditions.clone(),
    };
    let ready = if resolution.reason == R::Resolved {
        ConditionStatus::True
    } else {
        ConditionStatus::False
    };
    let kind = ConditionType::Ready.as_str();
    let (reason, generation) = (resolution.reason.as_str(), manifest.metadata.generation);
    set_named(
        &mut status.conditions,
        kind,
        ready,
        reason,
        &resolution.message,
        &api::time(now),
        generation,
    );
    if status == before {
        return Ok(());
    }
    let was = find(&before.conditions, ConditionType::Ready).map(|c| c.reason.as_str());
    if was != Some(reason) {
        let name = manifest.metadata.name.as_deref().unwrap_or_default();
        tracing::info!(
            manifest = name,
            reason,
            message = resolution.message,
            "a release was looked at"
        );
    }
    let reference =
        object_ref::<ProductManifest>("", manifest.metadata.name.as_deref().unwrap_or_default());
    let body = PatchBody::Merge(json!({ "status": status }));
    match server.patch(&reference, Some("status"), &body).await {
        Ok(_) | Err(CallError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
