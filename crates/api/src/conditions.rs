//! The four conditions of a ClusterVersionShadow, the Ready conditions of a ProductManifest and of
//! a ModuleInfo, and their reasons.

use crate::Time;
use crate::checks::words;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

words! {
    /// The conditions of a ClusterVersionShadow; all four are always present, in this order.
    ConditionType {
        /// True: preflight passed for the version in question.
        PreflightReady,
        /// True: the cluster has reached the desired version.
        Ready,
        /// True: an upgrade is under way, or the cluster cannot be reached and is asked again.
        Reconciling,
        /// True: the upgrade is blocked and a person must act.
        Stalled,
    }
}

words! {
    /// The status of a condition.
    ConditionStatus {
        /// It holds.
        True,
        /// It does not hold.
        False,
        /// It cannot be told.
        Unknown,
    }
}

words! {
    /// Reasons of the conditions; `Stalled` True has those of [`crate::StalledReason`].
    ConditionReason {
        /// Nothing newer is offered or asked for.
        NoTarget,
        /// Every check passed.
        Passed,
        /// A check failed.
        ChecksFailed,
        /// A check could not be answered, or the cluster not be reached; asked again by itself.
        Retrying,
        /// Nothing of the platform is installed.
        NotInstalled,
        /// The desired version is reached.
        Completed,
        /// The cluster cannot be upgraded by this product.
        NotUpgradable,
        /// A version was asked for.
        UpgradeRequested,
        /// The upgrade waits for its checks.
        WaitingForPreflight,
        /// The upgrade runs.
        Upgrading,
        /// Nothing is under way.
        Idle,
        /// Nothing is blocked.
        NotStalled,
    }
}

words! {
    /// Reasons of the Ready condition of a ProductManifest.
    ManifestReason {
        /// The product image is resolved and readable.
        Resolved,
        /// The registry did not answer; tried again by itself.
        RegistryUnavailable,
        /// The registry has no such image.
        ImageNotFound,
        /// The registry refused the credentials.
        AccessDenied,
        /// The tag points to another image than the one resolved before.
        ImageMoved,
        /// The image holds no release, or a malformed one.
        InvalidRelease,
        /// The release says another version than the ProductManifest.
        VersionMismatch,
        /// The name is not `v<version>`.
        NameMismatch,
        /// The registry has no signature of the product image.
        SignatureMissing,
        /// The signature is malformed, or that of another image.
        SignatureInvalid,
        /// No trusted key made the signature.
        SigningKeyUnknown,
        /// The key that made the signature has expired.
        SigningKeyExpired,
        /// The keys that are trusted could not be read; tried again by itself.
        SigningKeysUnreadable,
        /// The keys that are recorded as trusted are malformed.
        SigningKeysInvalid,
    }
}

words! {
    /// Reasons of the Ready condition of a ModuleInfo; a plugin that cannot go on has those of
    /// [`crate::StalledReason`].
    ModuleReason {
        /// It is as its spec says, and healthy.
        Running,
        /// What is asked for is not begun: `blockReasons` says why.
        Blocked,
        /// It is being installed.
        Installing,
        /// Another version or other settings are being applied.
        Upgrading,
        /// It is being removed.
        Deleting,
        /// Its removal is asked for and refused.
        RemovalPrevented,
        /// What it depends on cannot be read now; tried again by itself.
        Retrying,
        /// It took longer than it may.
        TimedOut,
    }
}

words! {
    /// Why a published version is not offered: `notOffered[].reason`.
    NotOfferedReason {
        /// Its ProductManifest is not Ready.
        ManifestNotReady,
        /// Its release could not be read from the registry.
        ReleaseUnreadable,
        /// The current version is outside its upgrade path.
        NotInUpgradePath,
        /// A global cluster has not reached it.
        GlobalNotReached,
        /// Something that decides about it could not be read.
        InputUnknown,
    }
}

/// Sets a condition; its lastTransitionTime moves only when its status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    kind: ConditionType,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    now: &Time,
    generation: Option<i64>,
) {
    set_named(conditions, kind.as_str(), status, reason, message, now, generation);
    let order = |c: &Condition| ConditionType::ALL.iter().position(|t| t.as_str() == c.type_);
    conditions.sort_by_key(|c| order(c).unwrap_or(usize::MAX));
}

/// As [`set`], for a condition of any name. Clocks of leaders differ: the time never goes back.
pub fn set_named(
    conditions: &mut Vec<Condition>,
    kind: &str,
    status: ConditionStatus,
    reason: &str,
    message: &str,
    now: &Time,
    generation: Option<i64>,
) {
    let mut next = Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: crate::text::message(message),
        last_transition_time: now.clone(),
        observed_generation: generation,
    };
    match conditions.iter_mut().find(|c| c.type_ == kind) {
        Some(old) => {
            if old.status == next.status || old.last_transition_time > next.last_transition_time {
                next.last_transition_time = old.last_transition_time.clone();
            }
            *old = next;
        }
        None => conditions.push(next),
    }
}

/// The condition of a type.
#[must_use]
pub fn find(conditions: &[Condition], kind: ConditionType) -> Option<&Condition> {
    conditions.iter().find(|c| c.type_ == kind.as_str())
}

/// Whether the condition of a type is True.
#[must_use]
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    find(conditions, kind).is_some_and(|c| c.status == ConditionStatus::True.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_that_turns_by_a_clock_that_is_behind_does_not_go_back() {
        let at = |text: &str| crate::time(text.parse().expect("it is a time"));
        let (mut conditions, ready) = (Vec::new(), ConditionType::Ready);
        let steps = [
            (ConditionStatus::True, "2026-11-22T20:10:00Z", "2026-11-22T20:10:00Z"),
            (ConditionStatus::False, "2026-11-22T20:00:00Z", "2026-11-22T20:10:00Z"),
            (ConditionStatus::False, "2026-11-22T20:20:00Z", "2026-11-22T20:10:00Z"),
            (ConditionStatus::True, "2026-11-22T20:20:00Z", "2026-11-22T20:20:00Z"),
        ];
        for (status, now, turned) in steps {
            set(&mut conditions, ready, status, "Reason", "", &at(now), None);
            let found = find(&conditions, ready).expect("it was set");
            assert_eq!(
                (found.status.as_str(), &found.last_transition_time),
                (status.as_str(), &at(turned))
            );
        }
    }
}
