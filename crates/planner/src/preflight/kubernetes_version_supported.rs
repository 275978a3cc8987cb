//! KubernetesVersionSupported: the version that the cluster's API server answers is in the target's
//! `kubernetes.compatible` range; for a global cluster that of every other cluster too, Imported
//! ones included. A pre-release that a vendor appends does not count. A cluster that does not
//! answer is asked again and named.

use super::{Found, Inputs, Verdict};
use crate::snapshot::Observed;
use api::KubernetesVersion;
use api::checks::CheckReason;
use api::names::CLUSTERS;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let release = inputs.target.release.or_unknown()?;
    let range = &release.kubernetes.compatible;
    let snapshot = inputs.snapshot;
    if !snapshot.kubernetes.contains_key(&snapshot.cluster) {
        return Err("the Kubernetes version of the cluster was not read".to_owned());
    }
    let (mut outside, mut unknown) = (Vec::new(), Vec::new());
    let concerned = snapshot
        .kubernetes
        .iter()
        .filter(|(name, _)| snapshot.is_global || **name == snapshot.cluster);
    for (cluster, answer) in concerned {
        match answer {
            Observed::Value(text) => match text.parse::<KubernetesVersion>() {
                Ok(version) if range.contains_kubernetes(&version) => {}
                Ok(version) => outside.push(format!("{cluster} runs {version}")),
                Err(error) => unknown.push(format!("{cluster}: {error}")),
            },
            Observed::KindAbsent | Observed::NotRead => {
                unknown.push(format!("{cluster}: not read"))
            }
            Observed::Unknown(error) => unknown.push(format!("{cluster}: {error}")),
        }
    }
    if !outside.is_empty() {
        return Ok(Verdict::failed(
            CheckReason::VersionOutOfRange,
            format!("{} accepts {range}; {}", inputs.target.version, api::text::names(&outside)),
            format!("upgrade Kubernetes of the named clusters first; see: kubectl get {CLUSTERS}"),
        ));
    }
    if !unknown.is_empty() {
        return Err(api::text::names(&unknown));
    }
    Ok(Verdict::passed())
}
