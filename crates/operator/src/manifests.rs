//! Resolves ProductManifests: the tag once to a digest, the digest to a release, and writes what
//! came of it into their status.

use crate::releases::{ReleaseStore, pinned, registry_address, words};
use crate::trust::{Keys, Trust};
use api::conditions::ManifestReason as R;
use api::conditions::{ConditionStatus, ConditionType, find, is_true, set_named};
use api::names::PRODUCT_IMAGE_REPOSITORY;
use api::objects::{ProductManifest, ProductManifestStatus, object_ref};
use api::signature::ReleaseSignature;
use api::{ImageRef, Version};
use artifacts::registry::RegistryError;
use cluster::CallError;
use cluster::server::{ApiServer, ListQuery, PatchBody};
use jiff::{SignedDuration, Timestamp};
use kube::Resource as _;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How soon a ProductManifest that is not Ready is tried again; twice as long each time it fails.
const RETRY: Duration = Duration::from_secs(5);
/// The longest pause between two attempts.
const LONGEST_RETRY: Duration = Duration::from_secs(30);
/// The longest pause where the image was read and is at fault: it is read whole each time.
const LONGEST_REREAD: Duration = Duration::from_secs(60);
/// No attempt begins in a round that resolves for so long already.
const BUDGET: Duration = Duration::from_secs(5);
/// When those have their turn that found no time.
const SOON: Duration = Duration::from_secs(1);

/// What a resolution came to.
struct Resolution {
    image: Option<String>,
    reason: R,
    message: String,
    signature: Option<ReleaseSignature>,
}

impl Resolution {
    fn failed(image: Option<String>, reason: R, message: impl Into<String>) -> Self {
        Self { image, reason, message: message.into(), signature: None }
    }
}

/// Resolves ProductManifests. One that failed is left alone for a while: rounds are made every
/// second, and a registry that is down would hold up each of them.
#[derive(Debug, Default)]
pub struct Resolver {
    /// By name.
    failed: BTreeMap<String, Failure>,
    /// Whose keys counted last: whatever changes of it is tried at once.
    keys: Option<Keys>,
    /// Why the ProductManifests could not be listed last; said once.
    unlisted: Option<CallError>,
}

/// Attempts at one object that failed.
#[derive(Debug)]
struct Failure {
    /// uid and generation: whatever changed is tried at once.
    of: (Option<String>, Option<i64>),
    pause: Duration,
    again: Timestamp,
}

impl Resolver {
    /// Resolves what is not resolved yet; gives the time until the next attempt where one is
    /// needed. What cannot be read or written is tried again and holds up nothing else: an upgrade
    /// under way needs no ProductManifest.
    pub async fn resolve_all<A: ApiServer>(
        &mut self,
        server: &A,
        store: &ReleaseStore,
        trust: &Trust,
        now: Timestamp,
    ) -> Option<Duration> {
        let mut all = match list(server).await {
            Ok(all) => all,
            Err(error) => {
                if self.unlisted.as_ref() != Some(&error) {
                    tracing::warn!(%error, "the ProductManifests cannot be listed");
                }
                self.unlisted = Some(error);
                return Some(RETRY);
            }
        };
        self.unlisted = None;
        self.failed.retain(|name, _| all.iter().any(|m| m.metadata.name.as_ref() == Some(name)));
        if self.keys.as_ref() != Some(trust.keys()) {
            self.failed.clear();
            self.keys = Some(trust.keys().clone());
        }
        // One that nobody knows yet does not wait for those whose signature is only asked again.
        all.sort_by_key(is_ready);
        let started = Instant::now();
        let mut left_out = None;
        for manifest in &all {
            if self.failure(manifest).is_some_and(|f| f.rests(now)) {
                continue;
            }
            if started.elapsed() > BUDGET {
                left_out = Some(SOON);
                break;
            }
            match standing(manifest, store, trust).await {
                Standing::Settled => {
                    // What failed before is over.
                    self.failed.remove(manifest.metadata.name.as_deref().unwrap_or_default());
                    continue;
                }
                Standing::Unknown(reason) => {
                    self.note(manifest, reason, false, after(now, started));
                    continue;
                }
                Standing::Open => {}
            }
            let resolution = resolve(server, store, trust, manifest).await;
            let reason = resolution.reason;
            let written = write(server, manifest, resolution, now).await;
            if let Err(error) = &written {
                let name = manifest.metadata.name.as_deref().unwrap_or_default();
                tracing::warn!(name, %error, "the status of a ProductManifest cannot be written");
            }
            let succeeded = written.is_ok() && reason == R::Resolved;
            self.note(manifest, reason, succeeded, after(now, started));
        }
        // One whose time has come and that was not tried is among those that were left out.
        let left = |f: &Failure| Duration::try_from(f.again.duration_since(now)).ok();
        let again = self.failed.values().filter_map(left).min();
        let again = again.map(|left| left.min(LONGEST_REREAD));
        [left_out, again].into_iter().flatten().min()
    }

    fn failure(&self, manifest: &ProductManifest) -> Option<&Failure> {
        let failure = self.failed.get(manifest.metadata.name.as_ref()?)?;
        (failure.of == mark(manifest)).then_some(failure)
    }

    /// Keeps how an attempt went that ended at this time: one that took long is paused after too.
    fn note(&mut self, manifest: &ProductManifest, reason: R, succeeded: bool, ended: Timestamp) {
        let name = manifest.metadata.name.clone().unwrap_or_default();
        if succeeded {
            self.failed.remove(&name);
            return;
        }
        let longest = if reason == R::InvalidRelease { LONGEST_REREAD } else { LONGEST_RETRY };
        let pause = self.failure(manifest).map_or(RETRY, |f| (f.pause * 2).min(longest));
        let again = SignedDuration::try_from(pause).ok().and_then(|p| ended.checked_add(p).ok());
        let failure = Failure { of: mark(manifest), pause, again: again.unwrap_or(ended) };
        self.failed.insert(name, failure);
    }
}

/// The time of a round and what has passed since it began, in whole seconds.
fn after(now: Timestamp, started: Instant) -> Timestamp {
    let passed = i64::try_from(started.elapsed().as_secs()).unwrap_or_default();
    now.checked_add(SignedDuration::from_secs(passed)).unwrap_or(now)
}

impl Failure {
    /// Whether its time has not come yet; a clock that was set back makes nobody wait longer.
    fn rests(&self, now: Timestamp) -> bool {
        let left = self.again.duration_since(now);
        left.is_positive() && Duration::try_from(left).is_ok_and(|left| left <= self.pause)
    }
}

fn mark(manifest: &ProductManifest) -> (Option<String>, Option<i64>) {
    (manifest.metadata.uid.clone(), manifest.metadata.generation)
}

/// Every ProductManifest that can be read.
async fn list<A: ApiServer>(server: &A) -> Result<Vec<ProductManifest>, CallError> {
    let query = ListQuery::all(&ProductManifest::api_version(&()), &ProductManifest::kind(&()));
    let all = match server.list(&query).await {
        Ok(all) => all,
        Err(CallError::KindAbsent(_)) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let read = |value| match serde_json::from_value(value) {
        Ok(manifest) => Some(manifest),
        Err(error) => {
            tracing::warn!(%error, "a ProductManifest is malformed");
            None
        }
    };
    Ok(all.into_iter().filter_map(read).collect())
}

/// How a ProductManifest stands before it is resolved.
enum Standing {
    /// Nothing is to be done about it.
    Settled,
    /// It is Ready, and whether it still is trusted cannot be known now. That changes nothing; an
    /// upgrade that begins asks for itself.
    Unknown(R),
    /// It is to be resolved.
    Open,
}

fn is_ready(manifest: &ProductManifest) -> bool {
    manifest.status.as_ref().is_some_and(|status| {
        status.observed_generation == manifest.metadata.generation
            && is_true(&status.conditions, ConditionType::Ready)
    })
}

/// Resolved, and nothing was changed since: not looked at again, but for its signature as long as
/// it may still be asked for. A key that went or expired ends that; what is installed or under way
/// is not touched by it.
async fn standing(manifest: &ProductManifest, store: &ReleaseStore, trust: &Trust) -> Standing {
    let status = manifest.status.as_ref().filter(|_| is_ready(manifest));
    let Some(status) = status else { return Standing::Open };
    let Some((image, digest)) = status.image.as_deref().and_then(|image| pinned(image).ok()) else {
        return Standing::Open;
    };
    let is_above = manifest.spec.version.parse().is_ok_and(|version| trust.is_above(&version));
    if !is_above || trust.is_in_flight(&digest) {
        return Standing::Settled;
    }
    match trust.judge(store, &image, &digest).await {
        Ok(signature) if status.signature.as_ref() == Some(&signature) => Standing::Settled,
        Err(untrusted) if untrusted.passes() => Standing::Unknown(untrusted.reason),
        Ok(_) | Err(_) => Standing::Open,
    }
}

async fn resolve<A: ApiServer>(
    server: &A,
    store: &ReleaseStore,
    trust: &Trust,
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
    // The registry may be called by another name; what counts is the digest.
    let is_other =
        |before: &String| pinned(before).map(|(_, d)| Some(d)) != Ok(found.digest.clone());
    if let Some(before) = before.filter(is_other) {
        let message =
            format!("resolved to {before} before, and to {image} now; a release never changes");
        return Resolution::failed(Some(before), R::ImageMoved, message);
    }
    let Some(digest) = &found.digest else {
        return Resolution::failed(None, R::InvalidRelease, format!("{image} has no digest"));
    };
    store.forget_signatures(digest).await;
    let signature = match trust.judge(store, &found, digest).await {
        Ok(signature) => signature,
        Err(untrusted) => return Resolution::failed(None, untrusted.reason, untrusted.message),
    };
    match store.pull(&found, digest).await {
        Ok(release) if release.version == version => {
            let (image, reason, message) = (Some(image), R::Resolved, String::new());
            Resolution { image, reason, message, signature: Some(signature) }
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
    let digest = store
        .resolve(&address, PRODUCT_IMAGE_REPOSITORY, &tag)
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
        signature: resolution.signature,
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
    let body = PatchBody::Merge(json!({ "status": merge_form(&status) }));
    match server.patch(&reference, Some("status"), &body).await {
        Ok(_) | Err(CallError::NotFound(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// As a merge patch: what the type leaves out when empty must be taken away. A release that is not
/// trusted any more was signed by nobody who counts.
fn merge_form(status: &ProductManifestStatus) -> Value {
    let mut value = json!(status);
    if let Some(map) = value.as_object_mut() {
        map.entry("signature").or_insert(Value::Null);
    }
    value
}
