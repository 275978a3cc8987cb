//! How a check is taken through its states, as a person would: something is broken, seen, switched
//! off and on again, cleared. What is broken and why it counts is the tests'.

use super::{Bench, check, condition, text};
use anyhow::{Context as _, Result, ensure};
use api::CheckName;
use serde_json::Value;
use std::time::Duration;

/// How long a change of a watched object may take to be seen.
const SEEN: Duration = Duration::from_secs(20);

impl Bench {
    /// Switches checks off, as the documents do.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn disable(&self, names: &[&str]) -> Result<()> {
        let list: String = names.iter().map(|name| format!("      - {name}\n")).collect();
        self.configure(&format!("disabled:\n{list}")).await
    }

    /// Writes the settings of preflight.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn configure(&self, preflight: &str) -> Result<()> {
        let text: String = preflight.lines().map(|line| format!("    {line}\n")).collect();
        self.apply(&format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: cvo-config\n  namespace: cpaas-system\ndata:\n  preflight: |\n{text}"
        ))
        .await
    }

    /// Takes the settings away.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn configure_nothing(&self) -> Result<()> {
        self.kubectl(&["-n", "cpaas-system", "delete", "configmap", "cvo-config"]).await?;
        Ok(())
    }

    /// Changes an object that is watched, so that everything is looked at again now and not within
    /// 30 s.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn nudge(&self) -> Result<()> {
        let mark = format!("nudge={}", jiff::Timestamp::now());
        let words = ["-n", "cpaas-system", "annotate", "--overwrite", "configmap", "admin-acks"];
        self.kubectl(&[&words[..], &[&mark]].concat()).await?;
        Ok(())
    }

    /// All checks are there and passed.
    ///
    /// # Errors
    /// When they are not in time.
    pub async fn all_pass(&self, version: &str) -> Result<Value> {
        let what = format!("all checks of {version} to pass");
        self.cvsh_until(&what, Duration::from_secs(60), |cvsh| {
            let checks = cvsh.pointer("/status/preflight/checks").and_then(Value::as_array);
            text(cvsh, "/status/preflight/version") == version
                && checks.is_some_and(|all| {
                    all.len() == CheckName::ALL.len()
                        && all.iter().all(|c| text(c, "/state") == "Passed")
                })
                && text(condition(cvsh, "PreflightReady"), "/status") == "True"
        })
        .await
    }

    /// The check has failed for this reason and alone: the others were run all the same. Switched
    /// off it stops nothing, and its state comes back with it. Gives the check.
    ///
    /// # Errors
    /// When it is otherwise.
    pub async fn failed_and_disabled(&self, name: &str, reason: &str) -> Result<Value> {
        let failed = self.check_becomes(name, "Failed", reason).await?;
        ensure!(!text(&failed, "/message").is_empty(), "{name} says nothing: {failed}");
        ensure!(!text(&failed, "/remedy").is_empty(), "{name} does not say what to do: {failed}");
        let cvsh = self.cvsh().await?;
        for other in api::CheckName::ALL.iter().filter(|n| n.as_str() != name) {
            let other = check(&cvsh, other.as_str());
            ensure!(text(other, "/state") == "Passed", "beside {name}: {other}");
        }
        let ready = condition(&cvsh, "PreflightReady");
        ensure!(text(ready, "/reason") == "ChecksFailed", "{ready}");
        ensure!(text(ready, "/message").contains(name), "{ready}");

        self.disable(&[name]).await?;
        let disabled = self.check_becomes(name, "Disabled", "DisabledInCvoConfig").await?;
        ensure!(text(&disabled, "/message").contains("cvo-config"), "{disabled}");
        let message = self.condition_becomes("PreflightReady", "True", "Passed").await?;
        ensure!(message.contains(name), "what is switched off is visible: {message}");
        self.configure_nothing().await?;
        self.check_becomes(name, "Failed", reason).await
    }

    /// Runs the command that a check names, from the first `kubectl` on, as it stands.
    ///
    /// # Errors
    /// When there is none or it fails.
    pub async fn follow(&self, failed: &Value) -> Result<()> {
        let remedy = text(failed, "/remedy");
        let at = remedy.find("kubectl").with_context(|| format!("no command in: {remedy}"))?;
        self.must(&remedy[at..]).await?;
        Ok(())
    }

    /// A check that watches: broken, switched off, cleared, passed.
    ///
    /// # Errors
    /// When it does not go so.
    pub async fn walk(&self, name: &str, reason: &str, breaks: &str, clears: &str) -> Result<()> {
        self.must(breaks).await?;
        self.nudge().await?;
        let failed = self.failed_and_disabled(name, reason).await?;
        if clears.is_empty() {
            self.follow(&failed).await?
        } else {
            drop(self.must(clears).await?)
        }
        self.nudge().await?;
        let what = format!("{name} to pass after it was cleared");
        let passes = |cvsh: &Value| text(check(cvsh, name), "/state") == "Passed";
        self.cvsh_until(&what, SEEN, passes).await?;
        Ok(())
    }
}
