//! What is known of the clusters that are followed, and how it is shown: drawn again and again on a
//! terminal, elsewhere a line or a document a change.

use super::super::{Session, clusters, status};
use crate::arguments::{Output, Status};
use crate::assessment::{Assessment, State};
use crate::elapsed;
use crate::failure::Failure;
use crate::render::{self, Detail};
use crate::shadow::Shadow;
use api::failure::chain;
use std::collections::{BTreeMap, BTreeSet};

/// Clears the screen and goes to its first line.
const CLEAR: &str = "\u{1b}[2J\u{1b}[H";

/// Which clusters are followed.
pub(in crate::commands) enum Whom {
    /// The one of this name, in detail.
    One(String),
    /// All of the platform, in a line each.
    All,
}

pub(super) struct Watched<'a> {
    pub(super) whom: Whom,
    flags: &'a Status,
    /// Whether a terminal is drawn again; otherwise changes are told line by line.
    redraw: bool,
    all: BTreeMap<String, Assessment>,
    /// Whether all that is known was read since the last time that all were looked at anew.
    pub(super) is_listed: bool,
    /// Whether what was printed last is the whole status.
    is_whole: bool,
    /// Since the API server is away: what was said of it.
    away: Option<String>,
}

impl<'a> Watched<'a> {
    pub(super) fn new(
        whom: Whom,
        first: &[Shadow],
        flags: &'a Status,
        session: &Session<'_, '_>,
    ) -> Self {
        let redraw = session.environment.can_redraw() && !is_for_programs(flags);
        let all = first.iter().map(Assessment::of).map(|one| (one.cluster.clone(), one)).collect();
        Self { whom, flags, redraw, all, is_listed: true, is_whole: false, away: None }
    }

    pub(super) const fn redraws(&self) -> bool {
        self.redraw
    }

    /// The only cluster that is followed, if it is one.
    pub(super) fn only(&self) -> Option<&str> {
        match &self.whom {
            Whom::One(cluster) => Some(cluster),
            Whom::All => None,
        }
    }

    /// The clusters that are known.
    pub(super) fn names(&self) -> BTreeSet<String> {
        self.all.keys().cloned().collect()
    }

    /// Whether every cluster is at its target, and has taken up what was asked for. Of many, one on
    /// which nothing is installed and nothing is asked for holds up none.
    pub(super) fn reached(&self) -> bool {
        let is_there = |one: &Assessment| {
            let is_empty = one.state == State::NotInstalled && one.requested.is_none();
            let is_empty = is_empty && matches!(self.whom, Whom::All);
            (one.state.exit_code() == 0 || is_empty) && !waits_for_operator(one)
        };
        self.is_listed && !self.all.is_empty() && self.all.values().all(is_there)
    }

    /// The exit status of the worst of them.
    pub(super) fn exit_code(&self) -> u8 {
        clusters::exit_code(self.all.values())
    }

    fn worst_first(&self) -> Vec<Assessment> {
        clusters::worst_first(self.all.values().cloned().collect())
    }

    /// Shows how it stands now.
    pub(super) fn begin(&mut self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        if self.redraw {
            return self.draw(session);
        }
        match (&self.whom, is_for_programs(self.flags)) {
            // What follows are the changes of this.
            (Whom::All, false) => {
                self.is_whole = true;
                session.printer.data(&self.text(session))
            }
            (Whom::One(_), _) | (Whom::All, true) => {
                let first: Vec<Assessment> = self.all.values().cloned().collect();
                first.iter().try_for_each(|one| {
                    let lines = self.lines(None, one, session);
                    self.tell(&lines, one, session)
                })
            }
        }
    }

    /// Takes a look in and shows it.
    pub(super) fn take(
        &mut self,
        shadow: &Shadow,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Failure> {
        let next = Assessment::of(shadow);
        let before = self.all.insert(next.cluster.clone(), next.clone());
        let lines = self.lines(before.as_ref(), &next, session);
        match (&self.whom, self.redraw) {
            (Whom::All, true) if lines.is_empty() => Ok(()),
            (_, true) => self.draw(session),
            (_, false) => self.tell(&lines, &next, session),
        }
    }

    /// A cluster is there no more.
    pub(super) fn leaves(
        &mut self,
        name: &str,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Failure> {
        self.all.remove(name);
        if self.redraw {
            return self.draw(session);
        }
        self.is_whole = false;
        let time = elapsed::second((session.environment.now)());
        session.printer.note(&format!("{time}  Cluster {name} has left the platform."));
        Ok(())
    }

    /// What changed, a line each.
    fn lines(
        &self,
        before: Option<&Assessment>,
        now: &Assessment,
        session: &Session<'_, '_>,
    ) -> Vec<String> {
        let moment = (session.environment.now)();
        match &self.whom {
            Whom::One(_) => render::changes(before, now, moment),
            Whom::All => render::moves(before, now, moment),
        }
    }

    /// One line a change, or one document where a program reads.
    fn tell(
        &mut self,
        lines: &[String],
        now: &Assessment,
        session: &mut Session<'_, '_>,
    ) -> Result<(), Failure> {
        let moment = (session.environment.now)();
        if lines.is_empty() {
            return Ok(());
        }
        let document = crate::UpgradeStatus::of(now, moment);
        let text = match self.flags.output {
            Some(Output::Json) => document.json_line()?,
            Some(Output::Yaml) => format!("---\n{}", document.yaml()?),
            Some(Output::Wide) | None => {
                let time = elapsed::second(moment);
                let lines = lines.iter().map(|line| format!("{time}  {line}\n"));
                let begin = if std::mem::take(&mut self.is_whole) { "\n" } else { "" };
                begin.to_owned() + &lines.collect::<String>()
            }
        };
        session.printer.data(&text)
    }

    /// Everything that is to be seen.
    fn text(&self, session: &Session<'_, '_>) -> String {
        match &self.whom {
            Whom::One(_) => {
                let view = session.view(status::detail(self.flags));
                self.all.values().map(|one| render::status(one, &view)).collect()
            }
            Whom::All => render::fleet(&self.worst_first(), &session.view(Detail::Brief)),
        }
    }

    /// Draws the whole status again, as much of it as the terminal holds.
    pub(super) fn draw(&self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        if !self.redraw {
            return Ok(());
        }
        let text = self.text(session);
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
    pub(super) fn end(&self, session: &mut Session<'_, '_>) -> Result<(), Failure> {
        // A program has had the last documents already.
        if is_for_programs(self.flags) || self.is_whole {
            return Ok(());
        }
        let before = if self.redraw { CLEAR } else { "\n" };
        session.printer.data(&format!("{before}{}", self.text(session)))
    }

    pub(super) fn lost(&mut self, failure: &Failure, session: &mut Session<'_, '_>) {
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

    pub(super) fn found(&mut self, session: &mut Session<'_, '_>) {
        if self.away.take().is_some() && !self.redraw {
            let time = elapsed::second((session.environment.now)());
            session.printer.note(&format!("{time}  the API server answers again"));
        }
    }

    pub(super) fn command(&self, session: &Session<'_, '_>) -> String {
        let program = &session.environment.program;
        match &self.whom {
            Whom::One(cluster) => format!("{program} adm upgrade status --cluster={cluster}"),
            Whom::All => format!("{program} adm upgrade status --all-clusters"),
        }
    }
}

/// Whether what is printed is read by a program.
const fn is_for_programs(flags: &Status) -> bool {
    matches!(flags.output, Some(Output::Json | Output::Yaml))
}

/// A newer request has not been looked at: what status says is not about it.
fn waits_for_operator(assessment: &Assessment) -> bool {
    assessment.unobserved
        && assessment.state != State::NotUpgradable
        && assessment.requested.is_some()
}
