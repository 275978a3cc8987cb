//! Settings that administrators write: cvo-config, admin gates and acknowledgements.

use crate::checks::CheckName;
use crate::names;
use crate::version::Version;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Longest text of a setting that is parsed, in bytes.
const TEXT_LIMIT: usize = 64 * 1024;

/// What shows and corrects the settings.
pub const EDIT_SETTINGS: &str = "kubectl -n cpaas-system edit configmap cvo-config";

/// The note at the end of a condition's message that settings are wrong, and what corrects them;
/// empty where nothing is wrong.
#[must_use]
pub fn settings_note(problems: &[String], remedy: &str) -> String {
    if problems.is_empty() {
        return String::new();
    }
    let problems = format!("{SETTINGS_NOTE}{}", crate::text::names(problems));
    crate::remedy::message(&problems, remedy)
}

/// What is wrong with the settings, and what corrects them, where a message ends with that note.
#[must_use]
pub fn noted_settings(message: &str) -> Option<(&str, &str)> {
    let (cause, remedy) = crate::remedy::split(message);
    let (_, problems) = cause.rsplit_once(SETTINGS_NOTE)?;
    Some((problems, remedy))
}

/// What such a note begins with.
const SETTINGS_NOTE: &str = "; cvo-config: ";

/// What the key `preflight` of `cpaas-system/cvo-config` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PreflightConfig {
    /// Checks that are switched off.
    pub disabled: BTreeSet<CheckName>,
    /// Key of the annotation that exempts a ResourcePatch.
    pub exempt_annotation: String,
    /// What is wrong with the setting: unknown names, malformed YAML; shown, never obeyed.
    pub problems: Vec<String>,
}

impl Default for PreflightConfig {
    fn default() -> Self {
        Self {
            disabled: BTreeSet::new(),
            exempt_annotation: names::EXEMPT_ANNOTATION.to_owned(),
            problems: Vec::new(),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawPreflight {
    #[serde(default)]
    disabled: Option<Vec<String>>,
    #[serde(default)]
    exempt_annotation: Option<String>,
    #[serde(flatten)]
    unknown: BTreeMap<String, serde_json::Value>,
}

impl PreflightConfig {
    /// Reads the setting. Malformed YAML disables nothing; an unknown name or key is ignored and
    /// reported.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut config = Self::default();
        if text.trim().is_empty() {
            return config;
        }
        if text.len() > TEXT_LIMIT {
            config.problems.push(format!("longer than {TEXT_LIMIT} bytes, ignored"));
            return config;
        }
        let raw: RawPreflight = match serde_saphyr::from_str(text) {
            Ok(raw) => raw,
            Err(error) => {
                config
                    .problems
                    .push(crate::text::line(&format!("not valid YAML, ignored: {error}"), 256));
                return config;
            }
        };
        for name in raw.disabled.unwrap_or_default() {
            match CheckName::parse(&name) {
                Some(check) => drop(config.disabled.insert(check)),
                None => config
                    .problems
                    .push(format!("unknown check '{}' ignored", crate::text::line(&name, 64))),
            }
        }
        for key in raw.unknown.keys() {
            config.problems.push(format!("unknown key '{}' ignored", crate::text::line(key, 64)));
        }
        match raw.exempt_annotation {
            Some(key) if !key.trim().is_empty() => config.exempt_annotation = key,
            Some(_) => config.problems.push("empty exemptAnnotation ignored".to_owned()),
            None => {}
        }
        config
    }
}

/// An admin gate of one target line: `ack-4.3-<text>`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateKey {
    /// The target line (`4.3`).
    pub line: String,
}

impl GateKey {
    /// Reads the key of a gate; None when it is not of the form `ack-<minor>-<text>`.
    #[must_use]
    pub fn parse(key: &str) -> Option<Self> {
        let (line, text) = key.strip_prefix("ack-")?.split_once('-')?;
        let mut parts = line.split('.');
        let number = |p: Option<&str>| p.is_some_and(|p| p.parse::<u64>().is_ok());
        let valid = number(parts.next()) && number(parts.next()) && parts.next().is_none();
        (valid && !text.is_empty()).then(|| Self { line: line.to_owned() })
    }

    /// Whether the gate is of this target's line.
    #[must_use]
    pub fn concerns(&self, target: &Version) -> bool {
        self.line == target.minor_line()
    }
}

/// Whether a gate is acknowledged: its value must be exactly `"true"`.
#[must_use]
pub fn is_acknowledged(acks: &BTreeMap<String, String>, key: &str) -> bool {
    acks.get(key).is_some_and(|value| value == names::ACKNOWLEDGED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_setting_is_read() {
        let config = PreflightConfig::parse(
            "disabled:\n  - ResourcePatchUpgradeable\n  - VersionUpgradePath\n",
        );
        assert_eq!(config.disabled.len(), 2);
        assert!(config.problems.is_empty());
    }

    #[test]
    fn unknown_names_are_reported_and_known_ones_hold() {
        let config = PreflightConfig::parse(
            "disabled: [PlatformLicense, Everything]\nexemptAnnotation: x/y",
        );
        assert_eq!(config.disabled, BTreeSet::from([CheckName::PlatformLicense]));
        assert_eq!(config.problems, ["unknown check 'Everything' ignored"]);
        assert_eq!(config.exempt_annotation, "x/y");
    }

    #[test]
    fn an_unknown_key_does_not_drop_the_known_names() {
        let config = PreflightConfig::parse("disabled: [PlatformLicense]\ndisable: [x]");
        assert_eq!(config.disabled, BTreeSet::from([CheckName::PlatformLicense]));
        assert_eq!(config.problems, ["unknown key 'disable' ignored"]);
    }

    #[test]
    fn malformed_yaml_disables_nothing() {
        for text in
            ["disabled: [", "disabled: {a: b}", "- PlatformLicense", "disable: [PlatformLicense]"]
        {
            let config = PreflightConfig::parse(text);
            assert!(config.disabled.is_empty() && config.problems.len() == 1, "{text}");
        }
    }

    #[test]
    fn a_note_of_wrong_settings_is_read_again() {
        let said = settings_note(&["not YAML".to_owned(), "x; fix: y".to_owned()], EDIT_SETTINGS);
        let message = format!("4.3.0: 12 of 13 checks passed, switched off in cvo-config: A{said}");
        assert_eq!(noted_settings(&message), Some(("not YAML, x; fix: y", EDIT_SETTINGS)));
        assert_eq!(settings_note(&[], EDIT_SETTINGS), "");
        assert_eq!(noted_settings("4.3.0: all passed"), None);
        assert!(EDIT_SETTINGS.contains(names::NAMESPACE));
        assert!(
            EDIT_SETTINGS.ends_with(names::CVO_CONFIG) && SETTINGS_NOTE.contains(names::CVO_CONFIG)
        );
    }

    #[test]
    fn gate_keys() {
        let target: Version = "4.4.1".parse().unwrap();
        assert!(GateKey::parse("ack-4.4-kubernetes-1.35-kernel-update").unwrap().concerns(&target));
        assert!(!GateKey::parse("ack-4.3-x").unwrap().concerns(&target));
        for key in ["ack-4.4", "ack-4.4-", "ack-v4.4-x", "4.4-x", "ack-4.4.0-x"] {
            assert!(GateKey::parse(key).is_none(), "{key}");
        }
    }
}
