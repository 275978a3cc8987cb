//! The rows of a cluster on which nothing is under way: that a request is refused, that a
//! customisation does not apply, and that a workload cluster does not answer.

use super::{Round, Row, Rows, refusal_note, upkeep_note};
use crate::api_time;
use crate::moment::{moment, passed_s};
use crate::plan::unreachable_since;
use crate::status::progress::known_remedy;
use api::StalledReason;
use api::conditions::ConditionReason as R;
use api::conditions::ConditionStatus::{False, True};
use jiff::{SignedDuration, Timestamp};

/// With the rows that are said elsewhere; `unreachable`: why the cluster does not answer.
pub(super) fn rows(
    round: &Round<'_>,
    preflight: Row,
    ready: Row,
    unreachable: Option<&str>,
) -> Rows {
    let (reconciling, gone) = match unreachable {
        Some(error) => {
            (Row::new(True, R::Retrying, api::remedy::unmarked(error)), gone(round, error))
        }
        None => (Row::new(False, R::Idle, notes(round)), Gone::default()),
    };
    let stalled = match &round.plan.refusal {
        // It can be answered at once; that the cluster is gone is said beside it.
        Some(refusal) => {
            let reason = StalledReason::RequestRefused;
            let (why, own) = api::remedy::split(refusal);
            Row::stalled_with(reason, why, &known_remedy(reason, own, round.snapshot))
        }
        None => gone.stalled.unwrap_or_else(Row::not_stalled),
    };
    Rows { preflight, ready, reconciling, stalled, wake_at: gone.due }
}

fn notes(round: &Round<'_>) -> String {
    let notes = [refusal_note(round.plan), upkeep_note(round)];
    notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join("; ")
}

/// A cluster that does not answer: Stalled where that lasted long enough, else when it will have.
#[derive(Default)]
struct Gone {
    stalled: Option<Row>,
    due: Option<Timestamp>,
}

fn gone(round: &Round<'_>, error: &str) -> Gone {
    let reason = StalledReason::ClusterUnreachable;
    // What was said before is all that is remembered of when it began.
    let since = unreachable_since(round.next).unwrap_or_else(|| moment(round.snapshot).0);
    if passed_s(&api_time(since), round.snapshot) >= reason.threshold_s() {
        return Gone { stalled: Some(Row::stalled(round.snapshot, reason, error)), due: None };
    }
    let due = since.checked_add(SignedDuration::from_secs(reason.threshold_s())).ok();
    Gone { stalled: None, due: due.filter(|at| *at > round.snapshot.now) }
}
