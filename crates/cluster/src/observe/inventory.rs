//! What is installed: AppReleases, ResourcePatches and plugins.

use super::{observed, typed_list};
use crate::call::CallError;
use crate::server::ApiServer;
use api::names::{
    ACCEPTED_RISK_ANNOTATION, CLUSTER_NAME_LABEL, LIFECYCLE_LABEL, MODULE_NAME_LABEL, NAMESPACE,
    RESOURCE_PATCH_FINALIZER,
};
use api::objects::{self as o, Lifecycle};
use planner::apply::PatchSpec;
use planner::snapshot::{
    AppReleaseFacts, ModuleConfigFacts, ModuleInfoFacts, Observed, ResourcePatchFacts,
};
use std::collections::BTreeMap;

pub(super) async fn app_releases<A: ApiServer>(
    server: &A,
) -> Observed<BTreeMap<String, AppReleaseFacts>> {
    let all = typed_list::<o::AppRelease, _>(server, None).await;
    observed(all.map(|all| {
        all.into_iter()
            .filter(|r| r.metadata.namespace.as_deref() == Some(NAMESPACE))
            .map(|r| {
                let facts = AppReleaseFacts {
                    generation: r.metadata.generation,
                    spec: r.spec,
                    status: r.status.unwrap_or_default(),
                };
                (r.metadata.name.unwrap_or_default(), facts)
            })
            .collect()
    }))
}

pub(super) async fn resource_patches<A: ApiServer>(
    server: &A,
) -> Observed<Vec<ResourcePatchFacts>> {
    let all = typed_list::<o::ResourcePatch, _>(server, None).await;
    observed(all.map(|all| {
        let mut facts: Vec<ResourcePatchFacts> = all.iter().map(patch_facts).collect();
        facts.sort_by(|a, b| a.name.cmp(&b.name));
        facts
    }))
}

fn patch_facts(patch: &o::ResourcePatch) -> ResourcePatchFacts {
    let spec = serde_json::json!(patch.spec).to_string();
    ResourcePatchFacts {
        name: patch.metadata.name.clone().unwrap_or_default(),
        release: patch.spec.release.clone(),
        annotations: patch.metadata.annotations.clone().unwrap_or_default(),
        digest: api::Digest::of(spec.as_bytes()).to_string(),
        deleting: patch.metadata.deletion_timestamp.is_some(),
        applied: patch.status.as_ref().is_some_and(|s| s.last_apply_time.is_some()),
        failure: patch
            .status
            .as_ref()
            .filter(|s| {
                s.phase == o::ResourcePatchPhase::Failed
                    && s.observed_generation == patch.metadata.generation
            })
            .map(|s| s.message.clone()),
    }
}

/// The ResourcePatches of one release.
#[derive(Debug, Clone, Default)]
pub struct Patches {
    /// Those that are replayed.
    pub in_force: Vec<PatchSpec>,
    /// Those that are being deleted.
    pub leaving: Vec<PatchSpec>,
    /// Names of those that are replayed and could be deleted without our knowledge.
    pub unheld: Vec<String>,
    /// Digest of those that are replayed.
    pub digest: String,
}

/// The patches of one release (`<namespace>/<release>`).
///
/// # Errors
/// When they cannot be read: a release is never applied without its patches.
pub async fn patch_specs<A: ApiServer>(server: &A, release: &str) -> Result<Patches, CallError> {
    let all = match typed_list::<o::ResourcePatch, _>(server, None).await {
        Ok(all) => all,
        Err(CallError::KindAbsent(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    let of_release = all.into_iter().filter(|p| p.spec.release == release);
    let (mut found, mut entries) = (Patches::default(), Vec::new());
    for patch in of_release {
        let facts = patch_facts(&patch);
        let spec = PatchSpec {
            name: facts.name.clone(),
            generation: patch.metadata.generation,
            target: patch.spec.target,
            operations: patch.spec.json_patch,
        };
        if facts.deleting {
            found.leaving.push(spec);
        } else {
            let finalizers = patch.metadata.finalizers.unwrap_or_default();
            if !finalizers.iter().any(|f| f == RESOURCE_PATCH_FINALIZER) {
                found.unheld.push(facts.name.clone());
            }
            entries.push(format!("{}={}", facts.name, facts.digest));
            found.in_force.push(spec);
        }
    }
    found.digest = planner::apply::patches_digest(&entries);
    Ok(found)
}

/// The ModuleInfos of a cluster, as far as its upgrade asks.
pub(super) async fn module_infos<A: ApiServer>(
    server: &A,
    cluster: &str,
) -> Observed<Vec<ModuleInfoFacts>> {
    let labels = format!("{CLUSTER_NAME_LABEL}={cluster}");
    let all = typed_list::<o::ModuleInfo, _>(server, Some(&labels)).await;
    observed(all.map(|all| {
        let facts = all.into_iter().map(|info| {
            let label = |key: &str| info.metadata.labels.as_ref().and_then(|l| l.get(key).cloned());
            let annotations = info.metadata.annotations.as_ref();
            let status = info.status.unwrap_or_default();
            let newest = status.available_versions.into_iter().next();
            ModuleInfoFacts {
                module: label(MODULE_NAME_LABEL).unwrap_or_default(),
                lifecycle: label(LIFECYCLE_LABEL).and_then(|l| lifecycle(&l)),
                name: info.metadata.name.clone().unwrap_or_default(),
                phase: status.phase,
                version: status.version,
                accepted_risk: annotations
                    .and_then(|a| a.get(ACCEPTED_RISK_ANNOTATION).cloned())
                    .unwrap_or_default(),
                is_observed: status.observed_generation == info.metadata.generation,
                config: info.spec.config,
                values_override: info.spec.values_override,
                newest: newest.map(|version| version.version).unwrap_or_default(),
            }
        });
        facts.collect()
    }))
}

/// The lifecycle that a label names.
pub(super) fn lifecycle(label: &str) -> Option<Lifecycle> {
    let all = [Lifecycle::Core, Lifecycle::Aligned, Lifecycle::Agnostic];
    all.into_iter().find(|l| l.as_str() == label)
}

pub(super) async fn module_configs<A: ApiServer>(server: &A) -> Observed<Vec<ModuleConfigFacts>> {
    let all = typed_list::<o::ModuleConfig, _>(server, None).await;
    observed(all.map(|all| {
        let facts = all.into_iter().map(|config| {
            let labels = config.metadata.labels.unwrap_or_default();
            let status = config.status.unwrap_or_default();
            let judged = status.observed_generation;
            // Who published it before this product came wrote none.
            let is_observed = judged.is_none() || judged == config.metadata.generation;
            let not_ready = match (status.ready_for_deploy && is_observed, status.message) {
                (true, _) => None,
                (false, why) if why.is_empty() => Some("it was not looked at yet".to_owned()),
                (false, why) => Some(why),
            };
            let lifecycle = labels.get(LIFECYCLE_LABEL).and_then(|l| lifecycle(l));
            let module = labels.get(MODULE_NAME_LABEL).cloned().unwrap_or_default();
            ModuleConfigFacts { not_ready, ..ModuleConfigFacts::of(module, lifecycle, config.spec) }
        });
        facts.collect()
    }))
}
