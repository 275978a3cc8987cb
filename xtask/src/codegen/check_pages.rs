//! Decides how the page of one check is made: its predicate from the head of its file in the
//! planner, its reasons from that file's own code, their meanings from `api`.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use api::checks::{CheckName, CheckReason, CheckState};
use api::names;

use super::Files;
use super::markdown::{code, page, table};
use crate::tidy::source::{Token, shipped};

const PREDICATES: &str = "crates/planner/src/preflight";

/// One page a check.
pub(super) fn generate(root: &Path, files: &mut Files) -> Result<()> {
    for check in CheckName::ALL {
        let path = format!("{PREDICATES}/{}.rs", file_name(check.as_str()));
        let source =
            fs::read_to_string(root.join(&path)).with_context(|| format!("read {path}"))?;
        let text = text(*check, &source).with_context(|| path.clone())?;
        files.insert(format!("docs/reference/checks/{check}.md"), page(check.as_str(), &text));
    }
    Ok(())
}

fn text(check: CheckName, source: &str) -> Result<String> {
    let predicate = predicate(check, source)?;
    let policy = check.policy();
    let rows: Vec<Vec<String>> = reasons(source)
        .into_iter()
        .map(|reason| vec![code(reason.as_str()), reason.doc().to_owned()])
        .collect();
    let everywhere: Vec<String> = [CheckReason::InputUnknown, CheckReason::DisabledInCvoConfig]
        .iter()
        .map(|reason| code(reason.as_str()))
        .collect();
    Ok(format!(
        "\
{} passes when {predicate}

Policy {}: {}

{}
Every check can also have {} with state {}, and {} with state {}.

Switched off, for a while and by name:

```yaml
apiVersion: v1
kind: ConfigMap
metadata:
  name: {}
  namespace: {}
data:
  {}: |
    disabled:
      - {check}
```

All checks: [preflight checks](../checks.md).
",
        code(check.as_str()),
        code(policy.as_str()),
        policy.doc(),
        table(&["Reason", "Meaning"], &rows),
        everywhere[0],
        code(CheckState::Retry.as_str()),
        everywhere[1],
        code(CheckState::Disabled.as_str()),
        names::CVO_CONFIG,
        names::NAMESPACE,
        names::CVO_CONFIG_PREFLIGHT,
    ))
}

/// What the file's head says after the check's name.
fn predicate(check: CheckName, source: &str) -> Result<String> {
    let head: Vec<&str> =
        source.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let head = head.join(" ");
    let said = head.strip_prefix(check.as_str()).and_then(|rest| rest.strip_prefix(": "));
    let said = said.unwrap_or_default().trim();
    ensure!(said.ends_with('.'), "must begin with `//! {check}: ` and its whole predicate");
    Ok(said.to_owned())
}

/// The reasons that the file's code names, in the order of the documents.
fn reasons(source: &str) -> Vec<CheckReason> {
    let tokens = shipped(source);
    let follows = |at: usize, word: &str| {
        let path: Vec<&Token> = tokens[at.saturating_sub(3)..at].iter().collect();
        tokens[at].is(word) && path.first().is_some_and(|token| token.is("CheckReason"))
    };
    let named = |reason: &CheckReason| (0..tokens.len()).any(|at| follows(at, reason.as_str()));
    CheckReason::ALL.iter().copied().filter(named).collect()
}

/// `CRIUpgradePodsAbsent` is in `cri_upgrade_pods_absent`.
fn file_name(check: &str) -> String {
    let letters: Vec<char> = check.chars().collect();
    let mut name = String::new();
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        let begins = letter.is_ascii_uppercase()
            && before.is_some_and(|before| {
                before.is_ascii_lowercase() || after.is_some_and(char::is_ascii_lowercase)
            });
        if begins {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_checks_are_names_of_files() {
        assert_eq!(file_name("CRIUpgradePodsAbsent"), "cri_upgrade_pods_absent");
        assert_eq!(file_name("ClusterRunning"), "cluster_running");
        assert_eq!(
            file_name("CustomEtcdBackupCronJobsAbsent"),
            "custom_etcd_backup_cron_jobs_absent"
        );
    }

    #[test]
    fn a_page_says_the_predicate_and_the_reasons_of_its_code() {
        let source = "//! ClusterRunning: the cluster\n//! is there.\n\nuse x;\n\
                      fn f() { CheckReason::ClusterNotRunning; Other::AckMissing }\n\
                      #[cfg(test)]\nmod tests { fn g() { CheckReason::NoGates } }";
        let text = text(CheckName::ClusterRunning, source).unwrap();
        assert!(text.starts_with("`ClusterRunning` passes when the cluster is there.\n"));
        assert!(text.contains("| `ClusterNotRunning` |"));
        assert!(!text.contains("AckMissing") && !text.contains("NoGates"));
    }

    #[test]
    fn a_file_without_its_predicate_is_refused() {
        assert!(text(CheckName::ClusterRunning, "//! Something else.\n").is_err());
        assert!(text(CheckName::ClusterRunning, "//! ClusterRunning: no full stop\n").is_err());
    }
}
