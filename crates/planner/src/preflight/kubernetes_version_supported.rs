//! KubernetesVersionSupported: the version that the API server answers is in the target's range;
//! for a global cluster that of every other cluster too, Imported ones included.

use super::{Found, Inputs, Verdict};
use crate::snapshot::Observed;
use api::KubernetesVersion;
use api::checks::CheckReason;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let release = inputs.target.release.or_unknown()?;
    let range = &release.kubernetes.compatible;
    if !inputs.snapshot.kubernetes.contains_key(&inputs.snapshot.cluster) {
        return Err("the Kubernetes version of the cluster was not read".to_owned());
    }
    let (mut outside, mut unknown) = (Vec::new(), Vec::new());
    for (cluster, answer) in &inputs.snapshot.kubernetes {
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
            "bring the named clusters to a Kubernetes version in the range first",
        ));
    }
    if !unknown.is_empty() {
        return Err(api::text::names(&unknown));
    }
    Ok(Verdict::passed())
}
