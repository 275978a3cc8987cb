//! `ac adm upgrade status --watch`: follows a cluster until it is at its target, or all clusters
//! until each is.
//!
//! The state is read before this begins, so what is there already ends it at once. What the API
//! server loses is said, and it is tried again until the time is over.

mod watched;

use super::Session;
use crate::api_server::Look;
use crate::arguments::Status;
use crate::failure::Failure;
use crate::shadow::Shadow;
use api::names::NAMESPACE;
use futures::StreamExt;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};
use watched::Watched;

pub(super) use watched::Whom;

/// Time between two drawings on a terminal, so that ages stay right.
const REDRAW: Duration = Duration::from_secs(1);
/// Exit status after Ctrl-C, as of any process that is interrupted.
const INTERRUPTED: u8 = 130;

/// Why following ends or goes on.
enum Turn {
    Look(Look),
    Tick,
    TimeOver,
    Interrupted,
}

/// Follows the clusters of which these looks are the first.
pub(super) async fn run(
    whom: Whom,
    first: &[Shadow],
    flags: &Status,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let mut watched = Watched::new(whom, first, flags, session);
    watched.begin(session)?;
    if watched.reached() {
        watched.end(session)?;
        return Ok(0);
    }
    let end = flags.timeout.map(|limit| Instant::now() + limit);
    let mut looks = Box::pin(session.server.watch_shadows(watched.only(), watched.names()));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    let mut redraw = tokio::time::interval(REDRAW);
    redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let over = async { tokio::time::sleep_until(end.unwrap_or_else(far)).await };
        let turn = tokio::select! {
            biased;
            _ = &mut interrupt => Turn::Interrupted,
            () = over, if end.is_some() => Turn::TimeOver,
            // However many looks there are, ages stay right.
            _ = redraw.tick(), if watched.redraws() => Turn::Tick,
            look = looks.next() => look.map_or(Turn::Tick, Turn::Look),
        };
        match turn {
            Turn::Look(Look::Now(shadow)) => {
                watched.found(session);
                watched.take(&shadow, session)?;
            }
            Turn::Look(Look::Gone(name)) => match &watched.whom {
                Whom::One(cluster) => {
                    return Err(Failure::refused(
                        format!("ClusterVersionShadow {cluster} was deleted"),
                        vec![format!(
                            "see which clusters there are: kubectl get cvsh -n {NAMESPACE}"
                        )],
                    ));
                }
                Whom::All => watched.leaves(&name, session)?,
            },
            Turn::Look(Look::Anew) => watched.is_listed = false,
            Turn::Look(Look::Listed) => watched.is_listed = true,
            Turn::Look(Look::Lost(failure)) => {
                if !failure.may_pass() && !expired(&failure) {
                    return Err(failure);
                }
                watched.lost(&failure, session);
            }
            Turn::Tick => watched.draw(session)?,
            Turn::TimeOver => {
                watched.end(session)?;
                if flags.exit_code {
                    return Ok(watched.exit_code());
                }
                return Err(Failure::refused(
                    "the time of --timeout is over; the upgrade goes on by itself",
                    vec![format!("look again: {}", watched.command(session))],
                ));
            }
            Turn::Interrupted => {
                session.printer.note("Stopped following; the upgrade goes on by itself.");
                return Ok(INTERRUPTED);
            }
        }
        if watched.reached() {
            watched.end(session)?;
            return Ok(0);
        }
    }
}

/// A moment that never comes while a process lives.
fn far() -> Instant {
    Instant::now() + Duration::from_secs(86_400 * 365)
}

/// The place in the stream of changes is too old: the list that follows brings the present state.
fn expired(failure: &Failure) -> bool {
    matches!(failure, Failure::Answer { code: 410, .. })
}
