//! The start and the end of an upgrade on the platform's own objects: ClusterModule, ProductBase
//! and the keys of the release. Each write is sent only where it changes something.

use super::objects::at_version;
use super::{Contents, Executor, Stop, kinds};
use crate::observe::parse;
use crate::render::Renderer;
use crate::server::{ApiServer, ApplyOptions, PatchBody};
use api::Version;
use api::names::{
    GLOBAL, NAMESPACE, PRODUCT_BASE, RELEASE_IMAGE, RELEASE_KEYS, RELEASE_LICENSE_KEYS,
    RELEASE_SIGNING_KEYS,
};
use api::objects::{
    ClusterModule, DeployStatus, ObjectRef, ProductBase, RunningStatus, VersionImage, object_ref,
};
use api::signing_key::{self, SigningKey};
use planner::snapshot::ModuleShown;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// ClusterModule shows the target and Upgrading, and the cluster has what is recorded on it.
pub(super) async fn begin<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &Version,
) -> Result<(), Stop> {
    kinds::ready(executor).await?;
    let reference = object_ref::<ClusterModule>("", executor.cluster);
    let mut live = match executor.home.get(&reference).await? {
        Some(live) => live,
        None => {
            let body = json!({
                "apiVersion": reference.api_version,
                "kind": reference.kind,
                "metadata": { "name": executor.cluster },
                "spec": { "version": version.to_string() },
            });
            executor.home.create(&body).await?
        }
    };
    let module: ClusterModule = parse(live.clone())?;
    let version = version.to_string();
    if module.spec.version != version {
        let spec = json!({ "spec": { "version": version } });
        live = merge(executor, &reference, &live, None, spec).await?;
    }
    let base = module.status.and_then(|s| s.base).unwrap_or_default();
    if base.deploy_status == DeployStatus::Upgrading {
        return Ok(());
    }
    let running = match base.running_status {
        RunningStatus::NotRunning => "NotRunning",
        RunningStatus::Healthy => "Healthy",
        RunningStatus::Abnormal => "Abnormal",
    };
    let base = json!({ "deployStatus": "Upgrading", "runningStatus": running });
    let status = json!({ "status": {
        "base": base, "editable": false, "upgradable": false, "unableUpgradeReason": null,
    } });
    merge(executor, &reference, &live, Some("status"), status).await?;
    Ok(())
}

/// ClusterModule shows what is installed at rest, and whether an upgrade is open.
pub(super) async fn show<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    shown: &ModuleShown,
) -> Result<(), Stop> {
    let reference = object_ref::<ClusterModule>("", executor.cluster);
    let Some(live) = executor.home.get(&reference).await? else { return Ok(()) };
    // Empty, it is taken away.
    let why = Some(&shown.unable_upgrade_reason).filter(|why| !why.is_empty());
    let status = json!({ "status": {
        "base": { "appReleases": shown.app_releases },
        "upgradable": shown.upgradable,
        "unableUpgradeReason": why,
    } });
    merge(executor, &reference, &live, Some("status"), status).await?;
    Ok(())
}

/// What is recorded of an installed release besides its version.
pub(super) struct Keys<'a> {
    /// Its product image with its digest.
    pub(super) image: &'a str,
    /// Its licence keys.
    pub(super) license_keys: &'a [String],
    /// Keys that the releases after it may be signed with.
    pub(super) signing_keys: &'a [SigningKey],
}

/// ClusterModule shows the target as complete, with its components; for the global cluster, the
/// keys of the release and ProductBase show it too.
pub(super) async fn finish<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &Version,
    keys: &Keys<'_>,
    app_releases: &BTreeSet<String>,
) -> Result<(), Stop> {
    let version = version.to_string();
    if executor.cluster != GLOBAL {
        return finish_module(executor, &version, app_releases).await;
    }
    record_keys(executor, &version, keys).await?;
    finish_module(executor, &version, app_releases).await?;
    finish_base(executor, &version).await
}

async fn record_keys<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &str,
    Keys { image, license_keys, signing_keys }: &Keys<'_>,
) -> Result<(), Stop> {
    let (version, image) = (version.to_owned(), (*image).to_owned());
    let digest = VersionImage { version, image }.digest();
    let digest = digest.map_or_else(String::new, |digest| digest.to_string());
    let mut keys = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": { "name": RELEASE_KEYS, "namespace": NAMESPACE },
        "data": { RELEASE_LICENSE_KEYS: license_keys.join("\n"), RELEASE_IMAGE: digest },
    });
    let reference = planner::apply::reference(&keys)?;
    let found = executor.home.get(&reference).await?;
    let recorded = found.as_ref().and_then(|f| f.get("data")?.get(RELEASE_SIGNING_KEYS)).cloned();
    // A release without keys leaves those before it in force: trust never ends by an omission.
    let signing = match signing_keys {
        [] => recorded,
        keys => Some(json!(signing_key::list_text(keys))),
    };
    if let Some(signing) = signing {
        keys["data"][RELEASE_SIGNING_KEYS] = signing;
    }
    if found.as_ref().and_then(|f| f.get("data")) != keys.get("data") {
        let keys = at_version(keys, version_of(found.as_ref()));
        // Nobody else has a say in the keys of the installed release.
        executor.home.apply(&keys, ApplyOptions { force: true, dry_run: false }).await?;
    }
    Ok(())
}

async fn finish_module<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &str,
    app_releases: &BTreeSet<String>,
) -> Result<(), Stop> {
    let reference = object_ref::<ClusterModule>("", executor.cluster);
    let Some(mut live) = executor.home.get(&reference).await? else { return Ok(()) };
    let module: ClusterModule = parse(live.clone())?;
    if module.spec.version != version {
        let spec = json!({ "spec": { "version": version } });
        live = merge(executor, &reference, &live, None, spec).await?;
    }
    let base = module.status.unwrap_or_default().base.unwrap_or_default();
    let complete = base.version == version
        && base.deploy_status == DeployStatus::Completed
        && base.running_status == RunningStatus::Healthy
        && base.app_releases.iter().eq(app_releases);
    if complete {
        return Ok(());
    }
    let base = json!({
        "version": version, "deployStatus": "Completed", "runningStatus": "Healthy",
        "appReleases": app_releases,
    });
    let status = json!({ "status": {
        "base": base, "editable": true, "upgradable": false, "unableUpgradeReason": null,
    } });
    merge(executor, &reference, &live, Some("status"), status).await?;
    Ok(())
}

async fn finish_base<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    version: &str,
) -> Result<(), Stop> {
    let reference = object_ref::<ProductBase>("", PRODUCT_BASE);
    let Some(mut live) = executor.home.get(&reference).await? else { return Ok(()) };
    let base: ProductBase = parse(live.clone())?;
    if base.spec.version != version {
        let spec = json!({ "spec": { "version": version } });
        live = merge(executor, &reference, &live, None, spec).await?;
    }
    if base.status.unwrap_or_default().version != version {
        let status = json!({ "status": { "version": version, "phase": "Running" } });
        merge(executor, &reference, &live, Some("status"), status).await?;
    }
    Ok(())
}

/// Changes fields of the object that was read, as it was read; gives it as it is then.
async fn merge<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    reference: &ObjectRef,
    live: &Value,
    subresource: Option<&str>,
    body: Value,
) -> Result<Value, Stop> {
    let body = PatchBody::Merge(at_version(body, version_of(Some(live))));
    Ok(executor.home.patch(reference, subresource, &body).await?)
}

fn version_of(live: Option<&Value>) -> Option<&str> {
    live?.pointer("/metadata/resourceVersion")?.as_str()
}
