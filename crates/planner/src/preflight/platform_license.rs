//! PlatformLicense: the licence in the Secret `cpaas-system/platform-license` (key `license`) is
//! signed with ed25519 by a key of the installed release, is for this platform's
//! `ProductBase.status.globalID` and has not expired. The keys are those that the release recorded
//! when it completed; the target's where none are recorded yet (which is said) or nothing is
//! installed. A platform without a globalID yet is asked again.

use super::{Found, Inputs, Verdict};
use crate::snapshot::{Observed, Snapshot};
use crate::target::Target;
use api::checks::CheckReason;
use api::license::{License, LicenseError, verify};
use api::names::{NAMESPACE, PLATFORM_LICENSE};
use jiff::Timestamp;

pub(super) fn check(inputs: &Inputs<'_>) -> Found {
    let snapshot = inputs.snapshot;
    let failed = |reason, message: String| {
        Ok(Verdict::failed(
            reason,
            message,
            format!(
                "put the platform's licence, from FILE, into place: kubectl -n {NAMESPACE} create secret generic {PLATFORM_LICENSE} --from-file=license=FILE --dry-run=client -o yaml | kubectl apply -f -"
            ),
        ))
    };
    let Some(text) = snapshot.license.or_empty(&None)? else {
        return failed(
            CheckReason::LicenseMissing,
            format!("there is no Secret {NAMESPACE}/{PLATFORM_LICENSE}"),
        );
    };
    let release = inputs.target.release.or_unknown()?;
    let recorded = recorded_keys(snapshot)?;
    let keys = recorded.unwrap_or(&release.license_keys);
    if keys.is_empty() {
        return failed(
            CheckReason::LicenseKeysMissing,
            "neither the installed release nor the target has a licence key".to_owned(),
        );
    }
    let license = match verify(text, keys) {
        Ok(license) => license,
        Err(error @ (LicenseError::Malformed | LicenseError::Signature)) => {
            return failed(CheckReason::LicenseInvalid, error.to_string());
        }
    };
    let base = snapshot.product_base.or_empty(&None)?;
    let global_id = base.as_ref().map_or("", |b| b.global_id.as_str());
    if global_id.is_empty() {
        return Err("the platform has no globalID yet".to_owned());
    }
    if license.global_id != global_id {
        return failed(
            CheckReason::LicenseForeign,
            format!("the licence is for platform '{}', this is '{global_id}'", license.global_id),
        );
    }
    if license.expires <= snapshot.now {
        return failed(
            CheckReason::LicenseExpired,
            format!("the licence expired at {}", license.expires),
        );
    }
    let source = if recorded.is_some() {
        ""
    } else {
        "; verified with the keys of the target, for none are recorded yet"
    };
    Ok(Verdict::passed_with(
        CheckReason::AsExpected,
        &format!("valid until {}{source}", license.expires),
    ))
}

/// The keys that the installed release recorded; None where none are, or nothing is installed.
fn recorded_keys(snapshot: &Snapshot) -> Result<Option<&Vec<String>>, String> {
    let recorded = match &snapshot.release_keys {
        Observed::Value(keys) => keys.as_ref(),
        Observed::KindAbsent => None,
        Observed::Unknown(error) => return Err(error.clone()),
        Observed::NotRead => return Err("the keys of the release were not read yet".to_owned()),
    };
    Ok(if recorded.is_some() && snapshot.is_fresh_install()? { None } else { recorded })
}

/// When the licence of a valid signature ends; the planner wakes up then.
#[must_use]
pub fn expiry(snapshot: &Snapshot, target: &Target) -> Option<Timestamp> {
    let text = snapshot.license.value()?.as_ref()?;
    let recorded = recorded_keys(snapshot).ok()?;
    let keys = recorded.or_else(|| target.release.value().map(|r| &r.license_keys))?;
    verify(text, keys).ok().map(|License { expires, .. }| expires)
}
