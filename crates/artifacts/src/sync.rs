//! Decides what of a package goes to a registry, in which order, and what is said of it: blobs
//! first and only those that are missing, manifests last and only when all their blobs are there.
//! Knows nothing of clusters and of how progress is shown.

mod check;
mod plan;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::Digest;
use tokio::task::JoinSet;

pub use check::{Missing, check};
pub use plan::{Artifact, Plan, PlanError};

use crate::registry::{BlobSource, Mount, Registry, RegistryError};
use plan::Blob;

/// How many blobs are sent at a time where the caller has no wish.
pub const PARALLEL: usize = 6;

/// In how many repositories one blob is looked for at a time.
const LOOKS: usize = 8;

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
    /// How many bytes of blobs were sent, also for artifacts that are not whole yet.
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
    changed: BTreeSet<String>,
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
    let bytes = blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.source.size));
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
        let digest = &outcome.digest;
        changed.extend(outcome.changed.into_iter().map(|to| (to, digest.clone())));
        for (repository, error) in outcome.failed {
            failed.insert((repository, outcome.digest.clone()), error);
        }
    }
    let pushes = plan.artifacts.into_iter().map(|artifact| {
        let place = |blob: &BlobSource| (artifact.repository.clone(), blob.digest.clone());
        let fault = artifact.blobs.iter().find_map(|blob| failed.get(&place(blob)).cloned());
        let new_blob = artifact.blobs.iter().any(|blob| changed.contains(&place(blob)));
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

/// Runs all, at most `parallel` at a time, on all threads. They begin in their order, so that the
/// largest blobs go first.
async fn bounded<T, F>(mut all: impl Iterator<Item = F>, parallel: usize) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let (mut tasks, mut ended) = (JoinSet::new(), Vec::new());
    loop {
        while tasks.len() < parallel.max(1)
            && let Some(one) = all.next()
        {
            tasks.spawn(one);
        }
        match tasks.join_next().await {
            Some(Ok(value)) => ended.push(value),
            // No task is ever cancelled.
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
            None => return ended,
        }
    }
}

async fn copy_blob(blob: &Blob, registry: &Registry, progress: Arc<dyn Progress>) -> Outcome {
    let source = &blob.source;
    let digest = source.digest.clone();
    let (changed, failed) = (BTreeSet::new(), BTreeMap::new());
    let mut outcome = Outcome { digest: digest.clone(), sent: 0, changed, failed };
    let (mut from, mut missing) = (None, Vec::new());
    let looks = blob.repositories.iter().cloned().map(|repository| {
        let (registry, source) = (registry.clone(), source.clone());
        async move {
            let found = registry.has_blob(&repository, &source.digest, source.size).await;
            (repository, found)
        }
    });
    let mut looks = bounded(looks, LOOKS).await;
    looks.sort_by(|one, other| one.0.cmp(&other.0));
    for (repository, found) in looks {
        match found {
            Ok(true) => from = Some(repository),
            Ok(false) => missing.push(repository),
            Err(error) => {
                outcome.failed.insert(repository, Arc::new(error));
            }
        }
    }
    for repository in missing {
        match provide(blob, &repository, from.as_ref(), registry, &progress).await {
            Ok(Fate::Sent) => outcome.sent += source.size,
            Ok(Fate::Present | Fate::Mounted) => {}
            Err(error) => {
                outcome.failed.insert(repository, Arc::new(error));
                continue;
            }
        }
        outcome.changed.insert(repository.clone());
        from = Some(repository);
    }
    if outcome.failed.is_empty() {
        let fate = match (outcome.changed.is_empty(), outcome.sent) {
            (true, _) => Fate::Present,
            (false, 0) if source.size > 0 => Fate::Mounted,
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
    let Artifact { repository, tag, media_type, manifest, .. } = artifact;
    registry.push_manifest(repository, tag, media_type, manifest).await?;
    Ok(Fate::Sent)
}
