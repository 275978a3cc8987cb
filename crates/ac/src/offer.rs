//! Why a version is not offered to a cluster, from what status and the ProductManifests say.
//!
//! Pure. Must not judge paths or checks itself.

use crate::failure::Failure;
use api::conditions::{ConditionStatus, ManifestReason, NotOfferedReason};
use api::names::{CVO, GLOBAL, NAMESPACE};
use api::signature::{KEYS_BACK_REMEDY, OTHER_KEY_REMEDY};
use api::{ClusterVersionShadowStatus, ProductManifest, Version};

/// Name of the Ready condition.
const READY: &str = "Ready";

/// What one ProductManifest has come to.
pub(crate) enum Readiness {
    /// It may be offered.
    Ready,
    /// Not looked at yet.
    Unknown,
    /// Not ready, and why.
    Not {
        /// In one word.
        reason: String,
        /// In a sentence.
        message: String,
    },
}

impl Readiness {
    pub(crate) fn of(manifest: &ProductManifest) -> Self {
        let conditions = manifest.status.as_ref().map(|status| &status.conditions);
        match conditions.and_then(|all| all.iter().find(|found| found.type_ == READY)) {
            Some(found) if found.status == ConditionStatus::True.as_str() => Self::Ready,
            Some(found) if found.status == ConditionStatus::False.as_str() => {
                Self::Not { reason: found.reason.clone(), message: found.message.clone() }
            }
            Some(_) | None => Self::Unknown,
        }
    }

    /// What makes the ProductManifest of that name ready that has this reason.
    pub(crate) fn remedy(reason: &str, name: &str) -> String {
        let remedy = match ManifestReason::parse(reason) {
            Some(ManifestReason::ImageNotFound) => {
                "send the images of the release: bash upgrade.sh --only-sync-image; if there is no such release: kubectl delete productmanifest NAME"
            }
            Some(ManifestReason::RegistryUnavailable) => {
                "make the registry reachable; it is tried again by itself"
            }
            Some(ManifestReason::AccessDenied) => {
                "correct the pull secret that ProductBase base names in spec.registry.secretRef"
            }
            Some(ManifestReason::ImageMoved | ManifestReason::InvalidRelease) => {
                "send the release again from a package whose SHA256SUMS are right: bash upgrade.sh"
            }
            Some(ManifestReason::VersionMismatch | ManifestReason::NameMismatch) => {
                "delete it and import the version that the image holds: kubectl delete productmanifest NAME"
            }
            Some(ManifestReason::SignatureMissing) => {
                "send the release with its signature, from a package that is signed: bash upgrade.sh --only-sync-image"
            }
            Some(ManifestReason::SignatureInvalid) => {
                "send the release again from a package that holds: ac adm release verify <package>, then bash upgrade.sh"
            }
            Some(ManifestReason::SigningKeyUnknown | ManifestReason::SigningKeyExpired) => {
                OTHER_KEY_REMEDY
            }
            Some(ManifestReason::SigningKeysUnreadable) => {
                "see what the message says; it is tried again by itself"
            }
            Some(ManifestReason::SigningKeysInvalid) => KEYS_BACK_REMEDY,
            Some(ManifestReason::Resolved) | None => "see: kubectl get productmanifests -o wide",
        };
        remedy.replace("NAME", name)
    }

    /// Whether nothing but a new object or another release can change it.
    pub(crate) fn is_final(reason: &str) -> bool {
        use ManifestReason::{ImageMoved, InvalidRelease, NameMismatch, VersionMismatch};
        let ends = [ImageMoved, InvalidRelease, NameMismatch, VersionMismatch];
        ManifestReason::parse(reason).is_some_and(|reason| ends.contains(&reason))
    }
}

/// Why one version cannot be asked for, and what to do.
struct Cause {
    sentence: String,
    hint: String,
}

/// No version at all is offered.
pub(crate) fn none_offered(
    cluster: &str,
    status: &ClusterVersionShadowStatus,
    manifests: &[ProductManifest],
    program: &str,
) -> Failure {
    let current = status.current.as_ref().map(|current| current.version.as_str());
    let newer = newer_versions(current, status, manifests);
    if newer.is_empty() {
        let why = current.map_or_else(
            || "no version is published".to_owned(),
            |current| format!("it is at {current}, and no higher version is published"),
        );
        return Failure::refused(
            format!("no update is available for {cluster}: {why}"),
            vec![import_hint(program, "<version>")],
        );
    }
    let causes: Vec<Cause> =
        newer.iter().map(|version| cause(version, cluster, status, manifests, program)).collect();
    let sentences: Vec<String> = causes.iter().map(|cause| cause.sentence.clone()).collect();
    let mut hints = Vec::new();
    for cause in causes {
        if !hints.contains(&cause.hint) {
            hints.push(cause.hint);
        }
    }
    Failure::refused(
        format!("no update is available for {cluster}: {}", sentences.join("; ")),
        hints,
    )
}

/// The version asked for is not offered.
pub(crate) fn not_offered(
    version: &str,
    cluster: &str,
    status: &ClusterVersionShadowStatus,
    manifests: &[ProductManifest],
    program: &str,
) -> Failure {
    let offers: Vec<&str> =
        status.available_updates.iter().map(|offer| offer.version.as_str()).collect();
    let offers = if offers.is_empty() { "none".to_owned() } else { api::text::names(&offers) };
    let head = format!("{version} is not an available update for {cluster} (available: {offers})");
    let current = status.current.as_ref().map(|current| current.version.as_str());
    if current.is_some_and(|current| is_lower(version, current)) {
        return Failure::refused(
            format!("{head}: a cluster never moves to a lower version"),
            vec![format!("see what is offered: {program} adm upgrade --cluster={cluster}")],
        );
    }
    let cause = cause(version, cluster, status, manifests, program);
    let mut hints = vec![cause.hint];
    // The operator refuses what nobody published, however it is asked for.
    if manifests.iter().any(|manifest| manifest.spec.version == version) {
        hints.push("or pass --allow-explicit-upgrade (preflight still decides)".to_owned());
    }
    Failure::refused(format!("{head}: {}", cause.sentence), hints)
}

fn cause(
    version: &str,
    cluster: &str,
    status: &ClusterVersionShadowStatus,
    manifests: &[ProductManifest],
    program: &str,
) -> Cause {
    let manifest = manifests.iter().find(|manifest| manifest.spec.version == version);
    match manifest.map(Readiness::of) {
        None => Cause {
            sentence: format!("there is no ProductManifest of {version}"),
            hint: import_hint(program, version),
        },
        Some(Readiness::Unknown) => Cause {
            sentence: format!(
                "ProductManifest v{version} has not been looked at by the cluster version operator yet"
            ),
            hint: format!(
                "run the same command again in a few seconds; see also: {}",
                operator_command()
            ),
        },
        Some(Readiness::Not { reason, message }) => Cause {
            sentence: format!("ProductManifest v{version} is not Ready: {reason}: {message}"),
            hint: Readiness::remedy(&reason, &format!("v{version}")),
        },
        Some(Readiness::Ready) => {
            let told = status.not_offered.iter().find(|other| other.version == version);
            let sentence = told.map_or_else(
                || {
                    format!(
                        "the cluster version operator has not judged {version} for this cluster yet"
                    )
                },
                |told| format!("{}: {}", told.reason, told.message),
            );
            let reason = told.map_or("", |told| told.reason.as_str());
            Cause { sentence, hint: obstacle_hint(reason, cluster, program) }
        }
    }
}

/// The command that shows whether the operator runs.
pub(crate) fn operator_command() -> String {
    format!("kubectl -n {NAMESPACE} get deployment {CVO}")
}

fn obstacle_hint(reason: &str, cluster: &str, program: &str) -> String {
    match NotOfferedReason::parse(reason) {
        Some(NotOfferedReason::NotInUpgradePath) => {
            "go to a version first that its upgrade path accepts".to_owned()
        }
        Some(NotOfferedReason::GlobalNotReached) => format!(
            "upgrade the global cluster first: {program} adm upgrade --cluster={GLOBAL} --to-latest"
        ),
        Some(NotOfferedReason::ReleaseUnreadable) => {
            "make the registry reachable for the operator; it asks again by itself".to_owned()
        }
        Some(NotOfferedReason::ManifestNotReady | NotOfferedReason::InputUnknown) | None => {
            format!("see how the cluster stands: {program} adm upgrade status --cluster={cluster}")
        }
    }
}

fn import_hint(program: &str, version: &str) -> String {
    format!(
        "run bash upgrade.sh from the core package of {version}, or where its images are in the registry already: {program} adm release import-manifest --version {version} --wait"
    )
}

/// Published versions above the current one, highest first.
fn newer_versions(
    current: Option<&str>,
    status: &ClusterVersionShadowStatus,
    manifests: &[ProductManifest],
) -> Vec<String> {
    let told = status.not_offered.iter().map(|other| &other.version);
    let mut all: Vec<&String> = manifests.iter().map(|m| &m.spec.version).chain(told).collect();
    all.retain(|version| current.is_none_or(|current| is_lower(current, version)));
    all.sort_by_key(|version| std::cmp::Reverse(version.parse::<Version>().ok()));
    all.dedup();
    all.into_iter().cloned().collect()
}

/// Whether both are versions and the first is lower.
pub(crate) fn is_lower(version: &str, than: &str) -> bool {
    match (version.parse::<Version>(), than.parse::<Version>()) {
        (Ok(version), Ok(than)) => version < than,
        _ => false,
    }
}
