//! The plan of one round: in which situation the cluster is, and the steps that follow from it.
//! Knows nothing of how steps are done and says nothing to users: that is `status`.

use crate::offers::{Offers, offers};
use crate::preflight::{self, Run, Summary};
use crate::request::{Request, in_flight, request};
use crate::snapshot::{Observed, Snapshot};
use crate::stages::{self, Installed};
use crate::target::{Target, manifest_of, manifests_unknown};
use api::conditions::{self, ConditionReason, ConditionType};
use api::objects::{Preflight, Stage, VersionImage};
use api::{StalledReason, Version};
use jiff::Timestamp;
use serde::Serialize;

mod customisations;
mod module_shown;
mod rules;
mod running;
mod step;
mod turn;
mod wake;

pub use step::{ApplyStep, Step};
pub(crate) use turn::Turn;
pub use wake::{DRIFT_INTERVAL_S, PREFLIGHT_INTERVAL_S, RUNNING_INTERVAL_S, UNKNOWN_INTERVAL_S};
pub(crate) use wake::{earliest, unreachable_since};

use rules::Hold;
use wake::after;

/// In which situation a cluster is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Situation {
    /// Nothing is installed and nothing is asked for; with an obstacle: it is not known whether
    /// something is installed.
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
    /// Operations that begin with this round: it says so, the next one does them.
    pub begins: Vec<String>,
    /// What to do.
    pub steps: Vec<Step>,
    /// When the next round is due if nothing changes before.
    pub wake_at: Option<Timestamp>,
}

/// Plans a round.
#[must_use]
pub fn plan(snapshot: &Snapshot) -> Plan {
    let mut plan = planned(snapshot);
    if let Some(step) = module_shown::step(snapshot, &plan) {
        plan.steps.push(step);
        // What cannot be written now is tried again.
        plan.wake_at = earliest(plan.wake_at, after(snapshot, PREFLIGHT_INTERVAL_S));
    }
    plan
}

fn planned(snapshot: &Snapshot) -> Plan {
    let status = snapshot.status();
    let empty = Plan {
        situation: Situation::Idle,
        target: None,
        preflight: None,
        offers: offers(snapshot),
        refusal: None,
        obstacle: None,
        begins: Vec::new(),
        steps: Vec::new(),
        wake_at: None,
    };
    if let Some(why) = not_upgradable(snapshot) {
        let asked = snapshot.cvsh.as_ref().and_then(|c| c.desired_update.as_ref());
        return Plan {
            refusal: asked.filter(|wish| !wish.version.is_empty()).map(|_| why.clone()),
            situation: Situation::NotUpgradable(why),
            offers: Some(Offers::default()),
            ..empty
        };
    }
    let under_way = in_flight(&status).is_some();
    if !under_way && status.current.is_none() {
        match snapshot.installed_version() {
            Ok(Some(version)) => match &snapshot.app_releases {
                // What is installed tells the image; adopted without it, it would stay unknown.
                Observed::Unknown(error) if !snapshot.is_global => {
                    return not_known(snapshot, error.clone(), empty);
                }
                _ => return adopt(snapshot, &version, empty),
            },
            Ok(None) => {}
            Err(error) => return not_known(snapshot, error, empty),
        }
    }
    match request(snapshot) {
        Request::Taken(target) => requested(snapshot, *target, under_way, empty),
        Request::Refused(why) if under_way => {
            running::plan(snapshot, Plan { refusal: Some(why), ..empty })
        }
        Request::None | Request::Unknown(_) if under_way => running::plan(snapshot, empty),
        Request::Refused(why) => idle(snapshot, Plan { refusal: Some(why), ..empty }),
        Request::None | Request::Unknown(_) => idle(snapshot, empty),
    }
}

/// Imported clusters are none of ours; what was found once stays while it cannot be read.
fn not_upgradable(snapshot: &Snapshot) -> Option<String> {
    match &snapshot.cluster_object {
        Observed::Value(cluster) => {
            let imported = cluster.as_ref().is_some_and(|c| c.kind == api::names::IMPORTED);
            (imported && !snapshot.is_global).then(|| {
                "the cluster was imported; this product does not manage its platform version"
                    .to_owned()
            })
        }
        Observed::KindAbsent => None,
        Observed::Unknown(_) | Observed::NotRead => {
            let status = snapshot.status();
            let ready = conditions::find(&status.conditions, ConditionType::Ready)?;
            let before = ready.reason == ConditionReason::NotUpgradable.as_str();
            before.then(|| ready.message.clone())
        }
    }
}

/// Whether something is installed is not known: what is asked for waits for the answer.
fn not_known(snapshot: &Snapshot, error: String, base: Plan) -> Plan {
    let refusal = match request(snapshot) {
        Request::Taken(target) => {
            let before = snapshot.status().preflight;
            let result = preflight::run(snapshot, &target, before.as_ref(), Run::Routine);
            return waiting(snapshot, *target, result, Some(Hold::Unknown(error)), base);
        }
        Request::Refused(why) => Some(why),
        Request::None | Request::Unknown(_) => None,
    };
    Plan {
        situation: Situation::NotInstalled,
        refusal,
        obstacle: Some((StalledReason::ClusterUnreachable, error)),
        wake_at: after(snapshot, UNKNOWN_INTERVAL_S),
        ..base
    }
}

/// Something else installed the version, or the ClusterVersionShadow was lost. The image is known
/// where everything installed comes from one.
fn adopt(snapshot: &Snapshot, version: &Version, base: Plan) -> Plan {
    let version = version.to_string();
    let mut images: Vec<&str> = snapshot
        .app_releases
        .value()
        .into_iter()
        .flatten()
        .filter(|(_, facts)| facts.spec.module_info.is_empty() && facts.status.release == version)
        .map(|(_, facts)| facts.status.release_image.as_str())
        .collect();
    images.sort_unstable();
    images.dedup();
    let image = if let [one] = images.as_slice() { (*one).to_owned() } else { String::new() };
    Plan {
        situation: Situation::Adopt(VersionImage { version, image }),
        wake_at: Some(snapshot.now),
        ..base
    }
}

/// Nothing is asked for: judge the highest version offered, keep customisations in force. A cluster
/// that cannot be reached is asked again, for nobody else finds out that it is dead.
fn idle(snapshot: &Snapshot, base: Plan) -> Plan {
    let plan = kept_up(snapshot, base);
    match snapshot.unreachable() {
        Some(error) => Plan {
            obstacle: Some((StalledReason::ClusterUnreachable, error.to_owned())),
            wake_at: earliest(plan.wake_at, wake::of_unreachable(snapshot)),
            ..plan
        },
        None => plan,
    }
}

fn kept_up(snapshot: &Snapshot, base: Plan) -> Plan {
    if snapshot.status().current.is_none() {
        return judge_highest(snapshot, Plan { situation: Situation::NotInstalled, ..base });
    }
    let upkeep = customisations::upkeep(snapshot);
    let plan = judge_highest(snapshot, Plan { steps: upkeep.steps, ..base });
    Plan { wake_at: earliest(plan.wake_at, upkeep.wake_at), ..plan }
}

fn judge_highest(snapshot: &Snapshot, base: Plan) -> Plan {
    let Some(target) = highest(snapshot, base.offers.as_ref()) else {
        // What is offered is not known: looked at again soon.
        let unknown = base.offers.is_none();
        let wake_at = if unknown { after(snapshot, UNKNOWN_INTERVAL_S) } else { base.wake_at };
        return Plan { wake_at, ..base };
    };
    let status = snapshot.status();
    let result = preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Routine);
    let wake_at = wake::of_preflight(snapshot, &target, &result);
    Plan { target: Some(target), preflight: Some(result), wake_at, ..base }
}

/// The highest version offered, or the one that was offered before while nothing can be read.
fn highest(snapshot: &Snapshot, offers: Option<&Offers>) -> Option<Target> {
    let parse = |v: &VersionImage| v.version.parse::<Version>().ok();
    let Some(offers) = offers else {
        let status = snapshot.status();
        let before = status.available_updates.first()?;
        let error = manifests_unknown(snapshot).or_else(|| snapshot.installed_version().err())?;
        return Some(Target::unknown(parse(before)?, before.image.clone(), &error));
    };
    let version = offers.available.first().and_then(parse)?;
    manifest_of(snapshot, &version).map(Target::of_manifest)
}

/// A version is asked for: its preflight decides whether the upgrade begins.
fn requested(snapshot: &Snapshot, target: Target, under_way: bool, base: Plan) -> Plan {
    let status = snapshot.status();
    let routine = preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Routine);
    let hold = rules::may_begin(snapshot, &target).err();
    let decisive = if preflight::summary(&routine) == Summary::Passed && hold.is_none() {
        preflight::run(snapshot, &target, status.preflight.as_ref(), Run::Decisive)
    } else {
        routine
    };
    let opens = preflight::summary(&decisive) == Summary::Passed && hold.is_none();
    if let Some(stages) = new_stages(snapshot, &target).filter(|_| opens) {
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
        let refusal = Some(way_out_waits(&decisive, hold.as_ref()));
        return running::plan(snapshot, Plan { refusal, ..base });
    }
    waiting(snapshot, target, decisive, hold, base)
}

fn new_stages(snapshot: &Snapshot, target: &Target) -> Option<Vec<Stage>> {
    let none = Installed::new();
    let installed = snapshot.app_releases.or_empty(&none).ok()?;
    Some(stages::build(snapshot, target.release.value()?, installed))
}

/// The checks, or a rule that no setting disables, hold the upgrade; what is installed is kept up.
fn waiting(
    snapshot: &Snapshot,
    target: Target,
    preflight: Preflight,
    hold: Option<Hold>,
    base: Plan,
) -> Plan {
    let upkeep = customisations::upkeep(snapshot);
    let interval = match &hold {
        Some(Hold::Unknown(_)) => UNKNOWN_INTERVAL_S,
        Some(Hold::Broken(_)) | None => PREFLIGHT_INTERVAL_S,
    };
    let held_until = hold.as_ref().and_then(|_| after(snapshot, interval));
    let wake_at = earliest(wake::of_preflight(snapshot, &target, &preflight), held_until);
    Plan {
        situation: Situation::Waiting { held_by: hold.as_ref().map(|h| h.message().to_owned()) },
        target: Some(target),
        preflight: Some(preflight),
        obstacle: hold.map(|h| (h.reason(), h.message().to_owned())),
        steps: upkeep.steps,
        wake_at: earliest(wake_at, upkeep.wake_at),
        ..base
    }
}

fn way_out_waits(preflight: &Preflight, hold: Option<&Hold>) -> String {
    let why = match (hold, preflight::summary(preflight)) {
        (Some(hold), _) => hold.message().to_owned(),
        (None, Summary::Failed(names) | Summary::Retrying(names)) => api::text::names(&names),
        (None, Summary::Passed) => "its release could not be read".to_owned(),
    };
    format!("{} waits for its preflight, the upgrade under way goes on: {why}", preflight.version)
}
