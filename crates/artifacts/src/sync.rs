//! Decides what of a package goes to a registry, in which order, and what is said of it: blobs
//! first and only those that are missing, manifests last and only when all their blobs are there.
//! Knows nothing of clusters and of how progress is shown.

mod check;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Digest;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

pub use check::{Missing, check};
pub use plan::{Artifact, Plan, PlanError};

use crate::oci::MANIFEST_TYPE;
use crate::registry::{Mount, Registry, RegistryError};
use plan::Blob;

/// How many blobs are sent at a time where the caller has no wish.
pub const PARALLEL: usize = 6;

/// What happened to a blob or an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// The registry had it.
    Present,
    /// The registry took it over from another of its repositories.
    Mounted,
    /// It was sent.
    Sent,
}

/// What a copy tells while it goes on.
#[derive(Debug, Clone)]
pub enum Event {
    /// What will be looked at.
    Begun {
        /// How many artifacts.
        artifacts: usize,
        /// How many different blobs they consist of.
        blobs: usize,
        /// What these have together.
        bytes: u64,
    },
    /// A blob begins to be sent.
    Sending {
        /// Which one.
        blob: Digest,
        /// The first artifact that needs it.
        artifact: String,
        /// In bytes.
        size: u64,
    },
    /// How much of a blob was sent so far; less than before if it had to begin anew.
    Sent {
        /// Which one.
        blob: Digest,
        /// In bytes.
        bytes: u64,
    },
    /// A blob is in every repository that needs it.
    Blob {
        /// Which one.
        blob: Digest,
        /// In bytes.
        size: u64,
        /// How it came there.
        fate: Fate,
    },
    /// An artifact is whole.
    Artifact {
        /// `<repository>:<tag>`.
        name: String,
        /// Whether it was before.
        fate: Fate,
    },
    /// An artifact is not whole.
    Failed {
        /// `<repository>:<tag>`.
        name: String,
        /// Why.
        error: Arc<RegistryError>,
    },
}

/// Who is told.
pub trait Progress: Send + Sync {
    /// Tells an event; called from many tasks.
    fn tell(&self, event: Event);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn tell(&self, _: Event) {}
}

/// What a copy did.
#[derive(Debug, Default)]
pub struct Report {
    /// How many artifacts were to be there.
    pub artifacts: usize,
    /// How many of them are there now and were not whole before.
    pub uploaded: usize,
    /// How many bytes of blobs were sent for that.
    pub uploaded_bytes: u64,
    /// How many were there already.
    pub unchanged: usize,
    /// Which are not there, and why, by name.
    pub failed: Vec<(String, Arc<RegistryError>)>,
}

/// What came of one blob in each repository that needs it.
struct Outcome {
    digest: Digest,
    sent: u64,
    changed: bool,
    failed: BTreeMap<String, Arc<RegistryError>>,
}

/// Copies all that a plan names. Everything is tried; what fails is in the report.
///
/// # Errors
/// When the registry does not answer at all or does not let us in: then nothing was tried.
pub async fn sync(
    plan: Plan,
    registry: &Registry,
    parallel: usize,
    progress: Arc<dyn Progress>,
) -> Result<Report, RegistryError> {
    registry.sign_in().await?;
    let blobs = plan.blobs();
    let bytes = blobs.iter().map(|blob| blob.source.size).sum();
    let artifacts = plan.artifacts.len();
    progress.tell(Event::Begun { artifacts, blobs: blobs.len(), bytes });
    let mut report = Report { artifacts, ..Report::default() };
    let (mut changed, mut failed) = (BTreeSet::new(), BTreeMap::new());
    let copies = blobs.into_iter().map(|blob| {
        let (registry, progress) = (registry.clone(), Arc::clone(&progress));
        async move { copy_blob(&blob, &registry, progress).await }
    });
    for outcome in bounded(copies, parallel).await {
        report.uploaded_bytes += outcome.sent;
        if outcome.changed {
            changed.insert(outcome.digest.clone());
        }
        for (repository, error) in outcome.failed {
            failed.insert((repository, outcome.digest.clone()), error);
        }
    }
    let pushes = plan.artifacts.into_iter().map(|artifact| {
        let fault = artifact.blobs.iter().find_map(|blob| {
            failed.get(&(artifact.repository.clone(), blob.digest.clone())).cloned()
        });
        let new_blob = artifact.blobs.iter().any(|blob| changed.contains(&blob.digest));
        let (registry, progress) = (registry.clone(), Arc::clone(&progress));
        async move {
            let name = artifact.name();
            let result = match fault {
                Some(error) => Err(error),
                None => push_artifact(&artifact, &registry, new_blob).await.map_err(Arc::new),
            };
            progress.tell(match result.clone() {
                Ok(fate) => Event::Artifact { name: name.clone(), fate },
                Err(error) => Event::Failed { name: name.clone(), error },
            });
            (name, result)
        }
    });
    for (name, result) in bounded(pushes, parallel).await {
        match result {
            Ok(Fate::Present) => report.unchanged += 1,
            Ok(Fate::Mounted | Fate::Sent) => report.uploaded += 1,
            Err(error) => report.failed.push((name, error)),
        }
    }
    report.failed.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(report)
}

/// Runs all, at most `parallel` at a time, on all threads.
async fn bounded<T, F>(all: impl Iterator<Item = F>, parallel: usize) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(parallel.max(1)));
    let mut tasks = JoinSet::new();
    for one in all {
        let slots = Arc::clone(&slots);
        tasks.spawn(async move {
            // Never closed, so there always is a slot in the end.
            let _slot = slots.acquire_owned().await;
            one.await
        });
    }
    tasks.join_all().await
}

async fn copy_blob(blob: &Blob, registry: &Registry, progress: Arc<dyn Progress>) -> Outcome {
    let source = &blob.source;
    let digest = source.digest.clone();
    let mut outcome =
        Outcome { digest: digest.clone(), sent: 0, changed: false, failed: BTreeMap::new() };
    let (mut from, mut missing) = (None, Vec::new());
    for repository in &blob.repositories {
        match registry.has_blob(repository, &digest, source.size).await {
            Ok(true) => from = Some(repository),
            Ok(false) => missing.push(repository),
            Err(error) => {
                outcome.failed.insert(repository.clone(), Arc::new(error));
            }
        }
    }
    for repository in missing {
        outcome.changed = true;
        match provide(blob, repository, from, registry, &progress).await {
            Ok(Fate::Sent) => outcome.sent += source.size,
            Ok(Fate::Present | Fate::Mounted) => {}
            Err(error) => {
                outcome.failed.insert(repository.clone(), Arc::new(error));
                continue;
            }
        }
        from = Some(repository);
    }
    if outcome.failed.is_empty() {
        let fate = match (outcome.changed, outcome.sent) {
            (false, _) => Fate::Present,
            (true, 0) if source.size > 0 => Fate::Mounted,
            _ => Fate::Sent,
        };
        progress.tell(Event::Blob { blob: digest, size: source.size, fate });
    }
    outcome
}

/// Brings a blob into a repository that does not have it.
async fn provide(
    blob: &Blob,
    repository: &str,
    from: Option<&String>,
    registry: &Registry,
    progress: &Arc<dyn Progress>,
) -> Result<Fate, RegistryError> {
    let source = &blob.source;
    let mut open = None;
    if let Some(from) = from {
        match registry.mount_blob(repository, &source.digest, from).await {
            Ok(Mount::Mounted) => return Ok(Fate::Mounted),
            Ok(Mount::Open(url)) => open = Some(url),
            // Who may not read the other repository may still send the blob.
            Err(RegistryError::Denied { .. } | RegistryError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let (blob, artifact) = (source.digest.clone(), blob.artifact.clone());
    progress.tell(Event::Sending { blob: blob.clone(), artifact, size: source.size });
    let sent = |bytes| progress.tell(Event::Sent { blob: blob.clone(), bytes });
    registry.push_blob(repository, source, open, &sent).await?;
    Ok(Fate::Sent)
}

/// Writes the manifest of an artifact whose blobs are all there.
async fn push_artifact(
    artifact: &Artifact,
    registry: &Registry,
    new_blob: bool,
) -> Result<Fate, RegistryError> {
    let found = registry.exists(&artifact.repository, &artifact.tag).await?;
    if found.as_ref() == Some(&artifact.digest) {
        return Ok(if new_blob { Fate::Sent } else { Fate::Present });
    }
    let Artifact { repository, tag, manifest, .. } = artifact;
    registry.push_manifest(repository, tag, MANIFEST_TYPE, manifest).await?;
    Ok(Fate::Sent)
}
