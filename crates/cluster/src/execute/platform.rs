//! The start and the end of an upgrade on the platform's own objects: ClusterModule, ProductBase
//! and the keys of the release. Each write is sent only where it changes something.

use super::{Contents, Executor, Stop};
use crate::observe::typed;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions, PatchBody};
use api::Version;
use api::names::{NAMESPACE, PRODUCT_BASE, RELEASE_KEYS, RELEASE_LICENSE_KEYS};
use api::objects::{
    ClusterModule, DeployStatus, ObjectRef, ProductBase, RunningStatus, object_ref,
};
use serde_json::{Value, json};

/// ClusterModule shows the target and Upgrading.
pub(super) async fn begin<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &Version,
) -> Result<(), Stop> {
    let reference = object_ref::<ClusterModule>("", executor.cluster);
    let module = typed::<ClusterModule, _>(executor.server, "", executor.cluster).await?;
    let version = version.to_string();
    match &module {
        None => {
            let body = json!({
                "apiVersion": reference.api_version,
                "kind": reference.kind,
                "metadata": { "name": executor.cluster },
                "spec": { "version": version },
            });
            executor.server.create(&body).await?;
        }
        Some(module) if module.spec.version != version => {
            merge(executor, &reference, None, json!({ "spec": { "version": version } })).await?;
        }
        Some(_) => {}
    }
    let base = module.and_then(|m| m.status).and_then(|s| s.base).unwrap_or_default();
    if base.deploy_status == DeployStatus::Upgrading {
        return Ok(());
    }
    let running = match base.running_status {
        RunningStatus::NotRunning => "NotRunning",
        RunningStatus::Healthy => "Healthy",
        RunningStatus::Abnormal => "Abnormal",
    };
    let base = json!({ "deployStatus": "Upgrading", "runningStatus": running });
    let status = json!({ "status": { "base": base, "editable": false, "upgradable": false } });
    merge(executor, &reference, Some("status"), status).await
}

/// ClusterModule, the keys of the release and ProductBase show the target as complete.
pub(super) async fn finish<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &Version,
    license_keys: &[String],
) -> Result<(), Stop> {
    let version = version.to_string();
    let keys = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": RELEASE_KEYS, "namespace": NAMESPACE },
        "data": { RELEASE_LICENSE_KEYS: license_keys.join("\n") },
    });
    let reference = planner::apply::reference(&keys)?;
    let found = executor.server.get(&reference).await?;
    if found.as_ref().and_then(|f| f.get("data")) != keys.get("data") {
        // Nobody else has a say in the keys of the installed release.
        executor.server.apply(&keys, ApplyOptions { force: true, dry_run: false }).await?;
    }
    finish_module(executor, &version).await?;
    finish_base(executor, &version).await
}

async fn finish_module<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &str,
) -> Result<(), Stop> {
    let Some(module) = typed::<ClusterModule, _>(executor.server, "", executor.cluster).await?
    else {
        return Ok(());
    };
    let reference = object_ref::<ClusterModule>("", executor.cluster);
    if module.spec.version != version {
        merge(executor, &reference, None, json!({ "spec": { "version": version } })).await?;
    }
    let base = module.status.unwrap_or_default().base.unwrap_or_default();
    let complete = base.version == version
        && base.deploy_status == DeployStatus::Completed
        && base.running_status == RunningStatus::Healthy;
    if complete {
        return Ok(());
    }
    let base =
        json!({ "version": version, "deployStatus": "Completed", "runningStatus": "Healthy" });
    let status = json!({ "status": { "base": base, "editable": true, "upgradable": false } });
    merge(executor, &reference, Some("status"), status).await
}

async fn finish_base<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &str,
) -> Result<(), Stop> {
    let Some(base) = typed::<ProductBase, _>(executor.server, "", PRODUCT_BASE).await? else {
        return Ok(());
    };
    let reference = object_ref::<ProductBase>("", PRODUCT_BASE);
    if base.spec.version != version {
        merge(executor, &reference, None, json!({ "spec": { "version": version } })).await?;
    }
    if base.status.unwrap_or_default().version != version {
        let status = json!({ "status": { "version": version, "phase": "Running" } });
        merge(executor, &reference, Some("status"), status).await?;
    }
    Ok(())
}

async fn merge<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    reference: &ObjectRef,
    subresource: Option<&str>,
    body: Value,
) -> Result<(), Stop> {
    executor.server.patch(reference, subresource, &PatchBody::Merge(body)).await?;
    Ok(())
}
