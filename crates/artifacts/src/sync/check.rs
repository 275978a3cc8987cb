//! Decides what of a plan a registry lacks, by asking only. Changes nothing.

use crate::registry::{Registry, RegistryError};

use super::{Artifact, Plan, bounded};

/// An artifact that is not whole in the registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Missing {
    /// `<repository>:<tag>`.
    pub name: String,
    /// What is missing of it, on one line.
    pub reason: String,
}

/// Lists what a registry lacks, by name.
///
/// # Errors
/// When the registry does not answer or does not let us in: then nothing is known.
pub async fn check(
    plan: &Plan,
    registry: &Registry,
    parallel: usize,
) -> Result<Vec<Missing>, RegistryError> {
    registry.sign_in().await?;
    let checks = plan.artifacts.iter().cloned().map(|artifact| {
        let registry = registry.clone();
        async move { check_artifact(&artifact, &registry).await }
    });
    let mut missing = Vec::new();
    for found in bounded(checks, parallel).await {
        missing.extend(found?);
    }
    missing.sort();
    Ok(missing)
}

async fn check_artifact(
    artifact: &Artifact,
    registry: &Registry,
) -> Result<Option<Missing>, RegistryError> {
    let name = artifact.name();
    let missing = |reason| Ok(Some(Missing { name: name.clone(), reason }));
    match registry.exists(&artifact.repository, &artifact.tag).await? {
        None => return missing("it is not in the registry".to_owned()),
        Some(found) if found != artifact.digest => {
            return missing(format!("the registry has {found} instead of {}", artifact.digest));
        }
        Some(_) => {}
    }
    let mut blobs = 0;
    for blob in &artifact.blobs {
        if !registry.has_blob(&artifact.repository, &blob.digest, blob.size).await? {
            blobs += 1;
        }
    }
    match blobs {
        0 => Ok(None),
        n => missing(format!("{n} of its {} blobs are not in the registry", artifact.blobs.len())),
    }
}
