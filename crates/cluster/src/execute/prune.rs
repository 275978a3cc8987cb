//! Deletes what the installed release no longer has: at the upgrade's end, only what is still ours,
//! and never what would lose data unless the release lists it.

use super::objects::identity;
use super::record::Record;
use super::{Contents, Executor, Stop, access};
use crate::render::Renderer;
use crate::server::ApiServer;
use api::objects::ObjectRef;
use planner::apply::{Wave, is_prunable};
use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Deletes the obsolete objects of a component.
pub(super) async fn prune<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
    allowed: &BTreeSet<String>,
) -> Result<(), Stop> {
    let mut record = Record::read(executor, name).await?;
    let obsolete = record.status.obsolete.clone();
    delete_all(executor, name, &obsolete, allowed).await?;
    record.forget(executor, &obsolete).await
}

/// Deletes a component that the release no longer has.
pub(super) async fn remove<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    name: &str,
    allowed: &BTreeSet<String>,
) -> Result<(), Stop> {
    let record = Record::read(executor, name).await?;
    delete_all(executor, name, &record.status.inventory, allowed).await?;
    record.delete(executor).await
}

async fn delete_all<A: ApiServer, R: Renderer, C: Contents>(
    executor: &Executor<'_, A, R, C>,
    owner: &str,
    objects: &BTreeSet<ObjectRef>,
    allowed: &BTreeSet<String>,
) -> Result<(), Stop> {
    // What runs goes before what it reads.
    let mut sorted: Vec<&ObjectRef> = objects.iter().collect();
    sorted.sort_by_key(|reference| Reverse(Wave::of(reference)));
    let (mut going, mut found) = (Vec::new(), Vec::new());
    for reference in sorted {
        let Some(live) = executor.server.get(reference).await? else { continue };
        if !is_prunable(reference, &live, owner, allowed) {
            continue;
        }
        if live.pointer("/metadata/deletionTimestamp").is_none() {
            found.push((reference, identity(&live)));
        }
        going.push(reference.to_string());
    }
    if going.is_empty() {
        return Ok(());
    }
    access::deletion(executor, found.iter().map(|(reference, _)| *reference)).await?;
    for (_, live) in found {
        executor.server.delete(&live).await?;
    }
    Err(Stop::Waiting(format!("being deleted: {}", api::text::names(&going))))
}
