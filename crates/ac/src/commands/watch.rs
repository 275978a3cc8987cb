//! `ac adm upgrade status --watch`: follows a cluster until it is at its target.
//!
//! The state is read before this begins, so a cluster that is there already ends it at once. What
//! the API server loses is said, and it is tried again until the time is over.

use super::{Session, status};
use crate::api_server::Look;
use crate::arguments::{Output, Status};
use crate::assessment::{Assessment, State};
use crate::elapsed;
use crate::failure::Failure;
use crate::render;
use crate::shadow::Shadow;
use api::failure::chain;
use api::names::NAMESPACE;
use futures::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

/// Time between two drawings on a terminal, so that ages stay right.
const REDRAW: Duration = Duration::from_secs(1);
/// Exit status after Ctrl-C, as of any process that is interrupted.
const INTERRUPTED: u8 = 130;
/// Clears the screen and goes to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Why following ends or goes on.
enum Turn {
    Look(Look),
    Tick,
    TimeOver,
    Interrupted,
}

/// Follows a cluster.
pub(super) async fn run(
    shadow: Shadow,
    flags: &Status,
    session: &mut Session<'_, '_>,
) -> Result<u8, Failure> {
    let mut watched = Watched::new(flags, session);
    if watched.take(&shadow, session)? {
        watched.end(session)?;
        return Ok(0);
    }
    let end = flags.timeout.map(|limit| Instant::now() + limit);
    let mut looks = Box::pin(session.server.watch_shadow(&watched.cluster));
    let mut interrupt = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let over = async { tokio::time::sleep_until(end.unwrap_or_else(far)).await };
        let turn = tokio::select! {
            biased;
            _ = &mut interrupt => Turn::Interrupted,
            () = over, if end.is_some() => Turn::TimeOver,
            look = looks.next() => look.map_or(Turn::Tick, Turn::Look),
            () = tokio::time::sleep(REDRAW), if watched.redraw => Turn::Tick,
        };
        match turn {
            Turn::Look(Look::Now(shadow)) => {
                watched.found(session);
                if watched.take(&shadow, session)? {
                    watched.end(session)?;
                    return Ok(0);
                }
            }
            Turn::Look(Look::Gone) => {
                return Err(Failure::refused(
                    format!("ClusterVersionShadow {} was deleted", watched.cluster),
                    vec![format!("see which clusters there are: kubectl get cvsh -n {NAMESPACE}")],
                ));
            }
            Turn::Look(Look::Lost(failure)) => {
                if !failure.may_pass() && !expired(&failure) {
                    return Err(failure);
                }
                watched.lost(&failure, session);
            }
            Turn::Tick => watched.draw(session)?,
            Turn::TimeOver => {
                watched.end(session)?;
                if let (true, Some(last)) = (flags.exit_code, &watched.last) {
                    return Ok(last.state.exit_code());
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

struct Watched<'a> {
    cluster: String,
    flags: &'a Status,
    /// Whether a terminal is drawn again; otherwise changes are told line by line.
    redraw: bool,
    last: Option<Assessment>,
    /// Since the API server is away: what was said of it.
    away: Option<String>,
}

impl<'a> Watched<'a> {
    fn new(flags: &'a Status, session: &Session<'_, '_>) -> Self {
        let machine = matches!(flags.output, Some(Output::Json | Output::Yaml));
        let redraw = session.environment.can_redraw() && !machine;
        Self { cluster: String::new(), flags, redraw, last: None, away: None }
    }

    /// Takes a look in and shows it; answers whether the cluster is at its target.
    fn take(&mut self, shadow: &Shadow, session: &mut Session<'_, '_>) -> Result<bool, Failure> {
        let next = Assessment::of(shadow);
        self.cluster.clone_from(&next.cluster);
        let reached = next.state.exit_code() == 0 && !waits_for_operator(&next);
        let before = self.last.replace(next);
        if self.redraw {
            self.draw(session)?;
        } else {
            self.tell(before.as_ref(), session)?;
        }
        Ok(reached)
    }

    /// One line a change, or one document where a program reads.
    fn tell(
        &self,
        before: Option<&Assessment>,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Failure> {
        let Some(now) = &self.last else { return Ok(()) };
        let moment = (session.environment.now)();
        let lines = render::changes(before, now, moment);
        if lines.is_empty() {
            return Ok(());
        }
        let document = crate::UpgradeStatus::of(now, moment);
        let text = match self.flags.output {
            Some(Output::Json) => document.json_line()?,
            Some(Output::Yaml) => format!("---\n{}", document.yaml()?),
            Some(Output::Wide) | None => {
                let time = elapsed::second(moment);
                lines.iter().map(|line| format!("{time}  {line}\n")).collect()
            }
        };
        session.printer.data(&text)
    }

    /// Draws the whole status again, as much of it as the terminal holds.
    fn draw(&self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        let (Some(now), true) = (&self.last, self.redraw) else { return Ok(()) };
        let text = render::status(now, &session.view(status::detail(self.flags)));
        let height = session.environment.terminal().map_or(usize::MAX, |size| size.height);
        let away = self.away.as_ref().map(|said| format!("{said}\n")).unwrap_or_default();
        let room = height.saturating_sub(2 + away.lines().count());
        let mut shown: String = text.lines().take(room).map(|line| format!("{line}\n")).collect();
        let hidden = text.lines().count().saturating_sub(room);
        if hidden > 0 {
            shown.push_str(&format!("... {hidden} more lines: {}\n", self.command(session)));
        }
        session.printer.data(&format!("{CLEAR}{shown}{away}"))
    }

    /// Shows the whole status a last time.
    fn end(&self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        let machine = matches!(self.flags.output, Some(Output::Json | Output::Yaml));
        // A program has had the last document already.
        if let (Some(now), false) = (&self.last, machine) {
            let text = render::status(now, &session.view(status::detail(self.flags)));
            let before = if self.redraw { CLEAR } else { "\n" };
            session.printer.data(&format!("{before}{text}"))?;
        }
        Ok(())
    }

    fn lost(&mut self, failure: &Failure, session: &mut Session<'_, '_>) {
        if self.away.is_some() {
            return;
        }
        let since = elapsed::second((session.environment.now)());
        let said = format!("{since}  {}; trying again", chain(failure));
        if !self.redraw {
            session.printer.note(&said);
        }
        self.away = Some(said);
    }

    fn found(&mut self, session: &mut Session<'_, '_>) {
        if self.away.take().is_some() && !self.redraw {
            let time = elapsed::second((session.environment.now)());
            session.printer.note(&format!("{time}  the API server answers again"));
        }
    }

    fn command(&self, session: &Session<'_, '_>) -> String {
        let program = &session.environment.program;
        format!("{program} adm upgrade status --cluster={}", self.cluster)
    }
}

/// A newer request has not been looked at: what status says is not about it.
fn waits_for_operator(assessment: &Assessment) -> bool {
    assessment.unobserved
        && assessment.state != State::NotUpgradable
        && assessment.requested.is_some()
}
