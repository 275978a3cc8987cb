//! What blocks a cluster or holds it up, each with the command that clears it.
//!
//! The words come from status: remedies of checks, blockers of operations, the message of
//! Stalled, and the closed table of Stalled reasons. Must not guess causes of its own.

use super::{Assessment, State};
use api::checks::CheckReason;
use api::conditions::ConditionReason;
use api::{CheckState, ConditionType, Operation, Phase, StalledReason, Time};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub enum Kind {
    /// Nothing moves until a person acts.
    Stalled,
    /// The request was not taken.
    Refused,
    /// A check failed.
    Failed,
    /// What an administrator set is not obeyed.
    Ignored,
    /// Something waits, and may end by itself.
    Waiting,
}

impl Kind {
    /// The word as users see it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stalled => "STALLED",
            Self::Refused => "REFUSED",
            Self::Failed => "FAILED",
            Self::Ignored => "IGNORED",
            Self::Waiting => "WAITS",
        }
    }
}

/// One thing that wants attention.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attention {
    /// How bad it is.
    pub kind: Kind,
    /// What it is about: a check, an operation, the request.
    pub subject: String,
    /// Why, in one word; empty where there is none.
    pub reason: String,
    /// Why, in a sentence.
    pub message: String,
    /// What clears it; empty where it clears by itself.
    pub remedy: String,
    /// Since when.
    pub since: Option<Time>,
}

impl Attention {
    /// What it is about and why, on one line.
    #[must_use]
    pub fn one_line(&self) -> String {
        let parts = [self.subject.as_str(), &self.reason, &self.message];
        let parts: Vec<&str> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(": ")
    }
}

impl Assessment {
    /// What wants attention, the worst first.
    #[must_use]
    pub fn attention(&self) -> Vec<Attention> {
        let operations = self.operations();
        let mut all = Vec::new();
        all.extend(self.stalled_condition(&operations));
        all.extend(operations);
        all.extend(self.request_not_taken());
        all.extend(self.checks());
        all.extend(self.upkeep());
        all.extend(self.does_not_answer());
        all.extend(self.settings());
        all.extend(self.silent_operator());
        all.sort_by_key(|item| item.kind);
        all
    }

    /// The operator has not answered, or has answered an older request.
    fn silent_operator(&self) -> Option<Attention> {
        let message = match self.state {
            State::NoResult => "has written no status of this cluster; see whether it runs",
            State::Requested => "has not taken the request up; see whether it runs",
            _ if self.unobserved => {
                "has not looked at the newest request; the rest speaks of the one before"
            }
            _ => return None,
        };
        Some(Attention {
            kind: Kind::Waiting,
            subject: "cluster version operator".to_owned(),
            reason: String::new(),
            message: message.to_owned(),
            remedy: crate::offer::operator_command(),
            since: None,
        })
    }

    /// The Stalled condition, unless a check or an operation says the same with more detail.
    fn stalled_condition(&self, operations: &[Attention]) -> Option<Attention> {
        let stalled = self.condition(ConditionType::Stalled)?;
        let (since, reason) = self.stalled()?;
        let known = StalledReason::parse(reason);
        if self.state == State::Blocked && !self.checks().is_empty() {
            return None;
        }
        let (message, own) = api::remedy::split(&stalled.message);
        let said = |item: &Attention| item.reason == reason && message.contains(&item.message);
        if operations.iter().any(said) {
            return None;
        }
        let remedy = self.remedy(known, own);
        let kind = if self.state == State::Refused { Kind::Refused } else { Kind::Stalled };
        let subject = match self.state {
            State::Refused => {
                format!("request for {}", self.target.as_deref().unwrap_or("a version"))
            }
            _ => format!("cluster {}", self.cluster),
        };
        Some(Attention {
            kind,
            subject,
            reason: reason.to_owned(),
            message: message.to_owned(),
            remedy,
            since: Some(since.clone()),
        })
    }

    fn operations(&self) -> Vec<Attention> {
        let stages = self.status.stages.iter();
        let each = stages.flat_map(|s| s.operations.iter().map(move |o| (s.name.as_str(), o)));
        each.filter_map(|(stage, operation)| self.operation(stage, operation)).collect()
    }

    fn operation(&self, stage: &str, operation: &Operation) -> Option<Attention> {
        let subject = format!("{stage}/{}", operation.name);
        let Some(blocker) = &operation.blocker else {
            let (message, remedy) = api::remedy::split(&operation.message);
            return (operation.phase == Phase::Failed).then(|| Attention {
                kind: Kind::Failed,
                subject,
                reason: String::new(),
                message: message.to_owned(),
                remedy: remedy.to_owned(),
                since: operation.completion_time.clone().or(operation.started_time.clone()),
            });
        };
        let stalled = self.stalled().is_some_and(|(_, reason)| reason == blocker.reason.as_str());
        Some(Attention {
            kind: if stalled { Kind::Stalled } else { Kind::Waiting },
            subject,
            reason: blocker.reason.as_str().to_owned(),
            message: blocker.message.clone(),
            remedy: self.remedy(Some(blocker.reason), &blocker.remedy),
            since: Some(blocker.since.clone()),
        })
    }

    /// In flight a request is refused without being Stalled; the message of Reconciling says so.
    fn request_not_taken(&self) -> Option<Attention> {
        let wish = self.requested.as_ref()?;
        let desired = self.status.desired.as_ref().map(|desired| &desired.version);
        let reconciling = self.condition(ConditionType::Reconciling).map(|found| &found.message);
        let note = reconciling.and_then(|message| api::remedy::refusal(message));
        let differs = desired != Some(wish);
        if !self.in_flight() || self.unobserved || !(differs || note.is_some()) {
            return None;
        }
        let (message, own) = api::remedy::split(note.unwrap_or_default());
        Some(Attention {
            kind: Kind::Refused,
            subject: format!("request for {wish}"),
            reason: String::new(),
            message: message.to_owned(),
            remedy: self.remedy(Some(StalledReason::RequestRefused), own),
            since: None,
        })
    }

    /// While nothing is under way: what keeps the installed release as it should be is held up.
    fn upkeep(&self) -> Option<Attention> {
        let reconciling = self.condition(ConditionType::Reconciling)?;
        let idle = reconciling.reason == ConditionReason::Idle.as_str();
        if !idle || reconciling.message.is_empty() || self.state == State::Refused {
            return None;
        }
        let (message, remedy) = api::remedy::split(&reconciling.message);
        if let Some((component, message)) = api::objects::noted_failed_patch(message) {
            return Some(Attention {
                kind: Kind::Failed,
                subject: component.to_owned(),
                reason: StalledReason::ResourcePatchFailed.as_str().to_owned(),
                message: message.to_owned(),
                remedy: remedy.to_owned(),
                since: None,
            });
        }
        Some(Attention {
            kind: Kind::Waiting,
            subject: format!("cluster {}", self.cluster),
            reason: String::new(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
            since: None,
        })
    }

    /// Nothing is under way and the cluster cannot be reached, unless Stalled says so by now.
    fn does_not_answer(&self) -> Option<Attention> {
        let reconciling = self.unreachable()?;
        let reason = StalledReason::ClusterUnreachable;
        if self.stalled().is_some_and(|(_, stalled)| stalled == reason.as_str()) {
            return None;
        }
        Some(Attention {
            kind: Kind::Waiting,
            subject: format!("cluster {}", self.cluster),
            reason: reason.as_str().to_owned(),
            message: reconciling.message.clone(),
            remedy: self.remedy(Some(reason), ""),
            since: Some(reconciling.last_transition_time.clone()),
        })
    }

    /// Settings of the administrators that are not obeyed as they stand.
    fn settings(&self) -> Option<Attention> {
        let preflight = self.condition(ConditionType::PreflightReady)?;
        let (message, remedy) = api::config::noted_settings(&preflight.message)?;
        Some(Attention {
            kind: Kind::Ignored,
            subject: api::names::CVO_CONFIG.to_owned(),
            reason: String::new(),
            message: message.to_owned(),
            remedy: remedy.to_owned(),
            since: None,
        })
    }

    fn checks(&self) -> Vec<Attention> {
        let Some(preflight) = self.preflight().filter(|_| !self.in_flight()) else {
            return Vec::new();
        };
        let open = |state| matches!(state, CheckState::Failed | CheckState::Retry);
        let item = |check: &api::Check| Attention {
            kind: if check.state == CheckState::Failed { Kind::Failed } else { Kind::Waiting },
            subject: check.name.clone(),
            reason: word(check.reason),
            message: check.message.clone(),
            remedy: check.remedy.clone(),
            since: check.last_transition_time.clone(),
        };
        preflight.checks.iter().filter(|check| open(check.state)).map(item).collect()
    }

    /// What a message says of its remedy, else what the table of reasons says.
    fn remedy(&self, reason: Option<StalledReason>, own: &str) -> String {
        let remedy = match reason {
            _ if !own.is_empty() => own.to_owned(),
            Some(reason) => reason.remedy_for(&self.cluster),
            None => String::new(),
        };
        // The command whose output this is helps nobody.
        let only_itself = [StalledReason::PreflightFailed, StalledReason::PreflightUnknown]
            .iter()
            .any(|reason| remedy == reason.remedy_for(&self.cluster));
        if only_itself { String::new() } else { remedy }
    }
}

fn word(reason: CheckReason) -> String {
    match reason {
        CheckReason::AsExpected => String::new(),
        reason => reason.as_str().to_owned(),
    }
}
