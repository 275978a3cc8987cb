//! The closed table of reasons for which an upgrade is Stalled: after how long, and what to do.

use crate::checks::words;
use crate::remedy::on_cluster;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

words! {
    /// Why a person must act.
    StalledReason {
        /// A preflight check failed.
        PreflightFailed,
        /// A preflight check could not be answered for too long.
        PreflightUnknown,
        /// The request cannot be taken.
        RequestRefused,
        /// An image cannot be pulled.
        ImagePullFailed,
        /// A Helm hook failed.
        HookFailed,
        /// A field belongs to somebody else.
        FieldConflict,
        /// A ResourcePatch does not apply.
        ResourcePatchFailed,
        /// A chart cannot be rendered.
        RenderFailed,
        /// The API server refuses an object.
        ObjectRejected,
        /// The operator lacks a right.
        Forbidden,
        /// A component is not healthy in its time.
        TimedOut,
        /// A container keeps failing.
        ContainerFailing,
        /// A plugin that moves with the cluster cannot go on.
        PluginFailed,
        /// The release cannot be read from the registry.
        ReleaseUnavailable,
        /// The release holds other bytes than its digest says.
        ReleaseInvalid,
        /// The API server or the cluster cannot be reached.
        ClusterUnreachable,
    }
}

impl StalledReason {
    /// How long the cause must last before the condition says so, in seconds.
    #[must_use]
    pub const fn threshold_s(self) -> i64 {
        match self {
            Self::PreflightFailed
            | Self::RequestRefused
            | Self::HookFailed
            | Self::FieldConflict
            | Self::ResourcePatchFailed
            | Self::RenderFailed
            | Self::ObjectRejected
            | Self::Forbidden
            | Self::PluginFailed
            | Self::ReleaseInvalid
            // The time of the component has run out already.
            | Self::TimedOut => 0,
            // One failed pull is common while a node is busy; the documents promise a minute.
            Self::ImagePullFailed => 20,
            Self::ContainerFailing => 60,
            Self::ReleaseUnavailable => 60,
            Self::PreflightUnknown | Self::ClusterUnreachable => 600,
        }
    }

    /// What a person does about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::PreflightFailed | Self::PreflightUnknown => {
                "see what blocks: ac adm upgrade status --cluster=global"
            }
            Self::RequestRefused => {
                "withdraw it: kubectl patch cvsh global -n cpaas-system --type merge -p '{\"spec\":{\"desiredUpdate\":null}}'"
            }
            Self::ImagePullFailed => {
                "bring the missing image: bash upgrade.sh --only-sync-image; the upgrade continues by itself"
            }
            Self::HookFailed => {
                "read the Job's log, mend its cause, then delete the Job: it runs again by itself"
            }
            Self::FieldConflict => {
                "either give the field up as its owner, or keep the value as a ResourcePatch"
            }
            Self::ResourcePatchFailed => {
                "correct or delete the ResourcePatch that is named: kubectl edit resourcepatches; it is applied again by itself"
            }
            Self::RenderFailed | Self::ObjectRejected => {
                "read the message; if it names no cause on this cluster, the release is at fault"
            }
            Self::Forbidden => {
                "grant the named verb, or run: bash upgrade.sh --skip-sync-image, which applies the rights of the release"
            }
            Self::TimedOut | Self::ContainerFailing => {
                "look at the named object: kubectl describe and kubectl logs; the upgrade continues once it is healthy"
            }
            Self::PluginFailed => {
                "read what the plugin says: kubectl get moduleinfoes -l cpaas.io/cluster-name=global -o yaml; the upgrade continues once it is Running"
            }
            Self::ReleaseUnavailable => {
                "make the registry reachable, or send the release again: bash upgrade.sh --only-sync-image"
            }
            Self::ReleaseInvalid => {
                "read the message: keys that it misses go back into ConfigMap cpaas-system/release-keys, nothing that is lower is applied; otherwise send the release again from a package that ac adm release verify accepts: bash upgrade.sh --only-sync-image"
            }
            Self::ClusterUnreachable => "make the cluster's API server reachable from global",
        }
    }

    /// What a person does about it on a cluster of this name.
    #[must_use]
    pub fn remedy_for(self, cluster: &str) -> String {
        if cluster != crate::names::GLOBAL {
            // Where its objects are, and how the operator gets there.
            match self {
                Self::Forbidden => {
                    return on_cluster(
                        cluster,
                        "grant the named verb to the account of its ClusterCredential",
                    );
                }
                Self::ClusterUnreachable => {
                    return format!(
                        "make the API server of {cluster} reachable from global, and its ClusterCredential right"
                    );
                }
                Self::HookFailed
                | Self::FieldConflict
                | Self::ResourcePatchFailed
                | Self::TimedOut
                | Self::ContainerFailing => {
                    return on_cluster(cluster, self.remedy());
                }
                _ => {}
            }
        }
        self.remedy()
            .replace("--cluster=global", &format!("--cluster={cluster}"))
            .replace("cluster-name=global", &format!("cluster-name={cluster}"))
            .replace("cvsh global", &format!("cvsh {cluster}"))
    }
}
