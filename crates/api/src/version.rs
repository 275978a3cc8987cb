//! Distribution Versions, Kubernetes versions and ranges: how they are parsed, ordered and matched.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest version or range that is looked at, in bytes.
const TEXT_LIMIT: usize = 128;

/// A text that is no version or no range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not of the form `4.3.0`.
    #[error("'{0}' is not a version of the form 4.3.0")]
    Version(String),
    /// Not a range such as `>=4.0.0 <4.3.0`.
    #[error("'{0}' is not a version range such as '>=4.0.0 <4.3.0'")]
    Range(String),
}

/// A Distribution Version such as `4.3.0`; ordered as semantic versions are.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(semver::Version);

impl Version {
    /// The line `4.3` of `4.3.0`.
    #[must_use]
    pub fn minor_line(&self) -> String {
        format!("{}.{}", self.0.major, self.0.minor)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refused = || VersionError::Version(crate::text::line(text, 64));
        if text.len() > TEXT_LIMIT {
            return Err(refused());
        }
        semver::Version::parse(text).map(Self).map_err(|_| refused())
    }
}

impl TryFrom<String> for Version {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.to_string()
    }
}

impl JsonSchema for Version {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Version".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "maxLength": TEXT_LIMIT })
    }
}

/// What a Kubernetes API server answers as its version (`v1.33.13`, `1.34.2-eks-abc`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KubernetesVersion(semver::Version);

impl fmt::Display for KubernetesVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for KubernetesVersion {
    type Err = VersionError;

    /// Vendors append a pre-release or a build that says nothing about compatibility: dropped.
    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refused = || VersionError::Version(crate::text::line(text, 64));
        if text.len() > TEXT_LIMIT {
            return Err(refused());
        }
        let plain = text.strip_prefix('v').unwrap_or(text);
        let full = semver::Version::parse(plain).map_err(|_| refused())?;
        Ok(Self(semver::Version::new(full.major, full.minor, full.patch)))
    }
}

impl TryFrom<String> for KubernetesVersion {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<KubernetesVersion> for String {
    fn from(version: KubernetesVersion) -> Self {
        version.to_string()
    }
}

/// A range in node-semver's grammar (`>=1.31 <1.35`, `4.1.x || 4.2.x`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VersionRange {
    text: String,
    range: nodejs_semver::Range,
}

impl VersionRange {
    /// Whether a Distribution Version lies in the range.
    #[must_use]
    pub fn contains(&self, version: &Version) -> bool {
        self.matches(&version.0)
    }

    /// Whether a Kubernetes version lies in the range.
    #[must_use]
    pub fn contains_kubernetes(&self, version: &KubernetesVersion) -> bool {
        self.matches(&version.0)
    }

    fn matches(&self, version: &semver::Version) -> bool {
        nodejs_semver::Version::parse(version.to_string())
            .is_ok_and(|parsed| self.range.satisfies(&parsed))
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.fmt(f)
    }
}

impl FromStr for VersionRange {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        let refused = || VersionError::Range(crate::text::line(text, 64));
        if text.len() > TEXT_LIMIT || text.trim().is_empty() {
            return Err(refused());
        }
        let range = nodejs_semver::Range::parse(text).map_err(|_| refused())?;
        Ok(Self { text: text.to_owned(), range })
    }
}

impl TryFrom<String> for VersionRange {
    type Error = VersionError;

    fn try_from(text: String) -> Result<Self, VersionError> {
        text.parse()
    }
}

impl From<VersionRange> for String {
    fn from(range: VersionRange) -> Self {
        range.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_the_reference_hold() {
        let range: VersionRange = ">=1.31 <1.35".parse().unwrap();
        let inside = |text: &str| range.contains_kubernetes(&text.parse().unwrap());
        assert!(inside("v1.33.13") && inside("1.34.2-eks-abc") && inside("v1.31.0"));
        assert!(!inside("1.35.0") && !inside("1.30.9"));
    }

    #[test]
    fn versions_are_ordered_by_number() {
        let parse = |text: &str| text.parse::<Version>().unwrap();
        assert!(parse("4.10.0") > parse("4.9.9"));
        assert!("4.3".parse::<Version>().is_err() && "v4.3.0".parse::<Version>().is_err());
        assert_eq!(parse("4.3.0").minor_line(), "4.3");
    }
}
