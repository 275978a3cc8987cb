//! The closed set of things that a round may do to the world, and what each needs to know. Says
//! nothing of how they are done.

use crate::snapshot::ModuleShown;
use api::Version;
use api::names::CLUSTER_MODULES;
use api::release::{Component, Release, ReleaseImage};
use api::signing_key::SigningKey;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// One thing to do. Every step is idempotent, and one attempt at it ends within a round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Step {
    /// ClusterModule shows the target and Upgrading; it is made where there is none.
    BeginModule {
        /// The target.
        version: Version,
    },
    /// ClusterModule shows what is installed at rest, and whether an upgrade is open.
    ShowModule {
        /// What it shows.
        shown: ModuleShown,
    },
    /// A component is brought to a release, or applied again at the release it has.
    Apply(Box<ApplyStep>),
    /// Objects that the installed release no longer has are deleted.
    Prune {
        /// The AppRelease.
        name: String,
        /// Objects of protected kinds that may go all the same.
        allowed: BTreeSet<String>,
    },
    /// A component that the release no longer has is deleted.
    Remove {
        /// The AppRelease.
        name: String,
        /// Objects of protected kinds that may go all the same.
        allowed: BTreeSet<String>,
    },
    /// A ResourcePatch that is being deleted is let go: its release is applied without it.
    ReleasePatch {
        /// The ResourcePatch.
        name: String,
    },
    /// The status of a ResourcePatch that is not in force says Pending and why; written only if it
    /// says something else.
    ReportPatch {
        /// The ResourcePatch.
        name: String,
        /// Why it is not in force.
        message: String,
    },
    /// What others changed of an installed component is looked for and recorded in its AppRelease
    /// (`drift`, `driftTime`); nothing is corrected.
    ReportDrift(Box<ApplyStep>),
    /// A ModuleInfo gets the finalizer that keeps it until what it installed is gone.
    HoldModule {
        /// The ModuleInfo.
        name: String,
    },
    /// A ModuleInfo of which nothing is left is let go.
    ReleaseModule {
        /// The ModuleInfo.
        name: String,
    },
    /// A ModuleInfo asks for the version to which the upgrade of its cluster moves it.
    MoveModule {
        /// The plugin, as its operation is named.
        name: String,
        /// The ModuleInfo.
        module_info: String,
        /// The version.
        version: String,
    },
    /// The keys of the release, ClusterModule and ProductBase (in this order) show the target as
    /// complete.
    Finish {
        /// The target.
        version: Version,
        /// Its product image with its digest.
        image: String,
        /// Licence keys of the release.
        license_keys: Vec<String>,
        /// Keys that the releases after it may be signed with.
        signing_keys: Vec<SigningKey>,
        /// The components of its base.
        app_releases: BTreeSet<String>,
    },
}

/// What [`Step::Apply`] and [`Step::ReportDrift`] need to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApplyStep {
    /// The component.
    pub component: Component,
    /// Distribution Version of the release; of a plugin, its own version.
    pub release: String,
    /// Product image of the release, with its digest.
    pub image: String,
    /// Images of the release.
    pub images: BTreeMap<String, ReleaseImage>,
    /// Field managers whose fields are taken over.
    pub predecessors: BTreeSet<String>,
    /// The ModuleInfo whose part the component is; empty: it is one of the release.
    pub module_info: String,
}

impl Step {
    /// The component or object that the step is about; empty where it is about the cluster.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Apply(step) | Self::ReportDrift(step) => &step.component.name,
            Self::Prune { name, .. }
            | Self::Remove { name, .. }
            | Self::ReleasePatch { name }
            | Self::HoldModule { name }
            | Self::ReleaseModule { name }
            | Self::MoveModule { module_info: name, .. }
            | Self::ReportPatch { name, .. } => name,
            Self::ShowModule { .. } => CLUSTER_MODULES,
            Self::BeginModule { .. } | Self::Finish { .. } => "",
        }
    }
}

/// What the application of a component of a release needs to know.
pub(super) fn apply_step(component: &Component, release: &Release, image: &str) -> Box<ApplyStep> {
    Box::new(ApplyStep {
        component: component.clone(),
        release: release.version.to_string(),
        image: image.to_owned(),
        images: release.images.clone(),
        predecessors: release.predecessors.clone(),
        module_info: String::new(),
    })
}
