//! Decides how the closed sets of words of `api` are shown in the reference: checks, conditions
//! and the reasons of Stalled.

use api::checks::{CheckName, CheckReason, CheckState, Policy};
use api::conditions::{
    ConditionReason, ConditionType, ManifestReason, ModuleReason, NotOfferedReason,
};
use api::objects::ModulePhase;
use api::signature::Trust;
use api::stalled::StalledReason;

use super::Files;
use super::markdown::{code, page, table};

/// One page each for checks, conditions and Stalled.
pub(super) fn generate(files: &mut Files) {
    files.insert("docs/reference/checks.md".to_owned(), checks());
    files.insert("docs/reference/conditions.md".to_owned(), conditions());
    files.insert("docs/reference/stalled.md".to_owned(), stalled());
}

/// A table of words with their meanings.
macro_rules! meanings {
    ($head:literal, $words:ident) => {
        table(
            &[$head, "Meaning"],
            &$words::ALL
                .iter()
                .map(|word| vec![code(word.as_str()), word.doc().to_owned()])
                .collect::<Vec<_>>(),
        )
    };
}

fn checks() -> String {
    let rows: Vec<Vec<String>> = CheckName::ALL
        .iter()
        .map(|name| {
            let link = format!("[{}](checks/{name}.md)", code(name.as_str()));
            vec![link, code(name.policy().as_str()), name.doc().to_owned()]
        })
        .collect();
    let text = format!(
        "\
The preflight checks, in the order of the status.
A check that fails never stops the others, and each that fails carries the command that clears it.

{}
## Policies

{}
## States

{}
## Reasons

{}",
        table(&["Check", "Policy", "Passes when"], &rows),
        meanings!("Policy", Policy),
        meanings!("State", CheckState),
        meanings!("Reason", CheckReason),
    );
    page("Preflight checks", &text)
}

fn conditions() -> String {
    let text = format!(
        "\
The conditions of a ClusterVersionShadow; all four are always present.
`lastTransitionTime` moves only when the status of a condition does.

{}
## Reasons

`Stalled` with status True has a reason of [its own table](stalled.md).

{}
## Reasons of a ProductManifest

The condition `Ready` of a ProductManifest has one of these.

{}
## Whose keys made a release trusted

`signature.trust` of a ProductManifest, and `preflight.signature.trust` of a cluster, is one of these.

{}
## Why a published version is not offered

`notOffered[].reason` of a ClusterVersionShadow is one of these; the message beside it says more.

{}
## Reasons of a ModuleInfo

The condition `Ready` of a ModuleInfo has one of these, or one of [Stalled](stalled.md) where it cannot go on.

{}
## Phases of a ModuleInfo

`status.phase` of a ModuleInfo is one of these.

{}",
        meanings!("Condition", ConditionType),
        meanings!("Reason", ConditionReason),
        meanings!("Reason", ManifestReason),
        meanings!("Trust", Trust),
        meanings!("Reason", NotOfferedReason),
        meanings!("Reason", ModuleReason),
        meanings!("Phase", ModulePhase),
    );
    page("Conditions", &text)
}

fn stalled() -> String {
    let rows: Vec<Vec<String>> = StalledReason::ALL
        .iter()
        .map(|reason| {
            let after = match reason.threshold_s() {
                0 => "at once".to_owned(),
                seconds => format!("{seconds} s"),
            };
            let name = code(reason.as_str());
            vec![name, reason.doc().to_owned(), after, reason.remedy().to_owned()]
        })
        .collect();
    let text = format!(
        "\
Why the condition `Stalled` is True: a person must act.
It becomes False by itself when its cause is gone.

{}",
        table(&["Reason", "Meaning", "Said after", "What to do"], &rows)
    );
    page("Reasons of Stalled", &text)
}
