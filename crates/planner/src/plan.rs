//! The plan of one round: in which situation the cluster is, and the steps that follow from it.

use crate::offers::{Offers, offers};
use crate::preflight::{self, Run, Summary};
use crate::request::{Request, in_flight, request};
use crate::snapshot::{ManifestReady, Snapshot};
use crate::stages::{self, Installed};
use crate::target::{Origin, Target, manifest_of};
use api::objects::{Action, DeployStatus, Preflight, Stage, VersionImage};
use api::release::{Component, Release, ReleaseImage};
use api::{StalledReason, Version};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

mod running;

/// How often an upgrade that runs is looked at, in seconds.
pub const RUNNING_INTERVAL_S: i64 = 1;
/// How often unwatched inputs are listed again while a check is not Passed, in seconds.
pub const PREFLIGHT_INTERVAL_S: i64 = 30;

/// One thing to do. Every step is idempotent, and one attempt at it ends within a round.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Step {
    /// ClusterModule shows the target and Upgrading.
    BeginModule {
        /// The target.
        version: Version,
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
    },
    /// A ResourcePatch that is being deleted is let go: its release is applied without it.
    ReleasePatch {
        /// The ResourcePatch.
        name: String,
    },
    /// ClusterModule, ProductBase and the keys of the release show the target as complete.
    Finish {
        /// The target.
        version: Version,
        /// Licence keys of the release.
        license_keys: Vec<String>,
    },
}

/// What [`Step::Apply`] needs to know.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ApplyStep {
    /// The component.
    pub component: Component,
    /// Distribution Version of the release.
    pub release: Version,
    /// Product image of the release, with its digest.
    pub image: String,
    /// Images of the release.
    pub images: BTreeMap<String, ReleaseImage>,
    /// Field managers whose fields are taken over.
    pub predecessors: BTreeSet<String>,
}

impl Step {
    /// The component or object that the step is about; empty where it is about the cluster.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Apply(step) => &step.component.name,
            Self::Prune { name, .. } | Self::Remove { name } | Self::ReleasePatch { name } => name,
            Self::BeginModule { .. } | Self::Finish { .. } => "",
        }
    }
}

/// In which situation a cluster is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Situation {
    /// Nothing is installed and nothing is asked for.
    NotInstalled,
    /// This product cannot upgrade the cluster.
    NotUpgradable(String),
    /// The cluster is found at a version that something else installed.
    Adopt(VersionImage),
    /// Nothing is asked for.
    Idle,
    /// A version is asked for and its checks, or a rule that no setting disables, hold it.
    Waiting {
        /// What holds it besides the checks.
        held_by: Option<String>,
    },
    /// The upgrade begins with this round; its stages, nothing begun.
    Begin(Vec<Stage>),
    /// The upgrade runs.
    Running,
    /// Everything is done; the history says so with this round.
    Complete,
}

/// The plan of a round.
#[derive(Debug, Clone)]
pub struct Plan {
    /// In which situation the cluster is.
    pub situation: Situation,
    /// The version in question.
    pub target: Option<Target>,
    /// The preflight of this round; None where an earlier one stays.
    pub preflight: Option<Preflight>,
    /// What is offered; None where it is not known and what was offered stays.
    pub offers: Option<Offers>,
    /// Why the present request is refused.
    pub refusal: Option<String>,
    /// What stands in the way of the whole upgrade.
    pub obstacle: Option<(StalledReason, String)>,
    /// What to do.
    pub steps: Vec<Step>,
    /// When the next round is due if nothing changes before.
    pub wake_at: Option<Timestamp>,
}

/// Plans a round.
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    let status = snapshot.status();
    let request = request(snapshot);
    let refusal = match &request {
        Request::Refused(message) => Some(message.clone()),
        Request::None | Request::Taken(_) | Request::Unknown(_) => None,
    };
    let empty = Plan {
        situation: Situation::Idle,
        target: None,
        preflight: None,
        offers: offers(snapshot),
        refusal,
        obstacle: None,
        steps: Vec::new(),
        wake_at: None,
    };
    if let Some(why) = not_upgradable(snapshot) {
        return Plan {
            situation: Situation::NotUpgradable(why),
            offers: Some(Offers::default()),
            ..empty
        };
    }
    let under_way = in_flight(&status).is_some();
    match request {
        Request::Taken(target) => requested(snapshot, target, under_way, empty),
        _ if under_way => running::plan(snapshot, empty),
        Request::Unknown(_) => Plan { wake_at: after(snapshot, 5), ..idle(snapshot, empty) },
        Request::None | Request::Refused(_) => idle(snapshot, empty),
    }
}

/// A moment some seconds after the snapshot.
fn after(snapshot: &Snapshot, seconds: i64) -> Option<Timestamp> {
    snapshot.now.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn not_upgradable(snapshot: &Snapshot) -> Option<String> {
    let cluster = snapshot.cluster_object.value()?.as_ref()?;
    (cluster.kind == api::names::IMPORTED && !snapshot.is_global).then(|| {
        "the cluster was imported; this product does not manage its platform version".to_owned()
    })
}

/// Nothing is asked for: adopt what is there, judge the highest version offered, keep
/// customisations in force.
fn idle(snapshot: &Snapshot, base: Plan) -> Plan {
    let status = snapshot.status();
    if status.current.is_none() {
        let found = snapshot.product_base.value().and_then(Option::as_ref);
        return match found.filter(|b| !b.status_version.is_empty()) {
            Some(found) => Plan {
                situation: Situation::Adopt(VersionImage {
                    version: found.status_version.clone(),
                    image: String::new(),
                }),
                wake_at: Some(snapshot.now),
                ..base
            },
            None => judge_highest(snapshot, Plan { situation: Situation::NotInstalled, ..base }),
        };
    }
    let steps = running::patch_steps(snapshot);
    let busy = steps.iter().any(|s| matches!(s, Step::Apply(_)));
    let plan = judge_highest(snapshot, Plan { steps, ..base });
    if busy { Plan { wake_at: after(snapshot, RUNNING_INTERVAL_S), ..plan } } else { plan }
}

fn judge_highest(snapshot: &Snapshot, base: Plan) -> Plan {
    let highest = base.offers.as_ref().and_then(|o| o.available.first());
    let Some(version) = highest.and_then(|h| h.version.parse::<Version>().ok()) else {
        return base;
    };
    let Some(manifest) = manifest_of(snapshot, &version) else { return base };
    let target = Target::of_manifest(manifest);
    let status = snapshot.status();
    let result = preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Routine);
    let wake_at = preflight_wake(snapshot, &target, &result);
    Plan { target: Some(target), preflight: Some(result), wake_at, ..base }
}

/// A version is asked for: its preflight decides whether the upgrade begins.
fn requested(snapshot: &Snapshot, target: Target, under_way: bool, base: Plan) -> Plan {
    let status = snapshot.status();
    let routine = preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Routine);
    let held_by = hard_rule(snapshot, &target).err();
    let may_begin = preflight::summary(&routine) == Summary::Passed && held_by.is_none();
    let decisive = if may_begin {
        preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Decisive)
    } else {
        routine
    };
    let stages = match (&target.release, snapshot.app_releases.or_empty(&Installed::new())) {
        (crate::Observed::Value(release), Ok(installed)) => {
            Some(stages::build(snapshot, release, installed))
        }
        _ => None,
    };
    if let Some(stages) =
        stages.filter(|_| may_begin && preflight::summary(&decisive) == Summary::Passed)
    {
        return Plan {
            situation: Situation::Begin(stages),
            target: Some(target),
            preflight: Some(decisive),
            // Intent first: this round writes status only, the steps come with the next.
            wake_at: Some(snapshot.now),
            ..base
        };
    }
    if under_way {
        // The way out is not open yet: the upgrade under way goes on, its preflight stays.
        return Plan {
            refusal: Some(way_out_waits(&decisive, held_by)),
            ..running::plan(snapshot, base)
        };
    }
    let wake_at = preflight_wake(snapshot, &target, &decisive);
    Plan {
        situation: Situation::Waiting { held_by },
        target: Some(target),
        preflight: Some(decisive),
        wake_at,
        ..base
    }
}

fn way_out_waits(preflight: &Preflight, held_by: Option<String>) -> String {
    let why = held_by.unwrap_or_else(|| match preflight::summary(preflight) {
        Summary::Failed(names) | Summary::Retrying(names) => api::text::names(&names),
        Summary::Passed => "its release could not be read".to_owned(),
    });
    format!("{} waits for its preflight: {why}", preflight.version)
}

/// The rules that hold at execution whatever is disabled: Ready manifest with a digest, never
/// lower, global first.
fn hard_rule(snapshot: &Snapshot, target: &Target) -> Result<(), String> {
    if let Origin::ProductManifest(ManifestReady::Waiting { why } | ManifestReady::Failed { why }) =
        &target.origin
    {
        return Err(format!("its ProductManifest is not Ready: {why}"));
    }
    let pinned = VersionImage { version: String::new(), image: target.image.clone() };
    if pinned.digest().is_none() {
        return Err("its image is not resolved to a digest".to_owned());
    }
    if let Some(current) = snapshot.current().filter(|current| target.version < *current) {
        return Err(format!("it is lower than the current version {current}"));
    }
    let release = target.release.or_unknown()?;
    if let Some(lower) = stages::lower_component(
        snapshot,
        release,
        snapshot.app_releases.or_empty(&Installed::new())?,
    ) {
        return Err(format!("no component moves to a lower version: {lower}"));
    }
    let reached = snapshot.reached_by_global.value();
    if !snapshot.is_global && !reached.is_some_and(|r| r.contains(&target.version)) {
        return Err("not every global cluster has completed it".to_owned());
    }
    Ok(())
}

/// When a preflight that is not Passed runs again, or a passed one may change by time alone.
fn preflight_wake(
    snapshot: &Snapshot,
    target: &Target,
    preflight: &Preflight,
) -> Option<Timestamp> {
    if preflight::summary(preflight) == Summary::Passed {
        let keys = snapshot.release_keys.value().and_then(Clone::clone);
        let keys = keys.or_else(|| target.release.value().map(|r| r.license_keys.clone()));
        return preflight::expiry(snapshot, &keys.unwrap_or_default())
            .filter(|at| *at > snapshot.now);
    }
    let retrying = preflight.checks.iter().filter(|c| c.state == api::CheckState::Retry);
    let newest = retrying.filter_map(|c| c.last_transition_time.as_ref()).map(|t| t.0).max();
    let interval = newest.map_or(PREFLIGHT_INTERVAL_S, |since| {
        // Waiting as long as it already lasted doubles the interval each time, without a memory.
        snapshot.now.duration_since(since).as_secs().clamp(2, PREFLIGHT_INTERVAL_S)
    });
    after(snapshot, interval)
}

/// Whether ClusterModule shows the target as being installed.
fn module_begun(snapshot: &Snapshot, version: &str) -> bool {
    let module = snapshot.cluster_module.value().and_then(Option::as_ref);
    module.is_some_and(|m| m.spec_version == version && m.deploy_status == DeployStatus::Upgrading)
}

/// Whether the cluster and the platform show the target as complete.
fn module_finished(snapshot: &Snapshot, version: &str) -> bool {
    let module = snapshot.cluster_module.value().and_then(Option::as_ref);
    let base = snapshot.product_base.value().and_then(Option::as_ref);
    let module_done = module.is_none_or(|m| {
        m.spec_version == version
            && m.base_version == version
            && m.deploy_status == DeployStatus::Completed
    });
    let base_done = !snapshot.is_global
        || base.is_none_or(|b| b.spec_version == version && b.status_version == version);
    module_done && base_done
}

/// What an operation of the target comes to as a step.
fn apply_step(component: &Component, release: &Release, image: &str) -> Step {
    Step::Apply(Box::new(ApplyStep {
        component: component.clone(),
        release: release.version.clone(),
        image: image.to_owned(),
        images: release.images.clone(),
        predecessors: release.predecessors.clone(),
    }))
}

/// Whether an operation removes a component.
fn is_removal(action: Action) -> bool {
    action == Action::Remove
}
