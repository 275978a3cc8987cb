//! ResourcePatchUpgradeable: every ResourcePatch of a release that the target touches (installs,
//! applies again or removes on this cluster) carries the exemption annotation with exactly the
//! target's version. The key of the annotation is `config.cpaas.io/exempt-for-ver`, or that of
//! `exemptAnnotation` in cvo-config. A ResourcePatch that is being deleted is not asked.

use super::{Found, Inputs, Verdict};
use crate::stages::{self, Installed};
use api::checks::CheckReason;
use api::remedy::for_all;
use std::collections::BTreeSet;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let patches = inputs.snapshot.resource_patches.or_empty(&none)?;
    if patches.iter().all(|p| p.deleting) {
        return Ok(Verdict::passed());
    }
    let touched = touched_releases(inputs)?;
    // The key of the annotation may stand in a setting that cannot be read.
    inputs.snapshot.cvo_config.or_empty(&None)?;
    let target = inputs.target.version.to_string();
    let key = &inputs.config.exempt_annotation;
    let concerned = patches.iter().filter(|p| !p.deleting && touched.contains(&p.release));
    let (exempt, open): (Vec<_>, Vec<_>) =
        concerned.partition(|p| p.annotations.get(key).is_some_and(|v| *v == target));
    let names = |of: &[&crate::snapshot::ResourcePatchFacts]| -> Vec<String> {
        of.iter().map(|p| p.name.clone()).collect()
    };
    if !open.is_empty() {
        let all = names(&open);
        return Ok(Verdict::failed(
            CheckReason::UnexemptResourcePatches,
            format!(
                "{} without exemption for {target}: {}",
                count(all.len()),
                api::text::names(&all)
            ),
            for_all(&all, |all| {
                let names = all.join(" ");
                format!(
                    "review: kubectl get resourcepatches {names} -o yaml; then: kubectl annotate resourcepatches {names} {key}={target} --overwrite"
                )
            }),
        ));
    }
    if exempt.is_empty() {
        return Ok(Verdict::passed());
    }
    let all = names(&exempt);
    Ok(Verdict::passed_with(
        CheckReason::Exempted,
        &format!("{} exempt for {target}: {}", count(all.len()), api::text::names(&all)),
    ))
}

fn count(number: usize) -> String {
    if number == 1 { "1 ResourcePatch".to_owned() } else { format!("{number} ResourcePatches") }
}

/// The releases, as `<namespace>/<release>`, that the target installs, changes or removes.
fn touched_releases(inputs: &Inputs<'_>) -> Result<BTreeSet<String>, String> {
    let release = inputs.target.release.or_unknown()?;
    let none = Installed::new();
    let installed = inputs.snapshot.app_releases.or_empty(&none)?;
    let moved = || {
        let components = release.components().map(|(_, component)| component);
        components
            .filter(|c| stages::is_moved(inputs.snapshot, c) && !stages::stays_ahead(c, installed))
    };
    let installed_as = |name: &str| {
        let facts = installed.get(name)?;
        Some(format!("{}/{name}", facts.spec.destination.namespace))
    };
    // A component may change its namespace: its customisations still name the old one.
    let of_installed = moved().filter_map(|c| installed_as(&c.name));
    let of_target = moved().map(|c| format!("{}/{}", c.namespace, c.name));
    let dropped = stages::dropped(inputs.snapshot, release, installed)
        .filter_map(|(name, _)| installed_as(name));
    Ok(of_target.chain(of_installed).chain(dropped).collect())
}
