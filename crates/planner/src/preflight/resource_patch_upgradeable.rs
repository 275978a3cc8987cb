//! ResourcePatchUpgradeable: every ResourcePatch of a release that the target touches carries the
//! exemption annotation with exactly the target's version.

use super::{Found, Inputs, Verdict};
use api::checks::CheckReason;
use std::collections::BTreeSet;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let none = Vec::new();
    let patches = inputs.snapshot.resource_patches.or_empty(&none)?;
    if patches.iter().all(|p| p.deleting) {
        return Ok(Verdict::passed());
    }
    let touched = touched_releases(inputs)?;
    let target = inputs.target.version.to_string();
    let key = &inputs.config.exempt_annotation;
    let concerned = patches.iter().filter(|p| !p.deleting && touched.contains(&p.release));
    let (exempt, open): (Vec<_>, Vec<_>) =
        concerned.partition(|p| p.annotations.get(key).is_some_and(|v| *v == target));
    let names = |of: &[&crate::snapshot::ResourcePatchFacts]| -> Vec<String> {
        of.iter().map(|p| p.name.clone()).collect()
    };
    if let Some(first) = open.first() {
        let all = names(&open);
        return Ok(Verdict::failed(
            CheckReason::UnexemptResourcePatches,
            format!(
                "{} without exemption for {target}: {}",
                count(all.len()),
                api::text::names(&all)
            ),
            format!(
                "review: kubectl get resourcepatches {name} -o yaml; then: kubectl annotate resourcepatches {name} {key}={target} --overwrite",
                name = first.name
            ),
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
    let of_target = release
        .components()
        .filter(|(_, c)| c.clusters.concerns(inputs.snapshot.is_global))
        .map(|(_, c)| format!("{}/{}", c.namespace, c.name));
    let empty = std::collections::BTreeMap::new();
    let installed = inputs.snapshot.app_releases.or_empty(&empty)?;
    let of_installed =
        installed.iter().map(|(name, r)| format!("{}/{name}", r.spec.destination.namespace));
    Ok(of_target.chain(of_installed).collect())
}
