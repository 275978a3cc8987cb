//! The preflight checks: their names in order, their policies, states and reasons.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Declares a closed set of words of the contract with one spelling and one meaning each.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])+ $word:ident),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[derive(Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        pub enum $name { $($(#[doc = $doc])+ $word),+ }

        impl $name {
            /// Every word, in the order of the documents.
            pub const ALL: &[Self] = &[$(Self::$word),+];

            /// The word as users see it.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),+ }
            }

            /// What the word means, as the reference says it.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$word => concat!($($doc),+).trim_ascii()),+ }
            }

            /// The word that has this spelling.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|word| word.as_str() == text)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words! {
    /// The checks, in the order in which they are shown.
    CheckName {
        /// Every ResourcePatch that the target touches is exempt for it.
        ResourcePatchUpgradeable,
        /// The last upgrade is complete, the target is not lower and its ProductManifest is Ready.
        ClusterVersionUpgradeable,
        /// Every admin gate of the target line is acknowledged.
        AdminAckRequired,
        /// The current version is in the target's upgrade path.
        VersionUpgradePath,
        /// Kubernetes is in the target's compatible range on every cluster concerned.
        KubernetesVersionSupported,
        /// No node runs on Docker.
        DockerRuntimeUnsupported,
        /// The cluster is Running and its API server answers.
        ClusterRunning,
        /// ClusterModule is Completed and Healthy.
        ClusterModuleStable,
        /// Every control-plane node has its ready static Pods.
        ControlPlaneStaticPodsPresent,
        /// No CronJob of the users' own backs up etcd.
        CustomEtcdBackupCronJobsAbsent,
        /// No container-runtime upgrade is left over.
        CRIUpgradePodsAbsent,
        /// Every ModuleInfo of the cluster is Running.
        ModuleInfoStable,
        /// The licence is valid for this platform and time.
        PlatformLicense,
    }
}

impl CheckName {
    /// When the check runs again.
    #[must_use]
    pub const fn policy(self) -> Policy {
        match self {
            Self::VersionUpgradePath
            | Self::KubernetesVersionSupported
            | Self::DockerRuntimeUnsupported
            | Self::CustomEtcdBackupCronJobsAbsent
            | Self::PlatformLicense => Policy::OncePassed,
            Self::ResourcePatchUpgradeable
            | Self::ClusterVersionUpgradeable
            | Self::AdminAckRequired
            | Self::ClusterRunning
            | Self::ClusterModuleStable
            | Self::ControlPlaneStaticPodsPresent
            | Self::CRIUpgradePodsAbsent
            | Self::ModuleInfoStable => Policy::Always,
        }
    }
}

words! {
    /// When a check runs again.
    Policy {
        /// In every run until the upgrade starts.
        Always,
        /// Not again for the same digest once it passed, until the upgrade starts.
        OncePassed,
    }
}

words! {
    /// The result of a check.
    CheckState {
        /// The cluster may move as far as this check goes.
        Passed,
        /// The answer could not be known; the check runs again by itself.
        Retry,
        /// A person must act.
        Failed,
        /// Switched off in `cpaas-system/cvo-config`.
        Disabled,
    }
}

words! {
    /// Why a check has its state.
    CheckReason {
        /// Nothing stands in the way.
        AsExpected,
        /// The cluster has no version yet; there is nothing to be compatible with.
        FreshInstall,
        /// Switched off in `cpaas-system/cvo-config`.
        DisabledInCvoConfig,
        /// An input could not be read.
        InputUnknown,
        /// A ResourcePatch carries no exemption for the target.
        UnexemptResourcePatches,
        /// Every ResourcePatch concerned is exempt for the target.
        Exempted,
        /// The last upgrade did not complete.
        UpgradeIncomplete,
        /// The target is lower than the current version.
        Downgrade,
        /// The target's ProductManifest is not Ready yet.
        ManifestNotReady,
        /// The target's ProductManifest cannot become Ready.
        ManifestFailed,
        /// The running operator is older than the release asks for.
        CVOOutdated,
        /// A global cluster has not reached the target.
        GlobalNotReached,
        /// An admin gate is not acknowledged.
        AckMissing,
        /// An admin gate is malformed.
        GateInvalid,
        /// No admin gate concerns the target.
        NoGates,
        /// The current version is outside the target's upgrade path.
        NotInUpgradePath,
        /// A Kubernetes version is outside the target's range.
        VersionOutOfRange,
        /// A node runs on Docker.
        DockerFound,
        /// The Cluster object is not Running.
        ClusterNotRunning,
        /// ClusterModule is not Completed and Healthy.
        ModuleNotStable,
        /// A static Pod is missing or not ready.
        StaticPodsMissing,
        /// A CronJob backs up etcd.
        CustomBackupFound,
        /// A Pod of a container-runtime upgrade is left.
        UpgradePodsFound,
        /// A ModuleInfo is not Running.
        ModuleInfoNotRunning,
        /// The package of an Aligned plugin for the target is missing.
        AlignedPackageMissing,
        /// A plugin would move to a version whose risk was not accepted.
        PluginRiskNotAccepted,
        /// The way of a plugin to the version for the target is not open, or another one would lack
        /// what it needs.
        PluginCannotMove,
        /// There is no licence.
        LicenseMissing,
        /// The licence is malformed or its signature is wrong.
        LicenseInvalid,
        /// The licence is for another platform.
        LicenseForeign,
        /// The licence has expired.
        LicenseExpired,
        /// No key is known to verify the licence with.
        LicenseKeysMissing,
    }
}
