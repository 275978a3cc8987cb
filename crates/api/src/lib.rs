//! Every contract of the product: object types, names, labels, conditions, reasons, versions and
//! the format of a release.
//!
//! A string that another program or a person may rely on is written here and nowhere else.
//! This crate has no client and does no IO.

pub mod checks;
pub mod component_version;
pub mod conditions;
pub mod config;
pub mod crds;
pub mod failure;
pub mod history;
pub mod image;
pub mod license;
pub mod names;
pub mod objects;
pub mod plugin_values;
pub mod release;
pub mod remedy;
pub mod secret_data;
pub mod signature;
pub mod signing_key;
pub mod stalled;
pub mod text;
pub mod time_limit;
pub mod version;

pub use checks::{CheckName, CheckState, Policy};
pub use conditions::ConditionType;
pub use image::{Digest, ImageRef};
pub use objects::*;
pub use release::Release;
pub use stalled::StalledReason;
pub use version::{KubernetesVersion, Version, VersionRange};

/// A moment as Kubernetes writes it (RFC 3339, whole seconds, UTC).
pub type Time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// A moment as Kubernetes writes it, without its fraction of a second.
#[must_use]
pub fn time(moment: jiff::Timestamp) -> Time {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1;
    v1::Time(jiff::Timestamp::from_second(moment.as_second()).unwrap_or(moment))
}
