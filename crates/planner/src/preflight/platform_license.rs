//! PlatformLicense: the licence is signed by a key of the installed release (of the package where
//! none is recorded yet, said so), is for this platform's globalID and has not expired.

use super::{Found, Inputs, Verdict};
use crate::snapshot::Snapshot;
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
                "put the platform's licence into place: kubectl -n {NAMESPACE} edit secret {PLATFORM_LICENSE}"
            ),
        ))
    };
    let Some(text) = snapshot.license.or_empty(&None)? else {
        return failed(
            CheckReason::LicenseMissing,
            format!("there is no Secret {NAMESPACE}/{PLATFORM_LICENSE}"),
        );
    };
    let recorded = snapshot.release_keys.or_empty(&None)?;
    let release = inputs.target.release.or_unknown()?;
    let keys = recorded.as_ref().unwrap_or(&release.license_keys);
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

/// When the licence of a valid signature ends; the planner wakes up then.
#[must_use]
pub fn expiry(snapshot: &Snapshot, keys: &[String]) -> Option<Timestamp> {
    let text = snapshot.license.value()?.as_ref()?;
    verify(text, keys).ok().map(|License { expires, .. }| expires)
}
