//! The one line that says how a cluster stands.
//!
//! Must not repeat what blocks it; that is said below the line, with the command that clears it.

use super::{Assessment, State, Tally};
use crate::elapsed;
use api::ConditionType;
use jiff::Timestamp;

impl Assessment {
    /// The verdict, one sentence or a few on one line.
    #[must_use]
    pub fn verdict(&self, now: Timestamp) -> String {
        let cluster = &self.cluster;
        let current = self.current.as_deref().unwrap_or("no version");
        let target = self.target.as_deref().unwrap_or("an unknown version");
        let journey = match &self.current {
            Some(current) => format!("upgrade {current} -> {target}"),
            None => format!("installation of {target}"),
        };
        match self.state {
            State::NoResult => format!(
                "Cluster {cluster}: no result yet; the cluster version operator has written no status."
            ),
            State::NotInstalled => {
                format!("Cluster {cluster}: nothing is installed yet.{}", self.offer())
            }
            State::AtTarget => {
                format!("Cluster {cluster} is at {current}.{}", self.idle(now))
            }
            State::NotUpgradable => {
                format!("Cluster {cluster} is at {current}. It is not upgraded by this platform.")
            }
            State::Requested => format!(
                "Cluster {cluster}: {journey} is REQUESTED; the cluster version operator has not taken it up yet."
            ),
            State::WaitingForPreflight => {
                format!("Cluster {cluster}: {journey} WAITS for preflight{}.", self.waiting())
            }
            State::Blocked => format!("Cluster {cluster}: {journey} is BLOCKED{}.", self.blocked()),
            State::Refused => {
                let at = match &self.current {
                    Some(current) => format!("is at {current}"),
                    None => "has nothing installed".to_owned(),
                };
                format!("Cluster {cluster} {at}. The request for {target} is REFUSED.")
            }
            State::Unreachable => format!(
                "Cluster {cluster}: at {current}, UNREACHABLE{}; it is asked again by itself.",
                self.unreachable_for(now)
            ),
            State::Unknown => format!(
                "Cluster {cluster}: at {current}, in a state that this ac does not know{}",
                self.ready_in_words()
            ),
            State::Upgrading => format!("Cluster {cluster}: {}", self.running(now)),
            State::Stalled => format!("Cluster {cluster}: {}", self.standing(now)),
        }
    }

    fn unreachable_for(&self, now: Timestamp) -> String {
        self.unreachable().map_or_else(String::new, |found| {
            format!(" for {}", elapsed::between(&found.last_transition_time, now))
        })
    }

    fn ready_in_words(&self) -> String {
        let ready = self.condition(ConditionType::Ready);
        ready.map_or_else(String::new, |ready| {
            let parts = [ready.status.as_str(), &ready.reason, &ready.message];
            let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
            format!(": Ready is {}", parts.join(": "))
        })
    }

    fn idle(&self, now: Timestamp) -> String {
        if self.target.is_some() {
            return self.offer();
        }
        let ended = self.completed().and_then(|entry| entry.completion_time.as_ref());
        match (ended, self.completed().and_then(|entry| entry.started_time.as_ref())) {
            // Older upgrades are told by the history.
            (Some(end), Some(start)) if now.as_second() - end.0.as_second() < 86_400 => {
                let (ago, took) = (elapsed::between(end, now), elapsed::between(start, end.0));
                format!(" Completed {ago} ago, in {took}. No newer version is offered.")
            }
            _ => " No newer version is offered.".to_owned(),
        }
    }

    /// What stands with the version that is offered.
    fn offer(&self) -> String {
        let Some(target) = &self.target else { return String::new() };
        let what = if self.current.is_some() { "Upgrade to" } else { "Installation of" };
        let Some(tally) = self.preflight().map(Tally::of) else {
            return format!(" {what} {target} is offered; preflight: no result yet.");
        };
        match tally {
            Tally { failed: 1.., .. } => format!(" {what} {target} is BLOCKED{}.", self.blocked()),
            Tally { retry: 1.., .. } => {
                format!(" {what} {target} is offered; {}", answered_later(tally))
            }
            _ => format!(" {what} {target} is available: preflight passed, {}.", passed(tally)),
        }
    }

    fn blocked(&self) -> String {
        match self.preflight().map(Tally::of) {
            Some(Tally { failed, total, .. }) if failed > 0 => {
                format!(": {failed} of {total} preflight checks failed")
            }
            Some(Tally { retry, total, .. }) if retry > 0 => {
                format!(": {retry} of {total} preflight checks could not be answered for too long")
            }
            _ => String::new(),
        }
    }

    fn waiting(&self) -> String {
        match self.preflight().map(Tally::of) {
            Some(tally) if tally.retry > 0 => {
                format!(": {}", answered_later(tally).trim_end_matches('.'))
            }
            Some(_) => String::new(),
            None => ": no result yet".to_owned(),
        }
    }

    fn journey_in_flight(&self) -> String {
        let target = self.target.as_deref().unwrap_or("an unknown version");
        match &self.current {
            Some(current) => format!("upgrading {current} -> {target}"),
            None => format!("installing {target}"),
        }
    }

    fn running(&self, now: Timestamp) -> String {
        let begun = self.under_way().and_then(|entry| entry.started_time.as_ref());
        let age = begun
            .map_or_else(String::new, |start| format!(" for {}", elapsed::between(start, now)));
        let stage =
            self.stage().map_or_else(String::new, |(at, all)| format!(" Stage {at} of {all}."));
        let blocked = self.blocked_operations();
        let waits = match blocked {
            0 => String::new(),
            1 => " 1 operation is held up.".to_owned(),
            more => format!(" {more} operations are held up."),
        };
        format!("{}, RUNNING{age}.{stage}{waits}", self.journey_in_flight())
    }

    fn standing(&self, now: Timestamp) -> String {
        let (since, reason) = self.stalled().map_or_else(
            || (String::new(), String::new()),
            |(since, reason)| {
                (format!(" for {}", elapsed::between(since, now)), format!(": {reason}"))
            },
        );
        if !self.in_flight() {
            let current = self.current.as_deref().unwrap_or("no version");
            return format!("at {current}, STALLED{since}{reason}. It needs you.");
        }
        let stage =
            self.stage().map_or_else(String::new, |(at, all)| format!(" in stage {at} of {all}"));
        format!("{}, STALLED{since}{stage}{reason}. It needs you.", self.journey_in_flight())
    }

    fn blocked_operations(&self) -> usize {
        let operations = self.status.stages.iter().flat_map(|stage| &stage.operations);
        operations.filter(|operation| operation.blocker.is_some()).count()
    }
}

fn answered_later(tally: Tally) -> String {
    let Tally { retry, total, .. } = tally;
    let runs = if retry == 1 { "it runs again by itself" } else { "they run again by themselves" };
    format!("{retry} of {total} preflight checks could not be answered; {runs}.")
}

/// `12 of 13 checks, 1 disabled`.
pub(super) fn passed(tally: Tally) -> String {
    let disabled = match tally.disabled {
        0 => String::new(),
        some => format!(", {some} disabled"),
    };
    format!("{} of {} checks{disabled}", tally.passed, tally.total)
}
