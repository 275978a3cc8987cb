//! `ac adm upgrade --to=…` and `--to-latest`: asks for a version.
//!
//! Writes spec.desiredUpdate.version and nothing else. Whether the cluster may move is decided by
//! the operator and its preflight; what is checked here only spares the user a refused request.

use super::Session;
use crate::arguments::Upgrade;
use crate::assessment::{Assessment, State};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::offer;
use crate::render::{self, Detail};
use crate::shadow::Shadow;
use api::Version;
use std::time::Duration;

/// How often and how long the operator's answer is looked for.
const LOOKS: u32 = 20;
/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// What the command line asks for.
pub(super) enum Wish {
    /// The highest version offered.
    Latest,
    /// This version.
    Version {
        /// The version.
        version: String,
        /// Whether it need not be offered.
        explicit: bool,
    },
}

/// Reads the wish off the command line.
///
/// # Errors
/// The flags contradict each other, or the version is none.
pub(super) fn wish(flags: &Upgrade, environment: &Environment) -> Result<Option<Wish>, Failure> {
    let program = &environment.program;
    let asks = flags.to.is_some() || flags.to_latest || flags.allow_explicit_upgrade;
    if flags.command.is_some() && asks {
        return Err(Failure::usage(
            "status only shows: --to, --to-latest and --allow-explicit-upgrade do not go with it",
            format!("ask first: {program} adm upgrade --to=<version>"),
        ));
    }
    match (&flags.to, flags.to_latest, flags.allow_explicit_upgrade) {
        (Some(_), true, _) => Err(Failure::usage(
            "--to and --to-latest ask for two things at once",
            "pass one of them",
        )),
        (None, _, true) => Err(Failure::usage(
            "--allow-explicit-upgrade goes with --to",
            format!(
                "name the version: {program} adm upgrade --to=<version> --allow-explicit-upgrade"
            ),
        )),
        (None, true, false) => Ok(Some(Wish::Latest)),
        (None, false, false) => Ok(None),
        (Some(version), false, explicit) => {
            Ok(Some(Wish::Version { version: well_formed(version, "--to")?, explicit }))
        }
    }
}

/// A version, or the usage error that says how one is written.
pub(super) fn well_formed(text: &str, flag: &str) -> Result<String, Failure> {
    match text.parse::<Version>() {
        Ok(version) => Ok(version.to_string()),
        Err(error) => {
            let plain = text.strip_prefix('v').filter(|rest| rest.parse::<Version>().is_ok());
            let hint = plain.map_or_else(
                || format!("write all three numbers, for example {flag}=4.3.0"),
                |plain| format!("write it without the v: {flag}={plain}"),
            );
            Err(Failure::usage(error.to_string(), hint))
        }
    }
}

/// Asks for a version and shows what the operator answers.
pub(super) async fn run(
    cluster: &str,
    wish: &Wish,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let shadow = session.server.shadow(cluster).await?;
    let assessment = Assessment::of(&shadow);
    let Some(version) = choose(&assessment, wish, session).await? else {
        return Ok(0);
    };
    let written = session.server.request(cluster, &version).await?;
    let journey = match &assessment.current {
        Some(current) if *current == version => {
            format!("that cluster {cluster} stays at {version}")
        }
        Some(current) => format!("upgrade of cluster {cluster}: {current} -> {version}"),
        None => format!("installation of {version} on cluster {cluster}"),
    };
    session.printer.data(&format!("Requested {journey}.\n"))?;
    let answered = answer(cluster, written, session).await?;
    tell(&answered, &version, session)
}

/// The version to ask for; `None` where nothing is left to ask, which has then been said.
async fn choose(
    assessment: &Assessment,
    wish: &Wish,
    session: &mut Session<'_, '_>,
) -> Result<Option<String>, Failure> {
    let highest = assessment.status.available_updates.first().map(|offer| offer.version.clone());
    let moving_to = moving_to(assessment);
    let (version, explicit) = match wish {
        Wish::Version { version, explicit } => (version.clone(), *explicit),
        Wish::Latest => match (highest, moving_to) {
            // While it moves there, the highest version may no longer be offered.
            (None, Some(desired)) => (desired.to_owned(), false),
            (Some(offer), Some(desired)) if !offer::is_lower(desired, &offer) => {
                (desired.to_owned(), false)
            }
            (Some(offer), _) => (offer, false),
            (None, None) => {
                let manifests = session.server.manifests().await?;
                let (cluster, program) = (&assessment.cluster, &session.environment.program);
                return Err(offer::none_offered(cluster, &assessment.status, &manifests, program));
            }
        },
    };
    let moves_there = moving_to == Some(version.as_str());
    let stays = moving_to.is_none() && assessment.current.as_ref() == Some(&version);
    // Another wish stands: what is there already must be asked for, or the other is taken later.
    if (moves_there || stays) && assessment.requested.as_ref().is_some_and(|wish| *wish != version)
    {
        return Ok(Some(version));
    }
    if let Some(already) = already(assessment, &version) {
        let follow = follow(assessment, &session.environment.program);
        session.printer.data(&format!("{already}\n{follow}"))?;
        return Ok(None);
    }
    let offered = assessment.status.available_updates.iter().any(|offer| offer.version == version);
    if offered || explicit {
        return Ok(Some(version));
    }
    let manifests = session.server.manifests().await?;
    let (cluster, program) = (&assessment.cluster, &session.environment.program);
    Err(offer::not_offered(&version, cluster, &assessment.status, &manifests, program))
}

/// The version that the operator has accepted and that is not reached yet.
fn moving_to(assessment: &Assessment) -> Option<&str> {
    let desired = assessment.status.desired.as_ref().map(|desired| desired.version.as_str());
    desired.filter(|desired| Some(*desired) != assessment.current.as_deref())
}

/// Says that a version is desired or current already.
fn already(assessment: &Assessment, version: &str) -> Option<String> {
    let (cluster, moving_to) = (&assessment.cluster, moving_to(assessment));
    if moving_to == Some(version) {
        return Some(format!(
            "Cluster {cluster} is already asked to be at {version}; nothing was changed."
        ));
    }
    if assessment.current.as_deref() != Some(version) {
        return None;
    }
    Some(match moving_to {
        Some(desired) => format!(
            "Cluster {cluster} is already at {version}, and its upgrade to {desired} goes on; nothing was changed."
        ),
        None => format!("Cluster {cluster} is already at {version}; nothing was changed."),
    })
}

/// Waits a few seconds for the operator to answer a request.
async fn answer(
    cluster: &str,
    written: Shadow,
    session: &mut Session<'_, '_>,
) -> Result<Assessment, Failure> {
    let mut assessment = Assessment::of(&written);
    for _look in 0..LOOKS {
        if !assessment.unobserved {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
        match session.server.shadow(cluster).await {
            Ok(shadow) => assessment = Assessment::of(&shadow),
            // The request was made: what passes by itself is no reason to say that it failed.
            Err(failure) if failure.may_pass() => {
                session.printer.note(&format!("{failure}; trying again"));
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(assessment)
}

fn tell(
    answered: &Assessment,
    version: &str,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let program = &session.environment.program;
    let accepted = answered.status.desired.as_ref().is_some_and(|d| d.version == version);
    let refused = answered.state == State::Refused || (answered.in_flight() && !accepted);
    if refused && !answered.unobserved {
        let item =
            answered.attention().into_iter().find(|a| a.kind == crate::assessment::Kind::Refused);
        let (message, remedy) = item.map(|item| (item.message, item.remedy)).unwrap_or_default();
        let hints = vec![remedy, format!("see: {}", answered.status_command(program))];
        return Err(Failure::refused(
            format!("the cluster version operator refuses the request for {version}: {message}"),
            hints.into_iter().filter(|hint| !hint.is_empty()).collect(),
        ));
    }
    let follow = follow(answered, program);
    let view = session.view(Detail::Brief);
    let next = match answered.state {
        _ if answered.unobserved => {
            "The cluster version operator has not answered yet; nothing has changed.\n".to_owned()
        }
        State::Upgrading => "The upgrade has begun.\n".to_owned(),
        _ => render::answer(answered, &view),
    };
    session.printer.data(&format!("{next}{follow}"))?;
    Ok(0)
}

fn follow(assessment: &Assessment, program: &str) -> String {
    let command = assessment.status_command(program);
    match assessment.state.exit_code() {
        0 => format!("More: {command}\n"),
        _ => format!("Follow: {command} --watch\n"),
    }
}
