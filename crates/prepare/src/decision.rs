//! Decides which registry is used, whether artifacts are sent to it and whether deploy follows:
//! the rules of the documents as one pure function. Must not read anything.

use crate::environment::SKIP_SYNC_IMAGE;
use cluster::platform::{Origin, PlatformRegistry, Undecided};
use std::fmt;

/// What the command line and the environment ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// `--registry`.
    pub registry: Option<String>,
    /// `--only-sync-image`.
    pub only_sync: bool,
    /// `--skip-sync-image`, where it is given.
    pub skip_sync: Option<bool>,
    /// `SKIP_SYNC_IMAGE` in the environment.
    pub skip_in_environment: bool,
}

/// Why a registry is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// `--registry`.
    Given,
    /// It is the platform's.
    Platform(Origin),
}

/// Whether artifacts are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// They are.
    Run,
    /// Not: the registry is external and was not named.
    SkippedExternal,
    /// Not: `--skip-sync-image`.
    SkippedByFlag,
    /// Not: `SKIP_SYNC_IMAGE`.
    SkippedByEnvironment,
}

/// What is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Host and port of the registry that is pushed to and verified.
    pub registry: String,
    /// Why this one.
    pub source: Source,
    /// Whether artifacts are sent.
    pub sync: Sync,
    /// Whether deploy follows.
    pub deploy: bool,
}

/// Decides. `platform` is what the ProductBase says, None where there is none; it is not looked at
/// where `--registry` is given.
///
/// # Errors
/// When neither the command line nor the platform names a registry.
pub fn decide(wishes: &Wishes, platform: Option<&PlatformRegistry>) -> Result<Decision, Undecided> {
    let (registry, source) = match &wishes.registry {
        Some(given) => (given.clone(), Source::Given),
        None => {
            let (address, origin) = platform.ok_or(Undecided::NoProductBase)?.called_as()?;
            (address, Source::Platform(origin))
        }
    };
    let sync = match wishes.skip_sync {
        Some(true) => Sync::SkippedByFlag,
        None if wishes.skip_in_environment => Sync::SkippedByEnvironment,
        _ if source == Source::Platform(Origin::External) => Sync::SkippedExternal,
        _ => Sync::Run,
    };
    Ok(Decision { registry, source, sync, deploy: !wishes.only_sync })
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Given => f.write_str("given by --registry"),
            Self::Platform(origin) => origin.fmt(f),
        }
    }
}

impl Decision {
    /// What was decided and why, for the first lines of the output.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let sync = match self.sync {
            Sync::Run => "Sync:     images and plugin artifacts".to_owned(),
            Sync::SkippedExternal => {
                "Sync:     skipped (external registry, ProductBase.spec.registry.external; name it with --registry to send all the same)".to_owned()
            }
            Sync::SkippedByFlag => "Sync:     skipped (--skip-sync-image)".to_owned(),
            Sync::SkippedByEnvironment => {
                format!("Sync:     skipped ({SKIP_SYNC_IMAGE}=true in the environment)")
            }
        };
        let deploy = if self.deploy { "yes" } else { "no (--only-sync-image)" };
        vec![
            format!("Registry: {} ({})", self.registry, self.source),
            sync,
            format!("Deploy:   {deploy}"),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_in() -> PlatformRegistry {
        PlatformRegistry {
            address: "registry.local:11443".to_owned(),
            external: false,
            global_vip: Some("10.0.0.10".to_owned()),
            platform_url: "https://acp.example.invalid:8443/console".to_owned(),
        }
    }

    fn external() -> PlatformRegistry {
        PlatformRegistry { external: true, address: "harbor.example.invalid".into(), ..built_in() }
    }

    fn decided(wishes: &Wishes, platform: &PlatformRegistry) -> Decision {
        decide(wishes, Some(platform)).unwrap()
    }

    #[test]
    fn a_registry_that_is_given_is_used_as_it_is() {
        let wishes = Wishes { registry: Some("mirror:5000".to_owned()), ..Wishes::default() };
        for platform in [None, Some(&built_in()), Some(&external())] {
            let decision = decide(&wishes, platform).unwrap();
            assert_eq!(
                (decision.registry.as_str(), decision.source),
                ("mirror:5000", Source::Given)
            );
            assert_eq!((decision.sync, decision.deploy), (Sync::Run, true));
        }
    }

    #[test]
    fn the_address_of_the_built_in_registry_is_rebuilt_from_the_global_vip() {
        let decision = decided(&Wishes::default(), &built_in());
        assert_eq!(decision.registry, "10.0.0.10:11443");
        assert_eq!(
            decision.lines()[0],
            "Registry: 10.0.0.10:11443 (built-in, from the global VIP)"
        );
        assert_eq!((decision.sync, decision.deploy), (Sync::Run, true));
        let v6 = PlatformRegistry { global_vip: Some("fd00::10".to_owned()), ..built_in() };
        assert_eq!(decided(&Wishes::default(), &v6).registry, "[fd00::10]:11443");
    }

    #[test]
    fn without_a_vip_the_host_of_the_platform_counts() {
        let platform = PlatformRegistry { global_vip: None, ..built_in() };
        let decision = decided(&Wishes::default(), &platform);
        assert_eq!(decision.registry, "acp.example.invalid:11443");
        assert_eq!(decision.source, Source::Platform(Origin::PlatformUrl));
        let v6 = PlatformRegistry { platform_url: "https://[fd00::1]/".to_owned(), ..platform };
        assert_eq!(decided(&Wishes::default(), &v6).registry, "[fd00::1]:11443");
    }

    #[test]
    fn an_external_registry_is_not_synchronised() {
        let decision = decided(&Wishes::default(), &external());
        assert_eq!(decision.registry, "harbor.example.invalid");
        assert_eq!((decision.sync, decision.deploy), (Sync::SkippedExternal, true));
        let only = Wishes { only_sync: true, ..Wishes::default() };
        let decision = decided(&only, &external());
        assert_eq!((decision.sync, decision.deploy), (Sync::SkippedExternal, false));
        assert!(decision.lines()[1].contains("external registry"));
    }

    #[test]
    fn a_registry_that_is_given_lifts_the_automatic_skip_but_not_that_of_the_environment() {
        let given = Wishes { registry: Some("harbor:443".to_owned()), ..Wishes::default() };
        assert_eq!(decided(&given, &external()).sync, Sync::Run);
        let both = Wishes { skip_in_environment: true, ..given };
        assert_eq!(decided(&both, &external()).sync, Sync::SkippedByEnvironment);
    }

    #[test]
    fn flag_and_environment_skip_the_sync_and_the_flag_counts_more() {
        let flag = Wishes { skip_sync: Some(true), ..Wishes::default() };
        assert_eq!(decided(&flag, &built_in()).sync, Sync::SkippedByFlag);
        let environment = Wishes { skip_in_environment: true, ..Wishes::default() };
        assert_eq!(decided(&environment, &built_in()).sync, Sync::SkippedByEnvironment);
        let both = Wishes { skip_sync: Some(false), ..environment };
        assert_eq!(decided(&both, &built_in()).sync, Sync::Run);
    }

    #[test]
    fn only_sync_deploys_nothing() {
        let only = Wishes { only_sync: true, ..Wishes::default() };
        let decision = decided(&only, &built_in());
        assert_eq!((decision.sync, decision.deploy), (Sync::Run, false));
    }

    #[test]
    fn what_is_not_known_is_not_guessed() {
        let none = Wishes::default();
        assert_eq!(decide(&none, None), Err(Undecided::NoProductBase));
        let nowhere =
            PlatformRegistry { global_vip: None, platform_url: String::new(), ..built_in() };
        assert!(matches!(decide(&none, Some(&nowhere)), Err(Undecided::NoVip { .. })));
        for address in ["", "https://r:1", "a/b"] {
            let odd = PlatformRegistry { address: address.to_owned(), ..built_in() };
            assert!(matches!(decide(&none, Some(&odd)), Err(Undecided::NoAddress(_))), "{address}");
        }
    }
}
